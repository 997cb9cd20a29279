"""Decides what a model says: a function of the request alone, so that a test knows the answer beforehand.

Owns the magic words ("count to N", "long N", "refuse", "cut off by filter", "weather") and nothing of the wire.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import orjson

from .prompt import parts_of, text_of
from .request import ChatRequest
from .schema import instance
from .tokenizer import split, tokens

_CITIES = re.compile(r"San Francisco|Tokyo|Paris", re.IGNORECASE)
_COUNT = re.compile(r"\bcount to (\d{1,6})\b", re.IGNORECASE)
_LONG = re.compile(r"\blong (\d{1,6})\b", re.IGNORECASE)
_REFUSE = re.compile(r"\brefuse\b", re.IGNORECASE)
_FILTERED = re.compile(r"\bcut off by filter\b", re.IGNORECASE)
_CALL = re.compile(r"weather|call", re.IGNORECASE)
_LONGEST = 200_000

Finish = Literal["stop", "length", "content_filter", "tool_calls", "function_call"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: str
    id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, which every choice gives. `spoken` starts anew each time: a long answer is never held in memory."""

    words: Callable[[], Iterator[str]]
    finish: Finish = "stop"
    refused: bool = False
    calls: tuple[ToolCall, ...] = ()
    limit: int | None = None
    stops: tuple[str, ...] = ()

    def spoken(self) -> Iterator[tuple[str, Finish | None]]:
        """The tokens, each with None, then ("", why it ended)."""
        words = self.words() if not self.stops else until_stop(self.words(), self.stops)
        if self.limit is not None:
            yield from ((token, None) for token in islice(words, self.limit))
            if next(words, None) is not None:
                yield "", "length"
                return
        else:
            yield from ((token, None) for token in words)
        yield "", self.finish


def answer(chat: ChatRequest) -> Answer:
    calls = _tool_calls(chat)
    if calls:
        return Answer(lambda: iter(()), finish=_finish_of_calls(chat), calls=calls)
    limit = None if chat.limit is None else chat.limit - chat.reasoning_tokens
    text = chat.prompt.text
    return Answer(
        _words(chat),
        finish="content_filter" if _FILTERED.search(text) else "stop",
        refused=bool(_REFUSE.search(text)),
        limit=limit,
        stops=chat.stops,
    )


def _words(chat: ChatRequest) -> Callable[[], Iterator[str]]:
    if chat.prompt.tool_results:
        return _text("Tool said: " + "; ".join(chat.prompt.tool_results))
    text = chat.prompt.text
    if _REFUSE.search(text):
        return _text("I'm sorry, but I can't help with that.")
    structured = _structured(chat, text)
    if structured is not None:
        return _text(orjson.dumps(structured).decode())
    if found := _COUNT.search(text):
        numbers = range(1, int(found[1]) + 1)
        return lambda: _spaced(map(str, numbers))
    if found := _LONG.search(text):
        places = range(min(int(found[1]), _LONGEST))
        return lambda: _spaced(f"word{place}" for place in places)
    return _text(f"You said: {text}{_attachments(chat)}")


def _text(text: str) -> Callable[[], Iterator[str]]:
    return lambda: tokens(text)


def _spaced(words: Iterable[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        yield f" {word}" if place else word


def _attachments(chat: ChatRequest) -> str:
    content = chat.prompt.last_user.get("content")
    notes = ""
    if images := parts_of(content, "image_url"):
        notes += f" [{images} image{'s' if images > 1 else ''}]"
    if sounds := parts_of(content, "input_audio"):
        notes += f" [{sounds} audio]"
    return notes


def _structured(chat: ChatRequest, text: str) -> Any:
    wanted: Mapping[str, Any] = chat.body.get("response_format") or {}
    match wanted.get("type"):
        case "json_object":
            return {"you_said": text}
        case "json_schema":
            return instance((wanted.get("json_schema") or {}).get("schema") or {}, text.split())
        case _:
            return None


def _tool_calls(chat: ChatRequest) -> tuple[ToolCall, ...]:
    if not chat.functions or chat.tool_choice == "none":
        return ()
    forced, text = chat.forced_function, chat.prompt.text
    if forced is None and chat.tool_choice != "required" and (chat.prompt.tool_results or not _CALL.search(text)):
        return ()
    function = next((f for f in chat.functions if forced in (None, f.get("name"))), chat.functions[0])
    places: list[str | None] = list(_CITIES.findall(text)) or [None]
    if chat.body.get("parallel_tool_calls") is False or chat.legacy_functions:
        places = places[:1]
    return tuple(_call(function, text, place) for place in places)


def _call(function: Mapping[str, Any], text: str, place: str | None) -> ToolCall:
    arguments = instance(function.get("parameters") or {"type": "object"}, text.split(), place)
    return ToolCall(str(function.get("name")), orjson.dumps(arguments).decode())


def _finish_of_calls(chat: ChatRequest) -> Finish:
    if chat.legacy_functions:
        return "function_call"
    # OpenAI's documented oddity: a call that was forced by name ends in "stop".
    return "stop" if chat.forced_function else "tool_calls"


def until_stop(words: Iterator[str], stops: tuple[str, ...]) -> Iterator[str]:
    """The tokens up to the first stop sequence, which may begin and end inside tokens."""
    reach = max(map(len, stops)) - 1
    held: list[str] = []
    for word in words:
        held.append(word)
        text = "".join(held)
        found = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
        if found:
            yield from tokens(text[: min(found)])
            return
        while len(text) - len(held[0]) >= reach:  # no stop sequence can begin in the first token any more
            text = text[len(held[0]) :]
            yield held.pop(0)
            if not held:
                break
    yield from held


def predicted(chat: ChatRequest) -> tuple[int, int]:
    """How many tokens of `prediction` the answer has and has not: accepted and rejected."""
    prediction = chat.body.get("prediction")
    if not isinstance(prediction, dict):
        return 0, 0
    said = set(answer(chat).words())
    guesses = split(text_of(prediction.get("content")))
    accepted = sum(guess in said for guess in guesses)
    return accepted, len(guesses) - accepted
