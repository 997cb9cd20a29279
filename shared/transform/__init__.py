"""SHAPES: for each shape of endpoint, what turns a client's body into an upstream's, and an upstream's answer back.

The pipeline knows a shape only by this row. A new one is a module beside chat.py and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.catalog import Deployment
from shared.errors import ApiError
from shared.transform.chat import ChatAnswer, ChatStream, chat_request
from shared.types import Json, Usage


class Answer(Protocol):
    """One answer that is not streamed."""

    model: str
    """What the upstream calls the model, once it has answered."""
    ended: bool
    """Whether the answer is whole."""

    def read(self, data: bytes) -> bytes:
        """-> the answer for the client. Raises ApiError when it is none."""
        ...

    def usage_or_estimate(self) -> Usage: ...


class Stream(Protocol):
    """One streamed answer: upstream bytes in, whole events for the client out."""

    model: str
    error: ApiError | None
    done: bool
    """The upstream has said that it is done: nothing of worth follows."""

    @property
    def ended(self) -> bool:
        """Whether the answer is whole, said or not."""
        ...

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes:
        """-> what is left to be sent once the upstream has ended."""
        ...

    def usage_or_estimate(self) -> Usage: ...


class MakeRequest(Protocol):
    def __call__(self, body: Json, deployment: Deployment, *, ask_usage: bool) -> bytes:
        """-> the body for one deployment. Raises ApiError (400) for what it does not take."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """How one shape travels. `modes`: the kinds of deployment (model_info.mode) that serve it."""

    request: MakeRequest
    answer: Callable[[Json, Deployment], Answer]
    stream: Callable[[Json, Deployment], Stream]
    modes: frozenset[str]


SHAPES: Mapping[str, Shape] = {
    "chat": Shape(chat_request, ChatAnswer, ChatStream, frozenset({"chat", "batch"})),
}
