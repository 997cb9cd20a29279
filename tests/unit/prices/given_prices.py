"""What the tests of prices start from: the shipped book, a list of prices, deployments with terms."""

from __future__ import annotations

import functools
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.adapters.price_store import shipped_book
from shared.catalog import Deployment, Terms
from shared.prices import PriceBook, PriceList
from shared.types import Cost, Usage
from tests.unit.given import deployment

NOW = 1_795_478_400.0
"""2026-11-24, after every price of the shipped book has come into force."""


@functools.cache
def shipped() -> PriceBook:
    return shipped_book()


@functools.cache
def shipped_prices() -> PriceList:
    return PriceList(shipped)


@functools.cache
def published() -> dict[str, Any]:
    """The rows of Azure's Retail Prices API as azure-genai-prices carries them, with the day they were fetched."""
    try:
        files = metadata.files("azure-genai-prices") or []
    except metadata.PackageNotFoundError:
        pytest.skip("azure-genai-prices is not installed: see requirements-dev.txt")
    file = next(f for f in files if f.name == "snapshot.json")
    found: dict[str, Any] = orjson.loads(Path(str(file.locate())).read_bytes())
    return found


def sold(**terms: Any) -> Deployment:
    return replace(deployment(), terms=Terms(**terms))


def costs(usage: Usage, at: float = NOW, **terms: Any) -> Cost:
    return shipped_prices().cost(sold(**terms), usage, at)


def row(
    meter: str, price: float, since: str = "2026-01-01", regions: str = "eastus2", **changed: Any
) -> dict[str, Any]:
    """One row of Azure's list, its regions gathered."""
    return {
        "productName": "Azure OpenAI",
        "meterName": meter,
        "unitOfMeasure": "1K",
        "retailPrice": price,
        "effectiveStartDate": f"{since}T00:00:00Z",
        "regions": regions.split(),
        **changed,
    }
