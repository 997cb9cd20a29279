"""Drops what the gateway has kept long enough: files whose time is over, uploads, old batches, what engines left.

Nothing that a batch still needs goes, and nothing that is young: it may be on its way into a row. Whatever this leaves
behind, because it ended half-way, the next run finds again: blobs go first, rows last.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import FILES, AzureFolder
from shared.adapters.objects import TableObjects
from shared.batches.batch import Batch, OpenBatch
from shared.batches.deferred.answers import ANSWERS
from shared.batches.kept import KEPT_SECONDS, KeptFile, KeptUpload, content_blob, index_blob
from shared.batches.ports import BlobFacts
from shared.objects import HERE
from shared.operations.operation import Desk, Told

BATCH_SECONDS = 90 * 86400.0
"""A batch is told of for 90 days; its files go by their own time."""
YOUNG_SECONDS = 86400.0
"""A blob that nothing leads to may belong to something that is just being written."""
GRACE_SECONDS = 3600.0
"""Whoever began to use a file before its time was over may go on; clocks differ."""
AT_ONCE = 8


class Dropped(Told):
    files: int = Field(default=0, description="Files whose time was over, or that their owners had deleted.")
    needed: int = Field(default=0, description="Those that a batch still needs. They go later.")
    uploads: int = Field(default=0, description="Uploads whose time was over.")
    batches: int = Field(default=0, description="Batches that ended more than 90 days ago.")
    work: int = Field(default=0, description="Batches that are over, of which the own engine's work was dropped.")
    strays: int = Field(default=0, description="Blobs that no file leads to, left by processes that ended half-way.")


async def drop_kept_files(desk: Desk, now: datetime) -> Dropped:
    """Safe to run anywhere, any number of times. Raises StoreUnavailable."""
    rows, folder = TableBatches(desk.tables), desk.folders.folder(FILES)
    dropping = _Dropping(rows, folder, TableObjects(desk.tables), now.timestamp(), Dropped())
    await dropping.kept()
    await dropping.work()
    await dropping.batches()
    await dropping.strays()
    await dropping.answers()
    return dropping.told


@dataclass(frozen=True, slots=True)
class _Dropping:
    rows: TableBatches
    folder: AzureFolder
    index: TableObjects
    now: float
    told: Dropped

    async def kept(self) -> None:
        over = [one async for one in self.rows.expired(self.now - GRACE_SECONDS)]
        needed = await self._needed(over)
        gone = [one for one in over if one.id not in needed]
        self.told.needed = len(over) - len(gone)
        await _few_at_once(self._file, (one for one in gone if isinstance(one, KeptFile)))
        await _few_at_once(self._upload, (one for one in gone if isinstance(one, KeptUpload)))

    async def _needed(self, over: Iterable[KeptFile | KeptUpload]) -> set[str]:
        """Files of batches that have something to do. Asked after what is over was found: no new batch takes that."""
        opened = await self.rows.open()
        needed = {batch.input_file for batch in opened}
        if any(isinstance(one, KeptFile) and one.purpose == "batch_output" for one in over):

            async def add(batch: OpenBatch) -> None:
                if there := await self.rows.get(batch.id):
                    needed.update((there.output_file, there.error_file))

            await _few_at_once(add, opened)
        return needed

    async def _file(self, file: KeptFile) -> None:
        await self.folder.delete(content_blob(file.id))
        await self.folder.delete(index_blob(file.id))
        await self.index.remove(file.owner, "file", HERE, file.id)
        await self.rows.drop_kept(file)
        self.told.files += 1

    async def _upload(self, upload: KeptUpload) -> None:
        async for part in self.folder.list(f"uploads/{upload.id}/"):
            await self.folder.delete(part.name)
        await self.rows.forget("upload", upload.id)
        await self.rows.drop_kept(upload)
        self.told.uploads += 1

    async def work(self) -> None:
        """What the own engine has kept of lines, of batches that are over."""
        blobs: list[BlobFacts] = []
        batch_id = ""
        async for facts in self.folder.list("work/"):
            owner = facts.name.split("/")[1]
            if owner != batch_id:
                await self._work_of(batch_id, blobs)
                batch_id, blobs = owner, []
            blobs.append(facts)
        await self._work_of(batch_id, blobs)

    async def _work_of(self, batch_id: str, blobs: list[BlobFacts]) -> None:
        if not blobs or max(facts.modified for facts in blobs) > self.now - GRACE_SECONDS:
            return
        batch = await self.rows.get(batch_id)
        if batch is None or batch.told:
            await _few_at_once(self._blob, blobs)
            self.told.work += 1

    async def _blob(self, facts: BlobFacts) -> None:
        await self.folder.delete(facts.name)

    async def batches(self) -> None:
        old = [batch async for batch in self.rows.older(self.now - BATCH_SECONDS) if batch.told]
        await _few_at_once(self._batch, old)

    async def _batch(self, batch: Batch) -> None:
        await self.index.remove(batch.payer.owner, "batch", HERE, batch.id)
        await self.rows.drop_batch(batch.id)
        self.told.batches += 1

    async def answers(self) -> None:
        """Where answers to deferred calls are found: of no use once the files are gone."""
        async for facts in self.folder.list(ANSWERS):
            if facts.modified < self.now - KEPT_SECONDS - YOUNG_SECONDS:
                await self.folder.delete(facts.name)

    async def strays(self) -> None:
        """Content whose row was never written."""
        known = await self.rows.file_ids()
        async for facts in self.folder.list("files/"):
            file_id = facts.name.removeprefix("files/").removesuffix(".index")
            if file_id not in known and facts.modified < self.now - YOUNG_SECONDS:
                await self.folder.delete(facts.name, facts.etag)
                self.told.strays += 1


async def _few_at_once[Thing](act: Callable[[Thing], Awaitable[None]], things: Iterable[Thing]) -> None:
    for together in itertools.batched(things, AT_ONCE, strict=False):
        await asyncio.gather(*map(act, together))
