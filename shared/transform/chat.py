"""The chat completion shape: what goes up (one body) and what comes back (one body, or a stream of events).

Pure: bytes and values in, bytes and values out. What Azure really sends, and why each repair is needed, was
recorded (samples of 2026-03 to 2026-08): a first event with `choices: []`, events of the asynchronous content
filter whose choices have no `delta`, usage in a last event with `choices: []`, on Foundry sometimes with content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from shared import errors, sse
from shared.catalog import Deployment
from shared.errors import ApiError
from shared.transform.edits import edit_chat
from shared.transform.events import EventCutter
from shared.types import Json, Usage
from shared.upstream_errors import from_upstream, status_of_code
from shared.usage import estimate_text, estimate_usage, read_usage, tier_of

type Seal = Callable[[str], str]


def chat_request(body: Mapping[str, Any], deployment: Deployment, *, ask_usage: bool = True) -> bytes:
    """-> the body for one deployment. Raises ApiError (400) for what the deployment does not take."""
    changed: Json = dict(body)
    edit_chat(changed, deployment)
    changed["model"] = deployment.name
    if changed.get("stream") is True and ask_usage:
        given = changed.get("stream_options")
        changed["stream_options"] = {**(given if isinstance(given, dict) else {}), "include_usage": True}
    else:
        changed.pop("stream_options", None)  # refused without `stream`, also when it is a default of the configuration
    try:
        return orjson.dumps(changed)
    except orjson.JSONEncodeError as error:
        raise errors.bad_request("The request is nested too deeply. Flatten it.", code="too_deep") from error


class ChatAnswer:
    """One chat completion that is not streamed."""

    def __init__(self, body: Mapping[str, Any], deployment: Deployment, seal: Seal | None = None) -> None:
        self._body = body
        self._alias = deployment.alias
        self._seal = seal
        self._characters = 0
        self._tier: Any = None
        self.usage: Usage | None = None
        self.model = ""
        self.ended = False

    def read(self, data: bytes) -> bytes:
        """-> the answer for the client. Raises ApiError (502) when it is no chat completion."""
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise errors.bad_answer() from error
        if not isinstance(answer, dict):
            raise errors.bad_answer()
        self._tier = answer.get("service_tier")
        self.usage = read_usage(answer.get("usage"), self._tier)
        self._characters = _length(answer.get("choices")) if self.usage is None else 0
        self.model = str(answer.get("model") or "")
        answer["model"] = self._alias
        if self._seal and b'"audio"' in data:
            seal_audio(answer.get("choices"), "message", self._seal)
        self.ended = True
        return orjson.dumps(answer)

    def usage_or_estimate(self) -> Usage:
        return self.usage or estimate_usage(self._body, estimate_text(self._characters), self._tier)


def seal_audio(choices: Any, place: str, seal: Seal) -> None:
    """Azure keeps the audio of an answer for an hour, under an id that a later message may name."""
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get(place) if isinstance(choice, dict) else None
        audio = message.get("audio") if isinstance(message, dict) else None
        if isinstance(audio, dict) and isinstance(audio.get("id"), str) and audio["id"]:
            audio["id"] = seal(audio["id"])


def _length(choices: Any) -> int:
    """Characters that a model has written in the choices of an answer."""
    messages = [c.get("message") for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    parts = [m.get(name) for m in messages if isinstance(m, dict) for name in ("content", "refusal", "tool_calls")]
    return sum(len(part if isinstance(part, str) else str(part)) for part in parts if part)


class ChatStream(EventCutter):
    """One streamed chat completion: upstream bytes in, whole events for the client out.

    State is a few scalars: memory does not grow with the length of the stream.
    """

    def __init__(self, body: Mapping[str, Any], deployment: Deployment, seal: Seal | None = None) -> None:
        super().__init__()
        options = body.get("stream_options")
        self._client_wants_usage = isinstance(options, dict) and options.get("include_usage") is True
        self._body = body
        self._deployment = deployment
        self._seal = seal if "audio" in body else None
        self._held: Json = {}
        """Fields of an event without choices, which wait for the next event that has some."""
        self._head: Json = {"id": "", "object": "chat.completion.chunk", "created": 0}
        self._characters = 0
        self._deltas = 0
        self._tier: Any = None
        self.usage: Usage | None = None

    @property
    def begun(self) -> bool:
        return self._deltas > 0 or self._finished or self.done

    def error_event(self, error: ApiError) -> bytes:
        return error.event()

    def usage_or_estimate(self) -> Usage:
        """Azure's figures, else our own count: one token per event with content, or by length if that is more."""
        if self.usage is None:
            return estimate_usage(self._body, max(self._deltas, estimate_text(self._characters)), self._tier)
        tier = tier_of(self._tier)  # it may have been told after the usage
        return self.usage if self.usage.tier == tier else replace(self.usage, tier=tier)

    def _event(self, data: bytes) -> bytes:
        if data == b"[DONE]":
            self.done = True
            return self._rest() + sse.DONE
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("choices") or [], list):
            self._fail(errors.bad_answer())
            return b""
        if event.get("error") and not event.get("choices"):
            self._fail(_error_in_stream(data, event, self._deployment))
            return b""
        return self._chunk(event)

    def _chunk(self, event: Json) -> bytes:
        usage_sent = event.get("usage")
        self._tier = event.get("service_tier") or self._tier
        if usage := read_usage(usage_sent, self._tier):
            self.usage = usage
        if not self._client_wants_usage:
            event.pop("usage", None)
        choices = event.get("choices")
        if not choices:
            if not (usage_sent and self._client_wants_usage):
                self._hold(event)
                return b""
            event["choices"] = []
        else:
            self._note(choices)
            if self._seal:
                seal_audio(choices, "delta", self._seal)
        for name, value in self._held.items():
            event.setdefault(name, value)
        self._held = {}
        return self._dump(event)

    def _hold(self, event: Json) -> None:
        """Keep what an event without choices says beyond its head, for the next event that has choices."""
        self._held.update({k: v for k, v in event.items() if k not in _HEAD and k != "obfuscation"})

    def _rest(self) -> bytes:
        """At the end of a stream that brought no event to carry what is held: one of our own, with an empty delta."""
        if not self._held:
            return b""
        event: Json = {"choices": [{"index": 0, "delta": {}, "finish_reason": None}], **self._held}
        self._held = {}
        return self._dump(event)

    def _note(self, choices: list[Any]) -> None:
        """Count what is delivered, and give a `delta` to choices of the asynchronous filter that have none."""
        for choice in choices:
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                choice["delta"] = {}
                choice.setdefault("finish_reason", None)
            elif content := next((delta[name] for name in _WRITTEN if delta.get(name)), None):
                self._deltas += 1
                self._characters += len(content) if isinstance(content, str) else 0
            if choice.get("finish_reason"):
                self._finished = True

    def _dump(self, event: Json) -> bytes:
        if event.get("id"):
            self._head = {"id": event["id"], "object": "chat.completion.chunk", "created": event.get("created", 0)}
            self.model = self.model or str(event.get("model") or "")
        else:
            event.update(self._head)  # filter events come with empty id, object and created
        event["model"] = self._deployment.alias
        return b"data: " + orjson.dumps(event) + b"\n\n"


_WRITTEN = ("content", "tool_calls", "refusal", "audio", "function_call", "reasoning_content")
"""Fields of a delta that cost output tokens."""
_HEAD = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})


def _error_in_stream(data: bytes, event: Json, deployment: Deployment) -> ApiError:
    """An error that Azure sends as an event of a stream that it began with 200; its code may be a status."""
    error = event["error"]
    code = str(error.get("code")) if isinstance(error, dict) else ""
    return from_upstream(status_of_code(code), {}, data, deployment.hidden_names())
