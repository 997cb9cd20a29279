"""The index of owned objects in a real Azurite."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.adapters.objects import OBJECTS_TABLE, TableObjects
from shared.adapters.tables import Tables
from shared.ports import OwnedObject, StoreUnavailable, UnknownCursor
from tests.support.own_azurite import OwnAzurite, dead_connection_string


def play(connection: str, work: Callable[[TableObjects], Awaitable[None]]) -> None:
    async def whole() -> None:
        tables = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=0))
        try:
            await work(TableObjects(tables))
        finally:
            await tables.close()

    asyncio.run(whole())


@pytest.fixture
def owner() -> str:
    """Somebody new, whose name no table would take as a key."""
    return "o/'#?\\\n" + uuid.uuid4().hex


def files(count: int, *, each_second: int = 1, note: str = "") -> list[OwnedObject]:
    return [OwnedObject(f"r{n % 2}", f"file-{n}", 1_700_000_000 + n // each_second, note) for n in range(count)]


async def add_all(objects: TableObjects, owner: str, made: list[OwnedObject], kind: str = "file") -> None:
    for at in range(0, len(made), 50):
        await asyncio.gather(*(objects.add(owner, kind, one) for one in made[at : at + 50]))


async def list_all(
    objects: TableObjects, owner: str, *, limit: int = 100, kind: str = "file", **options: Any
) -> list[OwnedObject]:
    """Page after page, as SDKs do it."""
    found: list[OwnedObject] = []
    after = None
    while True:
        page, more = await objects.page(owner, kind, limit=limit, after=after, **options)
        assert len(page) == limit or not more
        found += page
        if not more:
            return found
        after = page[-1].resource, page[-1].upstream_id


def test_more_than_a_thousand_objects_in_both_orders(azurite: Any, owner: str) -> None:
    made = files(1010)

    async def work(objects: TableObjects) -> None:
        await add_all(objects, owner, made)
        assert await list_all(objects, owner, limit=100, newest_first=False) == made
        assert await list_all(objects, owner, limit=700) == made[::-1]
        page, more = await objects.page(owner, "file", limit=1010)
        assert (page, more) == (made[::-1], False)
        page, more = await objects.page(owner, "file", limit=10_000)
        assert (len(page), more) == (1010, False)

    play(azurite.connection_string, work)


def test_objects_of_one_second_have_an_order_and_its_opposite(azurite: Any, owner: str) -> None:
    made = files(60, each_second=20)

    async def work(objects: TableObjects) -> None:
        await add_all(objects, owner, made)
        forwards = await list_all(objects, owner, limit=7, newest_first=False)
        assert sorted(forwards, key=lambda o: int(o.upstream_id[5:])) == made
        assert [o.created_at for o in forwards] == sorted(o.created_at for o in made)
        assert await list_all(objects, owner, limit=7) == forwards[::-1]

    play(azurite.connection_string, work)


def test_everybody_sees_their_own(azurite: Any, owner: str) -> None:
    async def work(objects: TableObjects) -> None:
        other = owner + "2"
        mine, theirs = files(3), [OwnedObject("r0", "file-0", 5)]
        await add_all(objects, owner, mine)
        await add_all(objects, other, theirs)
        await add_all(objects, owner, theirs, kind="batch")
        assert await list_all(objects, owner) == mine[::-1]
        assert await list_all(objects, other) == theirs
        assert await list_all(objects, owner, kind="batch") == theirs
        assert await list_all(objects, owner, kind="ftjob") == []
        with pytest.raises(UnknownCursor):
            await objects.page(other, "file", limit=1, after=("r1", "file-1"))
        await objects.remove(other, "file", "r1", "file-1")
        assert await list_all(objects, owner) == mine[::-1]
        with pytest.raises(ValueError, match="no kind"):
            await objects.page(owner, "file' or 1 eq 1", limit=1)

    play(azurite.connection_string, work)


def test_adding_and_removing_may_be_repeated(azurite: Any, owner: str) -> None:
    made = files(5, note="batch")

    async def work(objects: TableObjects) -> None:
        await objects.remove(owner, "file", "r0", "file-0")
        await add_all(objects, owner, made)
        await add_all(objects, owner, made)
        assert await list_all(objects, owner) == made[::-1]
        for _ in range(2):
            await objects.remove(owner, "file", "r0", "file-2")
            assert await list_all(objects, owner) == [made[4], made[3], made[1], made[0]]
            assert await list_all(objects, owner, newest_first=False) == [made[0], made[1], made[3], made[4]]
        await objects.remove(owner, "file", "r1", "file-4")  # is on r0: another object
        assert len(await list_all(objects, owner)) == 4
        await objects.add(owner, "file", made[2])  # late: it is gone
        await objects.add(
            owner, "file", OwnedObject("r1", "file-1", 5, "other")
        )  # at another time: the first one counts
        assert await list_all(objects, owner) == [made[4], made[3], made[1], made[0]]
        await objects.remove(owner, "file", "r1", "file-1")
        assert await list_all(objects, owner) == [made[4], made[3], made[0]]

    play(azurite.connection_string, work)


def test_only_one_of_many_removes_and_is_told(azurite: Any, owner: str) -> None:
    made = files(8, note="alias")

    async def work(objects: TableObjects) -> None:
        assert await objects.remove(owner, "owed", "r0", "file-0") is None
        await add_all(objects, owner, made, kind="owed")
        for one in made:
            taken = await asyncio.gather(
                *(objects.remove(owner, "owed", one.resource, one.upstream_id) for _ in range(6))
            )
            assert [one] == [found for found in taken if found]
        assert await list_all(objects, owner, kind="owed") == []

    play(azurite.connection_string, work)


@pytest.mark.parametrize("newest_first", [True, False])
def test_deleting_while_listing_misses_nothing(azurite: Any, owner: str, newest_first: bool) -> None:
    made = files(20, each_second=3)

    async def work(objects: TableObjects) -> None:
        await add_all(objects, owner, made)
        seen: list[str] = []
        after, more = None, True
        while more:
            page, more = await objects.page(owner, "file", limit=3, newest_first=newest_first, after=after)
            for one in page:
                await objects.remove(owner, "file", one.resource, one.upstream_id)
                seen.append(one.upstream_id)
                after = one.resource, one.upstream_id
        assert sorted(seen) == sorted(one.upstream_id for one in made)
        assert await list_all(objects, owner) == []

    play(azurite.connection_string, work)


def test_notes(azurite: Any, owner: str) -> None:
    made = [OwnedObject("r", f"file-{n}", n, ("it's", "batch", "")[n % 3]) for n in range(30)]

    async def work(objects: TableObjects) -> None:
        await add_all(objects, owner, made)
        for note in ("it's", "batch"):
            wanted = [one for one in made if one.note == note]
            assert await list_all(objects, owner, limit=3, note=note, newest_first=False) == wanted
            assert await list_all(objects, owner, limit=3, note=note) == wanted[::-1]
        assert await list_all(objects, owner, note="' or PartitionKey ne '") == []
        assert len(await list_all(objects, owner, limit=7)) == 30

    play(azurite.connection_string, work)


def test_times_of_any_size(azurite: Any, owner: str) -> None:
    made = [OwnedObject("r", f"f{at}", at) for at in (0, 1, 999_999_999, 2_200_000_000_000, 9_999_999_999_999)]

    async def work(objects: TableObjects) -> None:
        await add_all(objects, owner, made)
        assert await list_all(objects, owner, newest_first=False) == made
        assert await list_all(objects, owner) == made[::-1]

    play(azurite.connection_string, work)


def test_a_table_that_is_not_there_yet_is_empty(tmp_path: Any) -> None:
    with OwnAzurite(tmp_path) as own:

        async def work(objects: TableObjects) -> None:
            assert await objects.page("o", "file", limit=20) == ([], False)
            await objects.remove("o", "file", "r", "f")
            with pytest.raises(UnknownCursor):
                await objects.page("o", "file", limit=20, after=("r", "f"))
            await objects.add("o", "file", OwnedObject("r", "f", 1))
            assert await list_all(objects, "o") == [OwnedObject("r", "f", 1)]

        play(own.connection_string, work)


def test_store_that_does_not_answer_is_unavailable() -> None:
    async def work(objects: TableObjects) -> None:
        for question in (
            objects.add("o", "file", OwnedObject("r", "f", 1)), objects.remove("o", "file", "r", "f"),
            objects.page("o", "file", limit=1), objects.page("o", "file", limit=1, after=("r", "f")),
        ):  # fmt: skip
            with pytest.raises(StoreUnavailable):
                await question

    play(dead_connection_string(), work)


def test_an_object_is_three_rows_and_one_when_it_is_gone(azurite: Any, owner: str) -> None:
    """What a removal leaves behind holds no more than a cursor needs."""
    made = OwnedObject("r", "file-x" + owner[-8:], 7, "purpose")

    async def work(objects: TableObjects) -> None:
        tables = Tables(lambda: TableServiceClient.from_connection_string(azurite.connection_string))
        wanted = f"upstream_id eq '{made.upstream_id}'"
        await objects.add(owner, "file", made)
        assert len([row async for row in tables.query(OBJECTS_TABLE, wanted)]) == 3
        await objects.remove(owner, "file", made.resource, made.upstream_id)
        (left,) = [row async for row in tables.query(OBJECTS_TABLE, wanted)]
        assert left["removed"] is True
        await tables.close()

    play(azurite.connection_string, work)
