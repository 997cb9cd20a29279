"""The end of a batch that a resource has run: its files are kept, its use is written down, and then the row says so.

Whoever finds the end again, because a process ended on the way, keeps the same files and writes the same record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.batches.advancing import advance
from shared.batches.azure.collecting import Collected
from shared.batches.azure.leftovers import Leftovers
from shared.batches.azure.resource_batches import Refused, ResourceBatches
from shared.batches.azure.upstream_status import Told, public_errors
from shared.batches.azure.webhooks import UPSTREAM_BATCH
from shared.batches.batch import Batch
from shared.batches.files import Files
from shared.batches.kept import KeptFile, new_id
from shared.batches.looking import Claim
from shared.batches.ports import BatchRows
from shared.batches.settling import Server, Settling, batch_record
from shared.errors import UpstreamFailed
from shared.objects import Registry
from shared.ports import CallLog, Prices, StoreUnavailable
from shared.types import NO_COST, Cost, Usage, UsageRecord

LATE_SECONDS = 3600.0
"""After its end a batch waits so long for files that its resource has not told yet, or does not give."""
EMPTY_SECONDS = 120.0
"""The same of one that was stopped and says that no line was answered: it need not have any files. And of lines that
are in no file it has told."""


@dataclass(frozen=True, slots=True)
class AzureEnding:
    registry: Registry
    rows: BatchRows
    files: Files
    prices: Prices
    settling: Settling
    leftovers: Leftovers
    log: CallLog
    clock: Callable[[], float]

    async def end(self, batch: Batch, there: ResourceBatches, told: Told, claim: Claim) -> None:
        """Nothing is done while its files are not told yet. Raises StoreUnavailable, Lost."""
        assert batch.placement is not None
        since = self.clock() - batch.placement.ended_at
        late = since > (EMPTY_SECONDS if told.stopped_empty else LATE_SECONDS)
        if told.status != "failed" and not told.has_files and not late:
            return
        collected = self._collected(batch, there)
        try:
            output = await self._keep(batch, there, "output", told.output_file, collected, told.completed, late=late)
            wrong = await self._keep(batch, there, "error", told.error_file, collected, told.failed, late=late)
        except (UpstreamFailed, Refused) as error:
            self._warn(batch, there, error)
            return
        if since <= EMPTY_SECONDS and self._lacks(batch, told, collected):
            return
        if collected.tally.calls:
            await self.settling.once.add_once(self._record(batch, there, collected))
        await advance(self.rows, claim, lambda b: self._ended(b, there, told, collected, output, wrong))
        await self.rows.forget(UPSTREAM_BATCH, told.id)
        for file_id in filter(None, (told.output_file, told.error_file, told.input_file)):
            try:
                await there.delete(file_id)
            except (UpstreamFailed, Refused, StoreUnavailable):  # they are nobody's any more
                break
        await self.leftovers.clear(batch.id, 0)

    def _collected(self, batch: Batch, there: ResourceBatches) -> Collected:
        deployment = there.deployment
        known = batch.placement is not None and deployment.id == batch.placement.deployment

        def price(usage: Usage) -> Cost:
            if not known:  # it was taken out of the configuration: another one's prices are not its own
                return NO_COST if usage == _NOTHING else Cost(priced=False)
            return self.prices.cost(deployment, usage, batch.created_at)

        seal = self.registry.sealer(deployment.resource, batch.payer.principal)
        return Collected(batch.id, batch.alias, seal, deployment.hidden_names(), price)

    async def _keep(
        self, batch: Batch, there: ResourceBatches, what: str, file_id: str, collected: Collected, lines: int | None,
        *, late: bool,
    ) -> KeptFile | None:  # fmt: skip
        """lines: that it must have; a blob without any is told of, and not written. late: go on without it."""
        if not file_id:
            return None
        try:
            return await self._kept(batch, there, what, file_id, collected)
        except Refused as refused:
            if refused.status == 404 and lines == 0:
                return None
            if not late:
                raise
            self._warn(batch, there, refused)
            return None

    def _warn(self, batch: Batch, there: ResourceBatches, error: UpstreamFailed | Refused) -> None:
        label = there.deployment.label
        self.log.warning("a batch's files cannot be read", batch=batch.id, deployment=label, reason=str(error))

    async def _kept(
        self, batch: Batch, there: ResourceBatches, what: str, file_id: str, collected: Collected
    ) -> KeptFile | None:
        lines = collected.lines(there.content(file_id))
        own_id = new_id("file-", hashlib.sha256(f"{batch.id} {what}".encode()).hexdigest()[:32])
        name = f"{batch.id}_{what}.jsonl"
        return await self.files.write_output(lines, batch.payer.owner, name, own_id, seconds=batch.output_seconds)

    def _lacks(self, batch: Batch, told: Told, collected: Collected) -> bool:
        """Whether there may be a file that its resource has not told yet, for it counts nothing."""
        every = bool(told.output_file and told.error_file)
        return told.status == "completed" and not every and collected.answered + collected.failed < batch.lines

    def _record(self, batch: Batch, there: ResourceBatches, collected: Collected) -> UsageRecord:
        place, deployment = batch.placement, there.deployment
        assert place is not None
        known = deployment.id == place.deployment
        model = collected.model if collected.model != deployment.name else ""
        server = Server(
            place.deployment, deployment.label if known else "", model or (deployment.model if known else "")
        )
        return batch_record(batch, collected.tally, server, place.ended_at)

    def _ended(
        self,
        batch: Batch,
        there: ResourceBatches,
        told: Told,
        collected: Collected,
        output: KeptFile | None,
        wrong: KeptFile | None,
    ) -> Batch:
        assert told.status is not None
        assert batch.placement is not None
        read = collected.answered + collected.failed > 0
        errors = public_errors(told.errors, there.deployment.hidden_names()) if told.status == "failed" else ()
        return batch.to(
            told.status,
            self.clock(),
            placement=replace(batch.placement, status=told.status),
            # counts may stay at 0 upstream: what was read is sure
            completed=collected.answered if read else told.completed or 0,
            failed=collected.failed if read else told.failed or 0,
            output_file=output.id if output else "",
            error_file=wrong.id if wrong else "",
            errors=errors,
            figures=collected.tally.figures,
        )


_NOTHING = Usage()
