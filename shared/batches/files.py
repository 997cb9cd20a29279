"""Files that the gateway keeps itself: taken in line by line, listed, read, deleted.

Uploads in parts are intake/uploads.py's. An input is kept as its client sent it: who runs it rewrites what it needs
(intake/rewriting.py), as often as it is placed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

import orjson

from shared import errors
from shared.batches.intake.lines import BadLine, Stretch, read_index
from shared.batches.intake.taking import Late, Taking, refused
from shared.batches.intake.upload_fields import check_file, named_alias, seconds_in_form
from shared.batches.intake.uploads import Uploads
from shared.batches.kept import KEPT_SECONDS, KeptFile, content_blob, file_json, index_blob, new_id
from shared.batches.ports import BatchRows, BlobFolder, NoBlob
from shared.call import Call
from shared.catalog import Catalog
from shared.here import HereAnswer
from shared.objects import HERE, Registry
from shared.ports import CallLog, ObjectIndex, OwnedObject
from shared.principals import Principal
from shared.types import Json

__all__ = ["Files", "Stretch"]

KIND = "file"
"""In the index of objects."""
_FILE_ID = re.compile(r"file-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Files:
    catalog: Catalog
    registry: Registry
    rows: BatchRows
    folder: BlobFolder
    index: ObjectIndex
    log: CallLog
    clock: Callable[[], float]

    async def answer(self, call: Call) -> HereAnswer:
        """files_* and uploads_* of what is kept here. Raises ApiError, StoreUnavailable."""
        principal = call.principal
        assert principal is not None
        match call.endpoint.name:
            case "files_create":
                file = await self._create(call, principal)
            case "files_content":
                return await self._content(await self._named(call))
            case "files_delete":
                return await self._delete(await self._named(call), principal)
            case "files_retrieve":
                file = await self._named(call)
            case _:
                return await self._uploads.answer(call, principal)
        return HereAnswer(orjson.dumps(self.told(file, principal)))

    async def shown(self, call: Call, item: OwnedObject) -> Json | None:
        file = await self.rows.file(item.upstream_id)
        assert call.principal is not None
        return self.told(file, call.principal) if file is not None and self._is_there(file) else None

    def told(self, file: KeptFile, principal: Principal) -> Json:
        return file_json(file, self.registry.sealer(HERE, principal)(file.id))

    async def take(
        self,
        content: AsyncIterable[bytes],
        principal: Principal,
        filename: str,
        *,
        alias: str = "",
        file_id: str = "",
        seconds: int = 0,
    ) -> KeptFile:
        """Check an input for batches line by line and keep it. alias: of lines that name no model; file_id: the same
        whenever the same thing is taken. -> its row, written and in its owner's list. Raises ApiError 400 with the line
        number in message and `line`; then nothing is left. StoreUnavailable."""

        async def late() -> tuple[str, int]:
            return alias, seconds

        return await self._take(content, principal, filename, late, file_id)

    async def _take(
        self, content: AsyncIterable[bytes], principal: Principal, filename: str, late: Late, file_id: str = ""
    ) -> KeptFile:
        if file_id and (there := await self.rows.file(file_id)) is not None:
            await self._own(there)
            return there
        file_id = file_id or new_id("file-")
        taking = Taking(self.catalog, self.registry, principal)
        reader, alias, seconds = taking.reader, "", 0

        async def whole() -> AsyncIterator[bytes]:
            """Everything is known before the blob is complete: what is refused is never there."""
            nonlocal alias, seconds
            async for piece in taking.checked(content):
                yield piece
            named, seconds = await late()
            alias = taking.settle(named)

        try:
            size = await self.folder.write(content_blob(file_id), whole())
        except BadLine as error:
            raise refused(error) from None
        now = self.clock()
        file = KeptFile(
            file_id, principal.owner, filename, "batch", size, now, now + (seconds or KEPT_SECONDS),
            reader.count, reader.tokens, alias, reader.url, taking.bound,
        )  # fmt: skip
        await self.folder.write(index_blob(file_id), _once(reader.index()), "application/json")
        await self.rows.put_file(file)
        await self._own(file)
        return file

    async def write_output(
        self, content: AsyncIterable[bytes], owner: str, filename: str, file_id: str, *, seconds: int = 0
    ) -> KeptFile | None:
        """Keep what a batch has given; again with the same id replaces it. -> None when there is nothing in it: no file
        is kept then."""
        pieces = aiter(content)
        first = await _first(pieces)
        if first is None:
            return None
        lines = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal lines
            lines = first.count(b"\n")
            yield first
            async for piece in pieces:
                lines += piece.count(b"\n")
                yield piece

        size = await self.folder.write(content_blob(file_id), counted())
        there = await self.rows.file(file_id)
        now = there.created_at if there is not None else self.clock()
        file = KeptFile(
            file_id, owner, filename, "batch_output", size, now, now + (seconds or KEPT_SECONDS), lines,
            deleted=there is not None and there.deleted,
        )  # fmt: skip
        await self.rows.put_file(file)
        await self._own(file)
        return file

    async def stretches(self, file: KeptFile) -> list[Stretch]:
        """The chunks of an input, in order. Raises NoBlob."""
        return read_index(b"".join([piece async for piece in self.folder.read(index_blob(file.id))]))

    def read(self, file_id: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Raises NoBlob."""
        return self.folder.read(content_blob(file_id), start, length)

    async def _create(self, call: Call, principal: Principal) -> KeptFile:
        form = call.request.form
        assert form is not None
        check_file(form, "file")

        async def late() -> tuple[str, int]:
            fields = await form.fields()
            check_file(form, "file")
            return named_alias(call, fields), seconds_in_form(fields)

        return await self._take(form.content(0), principal, form.files[0].filename, late)

    async def _content(self, file: KeptFile) -> HereAnswer:
        pieces = self.read(file.id)
        try:
            first = await anext(pieces)
        except NoBlob:
            raise errors.no_such_object() from None

        async def every() -> AsyncIterator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        return HereAnswer(every(), content_type="application/octet-stream")

    async def _delete(self, file: KeptFile, principal: Principal) -> HereAnswer:
        """Nobody sees it any more; its content goes when no batch needs it (operations/kept_files.py)."""
        await self.rows.put_file(replace(file, deleted=True))
        await self.index.remove(file.owner, KIND, HERE, file.id)
        public = self.registry.sealer(HERE, principal)(file.id)
        return HereAnswer(orjson.dumps({"id": public, "object": "file", "deleted": True}))

    async def _named(self, call: Call) -> KeptFile:
        """The file that the call's path names. Raises ApiError 404."""
        file_id = unquote(call.operation.split("/")[1])
        file = await self.rows.file(file_id) if _FILE_ID.fullmatch(file_id) else None
        assert call.principal is not None
        if file is None or file.owner != call.principal.owner or not self._is_there(file):
            raise errors.no_such_object()
        return file

    def _is_there(self, file: KeptFile) -> bool:
        return not file.deleted and file.expires_at > self.clock()

    async def _own(self, file: KeptFile) -> None:
        made = OwnedObject(HERE, file.id, int(file.created_at * 1000), file.purpose)
        await self.index.add(file.owner, KIND, made)

    @property
    def _uploads(self) -> Uploads:
        return Uploads(self.rows, self.folder, self.registry, self.clock, self._take, self.told)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _first(pieces: AsyncIterator[bytes]) -> bytes | None:
    """The first piece that is not empty."""
    async for piece in pieces:
        if piece:
            return piece
    return None
