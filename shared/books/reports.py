"""Reports: uses of the gateway, summed by one or two dimensions. Pure.

A use is a line of what was counted, whatever table it was read from. With `tag` as a dimension a call that has several
tags counts under each of them; the report's total counts it once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.books.days import shown_day, shown_hour
from shared.books.sums import Sums, add, nothing

DIMENSIONS = ("key", "team", "model", "deployment", "endpoint", "tag", "user", "engine", "day", "hour")
OF_TOTALS = frozenset({"key", "team", "model", "day"})
"""Dimensions that the daily totals know."""
TIMES = ("day", "hour")
IDLE = "(idle PTU)"
"""The line of what nobody used of provisioned deployments."""
_PTU = "(PTU)"
_EMPTY = {
    "team": "(no team)",
    "model": "(unknown model)",
    "deployment": "(none)",
    "tag": "(no tag)",
    "user": "(no user)",
    "engine": "(no batch)",
}
LEAST_OF_AN_ID = 8
"""So many characters of a key's id name the key."""
SHOWN_OF_AN_ID = 12


@dataclass(frozen=True, slots=True)
class Use:
    """What was counted for one combination of dimensions, as far as its source knows them."""

    sums: Mapping[str, int]
    key_id: str = ""
    key_name: str = ""
    team: str = ""
    alias: str = ""
    day: str = ""
    hour: int = 0
    deployment: str = ""
    endpoint: str = ""
    tags: tuple[str, ...] = ()
    user: str = ""
    engine: str = ""
    """What ran the batch that it is of: `azure` or `own`; empty: it is of none."""
    ptu_nanos: int = 0
    """A share of a fixed cost; such a use counts nothing else."""
    is_share: bool = False
    is_idle: bool = False


@dataclass(frozen=True, slots=True)
class Only:
    """Which uses a report is about. Empty: all."""

    key: str = ""
    """A key's name, or its id or the beginning of that."""
    team: str = ""
    model: str = ""
    tag: str = ""

    @property
    def everything(self) -> bool:
        return not (self.key or self.team or self.model or self.tag)

    def has(self, use: Use) -> bool:
        if use.is_idle:
            return self.everything
        return (
            (not self.key or self.key == use.key_name or is_id_of(self.key, use.key_id))
            and (not self.team or self.team == (use.team or _EMPTY["team"]))
            and (not self.model or self.model == (use.alias or _EMPTY["model"]))
            and (not self.tag or self.tag in use.tags)
        )


def is_id_of(text: str, key_id: str) -> bool:
    return len(text) >= LEAST_OF_AN_ID and key_id.startswith(text)


@dataclass(slots=True)
class Line:
    sums: Sums = field(default_factory=nothing)
    ptu_nanos: int = 0

    def add(self, use: Use) -> None:
        add(self.sums, use.sums)
        self.ptu_nanos += use.ptu_nanos

    @property
    def weight(self) -> tuple[int, int]:
        """What lines are sorted by: money, then calls."""
        return self.sums["cost_nanos"] + self.ptu_nanos, self.sums["requests"]


class Report:
    def __init__(self, by: Sequence[str], only: Only) -> None:
        self.by = tuple(by)
        self.only = only
        self.total = Line()
        self.overlapping = False
        self.unpriced: dict[str, int] = {}
        """Calls without a price, by alias."""
        self._lines: dict[tuple[str, ...], Line] = {}
        self._names: dict[str, tuple[str, str]] = {}

    def add(self, use: Use) -> None:
        if not self.only.has(use):
            return
        self.total.add(use)
        if unpriced := use.sums.get("unpriced", 0):
            alias = use.alias or _EMPTY["model"]
            self.unpriced[alias] = self.unpriced.get(alias, 0) + unpriced
        if "key" in self.by and not use.is_idle:
            self._names[use.key_id] = max(self._names.get(use.key_id, ("", "")), (use.day, use.key_name))
        places = self._places(use)
        self.overlapping = self.overlapping or len(places) > 1
        for place in places:
            self._lines.setdefault(place, Line()).add(use)

    def _places(self, use: Use) -> list[tuple[str, ...]]:
        places: list[tuple[str, ...]] = [()]
        for name in self.by:
            values = self._values(use, name)
            places = [(*place, value) for place in places for value in values]
        return places

    def _values(self, use: Use, name: str) -> Sequence[str]:
        if use.is_idle and (name not in TIMES or set(self.by) <= set(TIMES)):
            return (IDLE,)
        if use.is_share and name in ("endpoint", "user", "engine"):
            return (_PTU,)
        match name:
            case "key":
                return (use.key_id,)
            case "model":
                value = use.alias
            case "tag":
                return use.tags or (_EMPTY["tag"],)
            case "day":
                return (shown_day(use.day),)
            case "hour":
                return (shown_hour(use.day, use.hour),)
            case _:
                value = str(getattr(use, name))
        return (value or _EMPTY.get(name, ""),)

    def lines(self) -> Iterator[tuple[dict[str, str], Line]]:
        """Each line's values by dimension (a key's are `key`, its name, and `key_id`), the dearest first; times in
        their order; of two dimensions the lines of one value of the first stay together."""
        groups: dict[str, Line] = {}
        for place, line in self._lines.items():
            group = groups.setdefault(place[0], Line())
            add(group.sums, line.sums)
            group.ptu_nanos += line.ptu_nanos
        ranked = {value: self._rank(0, value, line) for value, line in groups.items()}
        order = sorted(
            self._lines.items(),
            key=lambda item: (ranked[item[0][0]], self._rank(len(self.by) - 1, item[0][-1], item[1])),
        )
        for place, line in order:
            values = dict(zip(self.by, place, strict=True))
            if "key" in values:
                values["key_id"] = "" if values["key"] == IDLE else values["key"][:SHOWN_OF_AN_ID]
                values["key"] = self._names.get(values["key"], ("", values["key"]))[1]
            yield values, line

    def _rank(self, number: int, value: str, line: Line) -> tuple[bool, int, int, str]:
        idle = value == IDLE
        if self.by[number] in TIMES:
            return idle, 0, 0, value
        nanos, requests = line.weight
        return idle, -nanos, -requests, value
