"""Azure Table Storage through azure-data-tables: the rows of usage (ports.RowStore) and the keys (ports.KeyStore).

Every write replaces a whole row, so that a write of unknown outcome may simply be repeated. Numbers are Int64:
azure-data-tables would otherwise refuse what does not fit into 32 bits. Import cost 130 ms: the SDK is imported
when a table is first used.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from shared.adapters.azure_errors import code_of, unavailable
from shared.ports import StoreUnavailable, UnknownCursor
from shared.types import Row

KEYS_TABLE = "tollgatekeys"
STATE_TABLE = "tollgatestate"
"""What jobs and parts keep for each other: one partition for each of them."""
MOST_PER_BATCH = 100
MOST_CHARACTERS = 600_000
"""Of a transaction: Azure takes 100 rows and 4 MiB; a character may be 6 bytes, once escaped."""
MOST_AT_ONCE = 8
_CODE = re.compile(r'"code":\s*"(\w+)"')


def in_filter(text: str) -> str:
    """A text as it stands between the quotation marks of an OData filter."""
    return text.replace("'", "''")


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
        """ports.RowStore. Rows of one table and partition go in one transaction. When this raises, nothing is under way
        any more: what is left of a failed write must not land on top of the next one."""
        batches = [
            (table, [_to_entity(row.values) for row in batch])
            for (table, _), group in itertools.groupby(sorted(rows, key=_place), key=_place)
            for batch in _batches(group)
        ]
        for together in itertools.batched(batches, MOST_AT_ONCE, strict=False):
            writes = (self._write_batch(table, entities) for table, entities in together)
            for outcome in await asyncio.gather(*writes, return_exceptions=True):
                if outcome is not None:
                    raise outcome

    async def _write_batch(self, table: str, entities: list[dict[str, Any]]) -> None:
        from azure.data.tables import UpdateMode

        client = self.table(table)

        async def write() -> None:
            if len(entities) == 1:  # a transaction costs the SDK ten times the CPU of a single write
                await client.upsert_entity(entities[0], mode=UpdateMode.REPLACE)
            else:
                await client.submit_transaction([("upsert", e, {"mode": UpdateMode.REPLACE}) for e in entities])

        await _creating(client, write)

    async def get(self, table: str, partition: str, key: str) -> dict[str, Any] | None:
        """One row, with `etag` among its values; None when it is not there. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            entity = await self.table(table).get_entity(partition, key)
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise unavailable(error, "table") from error
        return {**_from_entity(entity), "etag": entity.metadata["etag"]}

    async def insert(self, table: str, row: Mapping[str, Any]) -> bool:
        """Write a row that must not be there yet. -> False when it is. Raises StoreUnavailable.

        An insert whose answer was lost is repeated and then finds its own row: who must know tells rows apart by what
        is in them.
        """
        client, entity = self.table(table), _to_entity(row)
        try:
            await _creating(client, lambda: client.create_entity(entity))
        except StoreUnavailable as error:
            if _code(error.__cause__) == "EntityAlreadyExists":
                return False
            raise
        return True

    async def replace_if(self, table: str, row: Mapping[str, Any], etag: str) -> str | None:
        """Replace a row unless somebody has changed or deleted it since `get`. -> its new etag, or None: read it again.
        Raises StoreUnavailable."""
        from azure.core import MatchConditions
        from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
        from azure.data.tables import UpdateMode

        try:
            written = await self.table(table).update_entity(
                _to_entity(row), mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError):
            return None
        except AzureError as error:
            raise unavailable(error, "table") from error
        return written["etag"]

    async def delete(self, table: str, partition: str, key: str) -> None:
        """Does nothing when the row is not there. Raises StoreUnavailable."""
        await _gone(lambda: self.table(table).delete_entity(partition, key))

    async def delete_table(self, name: str) -> None:
        """Does nothing when it is not there. For half a minute afterwards Azure refuses a new table of that name.
        Raises StoreUnavailable."""
        await _gone(lambda: self.table(name).delete_table())

    async def page(
        self, table: str, filter: str = "", limit: int = 100, cursor: str = "", select: Sequence[str] | None = None
    ) -> tuple[list[dict[str, Any]], str]:
        """-> `limit` rows in the order of their keys (fewer: those were the last), and the cursor of the next ones
        (empty: there are none). Raises StoreUnavailable; UnknownCursor for a text that is no cursor."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        client, place = self.table(table), _place_of(cursor)
        rows: list[dict[str, Any]] = []
        try:
            while len(rows) < limit:  # Azure may end a page early, at the end of a server's share of the table
                found = client.query_entities(filter, results_per_page=limit - len(rows), select=select)
                pages = found.by_page(place)
                async for page in pages:
                    rows += [_from_entity(entity) async for entity in page]
                    break
                place = pages.continuation_token
                if not place:
                    return rows, ""
        except ResourceNotFoundError:
            return [], ""
        except AzureError as error:
            raise unavailable(error, "table") from error
        return rows, base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")

    async def query(
        self, table: str, filter: str = "", select: Sequence[str] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """All rows that match an OData filter; none when the table does not exist. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        client = self.table(table)
        try:
            found = client.query_entities(filter, select=select) if filter else client.list_entities(select=select)
            async for entity in found:
                yield _from_entity(entity)
        except ResourceNotFoundError:
            return
        except AzureError as error:
            raise unavailable(error, "table") from error

    async def table_names(self, prefix: str) -> list[str]:
        """Names of the tables that begin so, sorted. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError

        self.table(KEYS_TABLE)
        try:
            names = [table.name async for table in self._service.list_tables()]
        except AzureError as error:
            raise unavailable(error, "table") from error
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


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows of one partition, as many together as one transaction takes."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        length = sum(len(value) for value in row.values.values() if isinstance(value, str))
        if batch and (len(batch) == MOST_PER_BATCH or size + length > MOST_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    yield batch


def _place(row: Row) -> tuple[str, str]:
    return row.table, str(row.values["PartitionKey"])


async def _creating(client: Any, write: Callable[[], Any]) -> None:
    """Run a write; make the table first if it is missing. Raises StoreUnavailable."""
    from azure.core.exceptions import AzureError, ResourceExistsError

    try:
        try:
            await write()
        except AzureError as error:
            if _code(error) != "TableNotFound":
                raise
            with contextlib.suppress(ResourceExistsError):
                await client.create_table()
            await write()
    except AzureError as error:
        raise unavailable(error, "table") from error


async def _gone(delete: Callable[[], Awaitable[None]]) -> None:
    """Run a deletion; what is not there is deleted. Raises StoreUnavailable."""
    from azure.core.exceptions import AzureError, ResourceNotFoundError

    try:
        await delete()
    except ResourceNotFoundError:
        return
    except AzureError as error:
        raise unavailable(error, "table") from error


def _place_of(cursor: str) -> dict[str, Any] | None:
    """Raises UnknownCursor."""
    if not cursor:
        return None
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise UnknownCursor(cursor) from error
    keys: set[str] = {"PartitionKey", "RowKey"}
    if not isinstance(place, dict) or not keys >= set(cast("dict[str, Any]", place)):
        raise UnknownCursor(cursor)
    return cast("dict[str, Any]", place)


def _to_entity(values: Mapping[str, Any]) -> dict[str, Any]:
    """`etag` is what `get` has added: it is no column."""
    from azure.data.tables import EdmType

    return {
        k: (v, EdmType.INT64) if isinstance(v, int) and not isinstance(v, bool) else v
        for k, v in values.items()
        if k != "etag"
    }


def _from_entity(entity: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v[0] if isinstance(v, tuple) else v for k, v in entity.items()}


def _code(error: BaseException | None) -> str:
    """Azure's word for what is wrong. `create_entity` is the one method whose errors the SDK leaves undecoded."""
    if code := code_of(error):
        return code
    return found[1] if (found := _CODE.search(str(error))) else ""
