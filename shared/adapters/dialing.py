"""New connections: names looked up once a minute, addresses tried side by side, certificates checked.

One context of certificates for the process, made when it is first needed and beside the event loop: it takes 40 ms.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from aiohappyeyeballs import AddrInfoType, start_connection

from shared.adapters.request import Origin

DNS_SECONDS = 60.0
NEXT_ADDRESS = 0.25
"""Seconds after which the next address is tried as well (RFC 8305)."""
_MAKING = threading.Lock()


@functools.cache
def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # honours SSL_CERT_FILE and SSL_CERT_DIR
    context.set_alpn_protocols(["http/1.1"])
    return context


def certificates() -> ssl.SSLContext:
    """The process's own context; threads that want it at once wait for the one that makes it."""
    with _MAKING:
        return _context()


class Dialer:
    """Used inside one event loop."""

    def __init__(self) -> None:
        self._tls: ssl.SSLContext | None = None
        self._names: dict[Origin, tuple[float, asyncio.Task[list[AddrInfoType]]]] = {}

    async def connect(self, origin: Origin, protocol: Callable[[], asyncio.Protocol]) -> asyncio.BaseProtocol:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        if origin.tls and self._tls is None:
            self._tls = await loop.run_in_executor(None, certificates)
        addresses = await self._addresses(origin)
        try:
            made = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS, loop=loop)
        except OSError:
            self._names.pop(origin, None)  # they may have moved
            raise
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        tls: dict[str, Any] = {"ssl": self._tls, "server_hostname": origin.host} if origin.tls else {}
        _, connection = await loop.create_connection(protocol, sock=made, **tls)
        return connection

    async def _addresses(self, origin: Origin) -> list[AddrInfoType]:
        """Those who ask at once wait for the same answer, which one of them may give up on."""
        loop = asyncio.get_running_loop()
        until, task = self._names.get(origin, (0.0, None))
        if task is None or until <= loop.time():
            task = loop.create_task(_look_up(loop, origin))
            task.add_done_callback(functools.partial(self._looked_up, origin))
            self._names[origin] = loop.time() + DNS_SECONDS, task
        return await asyncio.shield(task)

    def _looked_up(self, origin: Origin, task: asyncio.Task[list[AddrInfoType]]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._names.get(origin, (0.0, None))[1] is task:
            del self._names[origin]

    async def aclose(self) -> None:
        tasks = [task for _, task in self._names.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _look_up(loop: asyncio.AbstractEventLoop, origin: Origin) -> list[AddrInfoType]:
    return list(await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
