"""The deployments that may answer a call, worked out once for all calls alike: who fits, in which tiers.

Knows no call and no clock: what changes from call to call is read from the states when one is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal

from shared.catalog import Deployment
from shared.router_settings import RouterSettings
from shared.routing.states import State, States
from shared.routing.steps import Ask, NothingFits, Wish

PATIENCE = 60.0
"""How long a stream may take to begin when nobody has said so and another deployment could be asked."""
WHOLE_PATIENCE = 100.0
"""The same for a whole answer, of a model that does not think before it speaks: less than the half of what a call has,
so that another deployment still has as long. Of models that do think nobody can say what is too long."""
MOST_FITS = 256
"""Different wishes, by tags and region, that are kept worked out."""


class Entry:
    """One deployment among the choices of an alias."""

    __slots__ = (
        "ask_stream", "ask_stream_more", "ask_whole", "ask_whole_more", "bit", "bounded", "cooldown", "deployment",
        "price", "priced_at", "share", "state", "weight",
    )  # fmt: skip

    def __init__(self, deployment: Deployment, state: State, place: int, settings: RouterSettings) -> None:
        self.deployment = deployment
        self.state = state
        self.bit = 1 << place
        self.bounded = deployment.tpm is not None or deployment.rpm is not None
        self.cooldown = settings.cooldown if deployment.cooldown is None else deployment.cooldown
        self.weight = 1.0
        ptu = deployment.terms.ptu
        self.share = 1.0 if ptu is None else ptu.whole_share
        self.price, self.priced_at = 0.0, 0.0
        whole = deployment.timeout or settings.first_byte
        stream = deployment.stream_timeout or deployment.timeout or settings.stream_first_byte or settings.first_byte
        self.ask_whole = Ask(deployment, whole)
        self.ask_stream = Ask(deployment, stream)
        self.ask_whole_more = self.ask_whole if whole or deployment.family.reasons else Ask(deployment, WHOLE_PATIENCE)
        self.ask_stream_more = self.ask_stream if stream else Ask(deployment, PATIENCE)


class Tier:
    """Deployments of equal order, with their weights."""

    __slots__ = ("bounds", "entries", "even", "weights")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.weights = [e.weight for e in entries]
        self.even = self.weights.count(self.weights[0]) == len(entries)
        self.bounds = list(accumulate(self.weights))


Parts = tuple[tuple[Tier, ...], ...]
"""Tiers by order; those of a later part come after everything of an earlier one that does not rest."""


class Lineup:
    """The deployments that fit a wish."""

    __slots__ = ("_by_late", "bits", "entries", "lone", "parts", "shared")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self.lone = self.entries[0] if len(self.entries) == 1 else None
        self.bits = sum(e.bit for e in entries)
        self.parts: Parts = (_tiers(entries),)
        self.shared = [e for e in entries if e.share < 1]
        self._by_late: dict[int, Parts] = {0: self.parts}

    def whole(self, u: float) -> Parts:
        """For a call without a stream. u: its luck, 0 to 1: provisioned throughput with a smaller share than that is
        only asked after the others."""
        late = sum(e.bit for e in self.shared if u >= e.share)
        parts = self._by_late.get(late)
        if parts is None:
            early, after = [e for e in self.entries if not e.bit & late], [e for e in self.entries if e.bit & late]
            parts = self._by_late[late] = tuple(_tiers(part) for part in (early, after) if part)
        return parts


class Choices:
    """The deployments of one alias and operation."""

    __slots__ = ("_all", "_fits", "_plain", "_settings", "_tags", "choices")

    def __init__(self, choices: Sequence[Deployment], states: States, settings: RouterSettings) -> None:
        entries = [Entry(d, states.of(d.id), place, settings) for place, d in enumerate(choices)]
        for tier in {d.order for d in choices}:
            _weigh([e for e in entries if e.deployment.order == tier])
        self.choices = choices
        self._settings = settings
        self._tags = frozenset(tag for d in choices for tag in d.tags)
        self._all = Lineup(entries)
        self._plain = not self._tags and not settings.regions
        self._fits: dict[tuple[frozenset[str], str], Lineup | NothingFits] = {}

    def entries(self) -> tuple[Entry, ...]:
        return self._all.entries

    def fitting(self, wish: Wish) -> Lineup:
        """Raises NothingFits."""
        if self._plain and not wish.region:
            return self._all
        key = self._asked_tags(wish), wish.region
        found = self._fits.get(key)
        if found is None:
            if len(self._fits) >= MOST_FITS:
                self._fits.clear()
            found = self._fits[key] = self._fit(*key)
        if isinstance(found, NothingFits):
            raise NothingFits(found.what)
        return found

    def misfits(self, wish: Wish) -> dict[Entry, Literal["tags", "region"]]:
        """-> those that this call may not be sent to, and why."""
        tagged = self._tagged(self._asked_tags(wish))
        near = self._near(tagged, wish.region)
        return {e: "region" if e in tagged else "tags" for e in self._all.entries if e not in near}

    def _asked_tags(self, wish: Wish) -> frozenset[str]:
        """Tags that no deployment has are labels for the ledger."""
        return self._tags.intersection(wish.tags) - {"default"} if self._tags else self._tags

    def _fit(self, tags: frozenset[str], region: str) -> Lineup | NothingFits:
        tagged = self._tagged(tags)
        if not tagged:
            return NothingFits("tags")
        near = self._near(tagged, region)
        return Lineup(near) if near else NothingFits("region")

    def _tagged(self, tags: frozenset[str]) -> Sequence[Entry]:
        entries = self._all.entries
        tagged = [e for e in entries if tags and self._has(e.deployment.tags, tags)]
        return tagged or [e for e in entries if not e.deployment.tags or "default" in e.deployment.tags]

    def _near(self, entries: Sequence[Entry], region: str) -> Sequence[Entry]:
        regions = self._settings.regions
        return [e for e in entries if (not regions or _within(e, regions)) and (not region or _within(e, {region}))]

    def _has(self, own: frozenset[str], asked: frozenset[str]) -> bool:
        return asked <= own if self._settings.tags_match_all else bool(asked & own)


def fitting(choices: Sequence[Deployment], settings: RouterSettings, tags: tuple[str, ...]) -> list[Deployment]:
    """-> those that may serve who has these tags, in their order. Raises NothingFits, also for no choices."""
    entries = Choices(choices, States(), settings).fitting(Wish(tags=tags)).entries
    if not entries:
        raise NothingFits("tags")
    return [entry.deployment for entry in entries]


def _within(entry: Entry, places: Iterable[str]) -> bool:
    terms = entry.deployment.terms
    return any(place in (terms.region, terms.zone) for place in places)


def _tiers(entries: Sequence[Entry]) -> tuple[Tier, ...]:
    orders = sorted({e.deployment.order for e in entries})
    return tuple(Tier([e for e in entries if e.deployment.order == order]) for order in orders)


def _weigh(entries: Sequence[Entry]) -> None:
    """By `weight`, else by `rpm`, else by `tpm`, else evenly; one without beside others that have it counts as 1."""
    of = [e.deployment for e in entries]
    for values in ([d.weight for d in of], [d.rpm for d in of], [d.tpm for d in of]):
        if any(v is not None for v in values):
            for entry, value in zip(entries, values, strict=True):
                entry.weight = 1.0 if value is None else float(value)
            return
