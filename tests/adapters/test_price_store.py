"""The price book of the package and the refreshed one in Azurite: which is used when, and what happens to neither."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.adapters.price_store import (
    AGAIN_SECONDS,
    LOOK_SECONDS,
    PLACE,
    PriceStore,
    shipped_book,
    store_book,
    stored_book,
)
from shared.adapters.tables import STATE_TABLE, Tables
from shared.prices import PriceBook, PriceList
from shared.types import Row, Usage
from tests.support.doubles import Clock, Lines
from tests.unit.prices.given_prices import row, shipped, sold

INPUT = "gpt 5 Inpt Glbl 1M Tokens"


def refreshed(price: float) -> PriceBook:
    book = shipped().copy()
    book.merge([row(INPUT, price, "2026-09-01", " ".join(_regions()))], "azure-retail", "2026-09-02")
    return book


def _regions() -> set[str]:
    return {region for entry in shipped().rows("gpt-5", "")["global.standard.0.input."] for region in entry.regions}


def nanos(prices: PriceList) -> int:
    return prices.cost(sold(model="gpt-5"), Usage(input_tokens=1), 1_800_000_000.0).nanos


@asynccontextmanager
async def tables_of(connection: str) -> AsyncGenerator[Tables]:
    """Without a price book of an earlier test."""
    made = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=0))
    await made.write([Row(STATE_TABLE, {"PartitionKey": "other", "RowKey": "row"})])  # makes the table
    await made.delete(STATE_TABLE, *PLACE)
    try:
        yield made
    finally:
        await made.close()


def run[T](work: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await work

    return asyncio.run(awaited())


def test_refreshed_book_is_found_within_an_hour(azurite: Any) -> None:
    async def story() -> list[int]:
        async with tables_of(azurite.connection_string) as tables:
            prices, clock = PriceList(shipped_book), Clock(0.0)
            store = PriceStore(prices, tables, Lines(), clock)
            await store.refresh_if_due()
            seen = [nanos(prices)]
            await store_book(tables, refreshed(0.009))
            await store.refresh_if_due()
            seen.append(nanos(prices))  # not looked for again so soon
            clock.now += LOOK_SECONDS
            store.nudge()
            store.nudge()
            while store._looking:  # pyright: ignore[reportPrivateUsage]
                await asyncio.sleep(0.01)
            return [*seen, nanos(prices)]

    assert run(story()) == [1_250, 1_250, 9_000]


def test_refreshed_book_that_has_not_changed_is_not_read_anew(azurite: Any) -> None:
    async def story() -> bool:
        async with tables_of(azurite.connection_string) as tables:
            await store_book(tables, refreshed(0.009))
            prices, clock = PriceList(shipped_book), Clock(0.0)
            store = PriceStore(prices, tables, Lines(), clock)
            await store.refresh_if_due()
            book = prices.book
            clock.now += LOOK_SECONDS
            await store.refresh_if_due()
            return prices.book is book

    assert run(story())


@pytest.mark.parametrize("data", [b"", b"{", zlib.compress(b"{"), zlib.compress(b'{"format": 99}')])
def test_damaged_book_changes_no_price(azurite: Any, data: bytes) -> None:
    async def story() -> tuple[int, list[Any], int]:
        async with tables_of(azurite.connection_string) as tables:
            row = {"PartitionKey": PLACE[0], "RowKey": PLACE[1], "part0": data}
            await tables.write([Row(STATE_TABLE, row)])
            prices, log = PriceList(shipped_book), Lines()
            await PriceStore(prices, tables, log, Clock(0.0)).refresh_if_due()
            return nanos(prices), log.warnings, len((await stored_book(tables)).models())

    found, warnings, models = run(story())
    assert (found, models) == (1_250, len(shipped().models()))
    assert "refreshed prices not understood" in str(warnings)


def test_storage_that_does_not_answer_changes_no_price_and_is_asked_again() -> None:
    connection = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:1/a"

    async def story() -> tuple[int, int]:
        tables = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=0))
        prices, log, clock = PriceList(shipped_book), Lines(), Clock(0.0)
        store = PriceStore(prices, tables, log, clock)
        for seconds in (0.0, 1.0, AGAIN_SECONDS):
            clock.now += seconds
            await store.refresh_if_due()
        await tables.close()
        return nanos(prices), len(log.warnings)

    assert run(story()) == (1_250, 2)


def test_package_that_is_newer_than_the_refreshed_book_adds_what_it_knows(azurite: Any) -> None:
    async def story() -> tuple[int, bool]:
        async with tables_of(azurite.connection_string) as tables:
            old = PriceBook()
            old.merge([row(INPUT, 0.009, "2026-09-01", " ".join(_regions()))], "azure-retail", "2026-09-02")
            await store_book(tables, old)
            book = await stored_book(tables)
            prices = PriceList(lambda: book)
            return nanos(prices), book.find("gpt-4o") is not None

    assert run(story()) == (9_000, True)
