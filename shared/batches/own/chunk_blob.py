"""The append blob in which a chunk's results are kept: read, and added to by whoever runs the chunk.

Nobody locks it. Who runs a chunk says so at the blob's end, and every append names the position at which he knows it to
end: once somebody else has said that he runs it, the former one can keep nothing more, and stops.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.batches.own import chunk_results
from shared.batches.own.chunk_results import ChunkState, is_result
from shared.batches.ports import BlobFolder, NoBlob
from shared.types import Json

ALIVE_SECONDS = 20.0
"""Whoever runs a chunk and was not heard of for so long is gone."""
MOST_APPENDED = 4 * 1024 * 1024
"""Bytes that an append block takes."""


def blob_of(batch_id: str, chunk: int) -> str:
    return f"work/{batch_id}/{chunk:05d}"


class ChunkBlob:
    def __init__(self, folder: BlobFolder, name: str) -> None:
        self._folder = folder
        self._name = name
        self.state = ChunkState()

    async def load(self) -> ChunkState:
        self.state = ChunkState()
        async for entry in _entries(self._folder, self._name):
            self.state.take(entry)
        return self.state

    def is_run(self, now: float, tries: int = 1) -> bool:
        """Whether somebody is at it. A message that is taken again was given up by whoever took it before: the host
        hides it for as long as a function runs."""
        state = self.state
        return bool(state.taker) and state.taker >= tries and now - state.seen < ALIVE_SECONDS

    async def take(self, tries: int, now: float) -> bool:
        """-> False: somebody else runs it, or nobody may any more."""
        await self.load()
        if self.state.closed or self.is_run(now, tries):
            return False
        return await self.add(chunk_results.taken(tries, now))

    async def close(self, now: float) -> bool:
        """Nobody can add a result after this. -> False: somebody has just added something."""
        return self.state.closed or await self.add(chunk_results.over(now))

    async def add(self, entries: bytes) -> bool:
        """-> False: the blob is somebody else's now."""
        state = self.state
        data = b"\n" + entries if state.torn else entries
        for start in range(0, len(data), MOST_APPENDED):
            piece = data[start : start + MOST_APPENDED]
            if not await self._folder.append(self._name, piece, state.size + start):
                return False
        if state.torn:
            state.size, state.torn = state.size + 1, False
        for entry in entries.splitlines(keepends=True):
            state.take(entry)
        return True

    async def results(self) -> AsyncIterator[tuple[Json, bytes]]:
        """Head and line of each result, in the order in which they came."""
        seen: set[int] = set()
        async for entry in _entries(self._folder, self._name):
            if (found := is_result(entry)) and found[0]["i"] not in seen:
                seen.add(found[0]["i"])
                yield found


async def _entries(folder: BlobFolder, name: str) -> AsyncIterator[bytes]:
    """Lines with their ends; nothing where there is no blob."""
    rest = b""
    try:
        async for piece in folder.read(name):
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            for line in lines:
                yield line + b"\n"
    except NoBlob:
        return
    if rest:
        yield rest
