"""The Retail Prices API over real sockets: pages, patience, and what is not taken for Azure's price list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from aiohttp import web

from shared.adapters.retail_prices import ATTEMPTS, MOST_PAGES, PRODUCTS, PricesUnavailable, RetailPrices

type Answer = Callable[[web.Request], web.Response]


def row(meter: str, region: str = "eastus2", price: float = 0.0025, **changed: Any) -> dict[str, Any]:
    return {
        "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": price, "armRegionName": region, "type": "Consumption",
        "effectiveStartDate": "2025-04-01T00:00:00Z", "meterName": meter, "productName": "Azure OpenAI", "unitOfMeasure": "1K",
        **changed,
    }  # fmt: skip


def page(rows: list[Any], following: str | None = None) -> web.Response:
    return web.json_response({"Items": rows, "NextPageLink": following, "Count": len(rows)})


async def fetch(answer: Answer) -> tuple[list[dict[str, Any]], list[web.Request], list[float]]:
    """-> the rows, what the server was asked, and how long was waited between attempts."""
    asked: list[web.Request] = []
    waited: list[float] = []

    async def served(request: web.Request) -> web.Response:
        asked.append(request)
        return answer(request)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    app = web.Application()
    app.router.add_get("/api/retail/prices", served)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with httpx.AsyncClient(timeout=5) as http:
            prices = RetailPrices(http, f"http://127.0.0.1:{port}/api/retail/prices", sleep)
            return await prices.fetch(), asked, waited
    finally:
        await runner.cleanup()


def run[T](work: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await work

    return asyncio.run(awaited())


def first(request: web.Request) -> bool:
    """Whether it asks for OpenAI's products: the others have no rows in these tests."""
    return "'Azure OpenAI'" in request.query["$filter"]


def test_every_product_is_asked_for_in_dollars_and_rows_are_gathered_over_regions() -> None:
    def answer(request: web.Request) -> web.Response:
        return page([row("a"), row("a", "westus"), row("a", "westus"), row("b", price=0.1)] if first(request) else [])

    rows, asked, _ = run(fetch(answer))
    assert [(r["meterName"], r["retailPrice"], r["regions"]) for r in rows] == [
        ("a", 0.0025, ["eastus2", "westus"]),
        ("b", 0.1, ["eastus2"]),
    ]
    assert [r.query["$filter"] for r in asked] == [f"contains(productName, '{product}')" for product in PRODUCTS]
    assert {(r.query["currencyCode"], r.query["api-version"]) for r in asked} == {("USD", "2023-01-01-preview")}


def test_pages_are_read_to_the_end() -> None:
    def answer(request: web.Request) -> web.Response:
        if not first(request):
            return page([])
        skip = int(request.query.get("$skip", 0))
        link = str(request.url.update_query({"$skip": str(skip + 1)})) if skip < 2 else None
        return page([row(f"meter {skip}")], link)

    rows, _, _ = run(fetch(answer))
    assert [r["meterName"] for r in rows] == ["meter 0", "meter 1", "meter 2"]


def test_what_is_not_paid_by_use_in_dollars_from_the_first_unit_is_left_out() -> None:
    given = [
        row("a", type="Reservation"),
        row("b", currencyCode="EUR"),
        row("c", tierMinimumUnits=100.0),
        "x",
        row("d"),
    ]
    rows, _, _ = run(fetch(lambda request: page(given if first(request) else [])))
    assert [r["meterName"] for r in rows] == ["d"]


def test_busy_server_is_given_the_time_it_asks_for() -> None:
    answers = [
        web.Response(status=429, headers={"retry-after": "7"}),
        web.Response(status=503),
        web.Response(status=429, headers={"retry-after": "99999"}),
        page([row("a")]),
    ]
    rows, asked, waited = run(fetch(lambda _: answers.pop(0) if answers else page([])))
    assert [r["meterName"] for r in rows] == ["a"]
    assert waited == [7.0, 4.0, 60.0]
    assert len(asked) == 4 + len(PRODUCTS) - 1


def fails(answer: Answer) -> tuple[str, int]:
    asked: list[int] = []

    def counted(request: web.Request) -> web.Response:
        asked.append(1)
        return answer(request)

    with pytest.raises(PricesUnavailable) as raised:
        run(fetch(counted))
    return str(raised.value), len(asked)


def test_server_that_stays_busy_is_given_up() -> None:
    assert fails(lambda _: web.Response(status=429)) == ("the list was answered with 429", ATTEMPTS)


def test_refusal_is_not_repeated() -> None:
    assert fails(lambda _: web.Response(status=400)) == ("the list was answered with 400", 1)
    redirect = fails(lambda _: web.Response(status=302, headers={"location": "http://127.0.0.1:1/"}))
    assert redirect == ("the list was answered with 302", 1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"Items": 5}'])
def test_anything_else_is_no_price_list(body: bytes) -> None:
    assert fails(lambda _: web.Response(body=body)) == ("the answer is no page of a price list", 1)


def test_next_page_of_another_host_is_not_read() -> None:
    for link in ("http://127.0.0.2/api/retail/prices", "https://127.0.0.1/api/retail/prices", "http://127.0.0.1:1/x"):
        problem, asked = fails(lambda _, link=link: page([row("a")], link))
        assert problem.startswith("the list goes on at another host")
        assert asked == 1


def test_list_without_an_end_is_given_up() -> None:
    problem, asked = fails(lambda request: page([row("a")], str(request.url)))
    assert problem == f"the list has no end: Azure OpenAI has more than {MOST_PAGES} pages"
    assert asked == MOST_PAGES


def test_server_that_is_not_there() -> None:
    async def fetch_nothing() -> None:
        async def sleep(_: float) -> None: ...

        async with httpx.AsyncClient(timeout=5) as http:
            await RetailPrices(http, "http://127.0.0.1:1/api/retail/prices", sleep).fetch()

    with pytest.raises(PricesUnavailable, match="could not be reached"):
        run(fetch_nothing())
