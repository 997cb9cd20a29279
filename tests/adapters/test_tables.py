"""Rows and keys in a real Azurite, through azure-data-tables."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.data.tables import TableServiceClient as BlockingClient
from azure.data.tables.aio import TableServiceClient

from shared.adapters.tables import TableKeys, Tables, write_at_exit
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Principal
from shared.types import Row
from tests.support.own_azurite import dead_connection_string


def play(connection: str, work: Callable[[Tables], Awaitable[None]]) -> None:
    async def whole() -> None:
        tables = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=0))
        try:
            await work(tables)
        finally:
            await tables.close()

    asyncio.run(whole())


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


def test_rows_are_written_at_exit_without_a_loop(azurite: Any, table: str) -> None:
    with BlockingClient.from_connection_string(azurite.connection_string) as service:
        for _ in range(2):
            write_at_exit(service, rows(table, 5))
        assert sum(row["n"].value for row in service.get_table_client(table).list_entities()) == 10


def test_keys(azurite: Any) -> None:
    digest = uuid.uuid4().hex * 2
    principal = Principal(
        digest, "näme", "team", Allowance(frozenset({"a/b", "c"})), None, 5.5, True, "sk-abc…wxyz", 1.5
    )

    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        assert await keys.get(digest) is None
        await keys.put(principal)
        assert await keys.get(digest) == principal
        plain = Principal(digest, "b")
        await keys.put(plain)
        assert await keys.get(digest) == plain
        assert plain in await keys.all()

    play(azurite.connection_string, work)


def test_store_that_does_not_answer_is_unavailable() -> None:
    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        for question in (
            keys.get("a" * 64), keys.put(Principal("a" * 64, "n")), keys.all(), tables.write(rows("t", 60)),
            tables.table_names("t"), all_of(tables, "t"),
        ):  # fmt: skip
            with pytest.raises(StoreUnavailable):
                await question

    play(dead_connection_string(), work)
