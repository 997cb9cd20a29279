"""HTTP over a bare socket: for clients that leave early, send slowly, or look at when bytes arrive."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any, Self

from tests.support.stack import Key, Stack


class RawClient:
    """One connection. What is read stays in `seen`."""

    def __init__(self, stack: Stack) -> None:
        self._socket = socket.create_connection(("127.0.0.1", stack.port), timeout=20)
        self.seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def post(self, key: Key, body: Any, path: str = "/v1/chat/completions") -> None:
        content = json.dumps(body).encode()
        self.send(self.head(key, len(content), path) + content)

    @staticmethod
    def head(key: Key, length: int, path: str = "/v1/chat/completions") -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {key.text}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def read_until(self, text: bytes, limit: float = 20) -> bytes:
        """Everything so far, once it holds the text. Fails when the connection ends before, or the time."""
        end = time.monotonic() + limit
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} within {limit} s: {self.seen[-500:]!r}"
            piece = self._socket.recv(65536)
            assert piece, f"the connection ended without {text!r}: {self.seen[-500:]!r}"
            self.seen += piece
        return self.seen

    def read_head(self) -> str:
        return self.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")[0].decode()

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection; with `reset` as a crashed client's system does."""
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
