"""The platform's limit on a request body whose length is not announced: counted while it streams in.

Owns nothing but the count and the 413. Knows nothing of routes or workers.
"""

from __future__ import annotations

from .contract import AsgiMessage, Receive, Send


async def answer(send: Send, status: int, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """One whole response of the host's own."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


class BodyLimit:
    """Stands between server and app for one chunked request."""

    def __init__(self, most: int, receive: Receive, send: Send) -> None:
        self._left, self._receive, self._send = most, receive, send
        self._started = self._over = False

    async def receive(self) -> AsgiMessage:
        if self._over:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left >= 0:
            return message
        self._over = True
        if not self._started:
            await answer(self._send, 413)
        return {"type": "http.disconnect"}  # for the app the client is gone; what it says from here on is dropped

    async def send(self, message: AsgiMessage) -> None:
        if self._over and not self._started:
            return
        self._started = True
        await self._send(message)
