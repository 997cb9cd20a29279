"""One listening socket and what answers behind it. Owns how it begins, goes down, comes back at its address, and ends.

While it is down its port stays taken but nobody listens: connections are refused, and nobody else can come to answer.
"""

import asyncio
import socket
import ssl

from aiohttp import web

_BACKLOG = 512
_ACCEPTING = 3  # turns of the loop until what was accepted is a connection


class Listener:
    def __init__(self, opened: socket.socket, runner: web.AppRunner, tls: ssl.SSLContext | None) -> None:
        self._socket = opened
        self._runner = runner
        self._tls = tls
        self._site: web.SockSite | None = None

    @property
    def down(self) -> bool:
        return self._site is None

    async def start(self) -> None:
        """Also brings it back."""
        if self._site is None:
            self._socket.listen(_BACKLOG)
            site = web.SockSite(self._runner, self._socket, ssl_context=self._tls)
            await site.start()
            self._site = site

    async def kill(self) -> None:
        """At once: nothing that is being answered is answered to its end."""
        if self._site is None:
            return
        address = self._socket.getsockname()
        await self._close()
        server = self._runner.server
        for connection in list(server.connections) if server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(address)

    async def stop(self) -> None:
        await self._close()
        await self._runner.cleanup()
        self._socket.close()

    async def _close(self) -> None:
        """A connection that was accepted but is not made yet would be lost by asyncio, neither served nor closed."""
        if self._site is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        for _ in range(_ACCEPTING):
            await asyncio.sleep(0)
        await self._site.stop()
        self._site = None
