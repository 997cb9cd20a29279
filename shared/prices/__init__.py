"""What Azure charges: dated prices by model, version, SKU, region and class of token, and the arithmetic. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from shared.catalog import Deployment
from shared.prices.book import PriceBook
from shared.prices.price_list import PriceList
from shared.prices.spill import Spillover
from shared.types import NO_COST, Cost, Usage


class NoPrices:
    """ports.Prices that knows none."""

    def cost(self, deployment: Deployment, usage: Usage, at: float) -> Cost:
        return NO_COST if usage == Usage() else Cost(priced=False)

    def figures(self, deployment: Deployment, at: float) -> Mapping[str, float]:
        return {}


__all__ = ["NoPrices", "PriceBook", "PriceList", "Spillover"]
