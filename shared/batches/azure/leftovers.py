"""What a batch has left at resources that did not run it: batches that must not run as well, and files.

Asked for again and again by messages, long after the batch itself is over, for a resource that was dead may come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.batches.azure.placer import UNKNOWN, Placer
from shared.batches.azure.resource_batches import Refused, ResourceBatches
from shared.batches.batch import Batch, Try
from shared.batches.ports import BatchRows, Work
from shared.errors import UpstreamFailed
from shared.ports import CallLog

FIRST_SECONDS, LONGEST_SECONDS = 60.0, 3600.0
MOST_TRIES = 60
"""About two days: by then a batch has run out by itself."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    placer: Placer
    rows: BatchRows
    work: Work
    log: CallLog
    clock: Callable[[], float]

    async def soon(self, batch_id: str, tries: int = 0) -> None:
        """Raises StoreUnavailable."""
        delay = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(tries, 10))
        await self.work.send("looks", {"do": "clear", "batch": batch_id, "tries": tries + 1}, delay)

    async def clear(self, batch_id: str, tries: int) -> None:
        """What can be taken away now. Files stay while the batch may still be placed there again."""
        batch = await self.rows.get(batch_id)
        if batch is None:
            return
        left = False
        for each in batch.tries:
            if each.upstream_batch or (each.upstream_file and batch.ended):
                if await self._clear(batch, each):
                    await self.rows.change(batch_id, lambda b, e=each: _without(b, e))
                else:
                    left = True
        if left and tries < MOST_TRIES:
            await self.soon(batch_id, tries)

    async def _clear(self, batch: Batch, left: Try) -> bool:
        deployment = self.placer.deployment(batch, left.deployment)
        if deployment is None:
            return True  # nobody can ask it any more
        there = self.placer.at(deployment, left.upstream_file)
        try:
            if left.upstream_batch:
                await self._cancel(batch, there, left)
            if left.upstream_file and batch.ended:
                await there.delete(left.upstream_file)
        except UpstreamFailed:
            return False
        except Refused as refused:
            return refused.status == 404
        return True

    async def _cancel(self, batch: Batch, there: ResourceBatches, left: Try) -> None:
        batch_id = left.upstream_batch
        if batch_id == UNKNOWN:
            told = await there.find_batch(left.upstream_file, batch.created_at)
            now = await self.rows.get(batch.id)
            if told is None or now is None or left not in now.tries:  # the batch was placed there again
                return
            batch_id = told.id
        told = await there.batch(batch_id)
        if told.ended:
            if told.completed:
                self.log.warning("a batch has run twice", batch=batch.id, deployment=there.deployment.label)
            return
        await there.cancel(batch_id)


def _without(batch: Batch, left: Try) -> Batch:
    kept = "" if batch.ended else left.upstream_file
    return replace(
        batch,
        tries=tuple(replace(t, upstream_batch="", upstream_file=kept) if t == left else t for t in batch.tries),
    )
