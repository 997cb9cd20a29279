"""Stands for Event Grid: Azurite sends no events, so this looks into a container and queues what Event Grid would.

In Azure a system topic of the storage account, with one subscription, does the same: BlobCreated events of blobs below
`in/` go to a Storage Queue, base64, one event per message, at least once and in no order. Here they are found by asking
every half second; a blob that lies there when this starts is told of again, as after an outage. Must not know the app.

    AzureWebJobsStorage=… python -m local.blob_events [CONTAINER …]

CONTAINER: one that a deployment's `batch_storage` names; all its blobs are told of.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient

CONTAINER, PREFIX, QUEUE = "batches", "in/", "tollgate-batch-drops"
PAUSE = 0.5
_TOPIC = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/Microsoft.Storage"
    "/storageAccounts/{account}"
)


class BlobEvents:
    """The blobs of one container below a prefix, each version told of once."""

    def __init__(
        self, connection: str, container: str = CONTAINER, prefix: str = PREFIX, queue: str = QUEUE
    ) -> None:  # fmt: skip
        self._container: ContainerClient = BlobServiceClient.from_connection_string(connection).get_container_client(
            container
        )
        self.queue = QueueClient.from_connection_string(connection, queue)
        self._prefix = prefix
        self._told: dict[str, str] = {}
        self._number = itertools.count(1)

    def make_places(self) -> None:
        """The container and the queue, as the deployment makes them."""
        for make in (self._container.create_container, self.queue.create_queue):
            with contextlib.suppress(ResourceExistsError):
                make()

    def round(self) -> list[str]:
        """Look once. -> the names of what was told of."""
        there: dict[str, str] = {}
        told: list[str] = []
        try:
            for blob in self._container.list_blobs(name_starts_with=self._prefix):
                there[blob.name] = str(blob.etag)
                if self._told.get(blob.name) != blob.etag:
                    self.send(self.event(blob))
                    told.append(blob.name)
        except ResourceNotFoundError:
            self.make_places()
            return []
        self._told = there
        return told

    def event(self, blob: Any) -> dict[str, Any]:
        """As Azure writes it (Event Grid's own schema, its default for storage accounts)."""
        container = self._container.container_name
        return {
            "topic": _TOPIC.format(account=self._container.account_name),
            "subject": f"/blobServices/default/containers/{container}/blobs/{blob.name}",
            "eventType": "Microsoft.Storage.BlobCreated",
            "id": str(uuid.uuid4()),
            "data": {
                "api": "PutBlob",
                "clientRequestId": str(uuid.uuid4()),
                "requestId": str(uuid.uuid4()),
                "eTag": str(blob.etag).strip('"'),
                "contentType": blob.content_settings.content_type or "application/octet-stream",
                "contentLength": blob.size,
                "blobType": "BlockBlob",
                "url": f"{self._container.url}/{quote(blob.name)}",
                "sequencer": f"{next(self._number):064d}",
                "storageDiagnostics": {"batchId": str(uuid.uuid4())},
            },
            "dataVersion": "",
            "metadataVersion": "1",
            "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }

    def send(self, event: dict[str, Any]) -> None:
        text = base64.b64encode(json.dumps(event).encode()).decode()
        try:
            self.queue.send_message(text)
        except ResourceNotFoundError:
            self.make_places()
            self.queue.send_message(text)


def main(environ: Mapping[str, str], outputs: Sequence[str] = ()) -> None:
    connection = environ["AzureWebJobsStorage"]
    watched = [BlobEvents(connection), *(BlobEvents(connection, container, "") for container in outputs)]
    while True:
        try:
            for name in (name for events in watched for name in events.round()):
                print(f"told of {name}", flush=True)
        except AzureError as error:
            print(f"the storage account does not answer: {error.message}", file=sys.stderr, flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(os.environ, sys.argv[1:])
