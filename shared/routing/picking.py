"""The figures by which a strategy chooses, read from the states as they are now; the choice is strategies.py's."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from math import inf

from shared.catalog import Deployment
from shared.router_settings import Strategy
from shared.routing.lineup import Entry, Tier
from shared.routing.ranks import Pick
from shared.routing.states import Pace
from shared.routing.steps import Wish
from shared.routing.strategies import draw, least, nearest

SLACK = 0.1
"""Times that differ by no more count as equal: a lead of a few milliseconds must not draw all calls."""
STALE = 60.0
"""A time that is older says nothing: one call finds out anew."""
PRICED = 60.0
"""For how long a price is kept."""


def picks(strategy: Strategy, luck: Callable[[], float], price: Callable[[Deployment], float]) -> Pick:
    """-> the strategy of that name. luck: 0 to 1, asked for once a choice at most."""

    def shuffle(tier: Tier, _wish: Wish, _now: float) -> Entry:
        entries = tier.entries
        if tier.even:
            return entries[int(luck() * len(entries))]
        return entries[draw(tier.bounds, luck())]

    def by(figures: Callable[[Tier, Wish, float], list[float]], slack: float = 0.0) -> Pick:
        def pick(tier: Tier, wish: Wish, now: float) -> Entry:
            if len(tier.entries) == 1:
                return tier.entries[0]
            return tier.entries[least(figures(tier, wish, now), tier.weights, luck(), slack)]

        return pick

    def prices(tier: Tier, _wish: Wish, now: float) -> list[float]:
        return [e.price if now - e.priced_at < PRICED else _priced(e, price, now) for e in tier.entries]

    def home(tier: Tier, wish: Wish, now: float) -> Entry:
        if not wish.cache_key or len(tier.entries) == 1:
            return shuffle(tier, wish, now)
        key = int.from_bytes(blake2b(wish.cache_key.encode(), digest_size=8).digest())
        return tier.entries[nearest(key, [e.state.seed for e in tier.entries], None if tier.even else tier.weights)]

    found: dict[Strategy, Pick] = {
        "simple-shuffle": shuffle,
        "least-used": by(_tokens),
        "least-busy": by(_in_flight),
        "lowest-latency": by(_times, SLACK),
        "lowest-cost": by(prices),
        "prompt-cache": home,
    }
    return found[strategy]


def _tokens(tier: Tier, _wish: Wish, now: float) -> list[float]:
    minute = now // 60
    return [e.state.tokens if e.state.minute == minute else 0 for e in tier.entries]


def _in_flight(tier: Tier, _wish: Wish, _now: float) -> list[float]:
    return [e.state.in_flight for e in tier.entries]


def _times(tier: Tier, wish: Wish, now: float) -> list[float]:
    if wish.stream:
        return [_time(e.state.streams, e, now) for e in tier.entries]
    return [_time(e.state.whole, e, now) for e in tier.entries]


def _time(pace: Pace, entry: Entry, now: float) -> float:
    """-> 0 for one that a call should try: nothing is known of it, or what is known is old; one call at a time."""
    if now - pace.at < STALE:
        return pace.mean
    if not entry.state.in_flight:
        return 0.0
    return pace.mean or inf


def _priced(entry: Entry, price: Callable[[Deployment], float], now: float) -> float:
    entry.price, entry.priced_at = price(entry.deployment), now
    return entry.price
