"""A client of chat completions in front of an instruct deployment: the messages as one prompt, the text as a message.

docs/translation-instruct.md says the same to clients. Source: OpenAI OpenAPI 2026-08-21; that chat is asked of
`azure_text/…` at all is the seed page's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import errors
from shared.transform.refuse import unsupported, wrong_type
from shared.types import Json

_NO_OPS: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none",),
    "functions": ([],),
    "logprobs": (False,),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "web_search_options": (),
}
"""What an instruct model has not, with the values that ask for nothing: those are left out."""
_REMEDY = "is not served by an instruct model. Leave it out, or use a chat model."
_NAMES = {"system": "System", "developer": "System", "user": "User", "assistant": "Assistant"}


def request(body: Json) -> Json:
    """-> the body of completions; what both know passes as it is. Raises ApiError (400) naming what it cannot say."""
    for name, no_ops in _NO_OPS.items():
        value = body.get(name)
        if value is not None and value not in no_ops:
            raise unsupported(name, _REMEDY)
    kept = {k: v for k, v in body.items() if k not in _NO_OPS and k not in _RENAMED and v is not None}
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None:
        kept["max_tokens"] = limit
    if kept.get("stream") is True:  # without its usage a stream could only be estimated
        given = kept.get("stream_options")
        kept["stream_options"] = {**(given if isinstance(given, dict) else {}), "include_usage": True}
    return {**kept, "prompt": _prompt(body["messages"])}


_RENAMED = frozenset({"messages", "max_completion_tokens", "max_tokens"})


def _prompt(messages: list[Any]) -> str:
    """One message is its own text; a conversation names who speaks, and ends where the model shall go on."""
    said = [(_name(message, index), _text(message, index)) for index, message in enumerate(messages)]
    if len(said) == 1:
        return said[0][1]
    return "\n\n".join(f"{name}: {text}" for name, text in said) + "\n\nAssistant:"


def _name(message: Json, index: int) -> str:
    name = _NAMES.get(message["role"])
    if name is None or message.get("tool_calls") or message.get("function_call"):
        raise unsupported(f"messages[{index}]", f"is about a tool, which {_REMEDY}")
    return name


def _text(message: Json, index: int) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong_type(f"messages[{index}].content", "a string or a list of parts")
    texts: list[str] = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise unsupported(f"messages[{index}].content", f"holds more than text, which {_REMEDY}")
        texts.append(text)
    return "".join(texts)


def answer(answer: Json, body: Json) -> Json:  # noqa: ARG001  (the form of every translator)
    """-> the chat completion. Raises ApiError (502) when the answer is no text completion."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        raise errors.bad_answer()
    told = [
        {**_kept(choice), "message": {"role": "assistant", "content": str(choice.get("text") or ""), "refusal": None}}
        for choice in choices
        if isinstance(choice, dict)
    ]
    return {**answer, "id": _id(answer), "object": "chat.completion", "choices": told}


def _id(head: Mapping[str, Any]) -> str:
    return "chatcmpl-" + str(head.get("id") or "").removeprefix("cmpl-")


def _kept(choice: Json) -> Json:
    """A choice without its text; Azure's filter results stay with it."""
    return {**{k: v for k, v in choice.items() if k != "text"}, "index": choice.get("index", 0), "logprobs": None}


class Events:
    """One streamed answer, chunk by chunk. It remembers which choices have begun, whose first chunk says who speaks,
    and the verdict on the prompt until a chunk can carry it."""

    def __init__(self, body: Json) -> None:
        self._begun: set[int] = set()
        self._held: Json = {}

    def feed(self, event: Json) -> list[Json]:
        choices = [self._choice(choice) for choice in event.get("choices") or [] if isinstance(choice, dict)]
        if not choices and not event.get("usage"):
            self._held.update({k: v for k, v in event.items() if k == "prompt_filter_results"})
            return []
        held, self._held = self._held, {}
        return [{**held, **event, "id": _id(event), "object": "chat.completion.chunk", "choices": choices}]

    def _choice(self, choice: Json) -> Json:
        kept = _kept(choice)
        delta: Json = {"content": str(choice.get("text") or "")}
        if kept["index"] not in self._begun:
            self._begun.add(kept["index"])
            delta = {"role": "assistant", **delta}
        return {**kept, "finish_reason": choice.get("finish_reason"), "delta": delta}

    def end(self) -> list[Json]:
        return []
