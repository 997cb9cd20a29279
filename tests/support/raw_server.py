"""A deployment played over a bare socket, byte by byte as a test wants it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole"


@dataclass
class Line:
    """One connection, as the server sees it."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[bytes] = field(default_factory=list[bytes])
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def socket(self) -> socket.socket:
        return self.writer.get_extra_info("socket")

    async def request(self) -> bytes:
        """The next one, head and body. Raises IncompleteReadError at the end of the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        body = b""
        lower = head.lower()
        if b"content-length: " in lower:
            body = await self.reader.readexactly(int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        elif b"transfer-encoding: chunked" in lower:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        self.requests.append(head + body)
        return head + body

    async def send(self, data: bytes, *, one_by_one: bool = False) -> None:
        for piece in [data[i : i + 1] for i in range(len(data))] if one_by_one else [data]:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def gone(self) -> None:
        """Returns when the other side has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


@dataclass
class RawServer:
    url: str = ""
    lines: list[Line] = field(default_factory=list[Line])


@asynccontextmanager
async def serving(play: Callable[[Line], Awaitable[None]]) -> AsyncGenerator[RawServer]:
    """The connection is closed when `play` returns."""
    server = RawServer()
    running: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        line = Line(len(server.lines), reader, writer)
        server.lines.append(line)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await play(line)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            line.lost.set()
            running.discard(task)

    listening = await asyncio.start_server(take, "127.0.0.1", 0, limit=2**20)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/x"
    try:
        yield server
    finally:
        listening.close()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(set(running))
