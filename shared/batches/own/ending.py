"""How a batch of the own engine ends: its chunks are closed and in the ledger, its files written, its row says so."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared.batches.batch import Batch, Chunk
from shared.batches.counting import summed
from shared.batches.files import Files, Stretch
from shared.batches.kept import KeptFile, new_id
from shared.batches.looking import Claim
from shared.batches.own.asked_lines import lines_of, unanswered
from shared.batches.own.chunk_blob import ChunkBlob, blob_of
from shared.batches.ports import BatchRows, BlobFolder, NoBlob, Work
from shared.batches.settling import Settling

KEEP_EACH = 8.0
"""How often the claim of a long ending is renewed."""
SOON_SECONDS = 2.0
_AT_ONCE = 8


class NotMine(Exception):
    """Somebody else advances the batch by now."""


@dataclass(slots=True)
class _Hold:
    """The claim, renewed as time goes by."""

    claim: Claim
    clock: Callable[[], float]
    kept: float = field(default=0.0)

    async def keep(self) -> None:
        if self.clock() - self.kept > KEEP_EACH:
            self.kept = self.clock()
            if not await self.claim.keep():
                raise NotMine


@dataclass(frozen=True, slots=True)
class OwnEnding:
    rows: BatchRows
    files: Files
    folder: BlobFolder
    work: Work
    settling: Settling
    clock: Callable[[], float]

    async def stretches(self, file: KeptFile | None) -> list[Stretch]:
        """The chunks of an input; none when it is gone."""
        try:
            return await self.files.stretches(file) if file else []
        except NoBlob:
            return []

    async def settle(self, batch: Batch, number: int, blob: ChunkBlob) -> Chunk:
        """Whatever the chunk has used is in the ledger, and then the row says that it is through."""
        for record in blob.state.records(batch, number):
            await self.settling.ledger.add_once(record)
        chunk = blob.state.chunk(number, done=True)
        await self.rows.put_chunks(batch.id, [chunk])
        return chunk

    async def end(self, batch: Batch, claim: Claim) -> None:
        """Idempotent. Does what it can: while a chunk is still being run, another look goes on."""
        try:
            await self._end(batch, _Hold(claim, self.clock, self.clock()))
        except NotMine:
            return

    async def _end(self, batch: Batch, hold: _Hold) -> None:
        file = await self.rows.file(batch.input_file)
        stretches = await self.stretches(file)
        chunks = await self._closed(batch, hold)
        if chunks is None:
            await self.work.send("looks", {"do": "look", "batch": batch.id, "turn": -1}, SOON_SECONDS)
            return
        completed, failed, figures = summed(chunks)
        whole = completed + failed >= batch.lines
        name = {"output": "", "error": ""}
        if completed:
            name["output"] = await self._write(batch, "output", self._good(batch, chunks, hold))
        if failed or not whole:
            name["error"] = await self._write(batch, "error", self._bad(batch, chunks, stretches, hold))

        def over(b: Batch) -> Batch | None:
            if b.ended:
                return None
            b = replace(b, completed=completed, failed=failed, figures=figures)
            b = replace(b, output_file=name["output"], error_file=name["error"])
            return b.to("cancelled" if b.status == "cancelling" else "completed" if whole else "expired", self.clock())

        await hold.keep()
        await self.rows.change(batch.id, over)

    # Chunks.

    async def _closed(self, batch: Batch, hold: _Hold) -> list[Chunk] | None:
        """Every chunk that anything was kept of, closed and in the ledger; None: one is still being run."""
        done = {chunk.number: chunk for chunk in await self.rows.chunks(batch.id) if chunk.done}
        begun = [int(f.name.rpartition("/")[2]) async for f in self.folder.list(f"work/{batch.id}/")]
        missing = [number for number in begun if number not in done]
        for some in itertools.batched(missing, _AT_ONCE, strict=False):
            for found in await asyncio.gather(*(self._close(batch, number) for number in some)):
                if found is None:
                    return None
                done[found.number] = found
            await hold.keep()
        return [done[number] for number in sorted(done)]

    async def _close(self, batch: Batch, number: int) -> Chunk | None:
        blob = ChunkBlob(self.folder, blob_of(batch.id, number))
        await blob.load()
        if blob.is_run(self.clock()) or not await blob.close(self.clock()):
            return None
        return await self.settle(batch, number, blob)

    # Files.

    async def _write(self, batch: Batch, kind: str, content: AsyncIterator[bytes]) -> str:
        """-> the file's id, the same whenever it is written; empty where there is nothing in it."""
        file_id = new_id("file-", hashlib.sha256(f"{batch.id}/{kind}".encode()).hexdigest()[:32])
        kept = await self.files.write_output(
            content, batch.payer.owner, f"{batch.id}_{kind}.jsonl", file_id, seconds=batch.output_seconds
        )
        return kept.id if kept else ""

    async def _good(self, batch: Batch, chunks: Sequence[Chunk], hold: _Hold) -> AsyncIterator[bytes]:
        for chunk in chunks:
            if chunk.completed:
                async for head, line in ChunkBlob(self.folder, blob_of(batch.id, chunk.number)).results():
                    await hold.keep()  # with large answers one chunk may take longer than the claim lasts
                    if head["s"] < 400:
                        yield line

    async def _bad(
        self, batch: Batch, chunks: Sequence[Chunk], stretches: Sequence[Stretch], hold: _Hold
    ) -> AsyncIterator[bytes]:
        """What has failed, and what was never answered."""
        by_number: Mapping[int, Chunk] = {chunk.number: chunk for chunk in chunks}
        for stretch in stretches:
            chunk = by_number.get(stretch.number)
            answered = chunk.completed + chunk.failed if chunk else 0
            if chunk and not chunk.failed and answered >= stretch.lines:
                continue
            await hold.keep()
            indexes: set[int] = set()
            if answered:
                async for head, line in ChunkBlob(self.folder, blob_of(batch.id, stretch.number)).results():
                    await hold.keep()
                    indexes.add(head["i"])
                    if head["s"] >= 400:
                        yield line
            if answered < stretch.lines:
                yield await self._left(batch, stretch, indexes)

    async def _left(self, batch: Batch, stretch: Stretch, answered: set[int]) -> bytes:
        code, message = ("batch_cancelled", _CANCELLED) if batch.status == "cancelling" else ("batch_expired", _EXPIRED)
        try:
            content = [piece async for piece in self.files.read(batch.input_file, stretch.start, stretch.length)]
        except NoBlob:
            return b""
        lines = [line for line in lines_of(b"".join(content)) if line.index not in answered]
        return b"".join(unanswered(line.custom_id, code, message) + b"\n" for line in lines)


_EXPIRED = "This line was not answered before the batch expired. Send it again in a new batch."
_CANCELLED = "This line was not answered before the batch was cancelled. Send it again in a new batch."
