"""What jobs do for batches over real storage: what was lost is said again, and what is over is dropped."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import DROPS, FILES, AzureFolder
from shared.adapters.objects import TableObjects
from shared.adapters.work_queue import QUEUES
from shared.batches.batch import Batch, Chunk, Payer, new_batch_id
from shared.batches.deferred.groups import group_at
from shared.batches.dropped.event import blobs_created
from shared.batches.kept import KeptFile, KeptUpload, content_blob, index_blob, new_id
from shared.objects import HERE
from shared.operations import batch_sweep
from shared.operations.batch_sweep import sweep_batches
from shared.operations.kept_files import drop_kept_files
from shared.ports import OwnedObject
from tests.support.desk import TestDesk, desk_at
from tests.support.own_azurite import OwnAzurite

DAY = 86400.0
LATER = 7200.0
"""After so long nothing is on its way any more."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Generator[OwnAzurite]:
    with OwnAzurite(tmp_path_factory.mktemp("azurite")) as own:
        yield own


class Scene:
    def __init__(self, desk: TestDesk) -> None:
        self.desk = desk
        self.rows, self.index = TableBatches(desk.tables), TableObjects(desk.tables)
        self.files, self.drops = desk.folders.folder(FILES), desk.folders.folder(DROPS)
        self.now = datetime.now(UTC).timestamp()

    async def drop(self, after: float = LATER) -> dict[str, int]:
        """-> what was counted, without zeros."""
        told = await drop_kept_files(self.desk, datetime.fromtimestamp(self.now + after, UTC))
        return {name: count for name, count in told.model_dump().items() if count}

    async def sweep(self, after: float) -> dict[str, int]:
        return (await sweep_batches(self.desk, datetime.fromtimestamp(self.now + after, UTC))).model_dump()

    async def keep(self, folder: AzureFolder, *names: str) -> None:
        for name in names:
            await folder.write(name, _once(b"x"))

    async def names(self, folder: AzureFolder, prefix: str = "") -> set[str]:
        return {facts.name async for facts in folder.list(prefix)}

    async def file(self, **given: Any) -> KeptFile:
        """Whose time is over in an hour."""
        made = KeptFile(new_id("file-"), "o", "f", "batch", 1, self.now, self.now + 3000)
        made = replace(made, **given)
        await self.keep(self.files, content_blob(made.id), index_blob(made.id))
        await self.rows.put_file(made)
        await self.index.add("o", "file", OwnedObject(HERE, made.id, 1, made.purpose))
        return made

    async def batch(self, at: float = 0.0, **given: Any) -> Batch:
        made = self.now + at
        batch = Batch(
            new_batch_id(made), Payer("k" * 64, "key", "", "o"), "m", "/v1/embeddings", given.pop("input_file", "file-x"),
            1, 1, 1, "own", "api", made, made + DAY, **given,
        )  # fmt: skip
        assert await self.rows.insert(batch)
        await self.index.add("o", "batch", OwnedObject(HERE, batch.id, 1, ""))
        return batch

    async def listed(self, kind: str) -> list[str]:
        found, _ = await self.index.page("o", kind, limit=100)
        return [item.upstream_id for item in found]

    async def messages(self, queue: str) -> list[Any]:
        client = self.desk.queue(QUEUES[queue])
        found = [message async for message in client.receive_messages(max_messages=100)]
        for message in found:
            await client.delete_message(message)
        return [orjson.loads(base64.b64decode(message.content)) for message in found]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
def play(storage: OwnAzurite) -> Callable[[Callable[[Scene], Awaitable[None]]], None]:
    """Begins with nothing: tables and containers are emptied."""

    async def whole(work: Callable[[Scene], Awaitable[None]]) -> None:
        async with desk_at(storage.connection_string) as desk:
            scene = Scene(desk)
            async for row in desk.tables.query("tollgatebatches"):
                await desk.tables.delete("tollgatebatches", row["PartitionKey"], row["RowKey"])
            for folder in (scene.files, scene.drops):
                for name in await scene.names(folder):
                    await folder.delete(name)
            await work(scene)

    return lambda work: asyncio.run(whole(work))


def test_files_go_when_their_time_is_over_and_no_batch_needs_them(play: Any) -> None:
    async def work(scene: Scene) -> None:
        over, kept = await scene.file(), await scene.file(expires_at=scene.now + DAY)
        deleted = await scene.file(expires_at=scene.now + DAY, deleted=True)
        needed = await scene.file()
        output = await scene.file(purpose="batch_output", deleted=True)
        waits = await scene.batch(input_file=needed.id, output_file=output.id)
        assert await scene.drop(after=600.0) == {"files": 1, "needed": 1}  # those deleted; time is over for none
        assert await scene.rows.file(deleted.id) is None
        assert await scene.drop() == {"files": 1, "needed": 2}
        assert await scene.drop() == {"needed": 2}
        assert await scene.names(scene.files) == {
            blob for file in (kept, needed, output) for blob in (content_blob(file.id), index_blob(file.id))
        }
        assert over.id not in await scene.listed("file")
        assert kept.id in await scene.listed("file")
        await scene.rows.change(waits.id, lambda b: replace(b.to("completed", scene.now), told=True))
        assert await scene.drop() == {"files": 2}
        assert await scene.names(scene.files) == {content_blob(kept.id), index_blob(kept.id)}

    play(work)


def test_uploads_go_with_their_parts(play: Any) -> None:
    async def work(scene: Scene) -> None:
        late = KeptUpload(new_id("upload_"), "o", "f", 9, "x", "batch", scene.now, scene.now + 60)
        young = replace(late, id=new_id("upload_"), expires_at=scene.now + DAY)
        for upload in (late, young):
            await scene.rows.put_upload(upload)
            await scene.keep(scene.files, f"uploads/{upload.id}/part_1", f"uploads/{upload.id}/part_2")
            await scene.rows.refer("upload", upload.id, "parts")
        assert await scene.drop() == {"uploads": 1}
        assert await scene.names(scene.files) == {f"uploads/{young.id}/part_1", f"uploads/{young.id}/part_2"}
        assert await scene.rows.upload(late.id) is None
        assert await scene.rows.upload(young.id) is not None
        assert await scene.rows.referred("upload", late.id) is None
        assert await scene.rows.referred("upload", young.id) == "parts"

    play(work)


def test_work_of_batches_that_are_over_goes(play: Any) -> None:
    async def work(scene: Scene) -> None:
        going, over, gone = await scene.batch(), await scene.batch(told=True), new_batch_id(scene.now)
        for batch_id in (going.id, over.id, gone):
            await scene.files.append(f"work/{batch_id}/00000", b"x", 0)
            await scene.files.append(f"work/{batch_id}/00001", b"x", 0)
        assert await scene.drop(after=0.0) == {}  # it is young
        assert await scene.drop() == {"work": 2}
        assert await scene.names(scene.files) == {f"work/{going.id}/00000", f"work/{going.id}/00001"}

    play(work)


def test_batches_are_told_of_for_ninety_days(play: Any) -> None:
    async def work(scene: Scene) -> None:
        old = await scene.batch(-91 * DAY, told=True)
        untold, young = await scene.batch(-91 * DAY), await scene.batch(-89 * DAY, told=True)
        await scene.rows.put_chunks(old.id, [Chunk(0)])
        assert await scene.drop() == {"batches": 1}
        assert await scene.rows.get(old.id) is None
        assert await scene.rows.chunks(old.id) == []
        assert old.id not in await scene.listed("batch")
        for batch in (untold, young):
            assert await scene.rows.get(batch.id) is not None
            assert batch.id in await scene.listed("batch")

    play(work)


def test_content_without_a_row_goes_when_nobody_can_be_writing_it(play: Any) -> None:
    async def work(scene: Scene) -> None:
        kept, stray = await scene.file(expires_at=scene.now + 9 * DAY), new_id("file-")
        await scene.keep(scene.files, content_blob(stray), index_blob(stray), "deferred/group")
        assert await scene.drop() == {}
        assert await scene.drop(after=DAY + 60) == {"strays": 2}
        assert await scene.names(scene.files) == {content_blob(kept.id), index_blob(kept.id), "deferred/group"}

    play(work)


def test_a_look_that_was_lost_is_sent_again(play: Any) -> None:
    async def work(scene: Scene) -> None:
        late = await scene.batch(next_look=scene.now + 60, turn=4)
        await scene.batch(next_look=scene.now + 3000)
        await scene.batch(next_look=1.0, told=True)
        assert await scene.sweep(after=170.0) == {"looks": 0, "groups": 0, "drops": 0}
        assert (await scene.sweep(after=190.0))["looks"] == 1
        assert await scene.messages("queue_batch_looks") == [{"do": "look", "batch": late.id, "turn": 5}]
        assert (await scene.sweep(after=200.0))["looks"] == 0

    play(work)


def test_groups_of_deferred_calls_are_closed_when_their_message_was_lost(play: Any) -> None:
    async def work(scene: Scene) -> None:
        due = group_at(scene.now, 60.0, "f" * 16)
        for group in (due, group_at(scene.now + 5000, 60.0, "f" * 16)):
            await scene.files.append(group.blob, b"x", 0)
        await scene.keep(scene.files, "deferred/rubbish")
        assert (await scene.sweep(after=100.0))["groups"] == 0
        assert (await scene.sweep(after=1000.0))["groups"] == 1
        assert await scene.messages("queue_batch_looks") == [{"do": "close", "group": due.name}]

    play(work)


def test_dropped_files_that_nobody_has_taken_are_told_of_again(play: Any) -> None:
    async def work(scene: Scene) -> None:
        await scene.keep(scene.drops, "in/key/a b ü.jsonl", "out/key/b.jsonl", "in/key/")
        await scene.drops.write("in/key", _once(b""), metadata={"hdi_isfolder": "true"})
        assert (await scene.sweep(after=500.0))["drops"] == 0
        assert (await scene.sweep(after=700.0))["drops"] == 1
        (event,) = await scene.messages("queue_batch_drops")
        (blob,) = blobs_created([event])
        assert (blob.container, blob.names[0]) == ("batches", "in/key/a b ü.jsonl")

    play(work)


def test_of_very_many_dropped_files_each_has_its_turn(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_sweep, "MOST_DROPS", 3)

    async def work(scene: Scene) -> None:
        await scene.keep(scene.drops, *(f"in/k/{n}.jsonl" for n in range(6)))
        told: set[str] = set()
        for _ in range(40):
            assert (await scene.sweep(after=700.0))["drops"] == 3
            events = await scene.messages("queue_batch_drops")
            assert len({event["subject"] for event in events}) == 3
            told |= {event["subject"] for event in events}
            if len(told) == 6:
                break
        assert len(told) == 6

    play(work)
