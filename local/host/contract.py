"""The words that the host's modules share: a function, its bindings, typed values, and what a worker can do.

Knows nothing of HTTP servers, storage, processes or the runtime library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

type Scope = MutableMapping[str, Any]
type AsgiMessage = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[AsgiMessage]]
type Send = Callable[[AsgiMessage], Awaitable[None]]
type Binding = dict[str, Any]
type Typed = tuple[str, Any]  # (the worker's word for the type: string, bytes, json, http; the value)


class HostError(Exception):
    """Something the developer has to put right. Printed without a traceback; the message says what to do."""


class WorkerFailure(RuntimeError):
    """An invocation failed inside the worker. The message is the worker's own traceback."""


class WorkerGone(WorkerFailure):
    """The worker process ended while this was under way."""


@dataclass(slots=True)
class HttpBody:
    """A whole HTTP message, for functions of the classic (not streaming) kind."""

    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    query: dict[str, str] = field(default_factory=dict[str, str])
    params: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    status: int = 200
    cookies: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Function:
    """One function of the app, as the worker described it."""

    id: str
    name: str
    streaming: bool  # HTTP goes through the app's web extension rather than through HttpRequest/HttpResponse
    bindings: list[Binding]
    trigger: Binding = field(init=False)
    kind: str = field(init=False)  # httpTrigger, queueTrigger, timerTrigger, blobTrigger, ...
    outputs: list[Binding] = field(init=False)

    def __post_init__(self) -> None:
        self.trigger = next((b for b in self.bindings if str(b["type"]).endswith("Trigger")), {"type": "", "name": ""})
        self.kind = str(self.trigger["type"])
        self.outputs = [
            b for b in self.bindings if str(b.get("direction", "")).lower() == "out" and b["type"] != "http"
        ]


@dataclass(slots=True)
class Outcome:
    """How one streaming HTTP invocation ended."""

    failure: str | None = None
    outputs: dict[str, Typed] = field(default_factory=dict[str, Typed])


class Worker(Protocol):
    """What the host asks of whatever runs the app's code."""

    pid: int

    async def start(self, app_dir: str) -> list[Function]: ...

    async def http(
        self, function: Function, params: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> Outcome:
        """Run one streaming HTTP request to the end of its answer."""
        ...

    async def call(self, function: Function, inputs: dict[str, Typed], metadata: dict[str, Typed]) -> dict[str, Typed]:
        """Run any other function; its outputs by name, the return value as `$return`. Raises WorkerFailure."""
        ...

    async def stop(self) -> None: ...
