"""Rows and keys in a real Azurite, through azure-data-tables."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from azure.data.tables import TableServiceClient as BlockingClient

from shared.adapters.tables import Tables, write_at_exit
from shared.ports import StoreUnavailable, UnknownCursor
from shared.types import Row
from tests.support.own_azurite import dead_connection_string
from tests.support.tables import play


@pytest.fixture
def table() -> str:
    """A table that is not there yet."""
    return "t" + uuid.uuid4().hex


def rows(table: str, count: int, **values: Any) -> list[Row]:
    return [Row(table, {"PartitionKey": f"p{n % 3}", "RowKey": f"{n:05}", "n": n, **values}) for n in range(count)]


async def all_of(tables: Tables, table: str, filter: str = "") -> list[dict[str, Any]]:
    return [row async for row in tables.query(table, filter)]


@pytest.mark.parametrize("count", [1, 2, 50, 160, 400])
def test_rows_of_any_number_are_written_and_may_be_written_again(azurite: Any, table: str, count: int) -> None:
    async def work(tables: Tables) -> None:
        for _ in range(2):
            await tables.write(rows(table, count))
            assert sorted(row["n"] for row in await all_of(tables, table)) == list(range(count))

    play(azurite.connection_string, work)


def test_a_write_replaces_the_whole_row(azurite: Any, table: str) -> None:
    async def work(tables: Tables) -> None:
        await tables.write(rows(table, 1, old=1))
        await tables.write(rows(table, 1, new=2))
        (row,) = await all_of(tables, table)
        assert "old" not in row
        assert row["new"] == 2

    play(azurite.connection_string, work)


def test_values_keep_their_types(azurite: Any, table: str) -> None:
    values = {
        "big": 2**53,
        "negative": -5,
        "half": 0.5,
        "yes": True,
        "no": False,
        "text": "ü\n\"'",
        "long": "x" * 30_000,
    }

    async def work(tables: Tables) -> None:
        await tables.write(rows(table, 2, **values))
        for row in await all_of(tables, table):
            assert {name: row[name] for name in values} == values
            assert all(type(row[name]) is type(value) for name, value in values.items())

    play(azurite.connection_string, work)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp would have it as a file
def test_full_pages_fit_into_a_transaction(azurite: Any, table: str) -> None:
    async def work(tables: Tables) -> None:
        await tables.write(
            [Row(table, {"PartitionKey": "p", "RowKey": f"{n}", "events": "ä" * 30_000}) for n in range(60)]
        )
        assert len(await all_of(tables, table)) == 60

    play(azurite.connection_string, work)


def test_many_who_make_the_same_table_do_not_disturb_each_other(azurite: Any, table: str) -> None:
    async def work(tables: Tables) -> None:
        one = [Row(table, {"PartitionKey": f"p{n}", "RowKey": "r"}) for n in range(20)]
        await asyncio.gather(*(tables.write([row]) for row in one))
        assert len(await all_of(tables, table)) == 20

    play(azurite.connection_string, work)


def test_query_filters_and_a_missing_table_is_empty(azurite: Any, table: str) -> None:
    async def work(tables: Tables) -> None:
        assert await all_of(tables, table) == []
        await tables.write(rows(table, 30))
        assert len(await all_of(tables, table, "PartitionKey eq 'p1'")) == 10
        assert table in await tables.table_names(table[:8])
        assert await tables.table_names("nothing") == []

    play(azurite.connection_string, work)


def test_a_row_is_got_inserted_once_and_replaced_by_whoever_knows_it(azurite: Any, table: str) -> None:
    row = {"PartitionKey": "p", "RowKey": "r", "n": 1}

    async def work(tables: Tables) -> None:
        assert await tables.get(table, "p", "r") is None
        assert await tables.replace_if(table, row, 'W/"x"') is None
        made = await asyncio.gather(*(tables.insert(table, {**row, "n": n}) for n in range(5)))
        assert sorted(made) == [False] * 4 + [True]
        first = await tables.get(table, "p", "r")
        assert first is not None
        assert first["n"] == made.index(True)
        second = await tables.replace_if(table, {**first, "n": 7, "more": "x"}, first["etag"])
        assert second not in (None, first["etag"])
        assert await tables.replace_if(table, {**first, "n": 8}, first["etag"]) is None
        assert second is not None
        assert await tables.replace_if(table, {**row, "n": 2**40}, second)
        last = await tables.get(table, "p", "r")
        assert last is not None
        assert {name: last[name] for name in last if name != "etag"} == {**row, "n": 2**40}
        assert await tables.replace_if(table, {**row, "RowKey": "other"}, last["etag"]) is None

    play(azurite.connection_string, work)


def test_what_is_deleted_is_gone_and_may_be_deleted_again(azurite: Any, table: str) -> None:
    async def work(tables: Tables) -> None:
        await tables.delete(table, "p0", "00000")
        await tables.delete_table(table)
        await tables.write(rows(table, 3))
        for _ in range(2):
            await tables.delete(table, "p0", "00000")
        assert len(await all_of(tables, table)) == 2
        for _ in range(2):
            await tables.delete_table(table)
        assert await tables.get(table, "p1", "00001") is None
        assert table not in await tables.table_names(table)

    play(azurite.connection_string, work)


def test_pages_go_on_where_the_one_before_has_ended(azurite: Any, table: str) -> None:
    async def work(tables: Tables) -> None:
        assert await tables.page(table) == ([], "")
        await tables.write(rows(table, 31, text="x"))
        for filter, numbers in (("", 31), ("PartitionKey eq 'p1'", 10), ("n ge 3 and n lt 9", 6)):
            for limit in (1, 4, 10, 100):
                seen: list[int] = []
                cursor = ""
                for _ in range(40):
                    page, cursor = await tables.page(table, filter, limit, cursor, select=["n"])
                    assert all(set(row) == {"n"} for row in page)
                    seen += [row["n"] for row in page]
                    assert len(page) == limit or not cursor
                    if not cursor:
                        break
                assert len(seen) == len(set(seen)) == numbers
        for text in ("no cursor", "bm8", "eyJhIjoxfQ", "W10"):
            with pytest.raises(UnknownCursor):
                await tables.page(table, cursor=text)

    play(azurite.connection_string, work)


def test_only_the_columns_that_are_asked_for(azurite: Any, table: str) -> None:
    async def work(tables: Tables) -> None:
        await tables.write(rows(table, 2, text="x"))
        for filter in ("", "PartitionKey eq 'p1'"):
            async for row in tables.query(table, filter, select=["n"]):
                assert set(row) == {"n"}

    play(azurite.connection_string, work)


def test_rows_are_written_at_exit_without_a_loop(azurite: Any, table: str) -> None:
    with BlockingClient.from_connection_string(azurite.connection_string) as service:
        for _ in range(2):
            write_at_exit(service, rows(table, 5))
        assert sum(row["n"].value for row in service.get_table_client(table).list_entities()) == 10


def test_store_that_does_not_answer_is_unavailable() -> None:
    async def work(tables: Tables) -> None:
        for question in (
            tables.write(rows("t", 60)),
            tables.table_names("t"), all_of(tables, "t"), tables.get("t", "p", "r"), tables.delete("t", "p", "r"),
            tables.insert("t", {"PartitionKey": "p", "RowKey": "r"}), tables.delete_table("t"), tables.page("t"),
            tables.replace_if("t", {"PartitionKey": "p", "RowKey": "r"}, "*"),
        ):  # fmt: skip
            with pytest.raises(StoreUnavailable):
                await question

    play(dead_connection_string(), work)
