"""The batches of one resource when their input and output lie in a container of the gateway's own storage account.

The same as resource_batches.py, with blobs for files: Azure reads the input and writes the output as the resource's own
identity, and the gateway's part is done with its own (Azure "Batch with Azure Blob Storage", 2025-11).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson

from shared.batches.azure.batch_storage import INPUT, BatchStorage, Containers, container_of
from shared.batches.azure.resource_batches import Refused, ResourceBatches, ThereFile
from shared.batches.azure.upstream_status import Told, read_batch
from shared.batches.ports import NoBlob
from shared.catalog import Deployment
from shared.errors import ApiError
from shared.ports import Upstream
from shared.types import Json


@dataclass(frozen=True, slots=True)
class BlobBatches(ResourceBatches):
    """Besides UpstreamFailed and Refused, what touches a blob raises StoreUnavailable."""

    storage: BatchStorage

    async def upload(self, filename: str, lines: AsyncIterable[bytes]) -> ThereFile:
        with suppress(FileExistsError):  # its name says what is in it, and a batch fails when its input is written anew
            await self.storage.folder.write(INPUT + filename, lines, replace=False)
        return self._ready(filename)

    async def file(self, file_id: str) -> ThereFile:
        return ThereFile(file_id, ready=True, broken=False)

    async def find_file(self, filename: str, since: float) -> ThereFile | None:
        return self._ready(filename) if await self.storage.folder.facts(INPUT + filename) else None

    async def create(self, input_file: str, endpoint: str) -> Told:
        """Without metadata: it is refused with blobs."""
        body = {
            "input_file_id": None,
            "endpoint": endpoint,
            "completion_window": "24h",
            "input_blob": self.storage.url(self.storage.name(input_file)),
            "output_folder": {"url": self.storage.url()},
        }
        return self._batch(await self._json("POST", "batches", orjson.dumps(body)))

    async def content(self, file_id: str) -> AsyncIterator[bytes]:
        name = self.storage.name(file_id)
        if not name or name.startswith(INPUT):
            raise Refused(403, ApiError(403, "The output does not lie where it was ordered.", code="output_elsewhere"))
        try:
            async for piece in self.storage.folder.read(name):
                yield piece
        except NoBlob:
            raise Refused(404, ApiError(404, "The output is not there.", code="output_gone")) from None

    async def delete(self, file_id: str) -> None:
        """What lies elsewhere stays."""
        if name := self.storage.name(file_id):
            await self.storage.folder.delete(name)

    def _told(self, said: Json) -> Told:
        """Azure tells addresses of blobs, also of one that it has not written because nothing belongs in it."""
        told = read_batch(said)

        def blob(name: str) -> str:
            url = said.get(name)
            return self.storage.id_of(url) if isinstance(url, str) and url else ""

        return replace(
            told,
            input_file=told.input_file or blob("input_blob"),
            output_file=blob("output_blob"),
            error_file=blob("error_blob"),
        )

    def _ready(self, filename: str) -> ThereFile:
        return ThereFile(self.storage.id(INPUT + filename), ready=True, broken=False)


def batches_of(
    upstream: Upstream, containers: Containers, deployment: Deployment, file_id: str = ""
) -> ResourceBatches:
    """Of the resource of one deployment. file_id: of a batch's input, once there is one: how it has begun it goes on,
    whatever the configuration says by then."""
    container = container_of(file_id) if file_id else deployment.batch_storage
    if not container:
        return ResourceBatches(upstream, deployment)
    return BlobBatches(upstream, deployment, BatchStorage(container, containers(container)))
