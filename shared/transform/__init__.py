"""SHAPES: for each shape of endpoint, what turns a client's body into an upstream's, and an upstream's answer back.

The pipeline knows a shape only by the exchange that this module makes for one call on one deployment. Where the
deployment does not speak the client's language, translators go between, with chat as the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from shared.catalog import Deployment
from shared.endpoints import Endpoint, Shape
from shared.transform.chat import ChatAnswer, ChatStream, chat_request
from shared.transform.count import CountExchange
from shared.transform.embeddings import EmbeddingsExchange
from shared.transform.exchange import Answer, Asked, Exchange, Joining, Part, Stream
from shared.transform.forms import FormExchange
from shared.transform.images import ImagesExchange
from shared.transform.moderations import ModerationsExchange
from shared.transform.relayed import RelayedExchange
from shared.transform.translated import TRANSLATORS, TranslatedExchange

__all__ = ["SHAPES", "Answer", "Asked", "Exchange", "Joining", "Part", "Stream", "answering", "answers", "exchange"]


class ChatExchange:
    """Plain chat: the hot path."""

    stored = False
    headers = ()

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.operation = "chat/completions"

    def parts(self, *, ask_usage: bool) -> list[Part]:
        return [Part(self.operation, chat_request(self._asked.body, self._asked.deployment, ask_usage=ask_usage))]

    def local(self) -> bytes | None:
        return None

    def answer(self) -> ChatAnswer:
        return ChatAnswer(self._asked.body, self._asked.deployment, self._asked.seal)

    def stream(self) -> ChatStream:
        return ChatStream(self._asked.body, self._asked.deployment, self._asked.seal)


SHAPES: Mapping[Shape, Callable[[Asked], Exchange]] = {
    "chat": ChatExchange,
    "responses": RelayedExchange,
    "messages": RelayedExchange,
    "completions": RelayedExchange,
    "embeddings": EmbeddingsExchange,
    "images": ImagesExchange,
    "speech": RelayedExchange,
    "transcription": FormExchange,
    "moderations": ModerationsExchange,
    "videos": RelayedExchange,
    "realtime": RelayedExchange,
    "stored": RelayedExchange,
    "count": CountExchange,
}


def exchange(asked: Asked) -> Exchange:
    """What one call on one deployment sends and makes of the answer. Raises ApiError (400)."""
    shape = asked.endpoint.shape
    if asked.form is not None:
        return FormExchange(asked)
    if shape == "moderations" and asked.deployment.surface.name != "content_safety":
        return RelayedExchange(asked)
    if shape == "stored" or shape in asked.deployment.serves:
        return SHAPES[shape](asked)
    if shape == "count":
        return CountExchange(asked)
    return TranslatedExchange(asked)


def answers(endpoint: Endpoint, serves: frozenset[Shape]) -> bool:
    """Whether a deployment that serves these shapes can answer an endpoint, by itself or by translation."""
    shape = endpoint.shape
    if shape in serves:
        return True
    if shape == "count":  # by the gateway's own rule, for whatever answers messages
        return not serves.isdisjoint(("chat", "responses"))
    if endpoint.name not in _TRANSLATED:
        return False
    return any((shape, own) in TRANSLATORS or (shape != "chat" and ("chat", own) in TRANSLATORS) for own in serves)


def answering(endpoint: Endpoint, deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """Those that speak the endpoint's own language, else those that are translated to; none when nobody can answer."""
    found = [deployment for deployment in deployments if answers(endpoint, deployment.serves)]
    return tuple([deployment for deployment in found if endpoint.shape in deployment.serves] or found)


_TRANSLATED = frozenset({"chat_completions", "completions", "responses_create", "messages"})
"""Operations that are translated: what else a language has (compacting, counting) is not."""
