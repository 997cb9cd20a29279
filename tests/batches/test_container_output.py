"""Batches whose input and output lie in a container of the gateway's own: with a real Azurite and the fake Azure."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient

from local.blob_events import BlobEvents
from local.fake_azure import FakeAzure
from shared.adapters.blob_folder import BlobFolders
from shared.batches.azure.batch_storage import BatchStorage
from shared.batches.azure.output_events import OutputEvents
from shared.errors import ConfigError
from shared.ports import StoreUnavailable
from tests.batches.test_azure_engine import Deaf, FailingRows, asked, there
from tests.support.azure_batches import ALIAS, Parts, a_line, config_of, engine_at
from tests.support.batching import batching
from tests.support.polling import until
from tests.unit.given import catalog


class Storage:
    """The account as its owner sees it, with one container for batches."""

    def __init__(self, connection: str, name: str = "") -> None:
        self.connection = connection
        self.name = name or f"out-{uuid.uuid4().hex[:12]}"
        service = BlobServiceClient.from_connection_string(connection)
        self.blobs: ContainerClient = service.get_container_client(self.name)

    @property
    def row(self) -> dict[str, Any]:
        """The parameters of a deployment that uses it."""
        return {"batch_storage": self.name}

    def names(self) -> list[str]:
        try:
            return [blob.name for blob in self.blobs.list_blobs()]
        except ResourceNotFoundError:
            return []


@pytest.fixture
def storage(azurite: Any, fake: FakeAzure) -> Iterator[Storage]:
    storage = Storage(azurite.connection_string)
    for resource in ("main", "second"):
        fake.batches.set(resource, seconds=0, storage=storage.connection)
    yield storage
    fake.clear()


def play(storage: Storage, fake: FakeAzure, work: Callable[[Parts], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        rows: list[dict[str, Any]] = options.get("rows", [storage.row, storage.row])
        async with engine_at(storage.connection, fake, rows=rows) as parts:
            await work(parts)

    asyncio.run(whole())


# Lives.


@pytest.mark.parametrize("style", ["usual", "early"])
def test_a_batch_goes_by_way_of_the_container(storage: Storage, fake: FakeAzure, style: str) -> None:
    fake.batches.set("main", style=style)

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"), a_line("x", "fail with 503"), metadata={"night": "shift"})
        batch = await parts.over(made.id)
        assert (batch.status, batch.completed, batch.failed, batch.tries) == ("completed", 1, 1, ())
        (row,) = await parts.output(batch.output_file)
        assert (row["custom_id"], row["response"]["body"]["model"]) == ("a", ALIAS)
        (wrong,) = await parts.output(batch.error_file)
        assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("x", 503)
        assert (parts.record(batch).calls, parts.record(batch).engine, parts.usage.times) == (2, "azure", 1)
        assert asked(fake, "POST", "/files") == 0
        (creation,) = [r for r in fake.requests if r.method == "POST" and r.path.split("?")[0].endswith("/batches")]
        assert creation.body["input_blob"] == f"{storage.blobs.url}/input/tollgate-{batch.id}.jsonl"
        assert creation.body["output_folder"] == {"url": storage.blobs.url}
        assert "metadata" not in creation.body
        assert storage.names() == [], "what is kept by the gateway is left nowhere else"

    play(storage, fake, work)


def test_what_would_be_empty_was_not_written(storage: Storage, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        good = await parts.over((await parts.made(a_line("a"))).id)
        assert (bool(good.output_file), good.error_file) == (True, "")
        bad = await parts.over((await parts.made(a_line("x", "fail with 503"))).id)
        assert (bad.output_file, bool(bad.error_file)) == ("", True)

    play(storage, fake, work)


def test_output_that_is_not_there_yet_is_waited_for(storage: Storage, fake: FakeAzure) -> None:
    fake.batches.hold("main", "in_progress", lines=1)

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"), a_line("b"))
        await parts.looked(made.id)
        batch = await parts.looked(made.id)
        (row,) = there(fake, batch)
        fake.end_batch("main", row["id"], "expired")
        (row,) = there(fake, batch)
        blob = storage.blobs.get_blob_client(row["output_file"].removeprefix(f"{storage.blobs.url}/"))
        data = blob.download_blob().readall()
        blob.delete_blob()
        assert (await parts.looked(made.id)).status == "finalizing" or not (await parts.row(made.id)).ended
        blob.upload_blob(data)
        batch = await parts.over(made.id)
        assert (batch.status, batch.completed) == ("expired", 1)
        assert [row["custom_id"] for row in await parts.output(batch.output_file)] == ["a"]
        assert [row["custom_id"] for row in await parts.output(batch.error_file)] == ["b"]

    play(storage, fake, work)


def test_a_resource_that_may_not_read_it_is_left(storage: Storage, fake: FakeAzure) -> None:
    fake.batches.set("main", storage="")

    async def work(parts: Parts) -> None:
        batch = await parts.over((await parts.made(a_line("a"))).id)
        first, _ = parts.engine.catalog.of(ALIAS)
        assert (batch.status, [each.deployment for each in batch.tries]) == ("completed", [first.id])
        assert batch.placement
        assert batch.placement.upstream_file.startswith("file-"), "the second one takes files"
        assert storage.names() == []

    play(storage, fake, work, rows=[storage.row])


def test_an_input_that_somebody_else_has_changed(storage: Storage, fake: FakeAzure) -> None:
    fake.batches.hold("main", "in_progress")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        while (await parts.looked(made.id)).status != "in_progress":
            await asyncio.sleep(0.01)
        storage.blobs.upload_blob(f"input/tollgate-{made.id}.jsonl", b"{}", overwrite=True)
        fake.batches.release("main")
        batch = await parts.over(made.id)
        assert (batch.status, [error["code"] for error in batch.errors]) == ("failed", ["input_modified"])
        assert storage.names() == []

    play(storage, fake, work)


# Crashes.


def test_a_lost_answer_makes_nothing_twice(storage: Storage, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        before = len(fake.batches.rows("main"))
        made = await parts.made(a_line("a"))
        deaf = replace(parts.engine, upstream=Deaf(parts.engine.upstream, "/batches", lambda: None))
        await replace(parts.looking, engines={"azure": deaf}).look(made.id)
        batch = await parts.over(made.id)
        assert (batch.status, batch.tries) == ("completed", ())
        assert len(fake.batches.rows("main")) == before + 1

    play(storage, fake, work)


def test_nothing_is_made_twice_wherever_a_process_ends(storage: Storage, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        for at in range(1, 30, 3):
            before = len(fake.batches.rows("main"))
            made = await parts.made(a_line("a"))
            failing = FailingRows(parts.rows, at, after=False)
            with_failure = replace(parts.looking, rows=failing, engines={"azure": replace(parts.engine, rows=failing)})
            for _ in range(60):
                try:
                    if await with_failure.look(made.id) == "done":
                        break
                except StoreUnavailable:
                    parts.clock.forward(121)  # until the claim of the process that has ended runs out
                await asyncio.sleep(0.002)
            done = await parts.row(made.id)
            assert (done.status, done.told, done.tries, done.errors) == ("completed", True, (), ()), at
            assert len(fake.batches.rows("main")) == before + 1, at
            assert done.id in parts.usage.once
            if failing.count < at:
                return
        raise AssertionError("it never ran through")

    play(storage, fake, work)


def test_a_batch_ends_as_it_has_begun(storage: Storage, fake: FakeAzure) -> None:
    """The container is taken out of the configuration while a batch runs."""
    fake.batches.hold("main", "in_progress")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.looked(made.id)
        fake.batches.release("main")
        engine = replace(parts.engine, catalog=catalog(config_of(fake, balanced=False)))
        later = replace(parts, looking=replace(parts.looking, engines={"azure": engine}))
        assert (await later.over(made.id)).output_file

    play(storage, fake, work)


# Addresses.


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("{}/9f/results.jsonl", "9f/results.jsonl"),
        ("{}/9f/a%20b.jsonl?sv=1&sig=x", "9f/a b.jsonl"),
        ("{}-other/9f/results.jsonl", ""),
        ("{}", ""),
        ("{}/", ""),
        ("{}/../tollgate-files/files/file-1", ""),
        ("{}/%2e%2e/tollgate-files/files/file-1", ""),
        ("http://169.254.169.254/metadata", ""),
        ("https://other.blob.core.windows.net/azure-batches/9f/results.jsonl", ""),
        ("9f/results.jsonl", ""),
    ],
)
def test_only_the_container_is_read(storage: Storage, told: str, name: str) -> None:
    folders = BlobFolders(lambda: BlobServiceClient.from_connection_string(storage.connection))
    here = BatchStorage(storage.name, folders.folder(storage.name))
    url = told.format(storage.blobs.url)
    assert here.name(here.id_of(url)) == name


def test_output_that_lies_elsewhere_is_never_fetched(
    storage: Storage, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.batches.hold("main", "in_progress")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.looked(made.id)
        batch = await parts.looked(made.id)
        monkeypatch.setattr(BatchStorage, "id_of", lambda _self, url: url.replace(storage.name, "tollgate-files"))  # type: ignore[misc]
        fake.batches.release("main")
        assert batch.placement
        fake.end_batch("main", batch.placement.upstream_batch)
        assert not (await parts.looked(made.id)).ended
        parts.clock.forward(40 * 365 * 86400)
        assert (await parts.over(made.id)).output_file == ""
        assert [name for name in storage.names() if name.endswith("results.jsonl")], "nor taken away"

    play(storage, fake, work)


# Events.


def test_an_event_of_the_output_is_followed_by_looks(storage: Storage, fake: FakeAzure) -> None:
    fake.batches.hold("main", "in_progress")

    async def work(parts: Parts) -> None:
        events = OutputEvents(parts.engine.catalog, parts.rows, replace(parts.looking, rows=parts.rows))
        first, second = await parts.made(a_line("a")), await parts.made(a_line("b"))
        await parts.looked(first.id)
        await parts.looked(second.id)
        place = (await parts.row(first.id)).placement
        assert place

        async def looks(container: str, *names: str) -> set[str]:
            parts.work.sent.clear()
            await events.arrived(container, names)
            assert all(message["turn"] == -1 for message in parts.work.of("look"))
            return {message["batch"] for message in parts.work.of("look")}

        folder = place.upstream_batch.removeprefix("batch_")
        assert await looks(storage.name, f"{folder}/results.jsonl") == {first.id}
        assert min(delay for _, delay in parts.work.sent) == 0
        assert await looks(storage.name, f"{place.upstream_batch}/errors.jsonl") == {first.id}
        assert await looks(storage.name, f"{uuid.uuid4()}/results.jsonl") >= {first.id, second.id}, "one of these"
        assert await looks(storage.name, f"input/tollgate-{first.id}.jsonl") == set()
        assert await looks("another", f"{folder}/results.jsonl") == set()

    play(storage, fake, work)


def nobody_looks(connection: str) -> bool:
    """Takes the messages away that bring about looks. -> whether no look was under way that may have sent another."""
    rows = TableClient.from_connection_string(connection, "tollgatebatches")
    looks = QueueClient.from_connection_string(connection, "tollgate-batch-looks")
    seen: list[Any] = []
    for _ in range(2):
        (row,) = rows.query_entities("told eq false and alias eq 'night'")
        seen.append((int(getattr(row["turn"], "value", row["turn"])), row["claimed_by"]))
        looks.clear_messages()
        time.sleep(0.1)
    return seen[0] == seen[1] and seen[0][0] > 0 and not seen[0][1]


def test_an_event_settles_a_batch_that_nobody_would_look_at(gateway: Any, fake_azure: FakeAzure) -> None:
    """Through the real host and its queue trigger: the messages that would have brought about looks are taken away."""
    stack, storage = gateway
    fake_azure.batches.set("main", seconds=0, storage=storage.connection)
    fake_azure.batches.hold("main", "in_progress")
    before = len(fake_azure.batches.rows("main"))
    key = stack.key("events")
    events = BlobEvents(storage.connection, storage.name, "")
    events.make_places()
    with stack.openai(key) as client:
        data = "".join(json.dumps(a_line(custom_id)) + "\n" for custom_id in "ab").encode()
        file = client.files.create(file=("night.jsonl", data), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        until(lambda: [r["status"] for r in fake_azure.batches.rows("main")[before:]] == ["in_progress"], 10, 0.02)
        until(lambda: nobody_looks(storage.connection), 10, 0.02)
        fake_azure.batches.release("main")
        until(lambda: [r["status"] for r in fake_azure.batches.rows("main")[before:]] == ["completed"], 10, 0.02)
        assert any(name.endswith("/results.jsonl") for name in events.round())
        events._told.clear()  # pyright: ignore[reportPrivateUsage]
        events.round()  # again, as Event Grid may

        def settled() -> list[Any]:
            return [event for event in stack.ledger.events(key.id) if event.get("engine")]

        until(settled, 10, 0.05)
        until(lambda: client.batches.retrieve(batch.id).status == "completed", 10, 0.05)
        ((calls, engine),) = [(event["count"], event["engine"]) for event in settled()]
        assert (calls, engine) == (2, "azure")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Iterator[Any]:
    name = f"out-{uuid.uuid4().hex[:12]}"
    config = config_of(fake_azure, balanced=False, names=["main"], rows=[{"batch_storage": name}])
    with batching(tmp_path_factory.mktemp("container"), fake_azure, config) as stack:
        yield stack, Storage(stack.storage, name)


# Configuration.


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("https://own.blob.core.windows.net/azure-batches", "write the name alone"),
        ("Azure_Batches", "write the name alone"),
        ("batches", "another use"),
        ("tollgate-files", "another use"),
    ],
)
def test_what_is_no_container_for_it_is_refused(fake: FakeAzure, written: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        catalog(config_of(fake, balanced=False, rows=[{"batch_storage": written}]))


def test_only_batches_of_azure_go_by_way_of_a_container(fake: FakeAzure) -> None:
    with pytest.raises(ConfigError, match="mode: batch"):
        catalog(config_of(fake, balanced=False, names=["openai"], rows=[{"batch_storage": "azure-batches"}]))
