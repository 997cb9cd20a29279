"""Batches, files and uploads in Table Storage (batches.ports.BatchRows).

    batch          | b-KEY      a batch, newest first (batch.row_key)
    batch          | o-ID       what is known of a batch that still has something to do, oldest first (OpenBatch)
    ID             | NUMBER     a chunk of a batch
    ref-HASH       | KIND       what a name leads to
    file           | ID         a file
    upload         | ID         an upload

A batch and its open row lie in one partition and are written in one transaction, so that the two agree whatever becomes
of the process. Changes go by ETag.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from shared.adapters.azure_errors import code_of, unavailable
from shared.adapters.batch_entities import (
    BATCH,
    batch_row,
    chunk_of,
    chunk_row,
    joined,
    key_of,
    open_row,
    open_values,
    opened,
    ref_place,
    typed,
)
from shared.adapters.tables import MOST_PER_BATCH, Tables, in_filter
from shared.batches.batch import Batch, Chunk, OpenBatch, new_batch_id, read_batch, row_key
from shared.batches.kept import KeptFile, KeptUpload, kept_values, read_file, read_upload
from shared.ports import StoreUnavailable
from shared.types import Row

BATCHES_TABLE = "tollgatebatches"
_FILE, _UPLOAD = "file", "upload"
_ROWS = f"PartitionKey eq '{BATCH}' and RowKey ge 'b-' and RowKey lt 'b.'"
_OPEN = f"PartitionKey eq '{BATCH}' and RowKey ge 'o-' and RowKey lt 'o.'"
_ID = re.compile(r"batch_[0-9a-f]{32}")
_COLUMN = re.compile(r"[a-z_]+")
_REFUSED = ("EntityAlreadyExists", "ResourceNotFound", "UpdateConditionNotSatisfied", "TableNotFound")
_MOST_TRIES = 30


class TableBatches:
    """All of it raises StoreUnavailable."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    # Batches.

    async def insert(self, batch: Batch) -> bool:
        mark = uuid.uuid4().hex
        rows = [("create", batch_row(batch, mark))]
        if not batch.told:
            rows.append(("create", open_row(batch)))
        refused, _ = await self._together(rows)
        if refused == "TableNotFound":
            await self._make_table()
            refused, _ = await self._together(rows)
        if not refused:
            return True
        there = await self._row(batch.id)  # an answer may have been lost, and the row is ours
        if there is None:
            raise StoreUnavailable("a batch could be neither written nor found")
        return there.get("change") == mark

    async def get(self, batch_id: str) -> Batch | None:
        row = await self._row(batch_id)
        return read_batch(row) if row else None

    async def change(self, batch_id: str, edit: Callable[[Batch], Batch | None]) -> Batch | None:
        mark = uuid.uuid4().hex  # tells a write whose answer was lost from somebody else's
        for turn in range(_MOST_TRIES):
            row = await self._row(batch_id)
            if row is None:
                return None
            batch = read_batch(row)
            changed = None if row.get("change") == mark else edit(batch)
            if changed is None:
                return batch
            if (etag := await self._replace(batch, changed, mark)) is not None:
                return replace(changed, etag=etag)
            await asyncio.sleep(random.uniform(0, 0.005 * 2 ** min(turn, 6)))  # noqa: S311
        raise StoreUnavailable("a batch is being changed by too many at once")

    async def _replace(self, before: Batch, after: Batch, mark: str) -> str | None:
        """-> its new etag; None: somebody else was faster."""
        row, old, new = batch_row(after, mark), open_values(before), open_values(after)
        if old != new:  # else one write does: a transaction costs the SDK ten times the CPU
            place = {"PartitionKey": BATCH, "RowKey": f"o-{after.id}"}
            second = ("delete", place) if new is None else ("upsert", {**place, **new})
            refused, etag = await self._together([("update", row, _if_unchanged(before.etag)), second])
            if not refused:
                return etag
            if refused != "ResourceNotFound" or new is not None:
                return None  # else there was no open row to delete
        return await self._tables.replace_if(BATCHES_TABLE, row, before.etag)

    async def open(self) -> list[OpenBatch]:
        return [opened(row) async for row in self._tables.query(BATCHES_TABLE, _OPEN)]

    async def page(
        self, limit: int, cursor: str = "", where: Mapping[str, str] | None = None
    ) -> tuple[list[Batch], str]:
        """Columns besides those of a batch: `team`, `key_name`. Raises UnknownCursor."""
        wanted = _ROWS
        for column, value in (where or {}).items():
            if not _COLUMN.fullmatch(column):
                raise ValueError(f"{column!r} is no column")
            wanted += f" and {column} eq '{in_filter(value)}'"
        rows, following = await self._tables.page(BATCHES_TABLE, wanted, limit, cursor)
        return [read_batch(joined(row)) for row in rows], following

    async def older(self, moment: float) -> AsyncIterator[Batch]:
        """Batches that were made before, newest first."""
        key = row_key(new_batch_id(moment, "f" * 20))
        wanted = f"PartitionKey eq '{BATCH}' and RowKey gt 'b-{key}' and RowKey lt 'b.'"
        async for row in self._tables.query(BATCHES_TABLE, wanted):
            yield read_batch(joined(row))

    async def _row(self, batch_id: str) -> dict[str, Any] | None:
        if not _ID.fullmatch(batch_id):
            return None
        row = await self._tables.get(BATCHES_TABLE, BATCH, f"b-{row_key(batch_id)}")
        return joined(row) if row else None

    async def drop_batch(self, batch_id: str) -> None:
        """Its own row last: until then, all of it is found again."""
        if not _ID.fullmatch(batch_id):
            return
        for partition in (batch_id, ref_place(batch_id)):
            found = self._tables.query(BATCHES_TABLE, f"PartitionKey eq '{partition}'", select=["RowKey"])
            keys = [str(row["RowKey"]) async for row in found]
            for some in itertools.batched(keys, MOST_PER_BATCH, strict=False):
                await self._drop(partition, some)
        await self._drop(BATCH, (f"o-{batch_id}", f"b-{row_key(batch_id)}"))

    async def _drop(self, partition: str, keys: Sequence[str]) -> None:
        rows = [("delete", {"PartitionKey": partition, "RowKey": key}) for key in keys]
        refused, _ = await self._together(rows)
        if refused:  # one of them is gone, and so none was deleted
            for key in keys:
                await self._tables.delete(BATCHES_TABLE, partition, key)

    # Chunks.

    async def put_chunks(self, batch_id: str, chunks: Sequence[Chunk]) -> None:
        await self._tables.write(Row(BATCHES_TABLE, chunk_row(batch_id, chunk)) for chunk in chunks)

    async def chunks(self, batch_id: str) -> list[Chunk]:
        if not _ID.fullmatch(batch_id):
            return []
        found = self._tables.query(BATCHES_TABLE, f"PartitionKey eq '{batch_id}'")
        return [chunk_of(row) async for row in found]

    # What leads where.

    async def refer(self, kind: str, name: str, to: str) -> str:
        row = {"PartitionKey": ref_place(name), "RowKey": key_of(kind), "name": name[:1000], "to": to}
        for _ in range(_MOST_TRIES):
            if await self._tables.insert(BATCHES_TABLE, row):
                return to
            there = await self.referred(kind, name)
            if there is not None:  # else it was forgotten in between
                return there
        raise StoreUnavailable("a reference is being changed by too many at once")

    async def referred(self, kind: str, name: str) -> str | None:
        row = await self._tables.get(BATCHES_TABLE, ref_place(name), key_of(kind))
        return str(row["to"]) if row else None

    async def forget(self, kind: str, name: str) -> None:
        await self._tables.delete(BATCHES_TABLE, ref_place(name), key_of(kind))

    # Files and uploads.

    async def put_file(self, file: KeptFile) -> None:
        await self._put(_FILE, file)

    async def file(self, file_id: str) -> KeptFile | None:
        row = await self._tables.get(BATCHES_TABLE, _FILE, key_of(file_id))
        return read_file(row) if row else None

    async def put_upload(self, upload: KeptUpload) -> None:
        await self._put(_UPLOAD, upload)

    async def upload(self, upload_id: str) -> KeptUpload | None:
        row = await self._tables.get(BATCHES_TABLE, _UPLOAD, key_of(upload_id))
        return read_upload(row) if row else None

    async def _put(self, partition: str, kept: KeptFile | KeptUpload) -> None:
        row = {"PartitionKey": partition, "RowKey": key_of(kept.id), **kept_values(kept)}
        await self._tables.write([Row(BATCHES_TABLE, row)])

    async def expired(self, now: float) -> AsyncIterator[KeptFile | KeptUpload]:
        over = f"expires_at le {now:.3f}"
        wanted = f"PartitionKey eq '{_FILE}' and ({over} or deleted eq true)"
        async for row in self._tables.query(BATCHES_TABLE, wanted):
            yield read_file(row)
        async for row in self._tables.query(BATCHES_TABLE, f"PartitionKey eq '{_UPLOAD}' and {over}"):
            yield read_upload(row)

    async def file_ids(self) -> set[str]:
        """Of every file that has a row."""
        found = self._tables.query(BATCHES_TABLE, f"PartitionKey eq '{_FILE}'", select=["RowKey"])
        return {unquote(str(row["RowKey"])) async for row in found}

    async def drop_kept(self, kept: KeptFile | KeptUpload) -> None:
        partition = _FILE if isinstance(kept, KeptFile) else _UPLOAD
        await self._tables.delete(BATCHES_TABLE, partition, key_of(kept.id))

    # The table.

    async def _together(self, rows: list[Any]) -> tuple[str, str]:
        """All rows or none. -> why none: empty, or the one of `_REFUSED` that the table gave as its reason; and the
        first row's new etag."""
        from azure.core.exceptions import AzureError

        entities = [(act, typed(values), *options) for act, values, *options in rows]
        try:
            (first, *_) = await self._tables.table(BATCHES_TABLE).submit_transaction(entities)
        except AzureError as error:
            code = code_of(error)
            if code not in _REFUSED:
                raise unavailable(error, "table") from error
            return code, ""
        return "", str(first.get("etag", ""))

    async def _make_table(self) -> None:
        from azure.core.exceptions import AzureError, ResourceExistsError

        try:
            await self._tables.table(BATCHES_TABLE).create_table()
        except ResourceExistsError:
            return
        except AzureError as error:
            raise unavailable(error, "table") from error


def _if_unchanged(etag: str) -> dict[str, Any]:
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    return {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": MatchConditions.IfNotModified}
