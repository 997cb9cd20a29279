"""The exchange for a client and an upstream that speak the same language: bodies are passed on, little is changed.

What changes: the alias becomes the deployment's name and back, ids are sealed, a family's rules are kept, usage is
read. Serves every shape that has no module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import orjson

from shared import errors
from shared.endpoints import ANTHROPIC
from shared.errors import ApiError
from shared.redact import redact_deep
from shared.transform import responses_edits
from shared.transform.completions import TextEvents
from shared.transform.dialects import DIALECTS
from shared.transform.edits import fill_defaults
from shared.transform.exchange import Asked, Part
from shared.transform.meters import METERS, NOTHING
from shared.transform.naming import AliasNames, name_models
from shared.transform.owned import seal_ids
from shared.transform.stream import EventStream
from shared.types import Json, Usage
from shared.usage import answer_length, estimate_text, estimate_usage

STORED = frozenset({"stored", "responses", "videos", "realtime"})
"""Shapes whose requests go to the resource, and in which ids hide everywhere."""
_OWN_DEFAULTS = frozenset({"completions", "embeddings", "images", "speech"})
"""Shapes of models that speak one language only: configured body fields are in its words."""
ANTHROPIC_VERSION = "2023-06-01"
"""For clients that send none (anthropic-openapi 2026-01); what a client sends is passed on."""


def dump(body: Json) -> bytes:
    """Raises ApiError (400) for what no JSON parser would take back."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise errors.bad_request("The request is nested too deeply. Flatten it.", code="too_deep") from error


class RelayedExchange:
    """One call whose body and answer pass in the client's own language."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._shape = asked.endpoint.shape
        self.stored = self._shape in STORED
        self.operation = asked.operation

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        if self._shape not in ANTHROPIC:
            return ()
        given = self._asked.headers
        version = ("anthropic-version", given.get("anthropic-version") or ANTHROPIC_VERSION)
        beta = given.get("anthropic-beta")
        return (version, ("anthropic-beta", beta)) if beta else (version,)

    def parts(self, *, ask_usage: bool) -> list[Part]:
        if self._asked.endpoint.body == "none":
            return [Part(self.operation, b"", "")]
        if self._asked.raw_type:
            return [Part(self.operation, self._asked.raw, self._asked.raw_type)]
        return [Part(self.operation, dump(self.body(ask_usage=ask_usage)))]

    def body(self, *, ask_usage: bool) -> Json:
        """The body for the upstream."""
        asked, deployment = self._asked, self._asked.deployment
        changed: Json = dict(asked.body)
        if self._shape == "stored":
            return name_models(changed, asked.endpoint.name, asked.names)
        if asked.endpoint.name == "responses_create":
            responses_edits.fill_defaults(changed, deployment)
        elif self._shape in _OWN_DEFAULTS:
            fill_defaults(changed, deployment)
            changed = {name: value for name, value in changed.items() if name not in deployment.dropped_params}
        set_model(changed, asked.endpoint.model_at, deployment.name)
        if not asked.stream:
            changed.pop("stream_options", None)  # says nothing without a stream, and is refused by some versions
        if self._shape == "responses":
            responses_edits.edit_responses(changed, deployment)
        elif self._shape == "completions" and asked.stream and ask_usage:
            given = changed.get("stream_options")
            changed["stream_options"] = {**(given if isinstance(given, dict) else {}), "include_usage": True}
        return changed

    def local(self) -> bytes | None:
        return None

    def answer(self) -> RelayedAnswer:
        return RelayedAnswer(self._asked, finisher(self._asked))

    def stream(self) -> EventStream:
        asked = self._asked
        dialect = DIALECTS.get(self._shape) or DIALECTS["responses"]  # of what is stored, only responses stream
        kept = self._shape == "stored"
        events = (TextEvents(),) if self._shape == "completions" else ()
        return EventStream(dialect, dialect, events, asked.body, asked.deployment, finisher(asked), kept=kept)


def set_model(body: Json, place: tuple[str, ...], name: str) -> None:
    """Write the deployment's name where the body names the model. Nothing of the client's is changed in place."""
    *way, last = place
    for step in way:
        inner = body.get(step)
        body[step] = body = dict(inner) if isinstance(inner, dict) else {}
    body[last] = name


def finisher(asked: Asked) -> Callable[[Json], None]:
    """-> what is done in place to each answer or event before the client sees it."""
    names, seal = AliasNames(asked), asked.seal
    if seal is None or asked.endpoint.shape not in (*STORED, "messages"):
        return names.show

    hidden = {name: alias for alias, name in asked.names.items()} | asked.deployment.hidden_names()

    def finish(value: Json) -> None:
        names.show(value)
        seal_ids(value, seal)
        for holder in (value, value.get("response")):  # a response or a job that failed says why in Azure's own words
            if isinstance(holder, dict) and isinstance(holder.get("error"), dict):
                holder["error"] = redact_deep(holder["error"], hidden)

    def finish_message(value: Json) -> None:
        """Claude's container is the only thing of a message that is kept; the `id` of a tool's use is a correlation."""
        names.show(value)
        for holder in (value, value.get("message"), value.get("delta")):
            container = holder.get("container") if isinstance(holder, dict) else None
            if isinstance(container, dict) and isinstance(container.get("id"), str):
                container["id"] = seal(container["id"])

    return finish_message if asked.endpoint.shape == "messages" else finish


class RelayedAnswer:
    """One answer in JSON that is not streamed."""

    def __init__(self, asked: Asked, finish: Callable[[Json], None]) -> None:
        self._asked = asked
        self._finish = finish
        self._usage: Usage | None = None
        self._written = 0
        self.said: Json = {}
        """The upstream's answer, its ids not sealed; what lies deeper may be."""
        self.model = ""
        self.ended = False

    def read(self, data: bytes) -> bytes:
        """Raises ApiError (502) when it is no JSON object."""
        if not data.strip():
            self.ended = True
            return b""  # 204 and the like
        value = parse(data)
        self.model = str(value.get("model") or "")
        endpoint = self._asked.endpoint
        shape = "videos" if endpoint.name == "videos_remix" else endpoint.shape  # a video more, of the same length
        self._usage = METERS[shape](value, self._asked.body)
        if self._usage is None:
            self._written = estimate_text(answer_length(value))
        self.said = dict(value)
        self._finish(value)
        self.ended = True
        return orjson.dumps(value)

    def charge(self, usage: Usage) -> None:
        """What is owed for something that was asked for earlier."""
        self._usage = usage

    def usage_or_estimate(self) -> Usage:
        if self._usage is not None:
            return self._usage
        unfinished = self.said.get("status") in ("queued", "in_progress")  # charged when it has ended
        if self._asked.endpoint.name not in _TALKS or unfinished:
            return NOTHING
        return estimate_usage(self._asked.body, self._written, self.said.get("service_tier"))


_TALKS = frozenset({"messages", "completions", "responses_create", "responses_compact"})
"""Operations whose answers always report usage: without it, it is counted by our own rule."""


def parse(data: bytes) -> Json:
    """Raises ApiError (502) when it is no JSON object."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise errors.bad_answer() from error
    if not isinstance(value, dict):
        raise errors.bad_answer()
    return value


class Rewrite(Protocol):
    """What changes the bytes of a file on their way."""

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class PassedStream:
    """A file or a sound, as it arrives. It is whole when its connection ends in good order."""

    def __init__(self, asked: Asked, rewrite: Rewrite | None = None) -> None:
        self._asked = asked
        self._rewrite = rewrite
        self.model = asked.deployment.model
        self.unchanged = rewrite is None
        """Whether its length is the upstream's."""
        self.error: ApiError | None = None
        self.done = False
        self.told: ApiError | None = None
        self.ended = False
        self.begun = True
        """Of a file every byte is content."""

    def feed(self, chunk: bytes) -> bytes:
        return self._rewrite.feed(chunk) if self._rewrite else chunk

    def end(self) -> bytes:
        self.ended = True
        return self._rewrite.end() if self._rewrite else b""

    def error_event(self, error: ApiError) -> bytes:
        """A file has no place for an error: what is missing shows in its length."""
        return b""

    def usage_or_estimate(self) -> Usage:
        return METERS[self._asked.endpoint.shape]({}, self._asked.body) or NOTHING
