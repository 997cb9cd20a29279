"""A storage account that a resource may use: the input of a batch is read from it, and its output written there.

Owns the access, by a connection string instead of the identity that a real resource has.
"""

import asyncio
import functools
from urllib.parse import unquote

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient


async def read(storage: str, url: str) -> tuple[bytes, str] | None:
    """What is there, and its version; None: nothing is, or it lies elsewhere."""

    def found() -> tuple[bytes, str] | None:
        if (blob := _blob(storage, url)) is None:
            return None
        try:
            stream = blob.download_blob()
        except ResourceNotFoundError:
            return None
        return stream.readall(), str(stream.properties.etag)

    return await asyncio.to_thread(found)


async def write(storage: str, url: str, data: bytes) -> None:
    def put() -> None:
        if (blob := _blob(storage, url)) is not None:
            blob.upload_blob(data, overwrite=True)

    await asyncio.to_thread(put)


@functools.cache
def _service(storage: str) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(storage)


def _blob(storage: str, url: str) -> BlobClient | None:
    service = _service(storage)
    account = service.url.rstrip("/") + "/"
    container, _, name = url.removeprefix(account).partition("/")
    return service.get_blob_client(container, unquote(name)) if url.startswith(account) and name else None
