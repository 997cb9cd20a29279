"""One streamed answer that is not a plain chat completion: upstream bytes in, whole events for the client out.

The stages of an event: parsed, its errors and usage noted, translated (if the client speaks another language), ids
sealed and the model named by its alias, framed. Plain chat has a class of its own (chat.py): it is the hot path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import orjson

from shared import errors
from shared.catalog import Deployment
from shared.errors import ApiError
from shared.transform.dialects import Dialect
from shared.transform.events import EventCutter
from shared.transform.meters import NOTHING, read_stream_usage
from shared.types import Json, Usage
from shared.upstream_errors import from_upstream, status_of_code
from shared.usage import estimate_text, estimate_usage


class Events(Protocol):
    """A translator's state for one stream."""

    def feed(self, event: Json) -> list[Json]:
        """-> the client's events for one of the upstream's."""
        ...

    def end(self) -> list[Json]:
        """-> what is still owed when the upstream has ended in good order."""
        ...


class EventStream(EventCutter):
    """transform.Stream for every language but plain chat. Memory does not grow with the stream, but for translators
    whose last event repeats the whole answer."""

    def __init__(
        self,
        upstream: Dialect,
        client: Dialect,
        translators: Sequence[Events],
        body: Mapping[str, Any],
        deployment: Deployment,
        finish: Callable[[Json], None],
        *,
        kept: bool = False,
    ) -> None:
        """kept: it is told again, and was paid for when it was made."""
        super().__init__()
        self._upstream = upstream
        self._client = client
        self._translators = translators
        self._body = body
        self._deployment = deployment
        self._finish_event = finish
        self._usage: Json = {}
        self._tier: Any = None
        self._begun_only = False
        """The usage so far is that of an answer's beginning: Claude tells its input first, its output at the end."""
        self._charged: Usage | None = NOTHING if kept else None
        self._written = 0
        self._deltas = 0
        self._has_begun = False
        self._sent = 0
        self._hide_usage = client.shape in ("chat", "completions") and not _wants_usage(body)
        self.said: Json = {}
        """What the events told of the response that they make up: its id (not sealed), state and usage."""

    @property
    def begun(self) -> bool:
        return self._has_begun

    def error_event(self, error: ApiError) -> bytes:
        return self._client.error(error, self._sent)

    def charge(self, usage: Usage) -> None:
        """What this call owes, whatever the events say: for work that is charged with another call."""
        self._charged = usage

    def usage_or_estimate(self) -> Usage:
        """The upstream's figures, else our own: one token per event with text, or by length if that is more."""
        if self._charged is not None:
            return self._charged
        found = read_stream_usage(self._upstream.shape, self._usage, self._body, self._tier)
        written = max(self._deltas, estimate_text(self._written))
        if found is None:
            return estimate_usage(self._body, written, self._usage.get("service_tier") or self._tier)
        if self._begun_only:
            return replace(found, output_tokens=max(found.output_tokens, written), estimated=True)
        return found

    def _event(self, data: bytes) -> bytes:
        if data == b"[DONE]":
            return self._rest() if self._upstream.done else b""
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            self._fail(errors.bad_answer())
            return b""
        if failure := self._failure(event, data):
            self._fail(failure)
            return b""
        self._note(event)
        out = self._translated(event, 0)
        if event.get("type") in self._upstream.last:
            return out + self._rest()
        return out

    def _failure(self, event: Json, data: bytes) -> ApiError | None:
        """An error that the upstream sends as an event of a stream that it began with 200."""
        kind = event.get("type")
        if kind == "response.failed":
            response = event.get("response")
            error = response.get("error") if isinstance(response, dict) else None
            data = orjson.dumps({"error": error or {}})
            told = self._public(error, data)
            self._tell(told)
            return told if self._translators else None  # the client's own language: told as it is, but for names
        elif kind == "error" and "error" not in event:
            error = event
            data = orjson.dumps({"error": {k: event.get(k) for k in ("message", "code", "param")}})
        elif event.get("error") and not event.get("choices") and kind in (None, "error"):
            error = event["error"]
        else:
            return None
        return self._public(error, data)

    def _public(self, error: Any, data: bytes) -> ApiError:
        code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
        return from_upstream(status_of_code(code), {}, data, self._deployment.hidden_names())

    def _note(self, event: Json) -> None:
        if found := self._upstream.usage_in(event):
            self._usage.update(found)
            self._begun_only = event.get("type") == "message_start"
        self._tier = self._upstream.tier_in(event) or self._tier
        written = _written(event)
        self._written += written
        self._deltas += written > 0
        self._has_begun = self._has_begun or written > 0 or not _is_opening(event)
        inner = event.get("response") or event.get("message")
        if isinstance(inner, dict) and "response" in event:
            self.said = {name: inner[name] for name in _TOLD if name in inner}
        if not self.model:
            self.model = str(event.get("model") or (inner.get("model") if isinstance(inner, dict) else "") or "")
        choices = event.get("choices")
        if isinstance(choices, list) and any(isinstance(c, dict) and c.get("finish_reason") for c in choices):
            self._finished = True

    def _translated(self, event: Json, stage: int) -> bytes:
        """The event after the translators from `stage` on, framed."""
        events = [event]
        for translator in self._translators[stage:]:
            events = [said for each in events for said in translator.feed(each)]
        return b"".join(map(self._framed, events))

    def _framed(self, event: Json) -> bytes:
        if self._hide_usage and "usage" in event:
            if not event.get("choices"):
                return b""
            del event["usage"]
        self._finish_event(event)
        self._sent += 1
        return self._client.frame(event)

    def _rest(self) -> bytes:
        """The upstream has said that it is done: what translators still owe, and the client's own ending."""
        self.done = True
        out: list[bytes] = []
        for stage, translator in enumerate(self._translators):
            out += [self._translated(event, stage + 1) for event in translator.end()]
        return b"".join(out) + self._client.end()


_OPENING = frozenset(
    "response.created response.queued response.in_progress response.output_item.added response.content_part.added "
    "response.reasoning_summary_part.added response.failed message_start content_block_start ping error".split()
)


def _is_opening(event: Json) -> bool:
    """Whether it is of those that come before an answer's own content, and say only that there will be one."""
    choices = event.get("choices")
    if not isinstance(choices, list):
        return event.get("type") in _OPENING
    deltas = [choice.get("delta") for choice in choices if isinstance(choice, dict)]
    return not any(isinstance(delta, dict) and (delta.get("content") or delta.get("tool_calls")) for delta in deltas)


_TOLD = ("id", "status", "background", "created_at", "usage", "service_tier")


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _written(event: Json) -> int:
    """Characters that a model has written in one event, whatever the language."""
    delta = event.get("delta")
    if isinstance(delta, str):
        return len(delta)
    if isinstance(delta, dict):
        return sum(len(delta[name]) for name in _TEXTS if isinstance(delta.get(name), str))
    choices = event.get("choices")
    total = 0
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            total += len(choice["text"]) if isinstance(choice.get("text"), str) else _written(choice)
    return total


_TEXTS = ("text", "partial_json", "thinking", "content", "refusal", "reasoning_content")
