"""The exchange for a client and an upstream that speak different languages: translators between, chat as the hub.

Which pairs exist is the table; the translators are modules of their own and are loaded when first needed, for most
processes never need them.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from shared.endpoints import Shape
from shared.errors import ApiError
from shared.transform.chat import chat_request
from shared.transform.dialects import DIALECTS
from shared.transform.edits import drop_or_raise, edit_chat
from shared.transform.exchange import Asked, Part
from shared.transform.meters import METERS
from shared.transform.naming import AliasNames
from shared.transform.owned import seal_ids
from shared.transform.relayed import ANTHROPIC_VERSION, dump, parse
from shared.transform.responses_edits import edit_responses
from shared.transform.stream import Events, EventStream
from shared.types import Json, Usage
from shared.upstream_errors import from_upstream, status_of_code
from shared.usage import answer_length, estimate_text, estimate_usage


class Translator(Protocol):
    """A module that lets a client of one language speak to an upstream of another."""

    def request(self, body: Json) -> Json: ...

    def answer(self, answer: Json, body: Json) -> Json: ...

    @property
    def Events(self) -> Callable[[Json], Events]: ...


TRANSLATORS: Mapping[tuple[Shape, Shape], str] = {
    ("chat", "responses"): "chat_on_responses",
    ("chat", "messages"): "chat_on_messages",
    ("responses", "chat"): "responses_on_chat",
    ("messages", "chat"): "messages_on_chat",
    ("completions", "chat"): "completions_on_chat",
    ("chat", "completions"): "chat_on_completions",
}
"""(client's language, upstream's language) -> module of shared.transform."""
_PREFERRED: tuple[Shape, ...] = ("chat", "responses", "messages", "completions")


def _load(client: Shape, upstream: Shape) -> Translator:
    module: Any = importlib.import_module(f"shared.transform.{TRANSLATORS[client, upstream]}")
    return module


def way(client: Shape, serves: frozenset[Shape]) -> list[Shape]:
    """The languages from the client's to one that the deployment serves: one step, or two by way of chat."""
    for upstream in _PREFERRED:
        if upstream in serves:
            return [client, upstream] if (client, upstream) in TRANSLATORS else [client, "chat", upstream]
    raise LookupError(client)


class TranslatedExchange:
    """One call that is translated on its way there and back."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        shapes = way(asked.endpoint.shape, asked.deployment.serves)
        self._steps = [(_load(a, b), b) for a, b in itertools.pairwise(shapes)]
        self._bodies: list[Json] = []
        """What each translator was given, for its answer."""
        self._client = DIALECTS[shapes[0]]
        self._upstream = DIALECTS[shapes[-1]]
        self.stored = self._upstream.stored

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("anthropic-version", ANTHROPIC_VERSION),) if self._upstream.shape == "messages" else ()

    def parts(self, *, ask_usage: bool) -> list[Part]:
        try:
            return self._parts(ask_usage=ask_usage)
        except ApiError as error:
            raise _in_clients_words(error, self._asked) from error

    def _parts(self, *, ask_usage: bool) -> list[Part]:
        body: Json = dict(self._asked.body)
        shape = self._asked.endpoint.shape
        deployment = self._asked.deployment
        self._bodies = []
        for translator, next_shape in self._steps:
            body["model"] = deployment.model  # by whose name some rules differ; the deployment's own comes last
            if shape == "chat":  # whatever the client spoke: the family's rules are kept where they are written down
                edit_chat(body, deployment)
            body, said = self._said(translator, body)
            self._bodies.append(said)
            shape = next_shape
        if shape == "chat":
            return [Part(self._upstream.operation, chat_request(body, deployment, ask_usage=ask_usage))]
        if shape == "responses":
            edit_responses(body, deployment)
        return [Part(self._upstream.operation, dump({**body, "model": deployment.name}))]

    def _said(self, translator: Translator, body: Json) -> tuple[Json, Json]:
        """-> (what the next language says, the body that was translated). With drop_params, what it cannot say is
        left out."""
        while True:
            try:
                return dict(translator.request(body)), body
            except ApiError as error:
                name = error.param
                if error.code != "unsupported_parameter" or name not in body:
                    raise
                body = dict(body)
                drop_or_raise(body, name, error, self._asked.deployment)

    def local(self) -> bytes | None:
        return None

    def answer(self) -> TranslatedAnswer:
        return TranslatedAnswer(self._asked, self._upstream.shape, self._backwards())

    def stream(self) -> EventStream:
        events = [translator.Events(body) for translator, body in self._backwards()]
        body = self._asked.body
        return EventStream(self._upstream, self._client, events, body, self._asked.deployment, _shown(self._asked))

    def _backwards(self) -> list[tuple[Translator, Json]]:
        """From the upstream to the client, each translator with the body that it was given."""
        return [(step[0], body) for step, body in zip(self._steps, self._bodies, strict=True)][::-1]


CLIENTS_WORDS: Mapping[str, Mapping[str, str]] = {
    "messages": {
        "max_completion_tokens": "max_tokens", "stop": "stop_sequences", "reasoning_effort": "thinking",
        "response_format": "output_config", "user": "metadata", "parallel_tool_calls": "tool_choice",
    },
    "responses": {
        "max_completion_tokens": "max_output_tokens", "reasoning_effort": "reasoning", "response_format": "text",
        "verbosity": "text", "messages": "input",
    },
    "completions": {"max_completion_tokens": "max_tokens", "messages": "prompt"},
}  # fmt: skip
"""client's language -> chat's name of a parameter -> the client's: what is refused is named as it was sent."""


def _in_clients_words(error: ApiError, asked: Asked) -> ApiError:
    word = CLIENTS_WORDS.get(asked.endpoint.shape, {}).get(error.param or "")
    if word is None or error.param in asked.body:
        return error
    message = error.message.replace(f"'{error.param}'", f"'{word}'")
    return ApiError(error.status, message, type=error.type, code=error.code, param=word)


def _shown(asked: Asked) -> Callable[[Json], None]:
    """-> what is done in place to each answer or event: the alias, and the time where the upstream has told none.

    The ids of a response are sealed although nothing has kept it: clients send its items back as they came.
    """
    names = AliasNames(asked)
    seal = asked.seal if asked.endpoint.shape == "responses" else None

    def show(value: Json) -> None:
        names.show(value)
        if seal is not None:
            seal_ids(value, seal)
        for holder in (value, value.get("response")):
            for name in ("created", "created_at"):
                if isinstance(holder, dict) and name in holder and not holder[name]:
                    holder[name] = asked.now

    return show


class TranslatedAnswer:
    """One answer that is not streamed, in the client's language."""

    def __init__(self, asked: Asked, upstream: Shape, backwards: list[tuple[Translator, Json]]) -> None:
        self._asked = asked
        self._upstream = upstream
        self._backwards = backwards
        self._usage: Usage | None = None
        self.model = ""
        self.ended = False

    def read(self, data: bytes) -> bytes:
        """Raises ApiError (502) when it is no JSON object, or says that the model failed."""
        value = parse(data)
        self._usage = METERS[self._upstream](value, self._asked.body)
        self.model = str(value.get("model") or "")
        if value.get("status") == "failed":
            raise self._failed(value)
        if self._usage is None:
            written = estimate_text(answer_length(value))
            self._usage = estimate_usage(self._asked.body, written, value.get("service_tier"))
        for translator, body in self._backwards:
            value = translator.answer(value, body)
        _shown(self._asked)(value)
        self.ended = True
        return orjson.dumps(value)

    def usage_or_estimate(self) -> Usage:
        return self._usage or estimate_usage(self._asked.body, 0)

    def _failed(self, response: Json) -> ApiError:
        """A response that was answered with 200 and says that it failed."""
        error = response.get("error")
        code = str(error.get("code") or "") if isinstance(error, dict) else ""
        data = orjson.dumps({"error": error or {}})
        return from_upstream(status_of_code(code), {}, data, self._asked.deployment.hidden_names())
