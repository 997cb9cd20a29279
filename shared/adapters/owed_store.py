"""What is still to be charged (owed.OwedStore), in Table Storage: a row for each piece of work that has not ended.

The table is as long as what is under way, so that it can be walked through: the sweep asks after what nobody asks for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.adapters.tables import Tables
from shared.owed import Owed, work_name
from shared.types import Row

OWED_TABLE = "tollgateowed"


class TableOwed:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, work: Owed) -> None:
        values: dict[str, Any] = {
            "PartitionKey": _partition(work.name),
            "RowKey": work.name,
            "resource": work.resource,
            "upstream_id": work.upstream_id,
            "at": work.at,
            "endpoint": work.endpoint,
            "key_id": work.key_id,
            "key_name": work.key_name,
            "team": work.team,
            "alias": work.alias,
            "deployment": work.deployment,
            "tags": json.dumps(work.tags),
            "user": work.user,
        }
        await self._tables.write([Row(OWED_TABLE, values)])

    async def find(self, resource: str, upstream_id: str) -> Owed | None:
        name = work_name(resource, upstream_id)
        row = await self._tables.get(OWED_TABLE, _partition(name), name)
        return None if row is None else _work(row)

    async def remove(self, resource: str, upstream_id: str) -> None:
        name = work_name(resource, upstream_id)
        await self._tables.delete(OWED_TABLE, _partition(name), name)

    async def page(self, limit: int, cursor: str = "") -> tuple[list[Owed], str]:
        """-> some of everybody's work, and where to go on; empty at the end. Raises StoreUnavailable, UnknownCursor."""
        rows, following = await self._tables.page(OWED_TABLE, limit=limit, cursor=cursor)
        return [_work(row) for row in rows], following


def _partition(name: str) -> str:
    """Spreads the rows over the table's servers."""
    return name[-2:]


def _work(row: Mapping[str, Any]) -> Owed:
    return Owed(
        resource=row["resource"],
        upstream_id=row["upstream_id"],
        at=float(row["at"]),
        endpoint=row["endpoint"],
        key_id=row["key_id"],
        key_name=row["key_name"],
        team=row["team"],
        alias=row["alias"],
        deployment=row["deployment"],
        tags=tuple(json.loads(row["tags"])),
        user=row["user"],
    )
