"""A day's charges: the events of the ledger, and the shares of fixed costs, one line for each thing that was bought.

Made for exports (here as plain CSV, focus.py as FOCUS). Lines name no end user. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.books.days import shown_day
from shared.books.reports import IDLE
from shared.books.sums import Sums, add, counted, nothing
from shared.money import in_usd

NUMBERS = (
    "requests", "failed", "estimated", "unpriced", "spilled", "input_tokens", "cached_input_tokens",
    "cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens", "image_input_tokens", "output_tokens",
    "reasoning_tokens", "audio_output_tokens", "image_output_tokens", "training_tokens", "images", "characters",
    "audio_ms", "video_ms",
)  # fmt: skip
COLUMNS = (
    "day", "key", "key_id", "team", "model", "deployment", "upstream_model", "endpoint", "tier", "capacity",
    "served_model", "engine", "price", "tags", *NUMBERS, "cost_usd", "spill_cost_usd", "ptu_cost_usd",
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Bought:
    """What was bought, and for whom."""

    key_id: str
    key_name: str
    team: str
    alias: str
    deployment: str
    upstream_model: str = ""
    endpoint: str = ""
    tier: str = ""
    price: str = ""
    """Where its price is from."""
    tags: tuple[str, ...] = ()
    capacity: str = ""
    """Which tier served, of an alias with provisioned throughput (types.CapacityTier)."""
    served_alias: str = ""
    """The alias that stood in for the one that was asked for."""
    engine: str = ""
    """What ran the batch that it was for: Azure's service or the gateway itself."""
    fixed: bool = False
    """A share of a provisioned deployment's hours."""
    idle: bool = False
    """The share that nobody used."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a day."""

    day: str
    bought: Bought
    sums: Mapping[str, int]
    ptu_nanos: int = 0
    ptu_tokens: int = 0
    """Weighted tokens by which the share was measured."""

    @property
    def nanos(self) -> int:
        return self.sums["cost_nanos"] + self.ptu_nanos


class Day:
    """Collects one day's lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._use: dict[Bought, Sums] = {}
        self._fixed: dict[Bought, tuple[int, int]] = {}

    def add(self, key_id: str, event: Mapping[str, Any]) -> None:
        def text(name: str) -> str:
            return str(event.get(name) or "")

        bought = Bought(
            key_id, text("key_name"), text("team"), text("alias"), text("deployment"), text("upstream_model"),
            text("endpoint"), text("tier"), text("price"), tuple(sorted(event.get("tags") or ())),
            text("capacity"), text("served_alias"), text("engine"),
        )  # fmt: skip
        add(self._use.setdefault(bought, nothing()), counted(event))

    def add_share(self, bought: Bought, nanos: int, tokens: int) -> None:
        before = self._fixed.get(bought, (0, 0))
        self._fixed[bought] = before[0] + nanos, before[1] + tokens

    def charges(self) -> Iterator[Charge]:
        for bought in sorted(self._use):
            yield Charge(self.name, bought, self._use[bought])
        for bought in sorted(self._fixed):
            yield Charge(self.name, bought, nothing(), *self._fixed[bought])


def usage_rows(charges: Iterable[Charge]) -> Iterator[dict[str, Any]]:
    """Rows of COLUMNS."""
    for charge in charges:
        bought = charge.bought
        yield {
            "day": shown_day(charge.day),
            "key": IDLE if bought.idle else bought.key_name,
            "key_id": bought.key_id,
            "team": bought.team,
            "model": bought.alias,
            "deployment": bought.deployment,
            "upstream_model": bought.upstream_model,
            "endpoint": bought.endpoint,
            "tier": bought.tier,
            "capacity": bought.capacity,
            "served_model": bought.served_alias,
            "engine": bought.engine,
            "price": bought.price,
            "tags": list(bought.tags) if bought.tags else None,
            **{name: charge.sums[name] for name in NUMBERS},
            "cost_usd": in_usd(charge.sums["cost_nanos"]),
            "spill_cost_usd": in_usd(charge.sums["spill_nanos"]),
            "ptu_cost_usd": in_usd(charge.ptu_nanos),
        }
