"""Azure Blob Storage through azure-storage-blob: small files of the gateway's own, read and written whole.

Knows nothing of what is in them. Import cost 240 ms: the SDK is imported when a blob is first used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from shared.adapters.azure_errors import code_of, unavailable


class Blobs:
    """The blob service of one storage account. `make` builds the SDK's client, inside the running loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._service: Any = None

    async def read(self, container: str, name: str) -> bytes | None:
        """None when there is no such blob. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            download = await self._blob(container, name).download_blob()
            return await download.readall()
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise unavailable(error, "blob") from error

    async def write(self, container: str, name: str, data: bytes, content_type: str) -> None:
        """Replaces what is there; makes the container when it is missing. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError, ResourceExistsError
        from azure.storage.blob import ContentSettings

        blob, settings = self._blob(container, name), ContentSettings(content_type=content_type)
        try:
            try:
                await blob.upload_blob(data, overwrite=True, content_settings=settings)
            except AzureError as error:
                if code_of(error) != "ContainerNotFound":
                    raise
                with contextlib.suppress(ResourceExistsError):
                    await self._client().create_container(container)
                await blob.upload_blob(data, overwrite=True, content_settings=settings)
        except AzureError as error:
            raise unavailable(error, "blob") from error

    async def list(self, container: str, prefix: str = "") -> list[str]:
        """Names that begin so, sorted; none when there is no such container. Raises StoreUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        found = self._client().get_container_client(container).list_blob_names(name_starts_with=prefix or None)
        try:
            return sorted([name async for name in found])
        except ResourceNotFoundError:
            return []
        except AzureError as error:
            raise unavailable(error, "blob") from error

    async def close(self) -> None:
        if self._service is not None:
            await self._service.close()
            self._service = None

    def _blob(self, container: str, name: str) -> Any:
        return self._client().get_blob_client(container, name)

    def _client(self) -> Any:
        if self._service is None:
            self._service = self._make()
        return self._service
