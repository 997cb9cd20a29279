"""Azure Table Storage through azure-data-tables: the rows of usage (ports.RowStore) and the keys (ports.KeyStore).

Every write replaces a whole row, so that a write of unknown outcome may simply be repeated. Numbers are Int64:
azure-data-tables would otherwise refuse what does not fit into 32 bits. Import cost 130 ms: the SDK is imported
when a table is first used.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from shared.ports import StoreUnavailable
from shared.principals import Allowance, Principal
from shared.types import Row

KEYS_TABLE = "tollgatekeys"
_KEY_ROW = "key"
MOST_PER_BATCH = 20
"""Rows per transaction: Azure takes 100 and 4 MiB; a ledger page of 30,000 characters may be 180 KB, once escaped."""
MOST_AT_ONCE = 8


class Tables:
    """The table service of one storage account. `make` builds the SDK's client, inside the running loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._service: Any = None

    def table(self, name: str) -> Any:
        if self._service is None:
            self._service = self._make()
        return self._service.get_table_client(name)

    async def write(self, rows: Iterable[Row]) -> None:
        """ports.RowStore. Rows of one table and partition go in one transaction."""
        writes = [
            self._write_batch(table, [_to_entity(row.values) for row in batch])
            for (table, _), group in itertools.groupby(sorted(rows, key=_place), key=_place)
            for batch in itertools.batched(group, MOST_PER_BATCH, strict=False)
        ]
        for together in itertools.batched(writes, MOST_AT_ONCE, strict=False):
            await asyncio.gather(*together)

    async def _write_batch(self, table: str, entities: list[dict[str, Any]]) -> None:
        from azure.data.tables import UpdateMode

        client = self.table(table)

        async def write() -> None:
            if len(entities) == 1:  # a transaction costs the SDK ten times the CPU of a single write
                await client.upsert_entity(entities[0], mode=UpdateMode.REPLACE)
            else:
                await client.submit_transaction([("upsert", e, {"mode": UpdateMode.REPLACE}) for e in entities])

        await _creating(client, write)

    async def query(self, table: str, filter: str = "") -> AsyncIterator[dict[str, Any]]:
        """All rows that match an OData filter; none when the table does not exist. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        client = self.table(table)
        try:
            found = client.query_entities(filter) if filter else client.list_entities()
            async for entity in found:
                yield _from_entity(entity)
        except ResourceNotFoundError:
            return
        except AzureError as error:
            raise StoreUnavailable(_first_line(error)) from error

    async def table_names(self, prefix: str) -> list[str]:
        """Names of the tables that begin so, sorted. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError

        self.table(KEYS_TABLE)
        try:
            names = [table.name async for table in self._service.list_tables()]
        except AzureError as error:
            raise StoreUnavailable(_first_line(error)) from error
        return sorted(name for name in names if name.startswith(prefix))

    async def close(self) -> None:
        if self._service is not None:
            await self._service.close()
            self._service = None


def write_at_exit(service: Any, rows: Iterable[Row]) -> None:
    """Write with the SDK's synchronous client: while the interpreter ends, an event loop opens no connections.

    Raises what the SDK raises.
    """
    from azure.core.exceptions import HttpResponseError
    from azure.data.tables import UpdateMode

    for row in rows:
        client, entity = service.get_table_client(row.table), _to_entity(row.values)
        try:
            client.upsert_entity(entity, mode=UpdateMode.REPLACE)
        except HttpResponseError as error:
            if getattr(error, "error_code", None) != "TableNotFound":
                raise
            service.create_table_if_not_exists(row.table)
            client.upsert_entity(entity, mode=UpdateMode.REPLACE)


def _place(row: Row) -> tuple[str, str]:
    return row.table, str(row.values["PartitionKey"])


class TableKeys:
    """Keys by digest. PartitionKey is the digest, so that look-ups spread over the table's servers."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, digest: str) -> Principal | None:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            entity = await self._tables.table(KEYS_TABLE).get_entity(digest, _KEY_ROW)
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise StoreUnavailable(_first_line(error)) from error
        return _principal(_from_entity(entity))

    async def put(self, principal: Principal) -> None:
        """Raises StoreUnavailable."""
        row = {
            "PartitionKey": principal.key_id,
            "RowKey": _KEY_ROW,
            "name": principal.name,
            "team": principal.team,
            "models": "\n".join(sorted(principal.allowance.models)),
            "expires_at": principal.expires_at or 0.0,
            "disabled": principal.disabled,
            "prefix": principal.prefix,
            "created_at": principal.created_at,
        }
        await self._tables.write([Row(KEYS_TABLE, row)])

    async def all(self) -> list[Principal]:
        """Every key, oldest first. Raises StoreUnavailable."""
        found = [_principal(entity) async for entity in self._tables.query(KEYS_TABLE)]
        return sorted(found, key=lambda p: (p.created_at, p.name))


def _principal(row: Mapping[str, Any]) -> Principal:
    return Principal(
        key_id=row["PartitionKey"],
        name=row.get("name", ""),
        team=row.get("team", ""),
        allowance=Allowance(models=frozenset(filter(None, str(row.get("models", "")).split("\n")))),
        expires_at=float(row.get("expires_at") or 0) or None,
        disabled=bool(row.get("disabled")),
        prefix=row.get("prefix", ""),
        created_at=float(row.get("created_at") or 0),
    )


async def _creating(client: Any, write: Callable[[], Any]) -> None:
    """Run a write; make the table first if it is missing. Raises StoreUnavailable."""
    from azure.core.exceptions import AzureError, ResourceExistsError

    try:
        try:
            await write()
        except AzureError as error:
            if getattr(error, "error_code", None) != "TableNotFound":
                raise
            with contextlib.suppress(ResourceExistsError):
                await client.create_table()
            await write()
    except AzureError as error:
        raise StoreUnavailable(_first_line(error)) from error


def _to_entity(values: Mapping[str, Any]) -> dict[str, Any]:
    from azure.data.tables import EdmType

    return {k: (v, EdmType.INT64) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in values.items()}


def _from_entity(entity: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v[0] if isinstance(v, tuple) else v for k, v in entity.items()}


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300] or type(error).__name__
