"""Server-sent events: cutting bytes into events, wherever the network cut them. No JSON, no I/O.

Source: WHATWG HTML "Server-sent events" (living standard, 2026): lines end in CRLF, LF or CR; a blank line
ends an event; a line that starts with a colon is a comment.
"""

from __future__ import annotations

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
CONTENT_TYPE = "text/event-stream"


class EventTooLarge(ValueError):
    """An event that does not end within the bound: the upstream is not speaking server-sent events."""


class Splitter:
    """Cuts a byte stream into the `data` of its events. Memory is bounded by the largest event."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = 32 * 1024 * 1024) -> None:
        self._buffer = b""
        self._limit = limit

    def feed(self, chunk: bytes) -> list[bytes]:
        """-> the data of each event that is now complete; comments and events without data are left out.

        Raises EventTooLarge.
        """
        buffer = self._buffer + chunk if self._buffer else chunk
        if b"\r" in buffer:
            return self._feed_any_line_end(buffer)
        *blocks, self._buffer = buffer.split(b"\n\n")
        if len(self._buffer) > self._limit:
            raise EventTooLarge(f"an event is larger than {self._limit} bytes")
        return [data for block in blocks if (data := _data(block)) is not None]

    def _feed_any_line_end(self, buffer: bytes) -> list[bytes]:
        """The rare case: line ends are made LF, but a CR at the very end waits for the LF that may follow it."""
        held = b"\r" if buffer.endswith(b"\r") else b""
        text = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._buffer = b""
        found = self.feed(text)
        self._buffer += held
        return found

    def rest(self) -> bytes:
        """What has arrived of an event that never ended."""
        return self._buffer


def _data(block: bytes) -> bytes | None:
    """The data of one event: of one `data:` line as a rule, of several joined with LF as the standard says."""
    if block.startswith(b"data:") and b"\n" not in block:
        return block[6:] if block[5:6] == b" " else block[5:]
    lines = [line[6:] if line[5:6] == b" " else line[5:] for line in block.split(b"\n") if line[:5] == b"data:"]
    return b"\n".join(lines) if lines else None
