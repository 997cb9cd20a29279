"""Containers as shared.batches uses them (batches.ports.BlobFolder): appended by position, held by leases. Streams are
blob_streams.py's. azure-storage-blob is imported when a blob is first used (240 ms)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from shared.adapters.azure_errors import code_of
from shared.adapters.blob_signing import Signer
from shared.adapters.blob_streams import as_body, pieces, put_blob, unavailable
from shared.batches.ports import BlobFacts, NoBlob

FILES = "tollgate-files"
"""The container of what the gateway keeps for clients."""
DROPS = "batches"
"""The container in which people drop files and find results."""
CLOSED = "c105ed00-0000-4000-8000-000000000000"
"""The lease of an append blob that is closed for good: always the same, so that closing again does no harm."""
_PAUSES = (0.2, 0.6, 1.2)
"""Seconds before an append whose outcome is unknown is tried again."""
_HELD = {
    "LeaseAlreadyPresent", "LeaseIdMissing", "LeaseLost", "LeaseIdMismatchWithBlobOperation",
    "LeaseNotPresentWithBlobOperation",
}  # fmt: skip
_LOST = {
    "LeaseIdMismatchWithLeaseOperation", "LeaseNotPresentWithLeaseOperation", "LeaseLost", "BlobNotFound",
    "ContainerNotFound",
}  # fmt: skip
_ELSEWHERE = {*_HELD, "AppendPositionConditionNotMet", "BlobNotFound", "ContainerNotFound"}


class BlobFolders:
    """The containers of one storage account. `make` builds the SDK's client, inside the running loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._service: Any = None
        self._signer: Signer | None = None

    def folder(self, container: str) -> AzureFolder:
        return AzureFolder(self, container)

    @property
    def service(self) -> Any:
        if self._service is None:
            self._service = self._make()
        return self._service

    @property
    def signer(self) -> Signer:
        if self._signer is None:
            self._signer = Signer(self.service)
        return self._signer

    async def close(self) -> None:
        if self._service is not None:
            await self._service.close()
            self._service = self._signer = None


class AzureFolder:
    """One container. All of it raises StoreUnavailable."""

    def __init__(self, folders: BlobFolders, container: str) -> None:
        self._folders = folders
        self._container = container

    def _blob(self, name: str) -> Any:
        return self._folders.service.get_blob_client(self._container, name)

    async def _made(self) -> None:
        from azure.core.exceptions import ResourceExistsError

        with suppress(ResourceExistsError):  # somebody else was quicker
            await self._folders.service.create_container(self._container)

    # Whole blobs.

    async def write(
        self,
        name: str,
        chunks: AsyncIterable[bytes],
        content_type: str = "application/jsonl",
        metadata: Mapping[str, str] | None = None,
        *,
        replace: bool = True,
    ) -> int:
        metadata = dict(metadata or {})
        return await put_blob(self._blob(name), self._made, chunks, content_type, metadata, replace=replace)

    def read(self, name: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        return pieces(self._blob(name), start, length)

    async def facts(self, name: str) -> BlobFacts | None:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            return _facts(await self._blob(name).get_blob_properties())
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise unavailable(error) from error

    async def list(self, prefix: str) -> AsyncIterator[BlobFacts]:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        container = self._folders.service.get_container_client(self._container)
        try:
            async for blob in container.list_blobs(name_starts_with=prefix or None, include=["metadata"]):
                yield _facts(blob)
        except ResourceNotFoundError:
            return
        except AzureError as error:
            raise unavailable(error) from error

    async def delete(self, name: str, etag: str = "") -> bool:
        """Whoever holds it holds nothing then."""
        from azure.core import MatchConditions
        from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError

        blob = self._blob(name)
        condition = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified} if etag else {}
        try:
            try:
                await blob.delete_blob(**condition)
            except AzureError as error:
                if code_of(error) != "LeaseIdMissing":
                    raise
                await self._broken(name)
                await blob.delete_blob(**condition)
        except (ResourceNotFoundError, ResourceModifiedError):
            return False
        except AzureError as error:
            raise unavailable(error) from error
        return True

    def address(self) -> str:
        return self._folders.service.get_container_client(self._container).url.partition("?")[0]  # no signature

    async def signed_url(self, name: str, seconds: int) -> str:
        """Raises StoreUnavailable as well when the account's connection string has no key to sign with."""
        from azure.core.exceptions import AzureError

        try:
            await self._there()
            return await self._folders.signer.to_write(self._blob(name), seconds)
        except (AzureError, ValueError) as error:
            raise unavailable(error) from error

    async def _there(self) -> None:
        """Whoever gets a signed address can make no container."""
        if not await self._folders.service.get_container_client(self._container).exists():
            await self._made()

    # Append blobs.

    async def append(self, name: str, data: bytes, at: int, lease: str = "") -> bool:
        from azure.core.exceptions import AzureError

        unknown = False
        for pause in (*_PAUSES, None):
            try:
                await self._append(name, data, at, lease)
                return True
            except AzureError as error:
                if code_of(error) in _ELSEWHERE:
                    # after an answer that was lost, the blob may end elsewhere because of these very bytes
                    return unknown and await self._holds(name, data, at)
                if not _may_have_worked(error) or pause is None:
                    raise unavailable(error) from error
                unknown = True
                await asyncio.sleep(pause)
        raise AssertionError

    async def _append(self, name: str, data: bytes, at: int, lease: str) -> None:
        """Once: the SDK's own repetition would not tell that an answer was lost."""
        from azure.core.exceptions import AzureError

        blob = self._blob(name)
        options: dict[str, Any] = {"appendpos_condition": at, "retry_total": 0}
        if lease:
            options["lease"] = lease
        try:
            await blob.append_block(as_body(data), len(data), **options)
        except AzureError as error:
            if at or lease or code_of(error) not in ("BlobNotFound", "ContainerNotFound"):
                raise
            await self._make_append_blob(name)
            await blob.append_block(as_body(data), len(data), **options)

    async def _make_append_blob(self, name: str) -> None:
        """Unless it is there."""
        from azure.core import MatchConditions
        from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError
        from azure.storage.blob import ContentSettings

        async def make() -> None:
            with suppress(ResourceExistsError, ResourceModifiedError):
                await self._blob(name).create_append_blob(
                    ContentSettings(content_type="application/jsonl"), match_condition=MatchConditions.IfMissing
                )

        try:
            await make()
        except AzureError as error:
            if code_of(error) != "ContainerNotFound":
                raise
            await self._made()
            await make()

    async def _holds(self, name: str, data: bytes, at: int) -> bool:
        try:
            return b"".join([piece async for piece in pieces(self._blob(name), at, len(data))]) == data
        except NoBlob:
            return False

    async def lease(self, name: str, seconds: int) -> str | None:
        from azure.core.exceptions import AzureError

        lease = self._lease(name, str(uuid.uuid4()))
        try:
            try:
                await lease.acquire(lease_duration=seconds)
            except AzureError as error:
                if code_of(error) not in ("BlobNotFound", "ContainerNotFound"):
                    raise
                await self._make_append_blob(name)
                await lease.acquire(lease_duration=seconds)
        except AzureError as error:
            if code_of(error) in _HELD:
                return None
            raise unavailable(error) from error
        return lease.id

    async def renew(self, name: str, lease: str) -> bool:
        from azure.core.exceptions import AzureError

        try:
            await self._lease(name, lease).renew()
        except AzureError as error:
            if code_of(error) in _LOST:
                return False
            raise unavailable(error) from error
        return True

    async def release(self, name: str, lease: str) -> None:
        from azure.core.exceptions import AzureError

        with suppress(AzureError):
            await self._lease(name, lease).release()

    async def close_for_good(self, name: str) -> bool:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            try:
                await self._lease(name, CLOSED).acquire(lease_duration=-1)
            except AzureError as error:
                if code_of(error) not in _HELD:
                    raise
                await self._broken(name)
                await self._lease(name, CLOSED).acquire(lease_duration=-1)
        except ResourceNotFoundError:
            return False
        except AzureError as error:
            raise unavailable(error) from error
        return True

    async def _broken(self, name: str) -> None:
        from azure.core.exceptions import AzureError

        with suppress(AzureError):  # it may have ended just now
            await self._lease(name, "").break_lease(lease_break_period=0)

    def _lease(self, name: str, lease: str) -> Any:
        from azure.storage.blob.aio import BlobLeaseClient

        return BlobLeaseClient(self._blob(name), lease_id=lease or None)


def _facts(blob: Any) -> BlobFacts:
    return BlobFacts(
        name=blob.name,
        size=int(blob.size or 0),
        etag=str(blob.etag or "").strip('"'),
        modified=blob.last_modified.timestamp(),
        metadata=dict(blob.metadata or {}),
    )


def _may_have_worked(error: BaseException) -> bool:
    """Whether a request may have been carried out though its answer says nothing of it."""
    from azure.core.exceptions import HttpResponseError

    status = getattr(error, "status_code", None) if isinstance(error, HttpResponseError) else None
    return status is None or status >= 500 or status == 408
