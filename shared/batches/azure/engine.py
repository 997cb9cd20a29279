"""Batches that Azure's own batch service runs: placed, watched, cancelled, ended.

Owns what follows from what a resource says of a batch. How it is placed is placer.py's, what becomes of its
files ending.py's, what it has left elsewhere leftovers.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from shared.batches.advancing import Lost, advance, held
from shared.batches.azure.batch_storage import Containers
from shared.batches.azure.ending import LATE_SECONDS, AzureEnding
from shared.batches.azure.leftovers import Leftovers
from shared.batches.azure.placer import MOVE_SECONDS, Placer, Round
from shared.batches.azure.placing import NOT_NOW
from shared.batches.azure.resource_batches import PASSING_CODES, Refused, ResourceBatches
from shared.batches.azure.upstream_status import Told, public_errors
from shared.batches.batch import Batch, Status, batch_error
from shared.batches.files import Files
from shared.batches.looking import Claim
from shared.batches.ports import BatchRows, Payers, Work
from shared.batches.settling import Settling
from shared.catalog import Catalog
from shared.errors import UpstreamFailed
from shared.objects import Registry
from shared.ports import CallLog, Prices, Upstream
from shared.routing import States

GIVEN_UP_SECONDS = 6 * 86400.0
"""A batch whose resource has not answered since its time was over is given up after so long."""
_SEEN_SECONDS = 20.0
"""So often it is written down that the resource has answered."""
_BEGUN = frozenset({"in_progress", "finalizing", "completed", "expired"})
_OF_THE_LINES = frozenset({
    "invalid_json_line", "duplicate_custom_id", "url_mismatch", "empty_file", "too_many_tasks", "model_mismatch",
    "input_modified",
})  # fmt: skip
"""Codes of a batch that would fail anywhere."""


@dataclass(frozen=True, slots=True)
class AzureEngine:
    catalog: Catalog
    registry: Registry
    rows: BatchRows
    files: Files
    upstream: Upstream
    containers: Containers
    states: States
    """What is known of deployments: health."""
    prices: Prices
    payers: Payers
    work: Work
    settling: Settling
    log: CallLog
    clock: Callable[[], float]
    rng: Random

    async def step(self, batch: Batch, claim: Claim) -> None:
        with suppress(Lost):
            async with held(claim):
                await self._step(batch, claim)

    async def clear(self, batch_id: str, tries: int) -> None:
        """Take away what a batch has left where it was not run. Raises StoreUnavailable."""
        await self._leftovers.clear(batch_id, tries)

    async def _step(self, batch: Batch, claim: Claim) -> None:
        this = Round(set(), [])
        told: Told | None = None
        while True:
            placement = batch.placement
            if placement is None or not placement.upstream_batch:
                over = batch.status == "cancelling" or (placement is not None and self.clock() >= batch.expires_at)
                find = self._find_to_end if over else self._place
                found = await find(batch, claim, this)
                if found is None:
                    return
                batch, told = found
            assert batch.placement is not None
            deployment = self._placer.deployment(batch, batch.placement.deployment)
            if deployment is None:
                said = await self._untold(batch, "taken out of the configuration", claim, this)
            else:
                there = self._placer.at(deployment, batch.placement.upstream_file)
                said = told or await self._look(batch, there, claim, this)
                if isinstance(said, Told):
                    said = await self._follow(batch, there, said, claim, this)
            if said is None:
                return
            batch, told = said, None

    @property
    def _placer(self) -> Placer:
        return Placer(
            self.catalog, self.registry, self.rows, self.files, self.upstream, self.containers, self.states,
            self.prices, self.payers, self.log, self.clock, self.rng,
        )  # fmt: skip

    @property
    def _ending(self) -> AzureEnding:
        return AzureEnding(
            self.registry, self.rows, self.files, self.prices, self.settling, self._leftovers, self.log, self.clock
        )

    @property
    def _leftovers(self) -> Leftovers:
        return Leftovers(self._placer, self.rows, self.work, self.log, self.clock)

    async def _place(self, batch: Batch, claim: Claim, this: Round) -> tuple[Batch, Told] | None:
        before = batch.tries
        found = await self._placer.place(batch, claim, this)
        now = found[0] if found else await self.rows.get(batch.id)
        if now is not None and now.ended:
            await self._leftovers.clear(batch.id, 0)
        elif now is not None and now.tries != before and any(each.upstream_batch for each in now.tries):
            await self._leftovers.soon(batch.id)
        return found

    async def _find_to_end(self, batch: Batch, claim: Claim, _: Round) -> tuple[Batch, Told] | None:
        """A batch that is cancelled, or whose time is over, before anybody knows that its resource has made it."""
        end: Status = "cancelled" if batch.status == "cancelling" else "expired"
        try:
            found = await self._placer.find(batch, claim)
        except (UpstreamFailed, Refused) as error:
            if self.clock() - (batch.cancelling_at or batch.expires_at) < LATE_SECONDS:
                return None
            batch = await self._placer.leave(batch, claim, f"{NOT_NOW}{error}", unknown=True)
            await self._leftovers.soon(batch.id)
            found = None
        if found is None:
            await advance(self.rows, claim, lambda b: b.to(end, self.clock()))
            await self._leftovers.clear(batch.id, 0)
        return found

    async def _look(self, batch: Batch, there: ResourceBatches, claim: Claim, this: Round) -> Batch | Told | None:
        """What the resource says of it; else as `_untold`."""
        placement = batch.placement
        assert placement is not None
        try:
            return await there.batch(placement.upstream_batch)
        except (UpstreamFailed, Refused) as error:
            gone = isinstance(error, Refused) and error.status == 404
            why = error.reason if isinstance(error, Refused) else error.kind
        return await self._untold(batch, why, claim, this, gone=gone)

    async def _untold(self, batch: Batch, why: str, claim: Claim, this: Round, *, gone: bool = False) -> Batch | None:
        """Nothing is told of it. gone: its resource does not know it. -> the batch when it is to be placed anew; one
        answer that is missing means nothing."""
        placement = batch.placement
        assert placement is not None
        deployment = self._placer.deployment(batch, placement.deployment)
        label = deployment.label if deployment else ""
        self.log.warning("a batch's resource does not tell of it", batch=batch.id, deployment=label, reason=why)
        now = self.clock()
        silent = now - placement.silent_since if placement.silent_since else 0.0
        if not placement.silent_since:
            await advance(self.rows, claim, lambda b: _silent(b, now))
            await self.work.send("looks", {"do": "look", "batch": batch.id, "turn": -1}, MOVE_SECONDS + 1)
        if silent <= MOVE_SECONDS:
            return None
        if batch.status == "cancelling" and not batch.in_progress_at:
            await self._placer.leave(batch, claim, f"{NOT_NOW}{why}")
            await advance(self.rows, claim, lambda b: b.to("cancelled", self.clock()))
            await self._leftovers.clear(batch.id, 0)
            return None
        if batch.status == "validating" and (gone or await self._placer.has_another(batch, this)):
            this.asked.add(placement.deployment)
            batch = await self._placer.leave(batch, claim, f"{NOT_NOW}{why}")
            await self._leftovers.soon(batch.id)
            return batch
        if (gone and silent > LATE_SECONDS) or now > batch.expires_at + GIVEN_UP_SECONDS:
            await advance(self.rows, claim, lambda b: _given_up(b, self.clock()))
        return None

    async def _follow(
        self, batch: Batch, there: ResourceBatches, told: Told, claim: Claim, this: Round
    ) -> Batch | None:
        """Do what follows from what the resource says. -> the batch when it is to be placed anew."""
        if batch.status == "cancelling" and told.status in ("validating", "in_progress", "finalizing"):
            try:
                told = await there.cancel(told.id)
            except (UpstreamFailed, Refused):  # it may have ended just now: the next look sees it
                return None
        if self._was_refused(batch, told):
            passes = any(str(error.get("code")).lower() in PASSING_CODES for error in told.errors)
            reason = " ".join(sorted({str(error.get("code")) for error in told.errors})) or "failed"
            this.asked.add(batch.placement.deployment if batch.placement else "")
            if not passes:
                this.errors[:] = [public_errors(told.errors, self._hidden(there))]
            return await self._placer.leave(batch, claim, f"{NOT_NOW if passes else ''}{reason}")
        batch = await advance(self.rows, claim, lambda b: followed(b, told, self.clock()))
        if told.ended:
            await self._ending.end(batch, there, told, claim)
        return None

    def _was_refused(self, batch: Batch, told: Told) -> bool:
        """It has failed there before it began, for a reason that need not hold elsewhere."""
        if told.status != "failed" or batch.status != "validating" or told.in_progress_at:
            return False
        return not any(error.get("code") in _OF_THE_LINES for error in told.errors)

    def _hidden(self, there: ResourceBatches) -> dict[str, str]:
        return there.deployment.hidden_names()


_LOST = batch_error(
    "batch_lost", "The resource that ran this batch has lost it, or has not answered for days. Make the batch anew."
)


def _given_up(batch: Batch, now: float) -> Batch:
    return batch.to("cancelled", now) if batch.status == "cancelling" else batch.to("failed", now, errors=(_LOST,))


def _silent(batch: Batch, now: float) -> Batch | None:
    place = batch.placement
    return replace(batch, placement=replace(place, silent_since=now)) if place else None


def followed(batch: Batch, told: Told, now: float) -> Batch | None:
    """With what its resource says of it; its end comes later, when its files are kept. None: nothing is new."""
    place = batch.placement
    assert place is not None
    ended_at = place.ended_at
    if told.ended and not ended_at:  # not ahead of our clock, nor before there was a batch
        ended_at = told.ended_at if int(batch.created_at) <= told.ended_at <= now else now
    there = replace(place, status=told.status or place.status, seen_at=now, silent_since=0.0, ended_at=ended_at)
    changed = replace(
        batch,
        placement=there,
        completed=batch.completed if told.completed is None else told.completed,
        failed=batch.failed if told.failed is None else told.failed,
    )
    if batch.status == "validating" and (told.in_progress_at or told.status in _BEGUN):
        begun = told.in_progress_at
        changed = changed.to("in_progress", begun if batch.created_at <= begun <= now else now)
    if changed.status == "in_progress" and told.status in ("finalizing", "completed"):
        changed = changed.to("finalizing", now)
    if changed.status != "cancelling" and told.status in ("cancelling", "cancelled"):
        changed = changed.to("cancelling", now)
    same = replace(there, seen_at=place.seen_at) == place and replace(changed, placement=place) == batch
    return None if same and now - place.seen_at < _SEEN_SECONDS else changed
