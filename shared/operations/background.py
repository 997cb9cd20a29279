"""Background work that nobody asks for: its resource is asked, and what has ended is charged.

A response in the background or a fine-tuning job is charged by whoever sees first that it has ended (owed.py). A client
that never comes back must not get it for nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from shared.adapters.late_costs import BudgetedOnce
from shared.adapters.outbox import STATE_TABLE
from shared.adapters.owed_store import TableOwed
from shared.adapters.usage_log import TableUsageLog
from shared.catalog import Catalog, Deployment
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError, UpstreamFailed
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.owed import Charges, Owed, has_ended
from shared.ports import UnknownCursor
from shared.pump import read_all
from shared.transform.relayed import parse
from shared.transform.surfaces import url_of
from shared.types import Json, Row, UpstreamRequest

_PLACE = "sweep_background", "cursor"
MOST = 500
"""Pieces of work that one run asks after; the next one goes on where it has stopped."""
AT_ONCE = 8
YOUNG_SECONDS = 300.0
"""Nobody is asked about what has only just begun: its client will."""
KEPT_SECONDS = 30 * 86400.0
"""Azure keeps a response for 30 days."""
_SECONDS = 30.0
_BYTES = 64 * 1024 * 1024

Found = Literal["charged", "running", "gone", "failed", "dropped", "young"]


class Sweep(Asked):
    """Nothing is asked: a run goes on where the last one has stopped."""


class Swept(Told):
    charged: int = Field(default=0, description="Pieces of work that had ended and were charged.")
    running: int = Field(default=0, description="Those that go on.")
    young: int = Field(default=0, description="Those that have only just begun and were not asked after.")
    gone: int = Field(
        default=0, description="Those that their resource does not know, or that no resource is left for."
    )
    failed: int = Field(default=0, description="Those that could not be asked after. They are tried again.")
    dropped: int = Field(default=0, description="Those that have been gone for 30 days: what they cost is not known.")
    finished: bool = Field(default=True, description="Whether all work has been looked at; else the next run goes on.")


@dataclass(frozen=True, slots=True)
class _Sweeper:
    desk: Desk
    charges: Charges
    keepers: dict[str, Deployment]
    now: float

    async def look(self, work: Owed) -> Found:
        """Raises StoreUnavailable."""
        age = self.now - work.at
        if age < YOUNG_SECONDS:
            return "young"
        try:
            said = await self._ask(work)
        except (UpstreamFailed, ApiError) as error:
            self.desk.log.warning("background work could not be asked after", work=work.name, error=str(error))
            return "failed"
        if said is None:
            if age < KEPT_SECONDS:
                return "gone"
            self.desk.log.warning("background work is gone and was never charged", work=work.name, alias=work.alias)
            await self.charges.store.remove(work.resource, work.upstream_id)
            return "dropped"
        if not has_ended(said):
            return "running"
        await self.charges.charge(work, said)
        return "charged"

    async def _ask(self, work: Owed) -> Json | None:
        """The object; None when it is gone. Raises UpstreamFailed, ApiError."""
        keeper = self.keepers.get(work.resource)
        if keeper is None:
            return None
        operation = f"{ENDPOINTS[work.endpoint].path}/{quote(work.upstream_id, safe='')}"
        request = UpstreamRequest(
            method="GET",
            url=url_of(keeper, operation, stored=True),
            body=b"",
            credential=keeper.credential,
            auth_header=keeper.surface.auth_header,
            content_type="",
        )
        reply = await self.desk.upstream.open(request, _SECONDS)
        body = await read_all(reply, _BYTES)
        if reply.status == 404:
            return None
        if reply.status >= 400:
            raise UpstreamFailed("unreachable", f"status {reply.status}")
        return parse(body)


async def sweep_background(desk: Desk, now: datetime) -> Swept:
    """Safe to run anywhere, any number of times: what is charged twice counts once. Raises StoreUnavailable,
    ConfigError."""
    catalog = await desk.catalog()
    store = TableOwed(desk.tables)
    works, following = await _next(desk, store)
    sweeper = _Sweeper(desk, _charges(desk, store, catalog), catalog.keepers(), now.timestamp())
    told = Swept(finished=not following)
    for together in itertools.batched(works, AT_ONCE, strict=False):
        for found in await asyncio.gather(*map(sweeper.look, together)):
            setattr(told, found, getattr(told, found) + 1)
    partition, key = _PLACE
    await desk.tables.write([Row(STATE_TABLE, {"PartitionKey": partition, "RowKey": key, "cursor": following})])
    return told


async def _next(desk: Desk, store: TableOwed) -> tuple[list[Owed], str]:
    """What comes after the place where the last run has stopped, and where this one stops."""
    state = await desk.tables.get(STATE_TABLE, *_PLACE)
    cursor = str(state["cursor"]) if state else ""
    try:
        return await store.page(MOST, cursor)
    except UnknownCursor:
        return await store.page(MOST)


def _charges(desk: Desk, store: TableOwed, catalog: Catalog) -> Charges:
    usage = TableUsageLog(desk.tables, "sweep", desk.clock, desk.log)  # used for rows that no process owns
    return Charges(store, BudgetedOnce(usage, desk.tables, desk.clock), desk.prices, catalog)


async def _act(_: Sweep, __: Actor, desk: Desk) -> Swept:
    return await sweep_background(desk, datetime.fromtimestamp(desk.clock(), UTC))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="background_sweep",
        method="POST",
        path="background/sweep",
        summary="Charge background work that has ended and that nobody has asked for.",
        asks=Sweep,
        answers=Swept,
        act=_act,
    ),
)
