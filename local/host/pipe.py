"""Messages between the host and its worker process: length-prefixed pickles over a socket pair.

Knows nothing of what the messages mean.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any, cast

type Message = tuple[Any, ...]


class Frames(asyncio.Protocol):
    """One end of the pair. Calls back with every message, and once when the other end is gone."""

    def __init__(self, arrived: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._arrived, self._lost = arrived, lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        buffer, at, size = self._buffer, 0, len(self._buffer)
        while at + 4 <= size:
            end = at + 4 + int.from_bytes(buffer[at : at + 4])
            if end > size:
                break
            # Both ends are processes of this host, on a socket that nobody else can open.
            self._arrived(pickle.loads(memoryview(buffer)[at + 4 : end].tobytes()))  # noqa: S301
            at = end
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()

    def send(self, *message: Any) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = pickle.dumps(message)
        self._transport.write(len(data).to_bytes(4) + data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
