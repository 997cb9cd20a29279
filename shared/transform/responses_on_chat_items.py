"""The items of a response's output as they are made from a chat completion: whole ones, and those being written.

Knows nothing of the envelope around them, nor of events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.types import Json


def tail_of(answer: Json) -> str:
    """What the ids of a response are made of: the chat completion's own id without its prefix."""
    return str(answer.get("id") or "").removeprefix("chatcmpl-")


def item_id(prefix: str, tail: str, place: int) -> str:
    """The same for every look at one answer: from the answer's id and the item's place in the output."""
    return f"{prefix}_{tail}_{place}"


def reasoning_item(id: str, text: str | None) -> Json:
    """`text` None: the item at its beginning."""
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"id": id, "type": "reasoning", "summary": summary}


def message_item(id: str, parts: list[Json], status: str) -> Json:
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": parts}


def text_part(text: str, logprobs: list[Json], annotations: list[Json]) -> Json:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def refusal_part(refusal: str) -> Json:
    return {"type": "refusal", "refusal": refusal}


def call_item(custom: bool, tail: str, place: int, call: tuple[Any, str, str], status: str) -> Json:
    """One call of a tool; `call` is its id, its name and its arguments (the input of a custom tool)."""
    call_id, name, text = call
    head = {"call_id": call_id or f"call_{tail}_{place}", "name": name}
    if custom:
        return {"id": item_id("ctc", tail, place), "type": "custom_tool_call", **head, "input": text}
    return {"id": item_id("fc", tail, place), "type": "function_call", "status": status, **head, "arguments": text}


@dataclass(slots=True)
class OpenPart:
    """A part of a message, or a summary of reasoning, that is being written."""

    kind: str
    pieces: list[str] = field(default_factory=list[str])
    logprobs: list[Json] = field(default_factory=list[Json])
    annotations: list[Json] = field(default_factory=list[Json])

    def json(self) -> Json:
        text = "".join(self.pieces)
        return self._text(text) if self.kind == "text" else refusal_part(text)

    def _text(self, text: str) -> Json:
        return text_part(text, list(self.logprobs), list(self.annotations))


@dataclass(slots=True)
class OpenItem:
    """The message or the reasoning that is being written: at most one is open."""

    place: int
    id: str
    parts: list[OpenPart] = field(default_factory=list[OpenPart])


@dataclass(slots=True)
class OpenCall:
    """A call of a tool. It is open (has a place in the output) as soon as its name is known."""

    custom: bool = False
    id: Any = None
    name: str = ""
    place: int | None = None
    pieces: list[str] = field(default_factory=list[str])
