"""Azure's engine in this process, with real adapters, a real Azurite and the fake Azure: looks come when a test says so.

async with engine_at(azurite.connection_string, fake) as parts:
    batch = await parts.made(a_line("a"), a_line("b"))
    await parts.looked(batch.id)
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from local.fake_azure import FakeAzure
from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import FILES
from shared.adapters.key_store import TableKeys
from shared.adapters.objects import TableObjects
from shared.adapters.payers import TablePayers
from shared.adapters.price_store import shipped_book
from shared.adapters.upstream import HttpUpstream
from shared.batches.azure.engine import AzureEngine
from shared.batches.azure.webhooks import Webhooks
from shared.batches.batch import ENDED, WINDOW_SECONDS, Batch, new_batch_id
from shared.batches.files import Files
from shared.batches.looking import Looking
from shared.batches.orders import payer_of
from shared.batches.ports import Queue
from shared.batches.settling import Settling
from shared.objects import Registry
from shared.prices import PriceList
from shared.principals import Principal
from shared.routing import States
from shared.types import Json, Secret, UsageRecord
from tests.support.desk import TestDesk, desk_at
from tests.support.doubles import Clock, KeptUsage, Lines
from tests.support.models import config_text
from tests.unit.given import catalog

ALIAS = "night"
RESOURCES = ("main", "second")
DEPLOYMENT = "gpt-4o-batch"


class KeptWork:
    """Messages to ourselves that a test reads (batches.ports.Work)."""

    def __init__(self) -> None:
        self.sent: list[tuple[Json, float]] = []

    async def send(self, queue: Queue, message: Json, delay: float = 0.0) -> None:
        assert queue == "looks"
        self.sent.append((message, delay))

    async def send_all(self, queue: Queue, messages: Sequence[Json], delay: float = 0.0) -> None:
        for message in messages:
            await self.send(queue, message, delay)

    def of(self, do: str) -> list[Json]:
        return [message for message, _ in self.sent if message["do"] == do]


class NoSecrets:
    async def get(self, name: str, refused: str = "") -> str:
        raise AssertionError(name)


class NoTokens:
    async def get(self, credential: Any) -> str:
        raise AssertionError(credential)

    def refuse(self, credential: Any, token: str) -> None:
        raise AssertionError(credential)


@dataclass
class Parts:
    engine: AzureEngine
    looking: Looking
    files: Files
    rows: TableBatches
    keys: TableKeys
    registry: Registry
    principal: Principal
    work: KeptWork
    usage: KeptUsage
    log: Lines
    clock: Clock
    webhooks: Webhooks

    async def made(self, *lines: Json, **changed: Any) -> Batch:
        """A batch that nobody has looked at."""
        file = await self.files.take(_pieces(lines), self.principal, "night.jsonl", alias=ALIAS)
        now = self.clock()
        given: dict[str, Any] = {
            "id": new_batch_id(now),
            "payer": payer_of(self.principal, ("nightly",)),
            "alias": ALIAS,
            "endpoint": f"/v1{file.url}",
            "input_file": file.id,
            "lines": file.lines,
            "input_bytes": file.bytes,
            "tokens": file.tokens,
            "engine": "azure",
            "source": "api",
            "created_at": now,
            "expires_at": now + WINDOW_SECONDS,
            "bound": file.bound,
        }
        batch = Batch(**(given | changed))
        assert await self.rows.insert(batch)
        return batch

    async def looked(self, batch_id: str) -> Batch:
        """After one look."""
        await self.looking.look(batch_id)
        return await self.row(batch_id)

    async def over(self, batch_id: str, looks: int = 100) -> Batch:
        """After as many looks as it takes."""
        for _ in range(looks):
            batch = await self.looked(batch_id)
            if batch.status in ENDED:
                return batch
            await asyncio.sleep(0.01)
        raise AssertionError(f"it does not end: {await self.row(batch_id)} {self.log.warnings}")

    async def row(self, batch_id: str) -> Batch:
        batch = await self.rows.get(batch_id)
        assert batch is not None
        return batch

    async def output(self, file_id: str) -> list[Any]:
        whole = b"".join([piece async for piece in self.files.read(file_id)])
        return [json.loads(line) for line in whole.splitlines()]

    def record(self, batch: Batch) -> UsageRecord:
        return self.usage.once[batch.id]


def a_line(custom_id: str, text: str = "hi", **body: Any) -> Json:
    asked = {"model": ALIAS, "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": asked}


async def _pieces(rows: Sequence[Json]) -> AsyncIterator[bytes]:
    for row in rows:
        yield json.dumps(row).encode() + b"\n"


def config_of(fake: FakeAzure, *, balanced: bool, rows: Sequence[Json] = (), names: Sequence[str] = RESOURCES) -> str:
    """One alias over batch deployments of several resources, in this order. rows: parameters that each gets besides."""
    resources = fake.state.resources
    entries: list[Any] = []
    for number, name in enumerate(names):
        resource = resources[name]
        base = f"{resource.url}/v1" if resource.kind == "plain" else resource.url
        model = f"openai/{DEPLOYMENT}" if resource.kind == "plain" else f"azure/{DEPLOYMENT}"
        params = {"model": model, "api_base": base, "api_key": resource.key, "sku": "GlobalBatch"}
        more = rows[number] if number < len(rows) else {}
        entries.append((ALIAS, params | more, {"mode": "batch", "base_model": "gpt-4o-2024-11-20"}))
    text = config_text(entries)
    return f"{text}litellm_settings: {{enable_loadbalancing_on_batch_endpoints: {str(balanced).lower()}}}\n"


@asynccontextmanager
async def engine_at(
    connection: str, fake: FakeAzure, *, balanced: bool = False, secrets: tuple[str, ...] = (), **config: Any
) -> AsyncGenerator[Parts]:
    async with desk_at(connection, 1_790_000_000.0) as desk:
        upstream = HttpUpstream(NoTokens(), NoSecrets())
        try:
            yield await _parts(desk, fake, upstream, config_of(fake, balanced=balanced, **config), secrets)
        finally:
            await upstream.close()


async def _parts(
    desk: TestDesk, fake: FakeAzure, upstream: HttpUpstream, config: str, secrets: tuple[str, ...]
) -> Parts:
    known = replace(catalog(config), webhook_secrets=tuple(map(Secret, secrets)))
    rows, keys, log, work, usage = TableBatches(desk.tables), TableKeys(desk.tables), Lines(), KeptWork(), KeptUsage()
    registry, clock = Registry(known, desk.settings.keyring()), desk.clock
    files = Files(known, registry, rows, desk.folders.folder(FILES), TableObjects(desk.tables), log, clock)
    engine = AzureEngine(
        known, registry, rows, files, upstream, desk.folders.folder, States(), PriceList(shipped_book),
        TablePayers(keys, clock), work, Settling(usage, usage), log, clock, random.Random(1),
    )  # fmt: skip
    looking = Looking(rows, work, {"azure": engine}, [], log, clock)
    principal = Principal(uuid.uuid4().hex * 2, "search-night", "search", prefix="sk-a…b")
    await keys.put_key(principal)
    webhooks = Webhooks(rows, looking, known.webhook_secrets, NoSecrets(), log, clock)
    return Parts(engine, looking, files, rows, keys, registry, principal, work, usage, log, clock, webhooks)
