"""Owns the log of every request that reached a listener, and the middleware that fills it.

An entry is visible as soon as its headers are read and learns later how it ended. The middleware also sends the
answer, because only then is it known whether the client stayed to the end. Knows nothing of what is answered.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from aiohttp import web

from .errors import UNTYPED, ApiError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AuthKind = Literal["api-key", "bearer", "none"]


@dataclass(slots=True)
class RequestRecord:
    resource: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # lower-cased names
    auth: AuthKind
    at: float
    raw: bytes = b""
    status: int | None = None
    completed: bool = False
    closed_early: bool = False  # the client left before the answer was complete
    cut_by_fault: bool = False  # the fake itself dropped the connection

    @property
    def body(self) -> Any:
        """The parsed JSON body, or None. Parsed when asked for: most records are never looked at."""
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            return None

    def as_dict(self) -> dict[str, Any]:
        return {
            "resource": self.resource,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.body,
            "status": self.status,
            "closed_early": self.closed_early,
            "completed": self.completed,
            "auth": self.auth,
            "at": self.at,
        }


_ENTRY = web.RequestKey("entry", RequestRecord)


class RequestLog:
    """The last 10,000 requests, safe to read from any thread."""

    def __init__(self, keep: int = 10_000) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=keep)
        self._in_flight = 0
        self._changed = threading.Condition()

    def begin(self, record: RequestRecord) -> None:
        with self._changed:
            self._records.append(record)
            self._in_flight += 1

    def end(self) -> None:
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def snapshot(self, resource: str | None = None, path_contains: str = "") -> list[RequestRecord]:
        with self._changed:
            records = list(self._records)
        return [r for r in records if resource in (None, r.resource) and path_contains in r.path]

    def clear(self) -> None:
        with self._changed:
            self._records.clear()

    @property
    def idle(self) -> bool:
        return self._in_flight == 0

    def wait_idle(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._in_flight == 0, timeout)


def entry_of(request: web.Request) -> RequestRecord:
    return request[_ENTRY]


def recording(log: RequestLog, place: Callable[[web.Request], str]) -> Callable[..., Any]:
    """Middleware: `place` names the resource (or "authority", "vault", "identity") that was asked."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        entry = _entry(request, place(request))
        request[_ENTRY] = entry
        log.begin(entry)
        try:
            entry.raw = await request.read()
            response = await _answer(request, handler)
            await response.prepare(request)
            await response.write_eof()
            entry.completed = True
            return response
        except (asyncio.CancelledError, ConnectionError) as error:
            entry.closed_early = not (entry.completed or entry.cut_by_fault)
            # Whatever it was, the connection is gone. To aiohttp only a cancellation says so without an error log.
            raise asyncio.CancelledError from error
        finally:
            log.end()

    return record


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as error:  # no such route
        return web.Response(status=error.status, text=error.text)


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: notes the status when the headers leave, and drops headers that Azure does not send."""
    if _ENTRY in request:
        entry_of(request).status = response.status
    response.headers.pop("Server", None)
    if UNTYPED in response:
        response.headers.pop("Content-Type", None)


def _entry(request: web.Request, place: str) -> RequestRecord:
    headers = {name.lower(): value for name, value in request.headers.items()}
    auth: AuthKind = "none"
    if "api-key" in headers:
        auth = "api-key"
    elif headers.get("authorization", "").lower().startswith("bearer "):
        auth = "bearer"
    return RequestRecord(place, request.method, request.path, dict(request.query), headers, auth, time.time())
