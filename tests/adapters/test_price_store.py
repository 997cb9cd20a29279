"""The price book of the package and the refreshed one in Azurite: which is used when, and what happens to neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from azure.storage.blob.aio import BlobServiceClient

from shared.adapters.blobs import Blobs
from shared.adapters.price_store import (
    AGAIN_SECONDS,
    CONTAINER,
    LOOK_SECONDS,
    NAME,
    PriceStore,
    shipped_book,
    store_book,
    stored_book,
)
from shared.prices import PriceBook, PriceList
from shared.types import Usage
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
async def blobs_of(connection: str) -> AsyncGenerator[Blobs]:
    """Without a price book of an earlier test."""
    made = Blobs(lambda: BlobServiceClient.from_connection_string(connection, retry_total=0))
    service = BlobServiceClient.from_connection_string(connection, retry_total=0)
    async with service:
        blob = service.get_blob_client(CONTAINER, NAME)
        if await blob.exists():
            await blob.delete_blob()
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
        async with blobs_of(azurite.connection_string) as blobs:
            prices, clock = PriceList(shipped_book), Clock(0.0)
            store = PriceStore(prices, blobs, Lines(), clock)
            await store.refresh_if_due()
            seen = [nanos(prices)]
            await store_book(blobs, refreshed(0.009))
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
        async with blobs_of(azurite.connection_string) as blobs:
            await store_book(blobs, refreshed(0.009))
            prices, clock = PriceList(shipped_book), Clock(0.0)
            store = PriceStore(prices, blobs, Lines(), clock)
            await store.refresh_if_due()
            book = prices.book
            clock.now += LOOK_SECONDS
            await store.refresh_if_due()
            return prices.book is book

    assert run(story())


@pytest.mark.parametrize("data", [b"", b"{", b'{"format": 99}'])
def test_damaged_book_changes_no_price(azurite: Any, data: bytes) -> None:
    async def story() -> tuple[int, list[Any], int]:
        async with blobs_of(azurite.connection_string) as blobs:
            await blobs.write(CONTAINER, NAME, data, "application/json")
            prices, log = PriceList(shipped_book), Lines()
            await PriceStore(prices, blobs, log, Clock(0.0)).refresh_if_due()
            return nanos(prices), log.warnings, len((await stored_book(blobs)).models())

    found, warnings, models = run(story())
    assert (found, models) == (1_250, len(shipped().models()))
    assert "refreshed prices not understood" in str(warnings)


def test_storage_that_does_not_answer_changes_no_price_and_is_asked_again() -> None:
    connection = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:1/a"

    async def story() -> tuple[int, int]:
        blobs = Blobs(lambda: BlobServiceClient.from_connection_string(connection, retry_total=0))
        prices, log, clock = PriceList(shipped_book), Lines(), Clock(0.0)
        store = PriceStore(prices, blobs, log, clock)
        for seconds in (0.0, 1.0, AGAIN_SECONDS):
            clock.now += seconds
            await store.refresh_if_due()
        await blobs.close()
        return nanos(prices), len(log.warnings)

    assert run(story()) == (1_250, 2)


def test_package_that_is_newer_than_the_refreshed_book_adds_what_it_knows(azurite: Any) -> None:
    async def story() -> tuple[int, bool]:
        async with blobs_of(azurite.connection_string) as blobs:
            old = PriceBook()
            old.merge([row(INPUT, 0.009, "2026-09-01", " ".join(_regions()))], "azure-retail", "2026-09-02")
            await store_book(blobs, old)
            book = await stored_book(blobs)
            prices = PriceList(lambda: book)
            return nanos(prices), book.find("gpt-4o") is not None

    assert run(story()) == (9_000, True)
