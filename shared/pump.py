"""Reading an upstream's answer: all of it within a bound, or chunk by chunk with a bounded wait that loses nothing."""

from __future__ import annotations

import asyncio

from shared.errors import UpstreamFailed
from shared.types import UpstreamReply


class Pump:
    """The upstream's chunks one by one, with a bounded wait that does not lose a chunk."""

    __slots__ = ("_chunks", "_pending", "ended")

    def __init__(self, upstream: UpstreamReply) -> None:
        self._chunks = upstream.chunks
        self._pending: asyncio.Task[bytes | None] | None = None
        self.ended = False

    async def next(self) -> bytes | None:
        """-> the next chunk, None at the end. Raises UpstreamFailed."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            return await pending
        return await self._pull()

    async def next_within(self, seconds: float) -> bytes | None:
        """-> the next chunk, or None when it has not come in time (it is not lost) or the stream has ended."""
        task = asyncio.ensure_future(self._pull())
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except BaseException:
            task.cancel()
            raise
        if done:
            return task.result()
        self._pending = task
        return None

    async def _pull(self) -> bytes | None:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self.ended = True
            return None


async def read_all(upstream: UpstreamReply, limit: int) -> bytes:
    """The whole body, then the connection goes back. Raises UpstreamFailed, also when it is over the limit."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for chunk in upstream.chunks:
            size += len(chunk)
            if size > limit:
                raise UpstreamFailed("reset", f"the answer is larger than {limit} bytes")
            pieces.append(chunk)
    finally:
        await upstream.close()
    return b"".join(pieces)
