"""Where config.yaml comes from: the package, a file, or a blob. Gives its text and a version that tells changes.

`CONFIG_SOURCE` is empty (config.yaml in the package), a path, `blob:CONTAINER/NAME` in the app's own storage account,
or the https URL of a blob. Knows nothing of what is in the text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from shared.adapters.azure_errors import unavailable
from shared.ports import StoreUnavailable


class ConfigSource(Protocol):
    async def read(self, known: str) -> tuple[str, str] | None:
        """-> (text, version), or None when the version is still `known`. Raises StoreUnavailable."""
        ...


class FileSource:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self, known: str) -> tuple[str, str] | None:
        return await asyncio.to_thread(self._read, known)

    def _read(self, known: str) -> tuple[str, str] | None:
        try:
            found = self._path.stat()
            version = f"{found.st_mtime_ns}-{found.st_size}"
            return None if version == known else (self._path.read_text("utf-8-sig"), version)
        except (OSError, UnicodeDecodeError) as error:
            raise StoreUnavailable(f"{self._path.name}: {getattr(error, 'strerror', None) or error}") from error


class BlobSource:
    """One blob. `client` builds the SDK's BlobClient inside the running loop."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    async def read(self, known: str) -> tuple[str, str] | None:
        from azure.core import MatchConditions
        from azure.core.exceptions import AzureError, ResourceNotModifiedError

        condition: dict[str, Any] = {"etag": known, "match_condition": MatchConditions.IfModified} if known else {}
        async with self._client() as blob:
            try:
                download = await blob.download_blob(**condition)
                data: bytes = await download.readall()
            except ResourceNotModifiedError:
                return None
            except AzureError as error:
                raise unavailable(error, "blob") from error
        return data.decode("utf-8-sig"), str(download.properties.etag)


def blob_place(source: str) -> tuple[str, str, str] | None:
    """-> (account URL or "", container, name) when the setting names a blob."""
    if source.startswith("blob:"):
        container, _, name = source.removeprefix("blob:").strip("/").partition("/")
        return "", container, name
    if source.startswith("https://"):
        split = urlsplit(source)
        container, _, name = split.path.strip("/").partition("/")
        return f"https://{split.netloc}", container, name
    return None
