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

    __slots__ = ("_after_cr", "_limit", "_pieces", "_size")

    def __init__(self, limit: int = 32 * 1024 * 1024) -> None:
        self._pieces: list[bytes] = []
        """Of the event that has not ended yet; joined once it has, so that a large one costs linear time."""
        self._size = 0
        self._limit = limit
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """-> the data of each event that is now complete; comments and events without data are left out.

        Raises EventTooLarge.
        """
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        blocks: list[bytes] = []
        if b"\n\n" in chunk or (chunk[:1] == b"\n" and self._pieces and self._pieces[-1][-1:] == b"\n"):
            *blocks, chunk = (self.rest() + chunk).split(b"\n\n")
            self._pieces, self._size = [], 0
        if chunk:
            self._pieces.append(chunk)
            self._size += len(chunk)
        if self._size > self._limit:
            raise EventTooLarge(f"an event is larger than {self._limit} bytes")
        return [data for block in blocks if (data := _data(block))]

    def _with_lf(self, chunk: bytes) -> bytes:
        """The rare case: every line end is made LF; an LF that completes the CR of the last chunk is left out."""
        if not chunk:
            return chunk
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def rest(self) -> bytes:
        """What has arrived of an event that never ended."""
        return b"".join(self._pieces)


def _data(block: bytes) -> bytes:
    """The data of one event: of one `data:` line as a rule, of several joined with LF as the standard says.

    Empty data is no event (as the standard says).
    """
    if block.startswith(b"data:") and b"\n" not in block:
        return block[6:] if block[5:6] == b" " else block[5:]
    lines = [line[6:] if line[5:6] == b" " else line[5:] for line in block.split(b"\n") if line[:5] == b"data:"]
    return b"\n".join(lines)
