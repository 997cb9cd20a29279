"""What operations work with, for tests: real tables and blobs in Azurite, a clock that stands, a configuration as text.

    async with desk_at(azurite.connection_string, now=…, config="model_list: …") as desk:
        await some_operation(SomeAsked(…), ADMIN, desk)

What a test needs besides is set on the desk: `desk.prices = …`, `desk.http = …`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueClient

from shared.adapters.blob_folder import BlobFolders
from shared.adapters.blobs import Blobs
from shared.adapters.tables import Tables
from shared.catalog import Catalog
from shared.operations.operation import Actor
from shared.settings import Settings
from tests.support.doubles import Clock, Lines
from tests.unit import given

ADMIN = Actor("admin-key")
READER = Actor("reader", may_write=False)
NO_MODELS = "model_list: []\n"


class KeptEvents:
    """An outbox that keeps what it is given (the real one is shared/adapters/outbox.py)."""

    def __init__(self) -> None:
        self.events: dict[str, tuple[str, str, dict[str, Any]]] = {}

    def add(self, kind: str, subject: str, data: Mapping[str, Any], unique: str) -> None:
        self.events.setdefault(unique, (kind, subject, dict(data)))

    async def add_now(self, kind: str, subject: str, data: Mapping[str, Any], unique: str) -> str:
        self.add(kind, subject, data, unique)
        return unique

    def of(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        return [(subject, data) for found, subject, data in self.events.values() if found == kind]


@dataclass
class TestDesk:
    """The desk of shared/operations/operation.py. Everything may be exchanged."""

    __test__ = False

    settings: Settings
    tables: Tables
    blobs: Blobs
    folders: BlobFolders
    queue: Callable[[str], QueueClient]
    clock: Clock
    log: Lines = field(default_factory=Lines)
    outbox: Any = field(default_factory=KeptEvents)
    prices: Any = None
    sink: Any = None
    http: Any = None
    tokens: Any = None
    upstream: Any = None
    vault: Any = None
    config: str = NO_MODELS
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: dict[str, Any] = field(default_factory=dict[str, Any])

    def part[T](self, name: str, make: Callable[[], T]) -> T:
        return self.parts.setdefault(name, make())

    async def catalog(self) -> Catalog:
        trusted = self.settings.trusted_hosts
        return given.catalog(self.config, trusted=trusted) if self.config != NO_MODELS else Catalog({})


def settings_of(connection: str, **settings: str) -> Settings:
    least = {"AzureWebJobsStorage": connection, "KEY_PEPPER": "pepper-1"}
    return Settings.from_mapping(least | settings)


@asynccontextmanager
async def desk_at(
    connection: str, now: float = 1_000_000.0, config: str = NO_MODELS, **settings: str
) -> AsyncGenerator[TestDesk]:
    """settings: app settings by their names."""
    tables = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=0))
    blobs = Blobs(lambda: BlobServiceClient.from_connection_string(connection, retry_total=0))
    folders = BlobFolders(lambda: BlobServiceClient.from_connection_string(connection, retry_total=0))
    queues: dict[str, QueueClient] = {}

    def queue(name: str) -> QueueClient:
        return queues.setdefault(name, QueueClient.from_connection_string(connection, name, retry_total=0))

    try:
        yield TestDesk(settings_of(connection, **settings), tables, blobs, folders, queue, Clock(now), config=config)
    finally:
        for part in (*queues.values(), folders, tables, blobs):
            await part.close()
