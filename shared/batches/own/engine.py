"""Batches that the gateway runs itself, by calls of its own: for deployments that are no batch deployments.

The lines are run in chunks, each by whoever takes its message. A line's answer is kept under its index before anything
says that the chunk is through, the chunk's figures are in the ledger before that, and all of it can be done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from shared.batches.batch import Batch, batch_error
from shared.batches.counting import summed
from shared.batches.files import Files, Stretch
from shared.batches.looking import Claim, Looking
from shared.batches.own import chunk_results
from shared.batches.own.asked_lines import AskedLine, endpoint_for, lines_of, unanswered
from shared.batches.own.chunk_blob import ChunkBlob, blob_of
from shared.batches.own.chunk_results import Result
from shared.batches.own.chunk_run import CAREFUL_FROM, MOST_ALONE, ChunkRun
from shared.batches.own.ending import OwnEnding
from shared.batches.ports import BatchRows, BlobFolder, Lines, NoBlob, Payers, Work
from shared.batches.settling import Settling
from shared.objects import Registry
from shared.ports import CallLog, StoreUnavailable

BUSY_SECONDS = 10.0
"""A chunk that somebody else runs, or that storage kept from running, is looked at again after so long."""
STALE_SECONDS = 3600.0
"""Nothing was heard of any chunk for so long: its messages are sent again."""
MOST_GIVEN_UP = 2
_LATE, _SLOW_SECONDS = 64, 20.0
"""The last chunks see whether they were the last; of the others, only those that were taken more than once, or took so
long."""


@dataclass(frozen=True, slots=True)
class OwnEngine:
    registry: Registry
    rows: BatchRows
    files: Files
    folder: BlobFolder
    work: Work
    lines: Lines
    payers: Payers
    settling: Settling
    log: CallLog
    clock: Callable[[], float]

    # The batch.

    async def step(self, batch: Batch, claim: Claim) -> None:
        if batch.status == "validating":
            await self._begin(batch, claim)
        elif batch.status == "in_progress":
            batch = await self._count(batch)
        if batch.status in ("finalizing", "cancelling"):
            await self._ending.end(batch, claim)

    @property
    def _ending(self) -> OwnEnding:
        return OwnEnding(self.rows, self.files, self.folder, self.work, self.settling, self.clock)

    async def _begin(self, batch: Batch, claim: Claim) -> None:
        """Send a message for each chunk. What was sent before the process ended is sent again, and does no harm."""
        file = await self.rows.file(batch.input_file)
        stretches = await self._ending.stretches(file)
        if not stretches:
            await self._fail(batch)
            return
        if not await claim.keep():
            return
        await self.work.send_all("lines", [{"batch": batch.id, "chunk": stretch.number} for stretch in stretches])

        def begun(now_is: Batch) -> Batch | None:
            if now_is.status != "validating":
                return None
            return now_is.to("in_progress", self.clock(), chunks=len(stretches))

        await self.rows.change(batch.id, begun)

    async def _fail(self, batch: Batch) -> None:
        message = "The input file of this batch is there no more. Upload it again and make a new batch."
        error = batch_error("input_file_gone", message, "input_file_id")
        await self.rows.change(
            batch.id, lambda b: None if b.ended else b.to("failed", self.clock(), errors=(error,))
        )  # fmt: skip

    async def _count(self, batch: Batch) -> Batch:
        """-> the batch as it is now."""
        chunks = await self.rows.chunks(batch.id)
        completed, failed, _ = summed(chunks)
        now = self.clock()
        through = bool(batch.chunks) and sum(c.done for c in chunks) >= batch.chunks
        if not through and now < batch.expires_at and (completed, failed) == (batch.completed, batch.failed):
            await self._revive(batch, {c.number for c in chunks if c.done}, now)
            return batch

        def counted(b: Batch) -> Batch | None:
            if b.status != "in_progress":
                return None
            b = replace(b, completed=max(b.completed, completed), failed=max(b.failed, failed))
            return b.to("finalizing", now) if through or now >= b.expires_at else b

        return await self.rows.change(batch.id, counted) or batch

    async def _revive(self, batch: Batch, done: set[int], now: float) -> None:
        """Send again what was lost: a queue that was cleared, a message that nobody has run for long."""
        if now - batch.in_progress_at < STALE_SECONDS:
            return
        heard = [facts.modified async for facts in self.folder.list(f"work/{batch.id}/")]
        if heard and now - max(heard) < STALE_SECONDS:
            return
        missing = [number for number in range(batch.chunks) if number not in done]
        blob = ChunkBlob(self.folder, blob_of(batch.id, missing[0]))
        await blob.load()
        if await blob.add(chunk_results.mark(sent=1, at=0.0)):  # so that the next look does not send them as well
            self.log.warning("chunks of a batch are sent again", batch=batch.id, chunks=len(missing))
            await self.work.send_all("lines", [{"batch": batch.id, "chunk": number} for number in missing])

    # Its chunks.

    async def run(self, batch_id: str, chunk: int, tries: int, looking: Looking) -> None:
        """Run what is left of one chunk. tries: how often its message has been taken, this time included."""
        try:
            await self._run(batch_id, chunk, tries, looking)
        except (StoreUnavailable, NoBlob) as error:  # nobody's fault: it must not count as one of the tries
            self.log.warning("a chunk of a batch has to wait", batch=batch_id, chunk=chunk, error=str(error))
            await self._again(batch_id, chunk, BUSY_SECONDS)

    async def _run(self, batch_id: str, chunk: int, tries: int, looking: Looking) -> None:
        batch = await self._running(batch_id)
        if batch is None or (stretch := await self._stretch(batch, chunk)) is None:
            return
        blob = ChunkBlob(self.folder, blob_of(batch_id, chunk))
        if not await blob.take(tries, self.clock()):
            if not blob.state.closed:
                return await self._again(batch_id, chunk, BUSY_SECONDS)
            if blob.state.takes > 1:  # one who had lost it may have said later that less of it is through
                await self._ending.settle(batch, chunk, blob)
            return await self._is_last(batch, chunk, blob, looking)
        batch = await self._running(batch_id)  # it may have ended before the chunk was ours, and then is not to run
        if batch is None:
            return
        began, lines = self.clock(), await self._lines(batch, stretch)
        if not await self._spare_the_process(blob, lines):
            return await self._again(batch_id, chunk, BUSY_SECONDS)
        run = ChunkRun(
            batch, endpoint_for(batch), lines, blob, self.lines, partial(self.payers.find, batch.payer),
            careful=tries >= CAREFUL_FROM or blob.state.given > 0,
            still_runs=partial(self._still_runs, batch_id),
            progressed=partial(self._progressed, batch_id, chunk, blob),
            log=self.log, clock=self.clock,
        )  # fmt: skip
        match await run.go():
            case "done":
                await self._through(batch, chunk, blob, looking, slow=self.clock() - began > _SLOW_SECONDS)
            case "again":
                await self._again(batch_id, chunk, run.pause)
            case "lost":  # to another message of the same chunk, or so it seems
                await self._again(batch_id, chunk, BUSY_SECONDS)
            case "stopped":
                await looking.on_message(batch_id, -1)

    async def _running(self, batch_id: str) -> Batch | None:
        batch = await self.rows.get(batch_id)
        runs = batch is not None and batch.status in ("validating", "in_progress") and self.clock() < batch.expires_at
        return batch if runs else None

    async def _still_runs(self, batch_id: str) -> bool:
        return await self._running(batch_id) is not None

    async def _stretch(self, batch: Batch, chunk: int) -> Stretch | None:
        file = await self.rows.file(batch.input_file)
        return next((stretch for stretch in await self._ending.stretches(file) if stretch.number == chunk), None)

    async def _lines(self, batch: Batch, stretch: Stretch) -> list[AskedLine]:
        content = [piece async for piece in self.files.read(batch.input_file, stretch.start, stretch.length)]
        return lines_of(b"".join(content))

    async def _again(self, batch_id: str, chunk: int, delay: float) -> None:
        await self.work.send("lines", {"batch": batch_id, "chunk": chunk}, delay)

    async def _progressed(self, batch_id: str, chunk: int, blob: ChunkBlob) -> None:
        if blob.state.fresh:
            blob.state.fresh = False
            await self.rows.put_chunks(batch_id, [blob.state.chunk(chunk, done=False)])

    async def _through(self, batch: Batch, chunk: int, blob: ChunkBlob, looking: Looking, *, slow: bool) -> None:
        """Every line has its answer."""
        await self._ending.settle(batch, chunk, blob)
        await blob.close(self.clock())  # should its message come again, there is nothing to do
        await self._is_last(batch, chunk, blob, looking, slow=slow)

    async def _is_last(
        self, batch: Batch, chunk: int, blob: ChunkBlob, looking: Looking, *, slow: bool = False
    ) -> None:
        if chunk < batch.chunks - _LATE and blob.state.takes == 1 and not slow:
            return
        done = sum(each.done for each in await self.rows.chunks(batch.id))
        if batch.chunks == 0 or done >= batch.chunks:  # 0: it began a moment ago, and its row did not say yet
            await looking.on_message(batch.id, -1)

    # What ends its process.

    async def give_up(self, batch_id: str, chunk: int, looking: Looking) -> None:
        """A chunk that has ended its process time and again: the line that does it gets an error, the others go on."""
        batch = await self._running(batch_id)
        if batch is None:
            return
        blob = ChunkBlob(self.folder, blob_of(batch_id, chunk))
        await blob.load()
        self.log.warning("a chunk of a batch ends its process", batch=batch_id, chunk=chunk)
        await blob.add(chunk_results.given_up(self.clock()))
        await self._again(batch_id, chunk, 0.0)

    async def _spare_the_process(self, blob: ChunkBlob, lines: list[AskedLine]) -> bool:
        """An error for the line that ends every process which runs it, if there is one. -> False: the chunk is somebody
        else's."""
        state = blob.state
        if state.alone >= MOST_ALONE:
            guilty = state.lone
        elif state.given >= MOST_GIVEN_UP:
            guilty = next((line.index for line in lines if line.index not in state.answered), -1)
        else:
            return True
        if not 0 <= guilty < len(lines):
            return True
        text = unanswered(lines[guilty].custom_id, "line_failed", _GUILTY)
        return await blob.add(Result(guilty, 500, text, None).entry(self.clock()))


_GUILTY = (
    "The gateway could not run this line: its process ended each time. Change the line and send it again in a new "
    "batch; tell your platform team the id of this batch."
)
