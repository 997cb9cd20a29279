"""DIALECTS: the wire languages in which endpoints and deployments speak. One frozen row per language.

A row answers how answers and streams look: framing, what ends a stream, where its usage stands. What a body means is
the translators' business (chat_on_…, …_on_chat).
Evidence: openai-openapi 2026-08-21; recorded streams of Azure (2026-03 to 2026-08): Responses ends without [DONE].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared import sse
from shared.anthropic_errors import anthropic_event
from shared.endpoints import Shape
from shared.errors import ApiError
from shared.types import Json


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire language of answers.

    operation: its path below a surface's root. done: streams end in `data: [DONE]`, else in an event of a type in
    `last`. named: events carry an `event:` line. usage_at: where events hold usage, as paths of field names.
    """

    shape: Shape
    operation: str
    done: bool
    named: bool
    last: frozenset[str]
    usage_at: tuple[tuple[str, ...], ...] = (("usage",),)
    stored: bool = False
    """Whether Azure serves it at the resource, not at a deployment."""

    def frame(self, event: Json) -> bytes:
        """One event as the client reads it."""
        data = b"data: " + orjson.dumps(event) + b"\n\n"
        return b"event: " + str(event.get("type", "message")).encode() + b"\n" + data if self.named else data

    def end(self) -> bytes:
        return sse.DONE if self.done else b""

    def error(self, error: ApiError, sequence: int = 0) -> bytes:
        """An error that ends a stream which has begun."""
        if self.shape == "messages":
            return anthropic_event(error, "")
        if self.shape == "responses":
            body: Json = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
            return self.frame({**body, "sequence_number": sequence})
        return error.event()

    def tier_in(self, event: Json) -> Any:
        """-> the service tier that an event tells beside the usage. A response begins with the one that was asked for
        and ends with the one that has served it; Anthropic's stands within the usage."""
        holder = event.get("response") if self.shape == "responses" else event
        return holder.get("service_tier") if isinstance(holder, dict) else None

    def usage_in(self, event: Json) -> Json:
        """-> the usage that an event reports, empty when it reports none."""
        found: Json = {}
        for path in self.usage_at:
            value: Any = event
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if isinstance(value, dict):
                found.update({k: v for k, v in value.items() if v is not None})
        return found


DIALECTS: Mapping[str, Dialect] = {
    row.shape: row
    for row in (
        Dialect("chat", "chat/completions", done=True, named=False, last=frozenset()),
        Dialect("completions", "completions", done=True, named=False, last=frozenset()),
        Dialect(
            "responses",
            "responses",
            done=False,
            named=True,
            last=frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"}),
            usage_at=(("response", "usage"),),
            stored=True,
        ),
        Dialect(
            "messages",
            "messages",
            done=False,
            named=True,
            last=frozenset({"message_stop"}),
            usage_at=(("message", "usage"), ("usage",)),
        ),
        Dialect(
            "images",
            "images/generations",
            done=False,
            named=True,
            last=frozenset({"image_generation.completed", "image_edit.completed"}),
        ),
        Dialect("speech", "audio/speech", done=False, named=True, last=frozenset({"speech.audio.done"})),
        Dialect(
            "transcription", "audio/transcriptions", done=False, named=True, last=frozenset({"transcript.text.done"})
        ),
    )
}
"""Shapes that are not here never stream."""
