"""What calls cost (ports.Prices): the price book behind a cache of rates, one table for each deployment and tier.

Asked twice at every call, so that a table is made once and kept until the day on which the next price begins. Pure: the
book is loaded by whoever makes the list, on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from shared.catalog import Deployment, Terms
from shared.prices.book import PriceBook
from shared.prices.cost import cost_of
from shared.prices.meters import PICO, key_of
from shared.prices.places import dearest, zones_of
from shared.prices.rates import TIERS, Table, table_of
from shared.types import Cost, Usage

PTU = Cost(0, True, "ptu")
"""Provisioned throughput is paid by the hour: its price is split over its calls afterwards (docs/prices.md)."""
_MOST_TABLES = 10_000


class _Kept(NamedTuple):
    begins: float
    ends: float
    terms: Terms
    table: Table


class PriceList:
    """load: gives the book; called once, when it is first needed."""

    def __init__(self, load: Callable[[], PriceBook]) -> None:
        self._load = load
        self._book: PriceBook | None = None
        self._tables: dict[tuple[int, str], _Kept] = {}

    @property
    def book(self) -> PriceBook:
        if self._book is None:
            self._book = self._load()
        return self._book

    def replace(self, book: PriceBook) -> None:
        """From now on prices are those of another book."""
        self._book = book
        self._tables = {}

    def cost(self, deployment: Deployment, usage: Usage, at: float) -> Cost:
        """By the prices in force at `at` (Unix seconds)."""
        terms = deployment.terms
        kept = self._tables.get((id(terms), usage.tier))
        if kept is None or kept.terms is not terms or not kept.begins <= at < kept.ends:
            if terms.provisioned:
                return PTU if usage != _NOTHING else _FREE
            kept = self._keep(terms, usage.tier, at)
        return cost_of(usage, kept.table)

    def figures(self, deployment: Deployment, at: float) -> dict[str, float]:
        """What a model list shows: dollars per token in standard calls, by the names that other gateways use."""
        terms = deployment.terms
        if terms.provisioned:
            return {}
        kept = self._tables.get((id(terms), "")) or self._keep(terms, "", at)
        rates = kept.table.rates
        shown = {name: getattr(rates, field) for name, field in _SHOWN.items()}
        return {name: rate / PICO for name, rate in shown.items() if rate is not None}

    def table(self, deployment: Deployment, at: float, tier: str = "") -> Table:
        """The rates by which a deployment's calls are priced, with where they are from and what was assumed."""
        return table_of(self.book, deployment.terms, tier, _day(at))

    def hourly(self, deployment: Deployment, at: float) -> Cost:
        """What a provisioned deployment costs an hour, all its units together; unpriced when that is not known."""
        terms = deployment.terms
        if terms.ptu is None:
            return Cost(0, False)
        if terms.ptu.hourly_nanos:
            return Cost(terms.ptu.hourly_nanos, True, "config")
        found = self.book.find(terms.model, terms.version) if terms.model else None
        zone = zones_of(terms)[0]
        rows = self.book.rows(f"ptu:{_maker(found[0])}", "") if found else {}
        entries = rows.get(key_of(zone, "standard", 0, "ptu_hour"))
        if not entries:
            return Cost(0, False)
        price, _ = dearest(entries, terms, _day(at))
        source = price.source.split()[0]
        return Cost((price.pico * terms.ptu.units + 500) // 1_000, True, f"{source} {price.since} {terms.sku}")

    def _keep(self, terms: Terms, tier: str, at: float) -> _Kept:
        table = table_of(self.book, terms, tier, _day(at))
        kept = _Kept(_seconds(table.begins), _seconds(table.ends), terms, table)
        if tier not in TIERS and tier not in _STANDARD:
            return kept  # whatever words an upstream may use, they fill no memory
        if len(self._tables) >= _MOST_TABLES:
            self._tables = {}
        self._tables[id(terms), tier] = kept
        return kept


_SHOWN = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached",
    "input_cost_per_character": "character",
    "input_cost_per_second": "audio_second",
}
_NOTHING = Usage()
_FREE = Cost()
_STANDARD = frozenset({"", "default", "standard", "auto"})
_MAKERS = ("deepseek", "grok", "llama", "mistral", "kimi")


def _maker(model: str) -> str:
    if model.startswith("fw-"):
        return "fireworks"
    return next((maker for maker in _MAKERS if model.startswith(maker)), "openai")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _seconds(day: str) -> float:
    if not day:
        return float("-inf")
    return float("inf") if day == "9999" else datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
