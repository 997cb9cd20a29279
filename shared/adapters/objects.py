"""Who owns which object upstream (ports.ObjectIndex), in Table Storage: one partition per owner and kind.

Owns the rows and their order; knows nothing of what the objects are, nor of the ids that clients see.

An object is three rows of one transaction, so that the three agree:

    i-HASH            where it stands: found by what a cursor or a removal knows, which is the id but not the time
    n-TIME-HASH       the objects, newest first; TIME and HASH counted downwards
    o-TIME-HASH       the same, oldest first, in exactly the opposite order

Why both orders: a page is then one query that reads no more than the page, in either direction and however many
objects there are; a partition read whole and turned round is a query per 1,000 of them. Three small rows cost one
request, as one does. Adding and a first page take one round trip; what starts from an id (a page after a cursor, a
removal) takes two: the id does not say the time, and Azure's tables have no second index.

A removal leaves the first row behind, marked: whoever deletes what a page has shown asks for the page after it next,
and a late repetition of `add` must not bring back what is gone. Adding creates that row and never replaces it, so that
of two additions with different times the first one counts; removing deletes the others, which only one of many can do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from shared.adapters.azure_errors import code_of, unavailable
from shared.adapters.tables import Tables, in_filter
from shared.ports import OwnedObject, UnknownCursor

OBJECTS_TABLE = "tollgateobjects"
_LAST = 9_999_999_999_999
_REFUSED = ("EntityAlreadyExists", "ResourceNotFound", "TableNotFound")
"""What the table says of an object that was added before, of one that somebody else has just taken, of no table yet."""
_DOWNWARDS = str.maketrans("0123456789abcdef", "fedcba9876543210")


class TableObjects:
    """ports.ObjectIndex. Owners and ids may hold any characters: keys are made of their hashes."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, owner: str, kind: str, made: OwnedObject) -> None:
        values = {
            "PartitionKey": _partition(owner, kind),
            "resource": made.resource,
            "upstream_id": made.upstream_id,
            "created_at": str(made.created_at),
            "note": made.note,
        }
        by_id, *ordered = _row_keys(made)
        rows = [("create", {**values, "RowKey": by_id}), *(("upsert", {**values, "RowKey": key}) for key in ordered)]
        if await self._change(rows) == "TableNotFound":
            await self._create_table()
            await self._change(rows)

    async def remove(self, owner: str, kind: str, resource: str, upstream_id: str) -> OwnedObject | None:
        partition = _partition(owner, kind)
        row = await self._find(partition, resource, upstream_id)
        if row is None or row.get("removed"):
            return None
        made = _object(row)
        by_id, *ordered = _row_keys(made)
        rows = [("delete", {"PartitionKey": partition, "RowKey": key}) for key in ordered]
        mark = {"PartitionKey": partition, "RowKey": by_id, "removed": True}
        return None if await self._change([*rows, ("update", mark)]) else made

    async def _change(self, rows: list[tuple[str, dict[str, Any]]]) -> str:
        """All rows or none. -> why none: empty, or the one of `_REFUSED` that the table gave as its reason."""
        from azure.core.exceptions import AzureError

        try:
            await self._tables.table(OBJECTS_TABLE).submit_transaction(rows)
        except AzureError as error:
            code = code_of(error)
            if code not in _REFUSED:
                raise unavailable(error, "table") from error
            return code
        return ""

    async def _create_table(self) -> None:
        from azure.core.exceptions import AzureError, ResourceExistsError

        try:
            await self._tables.table(OBJECTS_TABLE).create_table()
        except ResourceExistsError:
            return
        except AzureError as error:
            raise unavailable(error, "table") from error

    async def page(
        self,
        owner: str,
        kind: str,
        *,
        limit: int,
        newest_first: bool = True,
        after: tuple[str, str] | None = None,
        note: str = "",
    ) -> tuple[list[OwnedObject], bool]:
        partition = _partition(owner, kind)
        order = "n" if newest_first else "o"
        above = order + "-"
        if after is not None:
            cursor = await self._find(partition, *after)
            if cursor is None:
                raise UnknownCursor(after[1])
            _, newest, oldest = _row_keys(_object(cursor))
            above = newest if newest_first else oldest
        wanted = f"PartitionKey eq '{partition}' and RowKey gt '{above}' and RowKey lt '{order}.'"
        if note:
            wanted += f" and note eq '{in_filter(note)}'"
        found = await self._read(wanted, limit + 1)
        return found[:limit], len(found) > limit

    async def _read(self, wanted: str, most: int) -> list[OwnedObject]:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        found: list[OwnedObject] = []
        try:
            rows = self._tables.table(OBJECTS_TABLE).query_entities(wanted, results_per_page=most)
            async for row in rows:
                found.append(_object(row))
                if len(found) == most:
                    break
        except ResourceNotFoundError:  # nobody has ever made anything
            return []
        except AzureError as error:
            raise unavailable(error, "table") from error
        return found

    async def _find(self, partition: str, resource: str, upstream_id: str) -> Mapping[str, Any] | None:
        """Also when it has been removed."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            return await self._tables.table(OBJECTS_TABLE).get_entity(partition, _by_id(resource, upstream_id))
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise unavailable(error, "table") from error


def _partition(owner: str, kind: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+", kind):
        raise ValueError(f"{kind!r} is no kind of object")
    return f"{_hash(owner)}-{kind}"


def _row_keys(made: OwnedObject) -> tuple[str, str, str]:
    """By id, newest first, oldest first."""
    by_id = _by_id(made.resource, made.upstream_id)
    at = min(max(made.created_at, 0), _LAST)
    tie = by_id[2:]
    return by_id, f"n-{_LAST - at:013}-{tie.translate(_DOWNWARDS)}", f"o-{at:013}-{tie}"


def _by_id(resource: str, upstream_id: str) -> str:
    return "i-" + _hash(f"{resource}\n{upstream_id}")


def _hash(text: str) -> str:
    """128 bits: nobody chooses both of two ids that would have to collide."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _object(row: Mapping[str, Any]) -> OwnedObject:
    return OwnedObject(
        resource=row["resource"],
        upstream_id=row["upstream_id"],
        created_at=int(row["created_at"]),
        note=row.get("note", ""),
    )
