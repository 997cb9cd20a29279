"""The rows of batches, files and uploads in a real Azurite."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.batch_rows import BATCHES_TABLE, TableBatches
from shared.adapters.tables import Tables
from shared.batches.batch import Batch, Chunk, Figures, Payer, Placement, Try, new_batch_id
from shared.batches.kept import KeptFile, KeptUpload, new_id
from shared.ports import StoreUnavailable, UnknownCursor
from tests.support.own_azurite import dead_connection_string
from tests.support.tables import play as with_tables

NOW = 1_790_000_000.5


def play(connection: str, work: Callable[[TableBatches, Tables], Awaitable[None]]) -> None:
    with_tables(connection, lambda tables: work(TableBatches(tables), tables))


@pytest.fixture
def alias() -> str:
    """A model of the test's own: all tests share the table."""
    return "it's " + uuid.uuid4().hex


def made(alias: str, at: float = NOW, **given: Any) -> Batch:
    return Batch(
        new_batch_id(at), Payer("k" * 64, "key", "team", "team:team", tags=("a", "b")), alias, "/v1/embeddings",
        new_id("file-"), 3, 400, 2**40, given.pop("engine", "own"), "api", at, at + 86400, **given,
    )  # fmt: skip


async def open_ids(rows: TableBatches) -> list[str]:
    return [found.id for found in await rows.open()]


def test_all_of_a_batch_comes_back(azurite: Any, alias: str) -> None:
    batch = made(
        alias,
        metadata={"a": "ü"},
        placement=Placement("r", "r/d", "file-1", "batch_1", "in_progress", 1.0, 2.0),
        tries=(Try("r/e", "no room"),),
        errors=({"code": "x", "message": "m" * 70_000 + "\U0001f600" * 20_000, "line": 3, "param": None},),
        figures=Figures(1, 2, 3, 4, 5, True),
    )

    async def work(rows: TableBatches, _tables: Tables) -> None:
        assert await rows.insert(batch)
        found = await rows.get(batch.id)
        assert found is not None
        assert found.etag
        assert replace(found, etag="") == batch
        (listed,), _ = await rows.page(5, where={"alias": alias})
        assert replace(listed, etag="") == batch

    play(azurite.connection_string, work)


def test_a_batch_is_made_once(azurite: Any, alias: str) -> None:
    batch = made(alias)

    async def work(rows: TableBatches, _tables: Tables) -> None:
        outcomes = await asyncio.gather(*(rows.insert(replace(batch, tokens=n)) for n in range(5)))
        assert sorted(outcomes) == [False] * 4 + [True]
        found = await rows.get(batch.id)
        assert found is not None
        assert found.tokens == outcomes.index(True)

    play(azurite.connection_string, work)


class _Forgetful(Tables):
    """Repeats every transaction, as the SDK does when an answer is lost."""

    def table(self, name: str) -> Any:
        real = super().table(name)

        class Twice:
            def __getattr__(self, attribute: str) -> Any:
                return getattr(real, attribute)

            async def submit_transaction(self, rows: Any) -> Any:
                await real.submit_transaction(rows)
                return await real.submit_transaction(rows)

        return Twice()


def test_writes_whose_answers_are_lost_are_known_again(azurite: Any, alias: str) -> None:
    batch, edits = made(alias), 0

    def edit(found: Batch) -> Batch:
        nonlocal edits
        edits += 1
        return replace(found, next_look=found.next_look + 1.0)

    async def work(_rows: TableBatches, tables: Tables) -> None:
        await tables.insert(BATCHES_TABLE, {"PartitionKey": "made", "RowKey": uuid.uuid4().hex})
        rows = TableBatches(_Forgetful(lambda: tables._make()))  # pyright: ignore[reportPrivateUsage]
        assert await rows.insert(batch)
        changed = await rows.change(batch.id, edit)
        assert changed is not None
        assert (changed.next_look, edits) == (1.0, 1)
        ended = await rows.change(batch.id, lambda b: replace(b, told=True))
        assert ended is not None
        assert ended.told
        assert batch.id not in await open_ids(rows)
        await rows._tables.close()  # pyright: ignore[reportPrivateUsage]

    play(azurite.connection_string, work)


def test_many_changes_at_once_are_all_made(azurite: Any, alias: str) -> None:
    """Also where some of them change the open row and others do not."""
    batch = made(alias)

    def looked(found: Batch) -> Batch:
        return replace(found, next_look=found.next_look + 1)

    def counted(found: Batch) -> Batch:
        return replace(found, completed=found.completed + 1)

    async def work(rows: TableBatches, _tables: Tables) -> None:
        await rows.insert(batch)
        await asyncio.gather(*(rows.change(batch.id, edit) for _ in range(5) for edit in (looked, counted)))
        found = await rows.get(batch.id)
        assert found is not None
        assert (found.next_look, found.completed) == (5, 5)
        (opened,) = [one for one in await rows.open() if one.id == batch.id]
        assert opened.next_look == 5

    play(azurite.connection_string, work)


def test_what_is_open_until_everybody_has_been_told(azurite: Any, alias: str) -> None:
    first, second = made(alias, NOW), made(alias, NOW + 1)

    async def work(rows: TableBatches, _tables: Tables) -> None:
        await rows.insert(second)
        await rows.insert(first)
        assert [i for i in await open_ids(rows) if i in (first.id, second.id)] == [first.id, second.id]
        assert await rows.change(first.id, lambda _: None) == await rows.get(first.id)
        placed = Placement("r", "r/d")
        changed = await rows.change(first.id, lambda b: replace(b, placement=placed, engine="azure"))
        assert changed == await rows.get(first.id)
        (opened,) = [one for one in await rows.open() if one.id == first.id]
        assert (opened.deployment, opened.engine, opened.tokens) == ("r/d", "azure", 2**40)
        assert opened.input_file == first.input_file
        await rows.change(first.id, lambda b: b.to("completed", NOW))
        assert first.id in await open_ids(rows)
        await rows.change(first.id, lambda b: replace(b, told=True))
        assert first.id not in await open_ids(rows)
        late = await rows.change(first.id, lambda b: replace(b, callback="sent", next_look=9.0))
        assert late == await rows.get(first.id)
        assert first.id not in await open_ids(rows)
        again = await rows.change(first.id, lambda b: replace(b, told=False))
        assert again is not None
        assert first.id in await open_ids(rows)

    play(azurite.connection_string, work)


def test_what_is_not_there(azurite: Any) -> None:
    async def work(rows: TableBatches, _tables: Tables) -> None:
        for batch_id in (new_batch_id(NOW), "batch_x", "' or 1 eq 1", ""):
            assert await rows.get(batch_id) is None
            assert await rows.change(batch_id, lambda b: b) is None
            assert await rows.chunks(batch_id) == []
            await rows.drop_batch(batch_id)
        assert await rows.file("file-x") is None
        assert await rows.upload("upload_x") is None
        assert await rows.referred("k", "x") is None
        await rows.forget("k", "x")

    play(azurite.connection_string, work)


def test_pages_are_newest_first_and_filtered(azurite: Any, alias: str) -> None:
    batches = [made(alias, NOW + n, engine="azure" if n % 2 else "own") for n in range(7)]

    async def work(rows: TableBatches, _tables: Tables) -> None:
        for batch in batches:
            await rows.insert(batch)
        found: list[str] = []
        cursor = ""
        while True:
            page, cursor = await rows.page(3, cursor, {"alias": alias})
            found += [batch.id for batch in page]
            if not cursor:
                break
        assert found == [batch.id for batch in batches[::-1]]
        own, _ = await rows.page(9, where={"alias": alias, "engine": "own", "team": "team", "key_name": "key"})
        assert [batch.id for batch in own] == [batch.id for batch in batches[::-2]]
        assert await rows.page(9, where={"alias": alias, "status": "failed"}) == ([], "")
        with pytest.raises(ValueError, match="no column"):
            await rows.page(1, where={"a eq 1 or b": "c"})
        with pytest.raises(UnknownCursor):
            await rows.page(1, "rubbish")

    play(azurite.connection_string, work)


def test_batches_that_were_made_before(azurite: Any, alias: str) -> None:
    batches = [made(alias, NOW + n) for n in range(4)]

    async def work(rows: TableBatches, _tables: Tables) -> None:
        for batch in batches:
            await rows.insert(batch)
        found = [batch.id async for batch in rows.older(NOW + 2) if batch.alias == alias]
        assert found == [batches[1].id, batches[0].id]

    play(azurite.connection_string, work)


def test_chunks_and_what_goes_with_a_batch(azurite: Any, alias: str) -> None:
    batch = made(alias)

    async def work(rows: TableBatches, tables: Tables) -> None:
        await rows.insert(batch)
        await rows.put_chunks(batch.id, [Chunk(n) for n in range(120)])
        done = Chunk(7, True, 99, 1, Figures(5, cost_nanos=2**50))
        await rows.put_chunks(batch.id, [done])
        assert await rows.chunks(batch.id) == [*(Chunk(n) for n in range(7)), done, *(Chunk(n) for n in range(8, 120))]
        await rows.refer("retried", batch.id, "batch_2")
        await rows.refer("retried", alias, "batch_2")
        await rows.drop_batch(batch.id)
        assert await rows.get(batch.id) is None
        assert batch.id not in await open_ids(rows)
        assert await rows.chunks(batch.id) == []
        assert await rows.referred("retried", batch.id) is None
        assert await rows.referred("retried", alias) == "batch_2"
        await rows.drop_batch(batch.id)
        assert not [row async for row in tables.query(BATCHES_TABLE, f"PartitionKey eq '{batch.id}'")]

    play(azurite.connection_string, work)


def test_a_name_leads_to_one_thing(azurite: Any, alias: str) -> None:
    name = f"in/{alias}/'#?\\ \n" + "x" * 2000

    async def work(rows: TableBatches, _tables: Tables) -> None:
        led = await asyncio.gather(*(rows.refer("drop", name, f"batch_{n}") for n in range(5)))
        assert len(set(led)) == 1
        assert await rows.refer("drop", name, led[0]) == led[0]
        assert await rows.referred("drop", name) == led[0]
        assert await rows.referred("upstream batch", name) is None
        await rows.forget("drop", name)
        assert await rows.referred("drop", name) is None
        assert await rows.refer("drop", name, "other") == "other"

    play(azurite.connection_string, work)


async def file_of(rows: TableBatches, file_id: str) -> KeptFile | None:
    found = await rows.file(file_id)
    return found and replace(found, etag="")


def test_files_and_uploads_until_their_time_is_over(azurite: Any, alias: str) -> None:
    def file(ends: float, **given: Any) -> KeptFile:
        return KeptFile(new_id("file-"), alias, "a/b?.jsonl", "batch", 2**40, NOW, ends, **given)

    over, kept, gone = file(NOW - 1, lines=3, alias="m"), file(NOW + 9), file(NOW + 9, deleted=True)
    late = KeptUpload(new_id("upload_"), alias, "f", 9, "application/jsonl", "batch", NOW - 9, NOW, file=over.id)
    open_upload = replace(late, id=new_id("upload_"), expires_at=NOW + 9)

    async def work(rows: TableBatches, _tables: Tables) -> None:
        for one in (over, kept, gone):
            await rows.put_file(one)
        for one in (late, open_upload):
            await rows.put_upload(one)
        assert {over.id, kept.id, gone.id} <= await rows.file_ids()
        assert await file_of(rows, over.id) == over
        upload = await rows.upload(late.id)
        assert upload is not None
        assert upload.etag
        assert replace(upload, etag="") == late
        found = [one async for one in rows.expired(NOW) if one.owner == alias]
        assert {one.id for one in found} == {over.id, gone.id, late.id}
        assert set(found) == {over, gone, late}
        for one in found:
            await rows.drop_kept(one)
        assert [one async for one in rows.expired(NOW) if one.owner == alias] == []
        assert await rows.file(over.id) is None
        assert over.id not in await rows.file_ids()
        assert await file_of(rows, kept.id) == kept
        await rows.put_file(replace(kept, deleted=True))
        assert [one.id async for one in rows.expired(NOW) if one.owner == alias] == [kept.id]

    play(azurite.connection_string, work)


BATCH = made("m")
ACTS: dict[str, Callable[[TableBatches], Awaitable[Any]]] = {
    "insert": lambda rows: rows.insert(BATCH),
    "get": lambda rows: rows.get(BATCH.id),
    "change": lambda rows: rows.change(BATCH.id, lambda b: b),
    "open": lambda rows: rows.open(),
    "page": lambda rows: rows.page(3),
    "chunks": lambda rows: rows.chunks(BATCH.id),
    "put_chunks": lambda rows: rows.put_chunks(BATCH.id, [Chunk(0)]),
    "refer": lambda rows: rows.refer("k", "n", "t"),
    "put_file": lambda rows: rows.put_file(KeptFile("file-1", "o", "f", "batch", 1, NOW, NOW)),
    "expired": lambda rows: anext(rows.expired(NOW)),
    "drop_batch": lambda rows: rows.drop_batch(BATCH.id),
}


@pytest.mark.parametrize("act", ACTS)
def test_storage_that_does_not_answer(act: str) -> None:
    async def work(rows: TableBatches, _tables: Tables) -> None:
        with pytest.raises(StoreUnavailable):
            await ACTS[act](rows)

    play(dead_connection_string(), work)
