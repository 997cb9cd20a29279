"""The Retail Prices API: list prices by meter, in pages, filtered. No sign-in, as with Azure.

Owns the form of a row and of a page, and the part of the filter language that is used: `field eq 'value'` and
`contains(field, 'value')`, joined by `and`, with `or` in parentheses. The rows are examples; tests put their own.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from ..errors import ApiError
from ..faults import FaultQueue

PATH = "/api/retail/prices"
_PAGE = 100  # a tenth of Azure's, so that tests meet a second page
_TERM = re.compile(r"(?:(\w+)\s+eq\s+'((?:[^']|'')*)'|contains\(\s*(\w+)\s*,\s*'((?:[^']|'')*)'\s*\))", re.I)
Row = Mapping[str, Any]

# Meters of 2025 and 2026, as the API shows them (prices in USD per unit of measure).
_EXAMPLES = (
    ("gpt 4o 1120 Inp glbl", "gpt 4o 1120 Inp glbl Tokens", "1K", 0.0025),
    ("gpt 4o 1120 cached Inp glbl", "gpt 4o 1120 cached Inp glbl Tokens", "1K", 0.00125),
    ("gpt 4o 1120 Outp glbl", "gpt 4o 1120 Outp glbl Tokens", "1K", 0.01),
    ("gpt 4.1 mini Inp glbl", "gpt 4.1 mini Inp glbl Tokens", "1K", 0.0004),
    ("gpt 4.1 mini cached Inp glbl", "gpt 4.1 mini cached Inp glbl Tokens", "1K", 0.0001),
    ("gpt 4.1 mini Outp glbl", "gpt 4.1 mini Outp glbl Tokens", "1K", 0.0016),
)


def price_row(sku: str, meter: str, unit: str, price: float, **changed: Any) -> dict[str, Any]:
    """One meter as the API shows it."""
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": "eastus2",
        "location": "US East 2",
        "effectiveStartDate": "2025-04-01T00:00:00Z",
        "meterId": f"fake-{sku}".replace(" ", "-"),
        "meterName": meter,
        "productId": "DZH318Z0CQFC",
        "skuId": "DZH318Z0CQFC/0000",
        "productName": "Azure OpenAI",
        "skuName": sku,
        "serviceName": "Foundry Models",
        "serviceId": "DZH317F1HKN0",
        "serviceFamily": "AI + Machine Learning",
        "unitOfMeasure": unit,
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": sku,
        **changed,
    }


class RetailPrices:
    def __init__(self, faults: FaultQueue) -> None:
        self._faults = faults
        self.rows: Sequence[Row] = [price_row(*each) for each in _EXAMPLES]

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.prices)]

    async def prices(self, request: web.Request) -> web.Response:
        fault = self._faults.take(frozenset({"status"}), "prices")
        if fault is not None:
            raise ApiError(fault.status, {"Error": {"Code": str(fault.status)}}, dict(fault.retry_headers()))
        skip = int(request.query.get("$skip", 0))
        found = [row for row in self.rows if _fits(row, request.query.get("$filter", ""))]
        page = found[skip : skip + _PAGE]
        following = None
        if len(found) > skip + _PAGE:
            query = {**request.query, "$skip": str(skip + _PAGE)}
            following = str(request.url.with_query(query))
        body = {"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail", "Items": page}
        return web.json_response({**body, "NextPageLink": following, "Count": len(page)})


def _fits(row: Row, wanted: str) -> bool:
    """Raises ApiError for what is not understood here."""
    for clause in filter(None, re.split(r"\s+and\s+", wanted.strip())):
        terms = re.split(
            r"\s+or\s+", clause.strip().removeprefix("(").removesuffix(")") if " or " in clause else clause
        )
        if not any(_holds(row, term) for term in terms):
            return False
    return True


def _holds(row: Row, term: str) -> bool:
    found = _TERM.fullmatch(term.strip())
    if not found:
        raise ApiError(400, {"Error": {"Code": "BadRequest", "Message": f"Invalid OData parameters supplied: {term}"}})
    field, equal, holder, part = found.groups()
    if field:
        return str(row.get(field, "")) == equal.replace("''", "'")
    return part.replace("''", "'") in str(row.get(holder, ""))
