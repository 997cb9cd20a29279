"""What an operator sees of prices, and the refresh from Azure's list: what it tells, keeps and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime
from typing import Any, get_args

import httpx
import pytest

from local.fake_azure import FakeAzure, Fault
from local.fake_azure.management.retail_prices import price_row
from shared.adapters.price_store import PLACE, shipped_book, stored_book
from shared.adapters.retail_prices import PricesUnavailable
from shared.adapters.tables import STATE_TABLE
from shared.errors import ApiError
from shared.operations.prices import (
    OPERATIONS,
    PriceAsked,
    PricesAsked,
    RefreshAsked,
    list_prices,
    refresh,
    refresh_prices,
    show_prices,
)
from shared.prices import PriceList
from shared.types import Usage
from tests.support.desk import ADMIN, TestDesk, desk_at
from tests.unit.prices.given_prices import NOW, sold

CONFIG = """
model_list:
- {model_name: chat, params: {model: azure/gpt-4o, api_base: "https://a.openai.azure.com", api_key: k}}
- {model_name: chat, params: {model: azure/dep, api_base: "https://b.openai.azure.com", api_key: k, base_model: azure/eu/gpt-4o-2024-11-20, region: swedencentral}}
- {model_name: own, params: {model: azure/dep2, api_base: "https://a.openai.azure.com", api_key: k, input_cost_per_token: 0.0000015, output_cost_per_token: 0.000006}}
- {model_name: dark, params: {model: azure/dep3, api_base: "https://a.openai.azure.com", api_key: k}}
- {model_name: provisioned, params: {model: azure/gpt-4o-2024-11-20, api_base: "https://a.openai.azure.com", api_key: k, sku: GlobalProvisionedManaged, ptu: {units: 50}}}
- {model_name: image, params: {model: azure/gpt-image-1, api_base: "https://a.openai.azure.com", api_key: k, sku: GlobalStandard}}
- {model_name: picture, params: {model: azure/dall-e-3, api_base: "https://a.openai.azure.com", api_key: k, sku: GlobalStandard}}
"""


@pytest.fixture
def prices(fake: FakeAzure) -> Generator[FakeAzure]:
    """The fake, whose list of prices is its own again afterwards."""
    rows = fake.management.prices.rows
    yield fake
    fake.put_prices(rows)


def at_desk(connection: str, work: Callable[[TestDesk], Awaitable[Any]], **settings: str) -> Any:
    async def story() -> Any:
        async with (
            desk_at(connection, now=NOW, config=CONFIG, **settings) as desk,
            httpx.AsyncClient(timeout=5) as http,
        ):
            desk.prices, desk.http = PriceList(shipped_book), http
            await desk.tables.delete(STATE_TABLE, *PLACE)  # of an earlier test
            return await work(desk)

    return asyncio.run(story())


def test_list_shows_what_calls_cost_and_why(azurite: Any) -> None:
    told = at_desk(azurite.connection_string, lambda desk: list_prices(PricesAsked(), ADMIN, desk))
    rows = {row.deployment: row for row in told.rows}
    assert list(rows) == ["chat#1", "chat#2", "own#1", "dark#1", "provisioned#1", "image#1", "picture#1"]
    assumed = rows["chat#1"]
    assert (assumed.priced_as, assumed.input, assumed.cached, assumed.output) == ("gpt-4o 1120", "2.5", "1.25", "10")
    assert (assumed.source, assumed.assumed) == ("azure-retail 2024-12-01", ["version 1120", "sku"])
    assert assumed.advice == "set model_version, sku"
    zone = rows["chat#2"]
    assert (zone.input, zone.sku, zone.region, zone.advice) == ("2.75", "DataZoneStandard", "swedencentral", "")
    assert (rows["own#1"].source, rows["own#1"].input, rows["own#1"].output) == ("config", "1.5", "6")
    dark = rows["dark#1"]
    assert (dark.unpriced, dark.input, dark.source) == (True, "", "")
    assert dark.advice == "the price book has no model dep3: set base_model to its name in Azure, or set rates"
    assert (rows["provisioned#1"].hourly_usd, rows["provisioned#1"].input) == ("50", "")
    image = rows["image#1"]
    assert (image.input, image.output, image.others) == ("5", "40", {"image_input": "10", "image_cached": "2.5"})
    assert rows["picture#1"].others == {
        "image hd high": "0.12", "image hd low": "0.08", "image standard high": "0.08", "image standard low": "0.04",
    }  # fmt: skip


def test_list_can_be_narrowed_and_paged(azurite: Any) -> None:
    async def story(desk: TestDesk) -> list[list[str]]:
        first = await list_prices(PricesAsked(limit=2), ADMIN, desk)
        second = await list_prices(PricesAsked(limit=100, cursor=first.next), ADMIN, desk)
        dark = await list_prices(PricesAsked(unpriced=True), ADMIN, desk)
        one = await list_prices(PricesAsked(model="own"), ADMIN, desk)
        assert (bool(first.next), second.next) == (True, "")
        return [[row.deployment for row in told.rows] for told in (first, second, dark, one)]

    assert at_desk(azurite.connection_string, story) == [
        ["chat#1", "chat#2"],
        ["own#1", "dark#1", "provisioned#1", "image#1", "picture#1"],
        ["dark#1"],
        ["own#1"],
    ]


def test_show_lists_all_that_the_book_says_of_a_model(azurite: Any) -> None:
    told = at_desk(
        azurite.connection_string, lambda d: show_prices(PriceAsked(model="gpt-4o-2024-11-20", limit=1000), ADMIN, d)
    )
    row = next(r for r in told.rows if (r.version, r.zone, r.tier, r.of) == ("1120", "global", "standard", "input"))
    assert (row.usd, row.since, row.source) == ("2.5", "2024-12-01", "azure-retail 2026-08-11")
    assert "eastus2" in row.regions
    assert {r.version for r in told.rows} == {"0513", "0806", "1120"}


def test_show_says_that_there_is_no_such_model(azurite: Any) -> None:
    with pytest.raises(ApiError) as raised:
        at_desk(azurite.connection_string, lambda d: show_prices(PriceAsked(model="azure/dep"), ADMIN, d))
    assert (raised.value.status, raised.value.code) == (404, "price_not_found")


GPT_5 = "GPT 5 Inpt Glbl 1M Tokens"


def listed(meter: str, price: float, since: str, **changed: Any) -> dict[str, Any]:
    return price_row(
        meter, meter, "1M", price, effectiveStartDate=f"{since}T00:00:00Z", productName="Azure OpenAI GPT5", **changed
    )


def test_refresh_keeps_the_past_tells_the_news_and_is_found_by_others(azurite: Any, prices: FakeAzure) -> None:
    prices.put_prices(
        [listed(GPT_5, 1.25, "2025-08-01"), listed(GPT_5, 1.5, "2026-11-01"), listed("GPT 6 Inpt Glbl 1M Tokens", 3.0, "2026-11-01"),
         listed("GPT 6 wonder 1M Tokens", 1.0, "2026-11-01")]
    )  # fmt: skip

    async def story(desk: TestDesk) -> None:
        gpt_5, october = sold(model="gpt-5", region="eastus2"), 1_790_000_000.0
        told = await refresh(RefreshAsked(), ADMIN, desk)
        assert (told.read, told.new, told.changed) == (4, ["GPT 6 Inpt Glbl 1M Tokens"], [GPT_5])
        assert (told.unknown, told.note) == (["GPT 6 wonder 1M Tokens"], "")
        usage = Usage(input_tokens=1000)
        assert [desk.prices.cost(gpt_5, usage, at).nanos for at in (october, NOW)] == [1_250_000, 1_500_000]
        other = PriceList(lambda: book)
        book = await stored_book(desk.tables)
        assert other.cost(sold(model="gpt-6"), usage, NOW).nanos == 3_000_000
        assert [(subject, data["changed"]) for subject, data in desk.outbox.of("prices.changed")] == [
            ("prices", [GPT_5])
        ]
        again = await refresh_prices(desk, datetime.fromtimestamp(NOW, UTC))
        assert (again.new, again.changed, again.note) == ([], [], "Nothing has changed.")
        assert len(desk.outbox.of("prices.changed")) == 1

    at_desk(azurite.connection_string, story, PRICES_URL=prices.state.prices_url)


def test_refresh_that_fails_leaves_prices_as_they_are(azurite: Any, prices: FakeAzure) -> None:
    prices.faults.add(Fault(kind="status", resource="prices", status=400))

    async def story(desk: TestDesk) -> tuple[int, str | None, int]:
        with pytest.raises(ApiError) as raised:
            await refresh(RefreshAsked(), ADMIN, desk)
        cost = desk.prices.cost(sold(model="gpt-5"), Usage(input_tokens=1), NOW)
        return raised.value.status, raised.value.code, cost.nanos

    assert at_desk(azurite.connection_string, story, PRICES_URL=prices.state.prices_url) == (
        502,
        "prices_unavailable",
        1_250,
    )


def test_empty_list_is_no_price_list(azurite: Any, prices: FakeAzure) -> None:
    prices.put_prices([])
    with pytest.raises(PricesUnavailable, match="empty"):
        at_desk(
            azurite.connection_string, lambda d: refresh_prices(d, datetime.fromtimestamp(NOW, UTC)), PRICES_URL=prices.state.prices_url
        )  # fmt: skip


def test_refresh_that_is_off(azurite: Any) -> None:
    async def story(desk: TestDesk) -> tuple[str, int]:
        told = await refresh_prices(desk, datetime.fromtimestamp(NOW, UTC))
        with pytest.raises(ApiError) as raised:
            await refresh(RefreshAsked(), ADMIN, desk)
        return told.note, raised.value.status

    assert at_desk(azurite.connection_string, story, PRICES_URL="off") == ("PRICES_URL is off.", 409)


def test_operations_have_columns_that_exist() -> None:
    for operation in OPERATIONS:
        rows = operation.answers.model_fields.get("rows")
        fields = get_args(rows.annotation)[0].model_fields if rows else operation.answers.model_fields
        assert set(operation.columns) <= set(fields), operation.name
