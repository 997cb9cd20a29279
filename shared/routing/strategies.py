"""The choice among deployments of equal rank: pure functions over a snapshot of figures, one per deployment.

Each gives the place of the chosen one. What the figures are is picking.py's: tokens, calls in flight, times, prices.
Chance is a number `u` from 0 to 1 (1 excluded), so that the same figures and the same `u` give the same choice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import inf, log

MASK = (1 << 64) - 1
SPREAD = 0x9E3779B97F4A7C15
"""Odd, and without a pattern: keys and seeds are digests already, and one product is enough to mix them."""


def draw(bounds: Sequence[float], u: float) -> int:
    """By weight. bounds: the running sums of the weights. A weight of 0 is drawn only when all are 0."""
    total = bounds[-1]
    if total <= 0:
        return int(u * len(bounds))
    found = bisect_right(bounds, u * total)
    return found if found < len(bounds) else bisect_left(bounds, total)


def least(figures: Sequence[float], weights: Sequence[float], u: float, slack: float = 0.0) -> int:
    """The lowest figure; among those that are higher by the share `slack` at most, by weight."""
    lowest = min(figures)
    if not slack and figures.count(lowest) == 1:
        return figures.index(lowest)
    bound = lowest * (1 + slack)
    best = [i for i, figure in enumerate(figures) if figure <= bound]
    if len(best) == 1:
        return best[0]
    return best[draw(list(accumulate([weights[i] for i in best])), u)]


def nearest(key: int, seeds: Sequence[int], weights: Sequence[float] | None) -> int:
    """Rendezvous: each key has its own order of the deployments, by their seeds, so that it moves only when the one
    that it went to is gone. key, seeds: digests of 64 bits. weights: shares of the keys; None: even. A weight of 0
    gets a key only when all are 0."""
    places = [((key ^ seed) * SPREAD) & MASK for seed in seeds]
    if weights is not None:
        # an exponential race: each deployment arrives after a time of its rate, and the first one wins
        times = [-log((p + 1) / (MASK + 2)) / w if w > 0 else inf for p, w in zip(places, weights, strict=True)]
        first = min(times)
        if first < inf:
            return times.index(first)
    return places.index(max(places))
