"""POST /v1/uploads for inputs of batches: in parts, or straight to the storage account by a signed address.

Parts are blobs that are read in order when the upload is completed; from then on it is a file like any other (files.py
takes it). A direct upload is for files above what the Functions host takes: one blob, written by the client itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import unquote

import orjson

from shared import errors
from shared.batches.intake.lines import MOST_BYTES
from shared.batches.intake.taking import Late
from shared.batches.intake.upload_fields import check_file, named_alias, no_parts, part_ids, seconds_of
from shared.batches.kept import KeptFile, KeptUpload, new_id
from shared.batches.ports import BatchRows, BlobFolder, NoBlob
from shared.call import Call
from shared.endpoints import MB
from shared.errors import ApiError
from shared.here import HereAnswer
from shared.objects import HERE, Registry
from shared.ports import StoreUnavailable
from shared.principals import Principal
from shared.types import Json

OPEN_SECONDS = 3600
"""An upload that is not completed by then has expired (openai-openapi 2026-08-21)."""
MOST_PART = 64 * MB
"""Bytes of one part (the same)."""
DIRECT_HEADERS = {"x-ms-blob-type": "BlockBlob"}
"""What a client sends with the content (Azure "Put Blob", 2026-08)."""
_UPLOAD_ID = re.compile(r"upload_[0-9a-f]{32}")
_PAUSES = (0.2, 0.8)
"""Seconds."""


class Take(Protocol):
    """Files' own."""

    def __call__(
        self, content: AsyncIterable[bytes], principal: Principal, filename: str, late: Late, file_id: str = "", /
    ) -> Awaitable[KeptFile]: ...


@dataclass(frozen=True, slots=True)
class Uploads:
    rows: BatchRows
    folder: BlobFolder
    registry: Registry
    clock: Callable[[], float]
    take: Take
    told: Callable[[KeptFile, Principal], Json]

    async def answer(self, call: Call, principal: Principal) -> HereAnswer:
        """Raises ApiError, StoreUnavailable."""
        match call.endpoint.name:
            case "uploads_create":
                return await self._create(call, principal)
            case "uploads_parts_create":
                return await self._add_part(call, await self._named(call, principal), principal)
            case "uploads_complete":
                return await self._complete(call, await self._named(call, principal), principal)
            case "uploads_cancel":
                return await self._cancel(await self._named(call, principal), principal)
            case name:
                raise ValueError(f"{name} is no operation on what is kept here")

    async def _create(self, call: Call, principal: Principal) -> HereAnswer:
        body, now = call.body, self.clock()
        size, direct = body["bytes"], body.get("direct", False)
        if not 0 < size <= MOST_BYTES:
            raise errors.bad_request(
                f"A file for batches has 1 to {MOST_BYTES:,} bytes. Split a larger one into several batches.",
                param="bytes",
                code="invalid_value",
            )
        if type(direct) is not bool:
            raise errors.bad_request("'direct' must be true or false.", param="direct", code="invalid_type")
        given = body.get("expires_after")
        upload = KeptUpload(
            new_id("upload_"), principal.owner, body["filename"][:1000], size, body["mime_type"][:200], "batch", now,
            now + OPEN_SECONDS, file_seconds=0 if given is None else seconds_of(given), direct=direct,
        )  # fmt: skip
        await self.rows.put_upload(upload)
        return await self._answer(upload, principal, address=direct)

    async def _add_part(self, call: Call, upload: KeptUpload, principal: Principal) -> HereAnswer:
        self._check_open(upload)
        if upload.direct:
            raise errors.bad_request(
                "This upload takes its content at its 'upload_url'. PUT the file there, or make an upload without "
                "'direct'.",
                code="invalid_value",
            )
        form = call.request.form
        assert form is not None
        check_file(form, "data")
        part, size = new_id("part_"), 0

        async def bounded() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in form.content(0):
                size += len(piece)
                if size > min(MOST_PART, upload.bytes):
                    raise _too_large(upload)
                yield piece

        await self.folder.write(_blob(upload, part), bounded(), "application/octet-stream")
        seal = self.registry.sealer(HERE, principal)
        told = {
            "id": seal(part),
            "object": "upload.part",
            "created_at": int(self.clock()),
            "upload_id": seal(upload.id),
        }
        return HereAnswer(orjson.dumps(told))

    async def _complete(self, call: Call, upload: KeptUpload, principal: Principal) -> HereAnswer:
        """Once more gives the same file: clients repeat a call whose answer was lost."""
        if upload.status == "completed" and (file := await self.rows.file(upload.file)) and not file.deleted:
            return await self._answer(upload, principal, file)
        self._check_open(upload)
        given = call.body["part_ids"]
        parts = no_parts(given) or [_WHOLE] if upload.direct else part_ids(given)
        order = hashlib.sha256("/".join(parts).encode()).hexdigest()
        if await self.rows.refer("upload", upload.id, order) != order:
            raise errors.bad_request(
                "This upload is being completed with other parts. Make a new upload.",
                param="part_ids",
                code="invalid_state",
            )
        try:
            file = await self._taken_at_last(call, upload, principal, parts)
        except ApiError as error:
            # the same call may have been sent twice, and the other have come first: then the parts are gone
            now = await self.rows.upload(upload.id)
            if error.status == 404 and now and now.file and (file := await self.rows.file(now.file)):
                return await self._answer(now, principal, file)
            await self.rows.forget("upload", upload.id)  # the client may add what is missing, and try again
            raise
        upload = replace(upload, status="completed", file=file.id)
        await self.rows.put_upload(upload)
        await self.rows.forget("upload", upload.id)
        await self._drop_blobs(upload)
        return await self._answer(upload, principal, file)

    async def _drop_blobs(self, upload: KeptUpload) -> None:
        async for blob in self.folder.list(_blob(upload, "")):
            await self.folder.delete(blob.name)

    async def _taken_at_last(self, call: Call, upload: KeptUpload, principal: Principal, parts: list[str]) -> KeptFile:
        """Of two that write one blob at the same time, the second has to write again: it finds the file then."""
        for pause in _PAUSES:
            try:
                return await self._taken(call, upload, principal, parts)
            except StoreUnavailable:
                await asyncio.sleep(pause)
        return await self._taken(call, upload, principal, parts)

    async def _taken(self, call: Call, upload: KeptUpload, principal: Principal, parts: Sequence[str]) -> KeptFile:
        file_id = new_id("file-", upload.id.removeprefix("upload_"))
        if (there := await self.rows.file(file_id)) is not None:
            return there
        await self._check_bytes(upload, parts)
        md5, wanted = hashlib.md5(usedforsecurity=False), call.body.get("md5")
        if wanted is not None and not isinstance(wanted, str):
            raise errors.bad_request("'md5' must be a string.", param="md5", code="invalid_type")

        async def content() -> AsyncIterator[bytes]:
            for part in parts:
                async for piece in self.folder.read(_blob(upload, part)):
                    if wanted:
                        md5.update(piece)
                    yield piece

        async def late() -> tuple[str, int]:
            if wanted and md5.hexdigest() != wanted.lower():
                raise errors.bad_request(
                    "The content has another MD5 than 'md5' says. Send the parts again, and name them in their order.",
                    param="md5",
                    code="checksum_mismatch",
                )
            return named_alias(call), upload.file_seconds

        try:
            return await self.take(content(), principal, upload.filename, late, file_id)
        except NoBlob:
            raise errors.no_such_object() from None

    async def _check_bytes(self, upload: KeptUpload, parts: Sequence[str]) -> None:
        """Raises ApiError 400, 404 for a part that is not there."""
        found = 0
        for part in parts:
            facts = await self.folder.facts(_blob(upload, part))
            if facts is None and upload.direct:
                raise errors.bad_request(
                    "Nothing was written to the 'upload_url' yet. PUT the file there, then complete the upload.",
                    code="upload_incomplete",
                )
            if facts is None:
                raise errors.no_such_object()
            found += facts.size
        if found != upload.bytes:
            raise errors.bad_request(
                f"The content has {found:,} bytes, but the upload was made for {upload.bytes:,}. Send all of it, or "
                "make an upload with the right 'bytes'.",
                param="part_ids",
                code="upload_incomplete",
            )

    async def _cancel(self, upload: KeptUpload, principal: Principal) -> HereAnswer:
        if upload.status != "cancelled":
            self._check_open(upload)
            upload = replace(upload, status="cancelled")
            await self.rows.put_upload(upload)
            await self._drop_blobs(upload)
        return await self._answer(upload, principal)

    async def _named(self, call: Call, principal: Principal) -> KeptUpload:
        """Raises ApiError 404."""
        upload_id = unquote(call.operation.split("/")[1])
        upload = await self.rows.upload(upload_id) if _UPLOAD_ID.fullmatch(upload_id) else None
        if upload is None or upload.owner != principal.owner:
            raise errors.no_such_object()
        return upload

    def _check_open(self, upload: KeptUpload) -> None:
        """Raises ApiError 400."""
        status = self._status(upload)
        if status != "pending":
            raise errors.bad_request(f"This upload is {status}. Make a new one.", code="invalid_state")

    def _status(self, upload: KeptUpload) -> str:
        return "expired" if upload.status == "pending" and upload.expires_at <= self.clock() else upload.status

    async def _answer(
        self, upload: KeptUpload, principal: Principal, file: KeptFile | None = None, *, address: bool = False
    ) -> HereAnswer:
        """As OpenAI tells an upload (openai-openapi 2026-08-21)."""
        told: Json = {
            "id": self.registry.sealer(HERE, principal)(upload.id),
            "object": "upload",
            "bytes": upload.bytes,
            "created_at": int(upload.created_at),
            "filename": upload.filename,
            "purpose": upload.purpose,
            "status": self._status(upload),
            "expires_at": int(upload.expires_at),
            "file": self.told(file, principal) if file is not None else None,
        }
        if address:
            told["upload_url"] = await self.folder.signed_url(_blob(upload, _WHOLE), OPEN_SECONDS)
            told["upload_headers"] = DIRECT_HEADERS
        return HereAnswer(orjson.dumps(told))


_WHOLE = "whole"
"""The one part of a direct upload."""


def _blob(upload: KeptUpload, part: str) -> str:
    return f"uploads/{upload.id}/{part}"


def _too_large(upload: KeptUpload) -> ApiError:
    return errors.bad_request(
        f"The part is larger than the upload ({upload.bytes:,} bytes) or than a part may be ({MOST_PART:,}). Send "
        "smaller parts, or make a new upload with the right 'bytes'.",
        param="data",
        status=413,
        code="request_too_large",
    )
