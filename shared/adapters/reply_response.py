"""A Reply becomes an ASGI response: sent whole, or chunk by chunk as it comes.

Owns what happens while an answer is sent: keep-alive comments in silent streams, noticing that the client has left, and
that `Reply.finish` runs exactly once on every path. Knows nothing of what is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shared import sse
from shared.adapters.web import Connection
from shared.types import CutFile, RawHeaders, Reply

KEEP_ALIVE_SECONDS = 15.0
"""Azure's proxies end a connection after 240 s without a byte, other proxies after 30 to 60 s."""


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
        try:
            async for event in self._events:
                if connection.gone:
                    self._unsent = True  # read to the end for its usage, sent to nobody
                    continue
                self._sending = True
                await send({"type": "http.response.body", "body": event, "more_body": True})
                self._sending = False
                self._last_sent = loop.time()
        except CutFile:
            return  # without an end the server closes the connection
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
