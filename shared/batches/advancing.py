"""How an engine changes a batch: as long as it holds the claim, and only while the batch is not over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from shared.batches.batch import Batch
from shared.batches.looking import CLAIM_SECONDS, Claim
from shared.batches.ports import BatchRows
from shared.ports import StoreUnavailable


class Lost(Exception):
    """Somebody else advances the batch now, or it is over: stop."""


async def advance(rows: BatchRows, claim: Claim, edit: Callable[[Batch], Batch | None]) -> Batch:
    """-> the batch as it is now. Raises Lost, StoreUnavailable."""
    mine = False

    def guarded(batch: Batch) -> Batch | None:
        nonlocal mine
        mine = batch.claimed_by == claim.holder and not batch.ended
        return edit(batch) if mine else None

    batch = await rows.change(claim.batch_id, guarded)
    if batch is None or not mine:
        raise Lost
    return batch


@asynccontextmanager
async def held(claim: Claim) -> AsyncGenerator[None]:
    """The claim is kept for as long as it takes: a large input, a resource that thinks. When it is lost all the same,
    the next change says so."""
    keeper = asyncio.ensure_future(_keep(claim))
    try:
        yield
    finally:
        keeper.cancel()


async def _keep(claim: Claim) -> None:
    while True:
        await asyncio.sleep(CLAIM_SECONDS / 4)
        with suppress(StoreUnavailable):
            if not await claim.keep():
                return
