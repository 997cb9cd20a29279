"""Drops on a real Azurite, without a host: rubbish, races, crashes, and results of which the newer ones stay."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import FILES, AzureFolder
from shared.adapters.key_store import TableKeys
from shared.adapters.objects import TableObjects
from shared.adapters.payers import TablePayers
from shared.adapters.work_queue import QueueWork
from shared.batches.azure.output_events import OutputEvents
from shared.batches.batch import Batch, Figures
from shared.batches.callbacks import Callbacks
from shared.batches.dropped.drops import Drops
from shared.batches.dropped.event import created_event
from shared.batches.files import Files
from shared.batches.looking import Looking
from shared.batches.service import BatchApi
from shared.objects import Registry
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Principal
from tests.support.desk import TestDesk, desk_at
from tests.support.doubles import Lines

CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', api_key: k}
"""


class Folder(AzureFolder):
    """The real one; a test may do something before it reads, writes or deletes."""

    before_read: Callable[[str], Awaitable[None]] | None = None
    before_write: Callable[[str], Awaitable[None]] | None = None
    before_delete: Callable[[str], Awaitable[None]] | None = None

    async def write(self, name: str, chunks: Any, *given: Any, **options: Any) -> int:
        if self.before_write:
            await self.before_write(name)
        return await super().write(name, chunks, *given, **options)

    async def delete(self, name: str, etag: str = "") -> bool:
        if self.before_delete:
            await self.before_delete(name)
        return await super().delete(name, etag)

    async def read(self, name: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if self.before_read:
            await self.before_read(name)
        async for piece in super().read(name, start, length):
            yield piece


@dataclass
class Parts:
    drops: Drops
    folder: Folder
    keys: TableKeys
    key: Principal

    async def put(self, name: str, data: bytes, **metadata: str) -> None:
        await AzureFolder.write(self.folder, name, each(data), metadata=metadata)

    async def event(self, path: str) -> None:
        event = created_event("batches", f"in/{path}", "0x0", 1, 0.0)
        await self.drops.on_event(json.dumps(event).encode())

    async def drop(self, path: str, data: bytes, **metadata: str) -> None:
        await self.put(f"in/{path}", data, **metadata)
        await self.event(path)

    async def read(self, name: str) -> bytes | None:
        if await self.folder.facts(name) is None:
            return None
        return b"".join([piece async for piece in AzureFolder.read(self.folder, name)])

    async def batches(self) -> list[Batch]:
        found, _ = await self.drops.rows.page(100, where={"key_name": self.key.name})
        return found

    async def reason(self, path: str) -> str:
        assert await self.read(f"in/{path}") is None
        found = await self.read(f"rejected/{path}-reason.txt")
        assert found, f"{path} was not rejected"
        return found.decode()

    async def input(self, batch: Batch) -> bytes:
        return b"".join([piece async for piece in self.drops.files.read(batch.input_file)])

    async def over(self, batch: Batch, answer: str = "", **changed: Any) -> Batch:
        """As its engine would have ended it."""
        content = each(b'{"custom_id": "%s"}\n' % answer.encode())
        output = await self.drops.files.write_output(content, batch.payer.owner, "o.jsonl", f"file-{uuid.uuid4().hex}")
        assert output is not None
        now = batch.created_at + 75
        given: dict[str, Any] = {"output_file": output.id, "completed": batch.lines, "figures": Figures(5, 7)} | changed
        ended = await self.drops.rows.change(batch.id, lambda b: b.to("completed", now, **given))
        assert ended is not None
        return ended


async def each(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": asked}


def jsonl(*rows: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def play(azurite: Any, work: Callable[[Parts], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with desk_at(azurite.connection_string, 1_790_000_000.0, CONFIG) as desk:
            await work(await parts_of(desk))

    asyncio.run(whole())


async def parts_of(desk: TestDesk) -> Parts:
    rows, keys, log, catalog = TableBatches(desk.tables), TableKeys(desk.tables), Lines(), await desk.catalog()
    registry = Registry(catalog, desk.settings.keyring())
    index, folder = TableObjects(desk.tables), Folder(desk.folders, f"drops-{uuid.uuid4().hex}")
    files = Files(catalog, registry, rows, desk.folders.folder(FILES), index, log, desk.clock)
    work = QueueWork(desk.queue)
    looking = Looking(rows, work, {}, [], log, desk.clock)
    callbacks = Callbacks(rows, work, registry, log, desk.clock, b"pepper", (), cast("Any", None), "source")
    api = BatchApi(catalog, registry, rows, files, index, looking, callbacks, log, desk.clock)
    outputs = OutputEvents(catalog, rows, looking)
    drops = Drops(rows, folder, files, api, TablePayers(keys, desk.clock), outputs, log, desk.clock)
    key = Principal(uuid.uuid4().hex * 2, f"key-{uuid.uuid4().hex[:8]}", "search", prefix="sk-a…b")
    await keys.put_key(key)
    return Parts(drops, folder, keys, key)


# Rubbish.

RUBBISH = [
    ("twice.jsonl", jsonl(line("a"), line("b"), line("a")), ("Line 3", "custom_id")),
    ("no.jsonl", b'{"custom_id": "a"\n', ("Line 1", "JSON")),
    ("mark.jsonl", b"\xef\xbb\xbf" + jsonl(line("a")), ("Line 1", "byte order mark")),
    ("empty.jsonl", b"", ("empty",)),
    ("blank.jsonl", b"\n \n", ("empty",)),
    ("model.jsonl", jsonl(line("a", model="no-such-model")), ("Line 1", "no-such-model")),
    ("url.jsonl", jsonl({**line("a"), "url": "/v1/files"}), ("Line 1", "url")),
    ("words.txt", b"hello", (".jsonl", ".csv")),
    ("x-errors.jsonl", jsonl(line("a")), ("-errors",)),
    ("words.csv", b"id,text\n1,a\n", ("templates/", "/words.json")),
]  # fmt: skip


def test_rubbish_is_put_aside_with_a_reason(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        for name, data, words in RUBBISH:
            path = f"{parts.key.name}/{name}"
            await parts.drop(path, data, note="kept")
            reason = await parts.reason(path)
            assert reason.startswith(f"{path} was rejected on 20"), reason
            assert all(word in reason for word in words), reason
            assert await parts.read(f"rejected/{path}") == data
            facts = await parts.folder.facts(f"rejected/{path}")
            assert facts is not None
            assert facts.metadata == {"note": "kept"}
        assert await parts.batches() == []

    play(azurite, work)


def test_a_row_that_makes_a_bad_line_is_told_by_its_line(azurite: Any) -> None:
    template = {"custom_id": "{{id}}", "body": line("")["body"]}

    async def work(parts: Parts) -> None:
        await parts.put(f"templates/{parts.key.name}.json", json.dumps(template).encode())
        path = f"{parts.key.name}/words.csv"
        await parts.drop(path, b'id,text\n1,"a\nb"\n2,c\n1,d\n')
        reason = await parts.reason(path)
        assert "Row 3, which begins in line 5 of the CSV" in reason
        await parts.drop(path, b"id\n1\n2", template="none")
        assert "templates/none.json" in await parts.reason(path)
        await parts.put("templates/broken.json", b"{")
        await parts.drop(path, b"id\n1\n2", template="broken")
        assert "templates/broken.json is not JSON" in await parts.reason(path)

    play(azurite, work)


def test_who_pays_must_be_there_and_allowed(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        data = jsonl(line("a"))
        for models, endpoints, word in [
            (frozenset({"gpt-5"}), frozenset[str](), "gpt-4o"),
            (frozenset[str](), frozenset({"chat"}), "/batches"),
            (frozenset[str](), frozenset({"batches"}), "/chat/completions"),
        ]:
            allowance = Allowance(models=models, endpoints=endpoints)
            key = replace(parts.key, key_id=uuid.uuid4().hex * 2, name=uuid.uuid4().hex, allowance=allowance)
            await parts.keys.put_key(key)
            await parts.drop(f"{key.name}/a.jsonl", data)
            assert word in await parts.reason(f"{key.name}/a.jsonl")
        await parts.drop("nobody.jsonl", data)
        assert "Nothing says who pays" in await parts.reason("nobody.jsonl")
        await parts.drop("no-such-key/a.jsonl", data)
        assert "No key 'no-such-key' can pay" in await parts.reason("no-such-key/a.jsonl")
        await parts.drop("secret.jsonl", data, key="sk-very-secret")
        reason = await parts.reason("secret.jsonl")
        assert "never its secret" in reason
        assert "sk-very-secret" not in reason
        await parts.drop("inside.jsonl", data, key=parts.key.key_id, callback_url="http://127.0.0.1/x")
        assert "callback" in (await parts.reason("inside.jsonl")).lower()
        assert await parts.batches() == []

    play(azurite, work)


def test_other_blobs_and_other_containers_are_left_alone(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        await parts.put("out/k/a.jsonl", b"x")
        await parts.put("in/k/folder", b"", hdi_isfolder="true")
        for container, name in [("batches", "out/k/a.jsonl"), ("batches", "in/k/folder"), ("other", "in/k/a.jsonl")]:
            await parts.drops.on_event(json.dumps(created_event(container, name, "0x0", 1, 0.0)).encode())
        await parts.drops.on_event(b"nonsense")
        names = [facts.name async for facts in parts.folder.list("")]
        assert names == ["in/k/folder", "out/k/a.jsonl"]

    play(azurite, work)


# Twice, late, at once, and in the middle.


def test_many_at_once_make_one_batch(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        path = f"{parts.key.name}/a.jsonl"
        await parts.put(f"in/{path}", jsonl(line("a"), line("b")))
        done = await asyncio.gather(*(parts.event(path) for _ in range(6)), return_exceptions=True)
        assert all(each is None or isinstance(each, StoreUnavailable) for each in done), done
        await parts.event(path)
        (batch,) = await parts.batches()
        assert batch.lines == 2
        assert await parts.read(f"in/{path}") is None
        assert await parts.input(batch) == jsonl(line("a"), line("b"))
        assert await parts.read(f"rejected/{path}") is None

    play(azurite, work)


def test_a_crash_before_the_blob_is_removed_makes_nothing_new(azurite: Any) -> None:
    async def crash(_name: str) -> None:
        raise StoreUnavailable("as if the process had ended")

    async def work(parts: Parts) -> None:
        path = f"{parts.key.name}/a.jsonl"
        parts.folder.before_delete = crash
        with pytest.raises(StoreUnavailable):
            await parts.drop(path, jsonl(line("a")))
        parts.folder.before_delete = None
        before = await parts.batches()
        await parts.event(path)
        assert await parts.batches() == before
        assert len(before) == 1
        assert await parts.read(f"in/{path}") is None

    play(azurite, work)


def test_a_blob_that_is_replaced_while_it_is_taken_is_run_as_it_is_then(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        path = f"{parts.key.name}/a.jsonl"

        async def replaced(_name: str) -> None:
            parts.folder.before_read = None
            await parts.put(f"in/{path}", jsonl(line("new")))

        parts.folder.before_read = replaced
        await parts.drop(path, jsonl(line("old")))
        await parts.event(path)
        (batch,) = await parts.batches()
        assert await parts.input(batch) == jsonl(line("new"))

    play(azurite, work)


def test_a_blob_that_is_taken_away_while_it_is_read_is_no_job(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        async def gone(name: str) -> None:
            await AzureFolder.delete(parts.folder, name)

        parts.folder.before_read = gone
        await parts.drop(f"{parts.key.name}/a.jsonl", jsonl(line("a")))
        assert await parts.batches() == []
        assert [facts.name async for facts in parts.folder.list("")] == []

    play(azurite, work)


def test_letters_that_an_event_has_lost_are_found_again(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        path = f"{parts.key.name}/a 💎 b.jsonl"
        await parts.put(f"in/{path}", jsonl(line("a")))
        await parts.put(f"in/{parts.key.name}/a 💎 c.jsonl", jsonl(line("a")))
        await parts.event(path.replace("💎", "\ufffd\ufffd"))
        (batch,) = await parts.batches()
        assert batch.origin == path

    play(azurite, work)


# Results.


async def two(parts: Parts) -> tuple[Batch, Batch]:
    """A name that was dropped twice; both have ended, and nothing was written yet."""
    path = f"{parts.key.name}/a.jsonl"
    await parts.drop(path, jsonl(line("a")))
    (first,) = await parts.batches()
    cast("Any", parts.drops.clock).now += 1
    await parts.drop(path, jsonl(line("b")))
    second = next(batch for batch in await parts.batches() if batch.id != first.id)
    errors: tuple[Mapping[str, Any], ...] = ({"code": "c", "message": "m", "line": 1, "param": None},)
    return await parts.over(first, "older", errors=errors), await parts.over(second, "newer")


async def result(parts: Parts) -> tuple[bytes | None, bytes | None, Any]:
    stem = f"out/{parts.key.name}/a"
    summary = await parts.read(f"{stem}-summary.json")
    return await parts.read(f"{stem}.jsonl"), await parts.read(f"{stem}-errors.jsonl"), json.loads(summary or b"null")


NEWER = b'{"custom_id": "newer"}\n'


def test_older_results_never_replace_newer_ones(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        older, newer = await two(parts)
        await parts.drops.after_end(older)
        output, errors, told = await result(parts)
        assert output == b'{"custom_id": "older"}\n'
        assert json.loads(errors or b"")["error"]["message"] == "m"
        assert told["message"] == "The one line was answered in 1 min 15 s. See a-errors.jsonl."
        for batch in (newer, newer, older):
            await parts.drops.after_end(batch)
            output, errors, told = await result(parts)
            assert (output, errors) == (NEWER, None)
            assert told["message"] == "The one line was answered in 1 min 15 s."

    play(azurite, work)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_slow_writer_of_older_results_mends_what_it_has_spoilt(azurite: Any, turn: int) -> None:
    """The newer results are written, and looked at again, just before the older one's write number `turn` lands."""

    async def work(parts: Parts) -> None:
        older, newer = await two(parts)
        writes = 0

        async def meanwhile(_name: str) -> None:
            nonlocal writes
            writes += 1
            if writes == turn:
                parts.folder.before_write = None
                await parts.drops.after_end(newer)

        parts.folder.before_write = meanwhile
        await parts.drops.after_end(older)
        output, errors, told = await result(parts)
        assert writes == turn
        assert (output, errors) == (NEWER, None)
        assert told["errors"] is None

    play(azurite, work)


def test_a_batch_that_failed_says_why_and_batches_of_others_write_nothing(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        await parts.drop(f"{parts.key.name}/a.jsonl", jsonl(line("a"), line("b")))
        (batch,) = await parts.batches()
        error = {"code": "model_not_found", "message": "It is gone.", "line": None, "param": None}
        failed = replace(batch.to("failed", batch.created_at + 7300), errors=(error,))
        await parts.drops.after_end(replace(failed, source="api"))
        assert await result(parts) == (None, None, None)
        await parts.drops.after_end(failed)
        output, errors, told = await result(parts)
        assert output == b""
        assert json.loads(errors or b"")["error"] == error
        assert (
            told["message"] == "The batch failed after 2 h 1 min: none of its 2 lines was answered. See a-errors.jsonl."
        )
        assert told["lines"] == {"total": 2, "completed": 0, "failed": 0}

    play(azurite, work)
