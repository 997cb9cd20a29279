"""What work in the background has cost, which is known when it has ended: written down, and counted in the budgets of
its key and its team.

Both are done once, however often the end is found (owed.OnceLog). No lease is needed: what has been spent is spent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from shared.adapters.key_store import TableKeys
from shared.adapters.lease_store import TableLeases
from shared.adapters.tables import Tables
from shared.limits.account import BudgetRow
from shared.limits.lease import Place, Values
from shared.limits.periods import day_number, period_row
from shared.limits.scopes import scope_id
from shared.owed import OnceLog
from shared.principals import Budget
from shared.types import UsageRecord


class BudgetedOnce:
    """owed.OnceLog over another."""

    def __init__(self, usage: OnceLog, tables: Tables, clock: Callable[[], float] = time.time) -> None:
        self._usage = usage
        self._keys = TableKeys(tables)
        self._leases = TableLeases(tables, SystemRandom())
        self._clock = clock

    async def add_once(self, record: UsageRecord) -> None:
        """Raises StoreUnavailable; then it is done again."""
        await self._usage.add_once(record)
        if not record.cost.nanos:
            return
        key = await self._keys.record(record.key_id)
        team = await self._keys.get_team(record.team) if record.team else None
        if key:
            await self._charge(scope_id("key", record.key_id), key.principal.allowance.budgets, record)
        if team:
            await self._charge(scope_id("team", team.name), team.allowance.budgets, record)

    async def _charge(self, partition: str, budgets: tuple[Budget, ...], record: UsageRecord) -> None:
        day = day_number(record.at)

        def edit(row: Values | None) -> tuple[dict[str, Any] | None, None]:
            state = BudgetRow.read(row)
            return (state.values() if state.charge(record.request_id, record.cost.nanos, self._clock()) else None), None

        for key in {period_row(budget.period, day) for budget in budgets}:
            await self._leases.change(Place(partition, key), edit)
