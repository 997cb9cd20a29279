"""HTTP/1.1 for a gateway: requests out, answers in, over connections that are kept.

Leaves out what a gateway must not do (cookies, redirects, decompression, credentials of its own) and what it does not
need per call (docs/adr/0012). Failures are UpstreamFailed; what would make one request into two is a ValueError.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

from shared.adapters.answer import Answer
from shared.adapters.connection import Connection
from shared.adapters.dialing import Dialer
from shared.adapters.request import Message, Origin
from shared.errors import UpstreamFailed

KEEP_ALIVE_SECONDS = 60.0
_AGAIN = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent once more when a kept connection breaks before the answer: twice does what once does."""


class Transport:
    """One pool of connections. Used inside one event loop."""

    def __init__(self) -> None:
        self._dialer = Dialer()
        self._open: set[Connection] = set()
        self._kept: dict[Origin, dict[Connection, None]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: asyncio.Event | None = None

    async def handle_async_request(self, message: Message) -> Answer:
        """-> the answer, of which nothing but the head has come. Raises UpstreamFailed, ValueError."""
        head = message.head()
        kept = self._take(message.target.origin)
        if kept is None:
            return await self._ask(await self._dial(message), message, head)
        try:
            return await self._ask(kept, message, head)
        except UpstreamFailed as failed:
            silent = failed.kind == "reset" and not kept.heard
            if not silent or message.method not in _AGAIN or not isinstance(message.body, bytes):
                raise
        return await self._ask(await self._dial(message), message, head)

    async def _ask(self, connection: Connection, message: Message, head: bytes) -> Answer:
        answer = connection.begin(message, head)
        try:
            await answer.begun()
        except BaseException:
            await answer.aclose()
            raise
        return answer

    async def _dial(self, message: Message) -> Connection:
        origin = message.target.origin
        try:
            async with asyncio.timeout(message.connect):
                made = await self._dialer.connect(origin, lambda: Connection(self, origin))
        except TimeoutError as error:
            raise UpstreamFailed("unreachable", "no connection in time") from error
        except (OSError, RuntimeError, UnicodeError) as error:  # uvloop raises RuntimeErrors as well
            raise UpstreamFailed("unreachable", f"no connection: {_reason(error)}") from error
        assert isinstance(made, Connection)
        if self._closing is not None:
            made.abort()
            raise UpstreamFailed("unreachable", "the gateway is closing")
        return made

    def _take(self, origin: Origin) -> Connection | None:
        """The one that was used last: the others may grow old."""
        kept = self._kept.get(origin)
        if kept:
            while kept:
                connection, _ = kept.popitem()
                if connection.usable():
                    return connection
                connection.abort()
        return None

    # connection.Home

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)

    def free(self, connection: Connection) -> None:
        if self._closing is not None:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.since = loop.time()
        kept = self._kept.get(connection.origin)
        if kept is None:
            kept = self._kept[connection.origin] = {}
        kept[connection] = None
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEEP_ALIVE_SECONDS, self._sweep)

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._kept.get(connection.origin, {}).pop(connection, None)
        if self._closing is not None and not self._open:
            self._closing.set()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.time() - KEEP_ALIVE_SECONDS
        for origin, kept in list(self._kept.items()):
            for connection in [each for each in kept if each.since <= limit]:
                del kept[connection]
                connection.abort()
            if not kept:
                del self._kept[origin]
        oldest = min((each.since for kept in self._kept.values() for each in kept), default=None)
        self._sweeper = None if oldest is None else loop.call_at(oldest + KEEP_ALIVE_SECONDS, self._sweep)

    async def aclose(self) -> None:
        """Returns when every connection is gone, with those who still wait for an answer told so."""
        if self._closing is not None:
            return
        self._closing = asyncio.Event()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._dialer.aclose()
        for connection in list(self._open):
            connection.abort()
        if self._open:
            await self._closing.wait()


def _reason(error: Exception) -> str:
    """Without the address, which is nobody's business."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError | socket.gaierror):  # their numbers are not the system's
        return type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0) or type(error).__name__
