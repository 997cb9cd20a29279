"""Jobs that start from a dropped blob: events in, batches made, rubbish put aside with a reason.

An event only says where to look. What counts is the blob that is there: its name and version make the ids of its file
and its batch, so that whoever comes again, late or twice makes nothing new. It is removed once its batch is kept.
Results are results.py's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.batches.azure.output_events import OutputEvents
from shared.batches.batch import Batch
from shared.batches.dropped.csv_jobs import CsvJobs
from shared.batches.dropped.event import BlobCreated, blobs_created, read_events
from shared.batches.dropped.names import IN, DropName, drop_name
from shared.batches.dropped.results import DropResults
from shared.batches.dropped.template import Part, Unreadable, read_template
from shared.batches.files import Files
from shared.batches.kept import KeptFile
from shared.batches.ports import BatchRows, BlobFacts, BlobFolder, NoBlob, Payers
from shared.batches.service import BatchApi, Order, check_rights, payer_of
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError, endpoint_not_allowed
from shared.ports import CallLog, StoreUnavailable
from shared.principals import Principal

CONTAINER = "batches"
REF = "dropped file"
"""Of BatchRows.refer: the batch -> the file that was made for it."""
_PIECE = 64 * 1024
"""Bytes of a CSV that are read before others get their turn."""
_LARGEST_TEMPLATE = 1 << 20
_CHANGES = 5
"""How often one message follows a blob that is written again and again; the last version has an event of its own."""
_LOST = "\ufffd"
"""What Event Grid writes for a letter outside the basic plane."""
_OUTSIDE = "[\U00010000-\U0010ffff\ufffd]"


@dataclass(frozen=True, slots=True)
class Drops:
    rows: BatchRows
    folder: BlobFolder
    """The container `batches`."""
    files: Files
    api: BatchApi
    payers: Payers
    outputs: OutputEvents
    log: CallLog
    clock: Callable[[], float]

    async def on_event(self, message: bytes) -> None:
        """A message of Event Grid, as it lies in the queue: JSON, base64 or not, one event or several. Never fails for
        what is no event of ours. Raises StoreUnavailable."""
        events = read_events(message)
        if events is None:
            self.log.warning("a message is not understood", queue="drops")
            return
        for blob in blobs_created(events):
            if blob.container == CONTAINER:
                for drop in await self._found(blob):
                    await self._arrived(drop)
            else:
                await self.outputs.arrived(blob.container, blob.names)

    async def after_end(self, batch: Batch) -> None:
        """Results of a batch that was dropped."""
        if batch.source == "drop":
            await DropResults(self.rows, self.folder, self.files, self.api.registry, self.log).write(batch)

    async def _found(self, blob: BlobCreated) -> list[DropName]:
        """The blobs that an event may mean, as far as they (still) are there."""
        drops = [drop for name in blob.names if (drop := drop_name(name))]
        for drop in drops:
            if _LOST not in drop.blob and await self.folder.facts(drop.blob):
                return [drop]
        return [found for drop in drops if _LOST in drop.blob for found in await self._like(drop)]

    async def _like(self, drop: DropName) -> list[DropName]:
        # one letter is told as one or two of these; no other letters, so that no name takes long to compare
        shape = re.compile(re.sub(f"{_LOST}+", lambda lost: f"{_OUTSIDE}{{1,{len(lost[0])}}}", re.escape(drop.blob)))
        names = [facts.name async for facts in self.folder.list(drop.blob.partition(_LOST)[0])]
        return [found for name in names if shape.fullmatch(name) and (found := drop_name(name))]

    async def _arrived(self, drop: DropName) -> None:
        """Make a batch of the blob as it is now, or put it aside."""
        for _ in range(_CHANGES):
            facts = await self.folder.facts(drop.blob)
            if facts is None or facts.metadata.get("hdi_isfolder"):
                return  # it was taken already, or was taken away again
            try:
                done = await self._taken(drop, facts)
            except NoBlob:
                return
            except Unreadable as error:
                done = await self._rejected(drop, facts, str(error))
            except ApiError as error:
                if error.status >= 500 or error.status == 429:
                    raise  # it is none of the file's doing: the message comes again
                done = await self._rejected(drop, facts, error.message)
            if done:
                return

    async def _taken(self, drop: DropName, facts: BlobFacts) -> bool:
        """-> False when the blob is another one by now. Raises ApiError, Unreadable: it is to be put aside."""
        batch_id = drop.batch_id(facts.etag, facts.modified)
        if await self.rows.get(batch_id) is None:
            if drop.problem:
                raise Unreadable(drop.problem)
            metadata = {name.lower(): value for name, value in facts.metadata.items()}
            principal = await self._payer(drop, drop.payer(metadata))
            url = metadata.get("callback_url", "").strip()
            if url:
                self.api.callbacks.check(url)
            file = await self._kept(batch_id)
            if file is None:
                taken = await self._file(drop, facts, principal, metadata)
                if not await self._same(drop, facts):
                    await self._discard(taken)
                    return False
                file = await self._chosen(batch_id, taken)
            await self._make(drop, file, principal, url, batch_id)
        return await self._removed(drop, facts)

    async def _kept(self, batch_id: str) -> KeptFile | None:
        """What an earlier message has made of the same blob."""
        file_id = await self.rows.referred(REF, batch_id)
        return await self.rows.file(file_id) if file_id else None

    async def _chosen(self, batch_id: str, taken: KeptFile) -> KeptFile:
        """Of those who have taken the same blob at once, the first one's file is the batch's."""
        file_id = await self.rows.refer(REF, batch_id, taken.id)
        if file_id == taken.id:
            return taken
        await self._discard(taken)
        file = await self.rows.file(file_id)
        if file is None:
            raise StoreUnavailable("a dropped file is being taken by somebody else")
        return file

    async def _removed(self, drop: DropName, facts: BlobFacts) -> bool:
        """-> False when the blob is another one by now."""
        return await self.folder.delete(drop.blob, facts.etag) or await self.folder.facts(drop.blob) is None

    async def _same(self, drop: DropName, before: BlobFacts) -> bool:
        """Whether what was read is the version whose ids it got. Somebody else may have been faster: then its batch is
        there."""
        now = await self.folder.facts(drop.blob)
        if now is None:
            return await self.rows.get(drop.batch_id(before.etag, before.modified)) is not None
        return now.etag == before.etag

    async def _payer(self, drop: DropName, name: str) -> Principal:
        if not name:
            raise Unreadable(
                f"Nothing says who pays. Put the file into a folder that is called as the key that pays "
                f"({IN}KEY/{drop.file}), or name the key in the blob's metadata (key)."
            )
        principal = await self.payers.named(name)
        if principal is None:
            shown = "with the secret that was given" if name.startswith("sk-") else f"'{name}'"
            raise Unreadable(
                f"No key {shown} can pay: there is none of this name or id, there are several, or it is disabled or "
                "has run out. Name a key that works: by the first folder, or by the blob's metadata (key), which goes "
                "before. Its name or its id is asked for, never its secret."
            )
        row = ENDPOINTS["batches_create"]
        if not principal.may_call(row.name, row.path):
            raise endpoint_not_allowed(row.path)
        return principal

    async def _file(
        self, drop: DropName, facts: BlobFacts, principal: Principal, metadata: Mapping[str, str]
    ) -> KeptFile:  # fmt: skip
        """Raises ApiError, Unreadable, NoBlob."""
        if not facts.size:
            raise Unreadable("The file is empty. Write one request on each line.")
        alias = metadata.get("model", "").strip()
        if not drop.is_csv:
            return await self.files.take(self.folder.read(drop.blob), principal, drop.file, alias=alias)
        template, name = await self._template(drop.templates(metadata))
        jobs = CsvJobs(template, name)
        try:
            return await self.files.take(self._lines(drop, jobs), principal, f"{drop.file}.jsonl", alias=alias)
        except ApiError as error:
            raise _told_in_rows(error, jobs) from error

    async def _lines(self, drop: DropName, jobs: CsvJobs) -> AsyncIterator[bytes]:
        async for piece in self.folder.read(drop.blob):
            for at in range(0, len(piece), _PIECE):
                yield b"".join(jobs.feed(piece[at : at + _PIECE]))
                await asyncio.sleep(0)
        yield b"".join(jobs.end())

    async def _template(self, names: Sequence[str]) -> tuple[list[Part], str]:
        for name in names:
            there = await self.folder.facts(name)
            if there is None:
                continue
            if there.size > _LARGEST_TEMPLATE:
                raise Unreadable(f"The template {name} is larger than 1 MiB. A template is one line of a batch.")
            return read_template(name, b"".join([piece async for piece in self.folder.read(name)])), name
        if not names:
            raise Unreadable(
                "The blob's metadata (template) leads out of templates/. Name a blob there; drop it again."
            )
        raise Unreadable(
            f"There is no template that says what becomes of the rows. Write {' or '.join(names)}, or name another one "
            "in the blob's metadata (template); then drop the file again."
        )

    async def _make(self, drop: DropName, file: KeptFile, principal: Principal, url: str, batch_id: str) -> None:
        order = Order(
            endpoint=f"/v1{file.url}",
            metadata={"dropped": drop.path[:512]},
            callback_url=url,
            source="drop",
            origin=drop.path,
            batch_id=batch_id,
        )
        try:
            check_rights(principal, file.alias, file.url)
            await self.api.make(payer_of(principal), file, order)
        except ApiError:
            await self.rows.forget(REF, batch_id)
            await self._discard(file)
            raise

    async def _discard(self, file: KeptFile) -> None:
        """Nobody sees it any more; its content goes with the next sweep."""
        await self.rows.put_file(replace(file, deleted=True))

    async def _rejected(self, drop: DropName, facts: BlobFacts, why: str) -> bool:
        """-> False when the blob is another one by now."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        text = (
            f"{drop.path} was rejected on {now:%Y-%m-%d at %H:%M:%S} UTC.\n\n{why}\n\n"
            f"Nothing of it was run. Correct it and put it into {CONTAINER}/{drop.blob} again.\n"
        )
        try:
            await self.folder.write(
                drop.rejected, self.folder.read(drop.blob), "application/octet-stream", facts.metadata
            )  # fmt: skip
        except NoBlob:
            return True
        await self.folder.write(drop.reason, _once(text.encode()), "text/plain; charset=utf-8")
        self.log.warning("a dropped file was rejected: the reason lies beside it", file=drop.file)  # it quotes the file
        return await self._removed(drop, facts)


def _told_in_rows(error: ApiError, jobs: CsvJobs) -> ApiError | Unreadable:
    """What is wrong with a line that was made of a row, told of the row."""
    row = error.extra.get("line")
    line = jobs.line_of(row) if isinstance(row, int) else 0
    if not line or error.status >= 500:
        return error
    return Unreadable(
        f"Row {row}, which begins in line {line} of the CSV, became a line that cannot be run: {error.message}"
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
