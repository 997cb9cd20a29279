"""HTTP in and out: a Starlette request becomes an ApiRequest, a Reply or an ApiError becomes an ASGI response.

Owns the client's connection: bounded reading, keep-alive comments in silent streams, noticing that the client has
left, and that `Reply.finish` runs exactly once on every path. Knows nothing of what is answered.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from urllib.parse import parse_qsl

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shared import errors, sse
from shared.adapters.form import open_form
from shared.anthropic_errors import anthropic_body
from shared.endpoints import Endpoint
from shared.errors import ApiError
from shared.payload import check_size
from shared.types import ApiRequest, RawHeaders, Reply

KEEP_ALIVE_SECONDS = 15.0
"""Azure's proxies end a connection after 240 s without a byte, other proxies after 30 to 60 s."""
WATCH_AFTER_SECONDS = 0.25
"""A call that is answered sooner is not watched: watching costs a task, and there is nothing to save."""


async def read_request(endpoint: Endpoint, request: Request) -> ApiRequest:
    """Read the whole request. Raises ApiError 413 as soon as the body is too large, ClientGone when it never ends."""
    headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in request.scope["headers"]}
    body, form = b"", None
    if endpoint.method != "GET":
        length = headers.get("content-length", "")
        if length.isdigit():
            check_size(endpoint, int(length))
        if takes_form(endpoint, headers.get("content-type", "")):
            form = open_form(request.receive, headers.get("content-type", ""), endpoint.body_limit)
        else:
            body = await _read_body(endpoint, request.receive)
    query = request.scope.get("query_string", b"")
    return ApiRequest(
        id="req_" + secrets.token_hex(12),
        endpoint=endpoint.name,
        method=request.scope["method"],
        headers=headers,
        path_params=request.path_params,
        body=body,
        query=tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else (),
        form=form,
    )


def takes_form(endpoint: Endpoint, content_type: str) -> bool:
    """Whether the body is multipart: where a form is all there is, another type is refused by its reader."""
    if endpoint.body == "form":
        return True
    return endpoint.body in ("json_or_form", "sdp") and content_type.lower().startswith("multipart/")


class ClientGone(Exception):
    """The client closed its connection before its request was complete: there is nobody to answer."""


async def _read_body(endpoint: Endpoint, receive: Receive) -> bytes:
    message = await receive()
    if not message.get("more_body") and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        check_size(endpoint, len(body))
        return body
    pieces: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        check_size(endpoint, size)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)
        message = await receive()


class Connection:
    """The client's side of a call, for those who want to know whether anybody still waits (ports.Client)."""

    __slots__ = ("_act", "_receive", "_task", "_timer", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._act: Callable[[], None] | None = None
        self.gone = False

    def when_gone(self, act: Callable[[], None], after: float = WATCH_AFTER_SECONDS) -> Callable[[], None]:
        """Call `act` once when the client leaves. -> a function that ends the watch."""
        self._act = act
        if self.gone:
            act()
        elif self._task is None and after:
            self._timer = asyncio.get_running_loop().call_later(after, self._start)
        else:
            self._start()
        return self._stop_watching

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._act:
            self._act()

    def _stop_watching(self) -> None:
        self._act = None
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self._stop_watching()
        if self._task:
            self._task.cancel()


class ReplyResponse(Response):
    """Sends a Reply. A Response of our own: full control of the ASGI calls, and one place that owns the ending."""

    def __init__(self, reply: Reply, connection: Connection, headers: RawHeaders) -> None:
        self.status_code = reply.status
        self.background = None
        self._reply = reply
        self._connection = connection
        self.raw_headers = [*headers, *reply.headers]
        self.body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = self._reply
        if isinstance(reply.body, bytes):
            await self._send_whole(reply.body, reply, send)
        else:
            await _Relay(reply, reply.body, self._connection, send, self.raw_headers).run()

    async def _send_whole(self, body: bytes, reply: Reply, send: Send) -> None:
        try:
            headers = [
                *self.raw_headers,
                (b"content-type", reply.content_type.encode("latin-1")),
                (b"content-length", str(len(body)).encode()),
            ]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            self._connection.close()
            await reply.finish(False)  # nothing is left to wait for, so that there is nothing to shield


class _Relay:
    """One stream to one client: events as they come, a comment when nothing comes, an end in every case."""

    def __init__(
        self, reply: Reply, events: AsyncIterator[bytes], connection: Connection, send: Send, headers: RawHeaders
    ) -> None:
        self._reply = reply
        self._events = events
        self._connection = connection
        self._send = send
        self._headers = headers
        self._last_sent = 0.0
        self._sending = False
        self._unsent = False
        self._is_events = reply.content_type.startswith(sse.CONTENT_TYPE)
        self._beat: asyncio.TimerHandle | None = None
        self._beats: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_sent = loop.time()
        try:
            headers = [*self._headers, (b"content-type", self._reply.content_type.encode("latin-1"))]
            if self._is_events:
                headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
                self._arm(loop, KEEP_ALIVE_SECONDS)
            await self._send({"type": "http.response.start", "status": self._reply.status, "headers": headers})
            try:
                async with asyncio.timeout(None) as deadline:
                    patience = self._reply.drain_seconds
                    self._connection.when_gone(lambda: deadline.reschedule(loop.time() + patience), after=0)
                    await self._pump(loop)
            except TimeoutError:
                self._unsent = True
        except BaseException:
            self._unsent = True
            raise
        finally:
            await self._end()

    async def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        connection, send = self._connection, self._send
        async for event in self._events:
            if connection.gone:
                self._unsent = True  # read to the end for its usage, sent to nobody
                continue
            self._sending = True
            await send({"type": "http.response.body", "body": event, "more_body": True})
            self._sending = False
            self._last_sent = loop.time()
        if not connection.gone:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _arm(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._beat = loop.call_later(seconds, self._maybe_beat, loop)

    def _maybe_beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Every event is sent whole, so that between two sends a comment is always in place."""
        silent = loop.time() - self._last_sent
        if silent >= KEEP_ALIVE_SECONDS - 0.01:
            if not self._sending and not self._connection.gone:
                task = asyncio.ensure_future(
                    self._comment({"type": "http.response.body", "body": sse.KEEP_ALIVE, "more_body": True})
                )
                self._beats.add(task)
                task.add_done_callback(self._beats.discard)
            self._last_sent = loop.time()
            silent = 0.0
        self._arm(loop, KEEP_ALIVE_SECONDS - silent)

    async def _comment(self, message: Message) -> None:
        await self._send(message)

    async def _end(self) -> None:
        if self._beat:
            self._beat.cancel()
        for task in self._beats:
            task.cancel()
        self._connection.close()
        with anyio.CancelScope(shield=True):  # a plain await is cancelled again while a disconnect unwinds
            closing: Callable[[], Awaitable[None]] | None = getattr(self._events, "aclose", None)
            if closing:
                await closing()
            await self._reply.finish(self._unsent)


def json_response(body: bytes, headers: RawHeaders, status: int = 200) -> Response:
    response = Response(body, status, media_type="application/json")
    response.raw_headers += headers
    return response


def error_response(error: ApiError, headers: RawHeaders, request_id: str = "", *, anthropic: bool = False) -> Response:
    """An ApiError in OpenAI's or Anthropic's shape, with its headers and the id by which it is found in the log."""
    body = anthropic_body(error, request_id) if anthropic else error.body()
    response = json_response(body, headers, error.status)
    if request_id:
        response.raw_headers.append((b"x-request-id", request_id.encode()))
    for name, value in error.headers.items():
        response.raw_headers.append((name.encode(), value.encode("latin-1")))
    return response


class Cors:
    """Cross-origin answers for browser clients; off unless origins are configured."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        self.enabled = bool(self._origins)

    def headers(self, request: Request) -> RawHeaders:
        """What every answer to that request's origin carries."""
        origin = request.headers.get("origin")
        if not origin or not (origin in self._origins or "*" in self._origins):
            return []
        allowed = b"*" if "*" in self._origins else origin.encode("latin-1")
        exposed = b"x-request-id, retry-after, retry-after-ms, openai-processing-ms"
        headers = [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", exposed)]
        return headers if allowed == b"*" else [*headers, (b"vary", b"origin")]

    def preflight(self, request: Request) -> Response:
        """The answer to OPTIONS. Raises ApiError 403 when the origin is not allowed or CORS is off."""
        headers = self.headers(request)
        if not headers:
            raise errors.bad_request(
                "Cross-origin calls are not allowed from here. The operator allows origins by the app setting "
                "CORS_ORIGINS.",
                status=403,
                code="cors_not_allowed",
            )
        asked = request.headers.get("access-control-request-headers", "authorization, content-type")
        response = Response(status_code=204)
        response.raw_headers += [
            *headers,
            (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]
        return response
