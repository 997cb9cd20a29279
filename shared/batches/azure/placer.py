"""Puts a batch on one resource: input uploaded, batch made, and moved on when the resource refuses or does not answer.

Each step is in the row before the next one is taken. What was asked for and is not in the row, because a process ended
or an answer was lost, is found again at the resource: nothing is made twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from shared.batches.advancing import advance
from shared.batches.azure.batch_storage import Containers, container_of
from shared.batches.azure.blob_batches import batches_of
from shared.batches.azure.input import BatchInput, endpoint_there, filename
from shared.batches.azure.placing import (
    NOT_NOW,
    Standing,
    file_kept_by,
    for_batches,
    last_refusal,
    ranked,
    refused_for_good,
    with_try,
)
from shared.batches.azure.resource_batches import Refused, ResourceBatches
from shared.batches.azure.upstream_status import Told
from shared.batches.azure.webhooks import UPSTREAM_BATCH
from shared.batches.batch import Batch, Placement, Try, batch_error
from shared.batches.files import Files
from shared.batches.looking import Claim
from shared.batches.ports import BatchRows, NoBlob, Payers
from shared.catalog import Catalog, Deployment
from shared.errors import ApiError, UpstreamFailed
from shared.expected import token_price
from shared.objects import Registry
from shared.ports import CallLog, Prices, Upstream
from shared.routing import States
from shared.types import Json

MOVE_SECONDS = 60.0
"""After so long without an answer a batch that has not begun is placed elsewhere."""
SHOWN_SECONDS = 60.0
"""By then the list of a resource has what it was asked to make, if it has made it."""
UNKNOWN = "unknown"
"""Stands for the id of a batch that may have been made, but whose making was never answered."""
_STOPPED = frozenset({"cancelling", "cancelled", "expired"})
_ILL = frozenset({"unreachable", "auth", "server", "timeout"})


@dataclass(frozen=True, slots=True)
class Round:
    """One look's attempts to place a batch."""

    asked: set[str]
    """Deployments, by id."""
    errors: list[tuple[Json, ...]]
    """What the last one that refused for good said, as a client may see it."""


@dataclass(frozen=True, slots=True)
class Placer:
    catalog: Catalog
    registry: Registry
    rows: BatchRows
    files: Files
    upstream: Upstream
    containers: Containers
    states: States
    prices: Prices
    payers: Payers
    log: CallLog
    clock: Callable[[], float]
    rng: Random

    def deployment(self, batch: Batch, deployment_id: str) -> Deployment | None:
        """As it is configured now. None: it was taken out, and no other of its resource is left."""
        found = self.catalog.find(deployment_id, batch.alias)
        return found or self.registry.keepers.get(deployment_id.partition("/")[0])

    def at(self, deployment: Deployment, file_id: str) -> ResourceBatches:
        """The batches of its resource. file_id: of the input there, if there is one yet."""
        return batches_of(self.upstream, self.containers, deployment, file_id)

    async def place(self, batch: Batch, claim: Claim, this: Round) -> tuple[Batch, Told] | None:
        """-> the batch and what its resource says of it. None: it could not be placed, now or at all; the row says it.
        Raises StoreUnavailable, Lost."""
        resumed = batch.placement is not None
        if not resumed and await self._is_over(batch, claim):
            return None
        while batch.status == "validating":
            if batch.placement is None:
                chosen = await self._next(batch, this)
                if chosen is None:
                    await self._stay_or_fail(batch, claim, this)
                    return None
                batch = await advance(self.rows, claim, lambda b, d=chosen: self._placed(b, d))
            assert batch.placement is not None
            deployment = self.deployment(batch, batch.placement.deployment)
            this.asked.add(batch.placement.deployment)
            try:
                if deployment is None:
                    batch = await self.leave(batch, claim, "taken out of the configuration")
                    continue
                there = self.at(deployment, batch.placement.upstream_file)
                return await self._begin(batch, there, claim, resumed=resumed)
            except (NoBlob, ApiError) as error:
                await self._fail(claim, _unreadable(error))
                return None
            except Refused as refused:
                this.errors[:] = [_errors_of(refused)]
                batch = await self.leave(batch, claim, f"{NOT_NOW if refused.passes else ''}{refused.reason}")
            except UpstreamFailed as failed:
                if not await self._moves_on(batch, failed, this, resumed=resumed):
                    return None
                unknown = resumed or failed.kind != "unreachable"
                batch = await self.leave(batch, claim, f"{NOT_NOW}{failed.kind}", unknown=unknown)
            resumed = False
        return None

    async def find(self, batch: Batch, claim: Claim) -> tuple[Batch, Told] | None:
        """What was made of it where it is placed, if anything was. Raises UpstreamFailed, Refused."""
        placement = batch.placement
        deployment = self.deployment(batch, placement.deployment) if placement else None
        if placement is None or deployment is None:
            return None
        there = self.at(deployment, placement.upstream_file)
        file_id = placement.upstream_file
        if not file_id:
            found = await there.find_file(filename(batch, placement), placement.placed_at)
            file_id = found.id if found else ""
        told = await there.find_batch(file_id, batch.created_at, _left(batch)) if file_id else None
        return (await self._is_there(claim, file_id, told), told) if told else None

    async def leave(self, batch: Batch, claim: Claim, why: str, *, unknown: bool = False) -> Batch:
        """Placed nowhere again. unknown: something may have been made there."""
        left = batch.placement
        assert left is not None

        def edit(now: Batch) -> Batch:
            place = now.placement or left
            made = place.upstream_batch or (UNKNOWN if unknown and place.upstream_file else "")
            tries = with_try(now.tries, Try(place.deployment, why, made, place.upstream_file))
            return replace(now, placement=None, tries=tries, completed=0, failed=0)

        deployment = self.deployment(batch, left.deployment)
        label = deployment.label if deployment else ""
        self.log.warning("a batch is placed elsewhere", batch=batch.id, deployment=label, reason=why)
        return await advance(self.rows, claim, edit)

    async def _is_over(self, batch: Batch, claim: Claim) -> bool:
        """Whether it ends before it was placed anywhere."""
        now = self.clock()
        if now >= batch.expires_at:
            await advance(self.rows, claim, lambda b: b.to("expired", now))
            return True
        if await self.payers.find(batch.payer) is not None:
            return False
        message = "The key that made this batch may not be used any more. Make the batch anew with another key."
        await self._fail(claim, (batch_error("key_not_usable", message),))
        return True

    async def _fail(self, claim: Claim, errors: tuple[Json, ...]) -> None:
        await advance(self.rows, claim, lambda b: b.to("failed", self.clock(), errors=errors))

    async def _next(self, batch: Batch, this: Round) -> Deployment | None:
        there = for_batches(self.catalog, self.registry.keepers, batch)
        out = refused_for_good(batch) | this.asked
        left = [deployment for deployment in there if deployment.id not in out]
        if len(left) < 2:
            return left[0] if left else None
        waiting: dict[str, int] = {}
        if self.catalog.balances_batches:
            for other in await self.rows.open():
                waiting[other.deployment] = waiting.get(other.deployment, 0) + other.tokens
        now = self.clock()
        standings = [
            Standing(
                d,
                waiting.get(d.id, 0),
                token_price(self.prices, d, now),
                self._is_ill(d, now),
                last_refusal(batch, d.id),
            )
            for d in left
        ]
        return ranked(standings, balanced=self.catalog.balances_batches, rng=self.rng)[0]

    async def has_another(self, batch: Batch, this: Round) -> bool:
        """Whether another deployment than that where it is placed may take it."""
        here = {batch.placement.deployment} if batch.placement else set[str]()
        return await self._next(batch, Round(this.asked | here, [])) is not None

    def _is_ill(self, deployment: Deployment, now: float) -> bool:
        """By what calls to it, and to others of its resource, have shown. Nothing but batches is sent to it itself."""
        resting = (
            (name, state.rest.why)
            for name, state in self.states.known().items()
            if name.startswith(f"{deployment.resource}/") and state.until > now and state.rest is not None
        )
        return any(name == deployment.id or why in _ILL for name, why in resting)

    def _placed(self, batch: Batch, deployment: Deployment) -> Batch:
        """With what an earlier try has left there; what may have been made of that file is looked for."""
        kept = file_kept_by(batch.tries, deployment.id)
        left = [t for t in batch.tries if t.upstream_file == kept and t.upstream_batch in ("", UNKNOWN)]
        tries = tuple(replace(t, upstream_file="", upstream_batch="") if t in left else t for t in batch.tries)
        asked_at = self.clock() if any(t.upstream_batch for t in left) else 0.0
        placement = Placement(deployment.resource, deployment.id, kept, placed_at=self.clock(), asked_at=asked_at)
        return replace(batch, placement=placement, tries=tries)

    async def _moves_on(self, batch: Batch, failed: UpstreamFailed, this: Round, *, resumed: bool) -> bool:
        """Whether another is asked although nobody knows what has become of it there."""
        if not await self.has_another(batch, this):
            return False
        now = await self.rows.get(batch.id) or batch
        if now.placement is None:
            return False
        if failed.kind in ("unreachable", "credential", "secret") and not resumed:
            return True  # nothing was sent
        return self.clock() - max(now.placement.placed_at, now.placement.seen_at) > MOVE_SECONDS

    async def _begin(
        self, batch: Batch, there: ResourceBatches, claim: Claim, *, resumed: bool
    ) -> tuple[Batch, Told] | None:
        """Raises Refused, UpstreamFailed."""
        placement = batch.placement
        assert placement is not None
        file_id, ready = placement.upstream_file, False
        if file_id:
            told = await there.find_batch(file_id, batch.created_at, _left(batch))
            if told is not None and told.status not in _STOPPED and (resumed or told.status != "failed"):
                return await self._is_there(claim, file_id, told), told
            if self.clock() - placement.asked_at < SHOWN_SECONDS:
                return None
        else:
            name = filename(batch, placement)
            file = await there.find_file(name, placement.placed_at) if resumed else None
            if file is None:
                file = await there.upload(name, BatchInput(self.registry, self.files, batch, there))
            file_id, ready = file.id, file.ready
            batch = await advance(self.rows, claim, lambda b: self._seen(b, upstream_file=file_id))
        if not ready:
            file = await there.file(file_id)
            if file.broken:
                raise Refused(400, ApiError(400, "The input file could not be taken in.", code="file_refused"))
            if not file.ready:
                await advance(self.rows, claim, self._seen)
                return None
        batch = await advance(self.rows, claim, lambda b: self._seen(b, asked_at=self.clock()))
        if batch.status != "validating":
            return None
        told = await there.create(file_id, endpoint_there(batch, there))
        return await self._is_there(claim, file_id, told), told

    async def _is_there(self, claim: Claim, file_id: str, told: Told) -> Batch:
        def edit(batch: Batch) -> Batch:
            return self._seen(batch, upstream_file=file_id, upstream_batch=told.id)

        if self.catalog.webhook_secrets or container_of(file_id):
            await self.rows.refer(UPSTREAM_BATCH, told.id, claim.batch_id)
        return await advance(self.rows, claim, edit)

    def _seen(self, batch: Batch, **changed: Any) -> Batch:
        assert batch.placement is not None
        return replace(batch, placement=replace(batch.placement, seen_at=self.clock(), **changed))

    async def _stay_or_fail(self, batch: Batch, claim: Claim, this: Round) -> None:
        """Nobody has taken it in this look. It stays `validating` while somebody may yet."""
        there = for_batches(self.catalog, self.registry.keepers, batch)
        if {deployment.id for deployment in there} - refused_for_good(batch):
            return
        message = "No deployment takes this batch. Ask your platform team why."
        await self._fail(claim, this.errors[0] if this.errors else (batch_error("no_deployment_available", message),))


def _left(batch: Batch) -> set[str]:
    """Batches that were left behind at resources, by their ids there."""
    return {each.upstream_batch for each in batch.tries}


def _unreadable(error: NoBlob | ApiError) -> tuple[Json, ...]:
    if isinstance(error, ApiError):
        return (batch_error(error.code or "invalid_request", error.message, error.param),)
    return (batch_error("input_file_gone", "The input file is not there any more. Upload it again."),)


def _errors_of(refused: Refused) -> tuple[Json, ...]:
    public = refused.public
    return (batch_error(public.code or "batch_refused", public.message, public.param),)
