"""The table of limits, for those who look at it and tidy it up: not for calls, which lease (lease_store.py)."""

from __future__ import annotations

import asyncio
from random import SystemRandom
from typing import Any
from urllib.parse import unquote

from shared.adapters.lease_store import LIMITS_TABLE, TableLeases
from shared.adapters.tables import Tables, in_filter
from shared.adapters.usage_log import usage_table
from shared.limits.account import DEAD_SECONDS, BudgetRow, Entry, instance_of, spent_of_dead
from shared.limits.lease import Place, Values

_AT_ONCE = 8


class LeaseRows:
    """All of it raises StoreUnavailable."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._leases = TableLeases(tables, SystemRandom())

    async def of(self, partition: str) -> dict[str, dict[str, Any]]:
        """The rows of one key or team, by their names."""
        found = self._tables.query(LIMITS_TABLE, f"PartitionKey eq '{in_filter(partition)}'")
        return {str(row["RowKey"]): row async for row in found}

    async def forgotten(self, now: float) -> list[tuple[Place, BudgetRow]]:
        """Budgets with entries that hold money and were not heard of for long."""
        found = self._tables.query(LIMITS_TABLE, f"oldest lt {now - DEAD_SECONDS:.3f}")
        return [(Place(str(row["PartitionKey"]), str(row["RowKey"])), BudgetRow.read(row)) async for row in found]

    async def close_dead(self, place: Place, row: BudgetRow, now: float) -> tuple[int, int]:
        """Close the entries of processes that are gone. -> how many, and what they had spent without reporting it."""
        totals = {name: await self._totals(place.partition, name) for name, e in row.held.items() if _dead(e, now)}

        def edit(values: Values | None) -> tuple[dict[str, Any] | None, tuple[int, int]]:
            state, closed, found = BudgetRow.read(values), 0, 0
            for name, entry in list(state.held.items()):
                if name in totals and _dead(entry, now):
                    spent = spent_of_dead(entry, totals[name])
                    state.close(name, spent, now)
                    closed, found = closed + 1, found + spent - entry.spent
            return (state.values() if closed else None), (closed, found)

        return await self._leases.change(place, edit)

    async def _totals(self, partition: str, entry: str) -> int:
        """What a process has spent of a key or a team on one day, by its usage."""
        instance, day = instance_of(entry)
        kind, _, id = partition.partition("|")
        wanted = f"instance eq '{in_filter(instance)}' and day eq '{day}'"
        if kind == "key":
            wanted = f"PartitionKey eq '{in_filter(id)}|{day}' and {wanted}"
        else:
            wanted += f" and team eq '{in_filter(unquote(id))}'"
        found = self._tables.query(usage_table(day[:6]), wanted, select=["cost_nanos"])
        return sum([int(row.get("cost_nanos") or 0) async for row in found])

    async def drop(self, filter: str) -> int:
        """Delete rows. -> how many."""
        found = self._tables.query(LIMITS_TABLE, filter, select=["PartitionKey", "RowKey"])
        rows = [(str(row["PartitionKey"]), str(row["RowKey"])) async for row in found]
        for start in range(0, len(rows), _AT_ONCE):
            together = rows[start : start + _AT_ONCE]
            await asyncio.gather(*(self._tables.delete(LIMITS_TABLE, *place) for place in together))
        return len(rows)


def _dead(entry: Entry, now: float) -> bool:
    return now - entry.seen > DEAD_SECONDS and entry.granted > entry.spent
