"""Who is asked next: by class (how well it is and how much room it has), then by tier, then by strategy.

Reads the states as they are now; changes none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from shared.ports import Capacity
from shared.routing.lineup import Entry, Parts, Tier
from shared.routing.steps import Wish

WELL: Final = 0
NEAR: Final = 1
"""Well, but near a limit."""
RESTING: Final = 2
"""Rests because of failures, or is being probed: asked when there is nothing else."""
LIMITED: Final = 3
"""Rests because of a rate limit: no candidate."""

type Pick = Callable[[Tier, Wish, float], Entry]
"""A strategy: one of a tier, for a call, now."""


class Ranks:
    """How one configuration ranks deployments."""

    __slots__ = ("_capacity", "_margin", "_pick")

    def __init__(self, capacity: Capacity, near_limit: float, pick: Pick) -> None:
        self._capacity = capacity
        self._margin = 1.0 - near_limit
        self._pick = pick

    def grade(self, entry: Entry, tokens: int, now: float) -> int:
        state = entry.state
        if state.until:
            if now < state.until:
                return LIMITED if state.limited else RESTING
            if now < state.probe_until:
                return RESTING
        if state.quota_at and state.near(now, tokens, self._margin):
            return NEAR
        if entry.bounded and self._capacity.left(entry.deployment, now) <= self._margin:
            return NEAR
        return WELL

    def near(self, entry: Entry, tokens: int, now: float) -> str:
        """-> which limit a deployment is near, for the reader."""
        state = entry.state
        if state.near(now, tokens, self._margin):
            both = zip(("requests", "tokens"), state.left(now), strict=True)
            words = " and ".join(f"{max(left, 0):.0f} {of}" for of, left in both if left is not None)
            return f"near a limit: Azure has {words} left"
        return f"near a limit: {self._capacity.left(entry.deployment, now):.0%} of its tpm or rpm is left"

    def choose(self, parts: Parts, lone: Entry | None, asked: int, wish: Wish, now: float) -> Entry | None:
        """-> the best that is not among `asked` (bits); None: there is no candidate. lone: it is all there is, so that
        nothing matters but whether it may be asked."""
        if lone is not None:
            rests = now < lone.state.until and (lone.state.limited or wish.only_well)
            return None if rests or lone.bit & asked else lone
        for tier, sure in self.groups(parts, asked, wish, now, quick=True):
            entry = self._pick(tier, wish, now)
            if sure or (not entry.bit & asked and self.grade(entry, wish.tokens, now) == WELL):
                return entry
        return None

    def groups(self, parts: Parts, asked: int, wish: Wish, now: float, *, quick: bool) -> Iterator[tuple[Tier, bool]]:
        """-> deployments of equal rank, the best first. quick: before a tier is looked through it is given as it is,
        and not for sure: if the choice among all of it falls on one that is well, then so would the choice among those
        of it that are well."""
        resting: list[list[Entry]] = []
        for part in parts:
            nearly: list[list[Entry]] = []
            for tier in part:
                if quick:
                    yield tier, False
                well, near, rest = self._sorted(tier, asked, wish, now)
                if well:
                    yield Tier(well), True
                if near:
                    nearly.append(near)
                if rest:
                    resting.append(rest)
            for near in nearly:
                yield Tier(near), True
        for rest in () if wish.only_well else resting:
            yield Tier(rest), True

    def _sorted(self, tier: Tier, asked: int, wish: Wish, now: float) -> tuple[list[Entry], list[Entry], list[Entry]]:
        by_class: tuple[list[Entry], list[Entry], list[Entry], list[Entry]] = [], [], [], []
        for entry in tier.entries:
            if not entry.bit & asked:
                by_class[self.grade(entry, wish.tokens, now)].append(entry)
        return by_class[:3]
