"""How deployments stand to a call, for people to read: rank, reason, share. Asks the very code that routes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from shared.catalog import Deployment
from shared.routing.lineup import Choices, Entry, Lineup, Parts
from shared.routing.ranks import LIMITED, NEAR, RESTING, Pick, Ranks
from shared.routing.steps import NothingFits, Wish

Rank = Literal["well", "near", "resting", "limited", "unfit"]
"""well: it is, with room. near: a limit. resting: because of failures, or being probed: asked when nothing else is
left. limited: rests because of a rate limit, not asked before that ends. unfit: not for this call."""
GRADES: tuple[Rank, ...] = ("well", "near", "resting", "limited")
MISFITS = {"tags": "not for the tags of this call", "region": "not in the region"}
DRAWS = 1000
"""Chances that are tried, evenly spread, to find the shares."""


@dataclass(frozen=True, slots=True)
class View:
    """One deployment, as it stands to a call."""

    deployment: Deployment
    rank: Rank
    why: str
    share: float
    """Of calls like this one, how many would be sent there first: 0 to 1."""


class Luck:
    """Chance that is given, so that what depends on it can be counted."""

    def __init__(self) -> None:
        self.next = 0.0

    def __call__(self) -> float:
        return self.next


def view(known: Choices, ranks: Ranks, pick: Pick, luck: Luck, wish: Wish, now: float) -> list[View]:
    """pick: the strategy, by `luck`."""
    try:
        lineup = known.fitting(wish)
    except NothingFits:
        lineup = None
    shares = _shares(lineup, ranks, pick, luck, wish, now) if lineup is not None else {}
    found: list[View] = []
    for entry in _in_order(lineup, ranks, wish, now) if lineup is not None else []:
        grade = ranks.grade(entry, wish.tokens, now)
        found.append(
            View(entry.deployment, GRADES[grade], _why(entry, grade, ranks, wish, now), shares.get(entry, 0.0))
        )
    for entry, what in known.misfits(wish).items():
        found.append(View(entry.deployment, "unfit", MISFITS[what], 0.0))
    return found


def _in_order(lineup: Lineup, ranks: Ranks, wish: Wish, now: float) -> list[Entry]:
    groups = [list(tier.entries) for tier, _ in ranks.groups(lineup.parts, 0, wish, now, quick=False)]
    candidates = [e for group in groups for e in group]
    return candidates + [e for e in lineup.entries if e not in candidates]


def _shares(lineup: Lineup, ranks: Ranks, pick: Pick, luck: Luck, wish: Wish, now: float) -> dict[Entry, float]:
    shares: dict[Entry, float] = {}
    for parts, part in _ways(lineup, wish):
        first = next((tier for tier, _ in ranks.groups(parts, 0, wish, now, quick=False)), None)
        if first is None:
            continue
        for i in range(DRAWS):
            luck.next = (i + 0.5) / DRAWS
            entry = pick(first, wish, now)
            shares[entry] = shares.get(entry, 0.0) + part / DRAWS
    return {entry: round(share, 6) for entry, share in shares.items()}


def _ways(lineup: Lineup, wish: Wish) -> list[tuple[Parts, float]]:
    """-> the orders of tiers that a call may meet, and how often each."""
    if wish.stream or not lineup.shared:
        return [(lineup.parts, 1.0)]
    edges = sorted({0.0, 1.0} | {min(max(e.share, 0.0), 1.0) for e in lineup.shared})
    return [(lineup.whole((low + high) / 2), high - low) for low, high in pairwise(edges)]


def _why(entry: Entry, grade: int, ranks: Ranks, wish: Wish, now: float) -> str:
    state, rest = entry.state, entry.state.rest
    cause = "" if rest is None else rest.why
    if grade == LIMITED:
        return f"rests for {state.until - now:.0f} s because of a rate limit"
    if grade == RESTING:
        left = state.until - now
        return f"rests for {left:.0f} s because of: {cause}" if left > 0 else "a call is finding out whether it is well"
    said = ranks.near(entry, wish.tokens, now) if grade == NEAR else "well, with room"
    if state.until and not (state.rest and state.rest.told):
        said += f"; rested because of: {cause}, the next call finds out whether it is well"
    if entry.share < 1 and not wish.stream:
        said += f"; first for {entry.share:.0%} of the calls without a stream"
    return said
