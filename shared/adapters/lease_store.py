"""Rows of the table of limits, changed by compare-and-swap (limits.lease.LeaseStore).

Knows nothing of what the rows say. Of a row that nobody else writes, what this process wrote last is taken for what
is there: one operation for a change instead of two. Where that is wrong, the etag tells.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from shared.adapters.tables import Tables
from shared.limits.lease import Contended, Edit, Place

LIMITS_TABLE = "tollgatelimits"
TRIES = 24
_FIRST_PAUSE, _LONGEST_PAUSE = 0.004, 0.12


class TableLeases:
    """`operations` counts what the table service was asked."""

    def __init__(self, tables: Tables, rng: Random) -> None:
        self._tables = tables
        self._rng = rng
        self.operations = 0

    async def change[T](self, place: Place, edit: Edit[T]) -> T:
        """Raises StoreUnavailable, Contended."""
        for attempt in range(TRIES):
            if attempt:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
                await asyncio.sleep(self._rng.uniform(0, pause))
            remembered = place.alone and place.seen is not None
            row, etag = place.seen if remembered and place.seen else await self._read(place)
            changed, said = edit(row)
            if changed is None and not remembered:
                return said
            if changed is not None and await self._write(place, changed, etag):
                return said
            place.alone = False
        raise Contended(f"{place.partition} {place.key}")

    async def _read(self, place: Place) -> tuple[dict[str, Any] | None, str]:
        self.operations += 1
        row = await self._tables.get(LIMITS_TABLE, place.partition, place.key)
        place.answered = True
        etag = str(row.pop("etag")) if row else ""
        place.alone = bool(row and place.seen and place.seen[1] == etag)
        return row, etag

    async def _write(self, place: Place, values: dict[str, Any], etag: str) -> bool:
        self.operations += 1
        row = {"PartitionKey": place.partition, "RowKey": place.key, **values}
        if etag:
            written = await self._tables.replace_if(LIMITS_TABLE, row, etag)
            place.seen = (values, written) if written else None
            place.answered = True
            return written is not None
        inserted = await self._tables.insert(LIMITS_TABLE, row)
        place.answered = True
        return inserted
