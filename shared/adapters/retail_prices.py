"""Azure's Retail Prices API: every row of the products that models are sold as. Public, needs no sign-in.

Owns the questions that are asked and how patient we are. Knows nothing of what a row means (shared/prices/meters.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import orjson

PRODUCTS = (
    "Azure OpenAI",  # and all that begins so: GPT5, Media, Reasoning, …
    "Azure Deepseek Models",
    "Azure Fireworks Models",
    "Azure Grok Models",
    "Azure Kimi",
    "Azure Llama Models",
    "Azure Mistral Models",
    "Cohere Models",
)
"""One question each: the API refuses long filters."""
VERSION = "2023-01-01-preview"
MOST_PAGES = 200
"""Of one product; a page has 1,000 rows, and the largest product has 20 of them (2026-08)."""
ATTEMPTS = 5
LONGEST_WAIT = 60.0
_AGAIN = frozenset({429, 500, 502, 503, 504})


class PricesUnavailable(Exception):
    """The list could not be read as a whole; the text says why, without addresses."""


class RetailPrices:
    """url: of the API, PRICES_URL."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._http = http
        self._url = httpx.URL(url)
        self._sleep = sleep

    async def fetch(self) -> list[dict[str, Any]]:
        """Rows with their regions gathered (`regions`): the API has one row for each. Raises PricesUnavailable."""
        gathered: dict[tuple[Any, ...], dict[str, Any]] = {}
        for product in PRODUCTS:
            query = {
                "api-version": VERSION, "currencyCode": "USD", "$filter": f"contains(productName, '{product}')",
            }  # fmt: skip
            following: httpx.URL | None = self._url.copy_merge_params(query)
            for _ in range(MOST_PAGES):
                if following is None:
                    break
                page = await self._page(following)
                for row in page["Items"]:
                    _gather(row, gathered)
                following = self._following(page.get("NextPageLink"))
            if following is not None:
                raise PricesUnavailable(f"the list has no end: {product} has more than {MOST_PAGES} pages")
        return list(gathered.values())

    async def _page(self, url: httpx.URL) -> dict[str, Any]:
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            wait = min(2.0**attempt, LONGEST_WAIT)
            try:
                answer = await self._http.get(url, follow_redirects=False)
            except httpx.HTTPError as error:
                problem = f"the list could not be reached ({type(error).__name__})"
            else:
                if answer.status_code == 200:
                    return _read(answer.content)
                problem = f"the list was answered with {answer.status_code}"
                if answer.status_code not in _AGAIN:
                    break
                wait = _wait(answer.headers, wait)
            if attempt < ATTEMPTS:
                await self._sleep(wait)
        raise PricesUnavailable(problem)

    def _following(self, link: Any) -> httpx.URL | None:
        """The next page, on the same host only: what another host says is no price of Azure's."""
        if not link:
            return None
        url = httpx.URL(str(link))
        if _host(url) != _host(self._url):
            raise PricesUnavailable(f"the list goes on at another host, {url.host}")
        return url


def _host(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _wait(headers: Mapping[str, str], default: float) -> float:
    try:
        return min(max(float(headers["retry-after"]), 0.0), LONGEST_WAIT)
    except (KeyError, ValueError):
        return default


def _read(body: bytes) -> dict[str, Any]:
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError:
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("Items"), list):
        raise PricesUnavailable("the answer is no page of a price list")
    return page


_ONE_PRICE = ("productName", "meterName", "unitOfMeasure", "retailPrice", "effectiveStartDate")


def _gather(row: Any, gathered: dict[tuple[Any, ...], dict[str, Any]]) -> None:
    """Only what is paid by use, in dollars, from the first unit on: no reservations, no prices for large amounts."""
    if (
        not isinstance(row, dict)
        or row.get("type", "Consumption") != "Consumption"
        or row.get("currencyCode", "USD") != "USD"
        or row.get("tierMinimumUnits")
    ):
        return
    key = tuple(str(row.get(name)) for name in _ONE_PRICE)
    found = gathered.setdefault(key, {name: row.get(name) for name in _ONE_PRICE} | {"regions": []})
    region = str(row.get("armRegionName") or "")
    if region not in found["regions"]:
        found["regions"].append(region)
