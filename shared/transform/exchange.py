"""What the pipeline asks of a shape: the Exchange of one call on one deployment, its answers, streams. Only types."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.catalog import Deployment
from shared.endpoints import Endpoint
from shared.errors import ApiError
from shared.ports import Form
from shared.types import Json, Usage


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as the transforms see it: its ids are opened, its alias is resolved to a deployment."""

    endpoint: Endpoint
    operation: str
    """The endpoint's path with the upstream's own ids in it."""
    body: Json
    """Of a form: its text fields so far."""
    deployment: Deployment
    stream: bool
    seal: Callable[[str], str] | None = None
    """Seals ids of the deployment's resource for the caller; None where nothing is kept."""
    open: Callable[[str], str] | None = None
    form: Form | None = None
    raw: bytes = b""
    """A body that is neither JSON nor a form, and its type."""
    raw_type: str = ""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """alias -> deployment name, of those on this resource that the caller may use."""
    now: int = 0
    """Unix seconds, for answers whose upstream does not tell the time."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The client's headers, of which each shape passes on only those of its own protocol."""


@dataclass(frozen=True, slots=True)
class Part:
    """One request to the upstream. Most calls are one; what exceeds an upstream's limit is split into several."""

    operation: str
    body: bytes | AsyncIterable[bytes]
    content_type: str = "application/json"
    length: int | None = None


class Answer(Protocol):
    """One answer that is not streamed."""

    @property
    def model(self) -> str:
        """What the upstream calls the model, once it has answered."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the answer is whole."""
        ...

    def read(self, data: bytes) -> bytes:
        """-> the answer for the client. Raises ApiError when it is none."""
        ...

    def usage_or_estimate(self) -> Usage: ...


class Stream(Protocol):
    """One streamed answer: upstream bytes in, whole events for the client out."""

    error: ApiError | None
    told: ApiError | None
    """The failure that the upstream has told the client of, in the client's own language."""

    @property
    def begun(self) -> bool:
        """Whether something of the answer itself has come, rather than only that there will be one."""
        ...

    @property
    def model(self) -> str: ...

    @property
    def done(self) -> bool:
        """The upstream has said that it is done: nothing of worth follows."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the answer is whole, said or not."""
        ...

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes:
        """-> what is left to be sent once the upstream has ended."""
        ...

    def error_event(self, error: ApiError) -> bytes:
        """-> the event that tells the client of an error, in its language."""
        ...

    def usage_or_estimate(self) -> Usage: ...


class Exchange(Protocol):
    """One call on one deployment."""

    @property
    def stored(self) -> bool:
        """Whether the request goes to the resource rather than to the deployment."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers that the upstream's protocol needs."""
        ...

    def parts(self, *, ask_usage: bool) -> list[Part]:
        """-> what is sent. Raises ApiError (400) for what the deployment does not take."""
        ...

    def local(self) -> bytes | None:
        """-> the answer, when the gateway has it itself and nothing is to be asked."""
        ...

    def answer(self) -> Answer: ...

    def stream(self) -> Stream: ...


class Joining(Answer, Protocol):
    """An answer that is made of several of the upstream's."""

    def join(self, answers: list[bytes]) -> bytes:
        """-> the answer for the client. Raises ApiError when one of them is none."""
        ...

    def paid(self, answers: list[bytes]) -> Usage:
        """What the parts cost that were answered before one was not."""
        ...
