"""The row of a budget's period, which all processes lease money from.

    base        nano-dollars spent by entries that are closed
    held        JSON {instance.n|day: [granted, spent, seen, before]}: one entry for each lease of a process and UTC
                day. `granted` includes `spent`; `before` is what was moved to `base` of the same entry
    gone        JSON {instance.n|day: [spent, when]}: entries that were closed of late, with all that `base` has of
                them, so that a process that was taken for dead knows what has been counted; and work in the
                background that was charged of late, by its name
    told        JSON {hard-NANOS: percent}: which thresholds have been reported
    oldest      when the least recently seen entry that still holds money was seen: for the sweep

An entry's numbers are absolute: a write of unknown outcome is repeated without changing the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.limits.lease import Values
from shared.limits.periods import ENDLESS

DEAD_SECONDS = 300.0
"""An entry that was not seen for so long belongs to a process that is gone."""
_KEPT = 86400.0
_MOST_KEPT, _MOST_WORKS = 50, 200
"""Closed entries, and charged works. A text column holds 32,000 characters: about 400 names."""


@dataclass(slots=True)
class Entry:
    granted: int
    spent: int
    seen: float
    before: int = 0

    @property
    def taken(self) -> int:
        return max(self.granted, self.spent)


def instance_of(name: str) -> tuple[str, str]:
    """-> the process of an entry, as its usage names it, and the UTC day."""
    lease, _, day = name.rpartition("|")
    return lease.rpartition(".")[0], day


@dataclass(slots=True)
class BudgetRow:
    base: int = 0
    held: dict[str, Entry] = field(default_factory=dict[str, Entry])
    gone: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    told: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def read(cls, row: Values | None) -> BudgetRow:
        if row is None:
            return cls()
        held: dict[str, list[Any]] = orjson.loads(row.get("held") or "{}")
        gone: dict[str, list[Any]] = orjson.loads(row.get("gone") or "{}")
        return cls(
            int(row.get("base") or 0),
            {name: Entry(*values) for name, values in held.items()},
            {name: (int(spent), float(when)) for name, (spent, when) in gone.items()},
            orjson.loads(row.get("told") or "{}"),
        )

    def values(self) -> dict[str, Any]:
        held = {name: [e.granted, e.spent, round(e.seen, 3), e.before] for name, e in self.held.items()}
        open_ones = (e.seen for e in self.held.values() if e.granted > e.spent)
        return {
            "base": self.base,
            "held": orjson.dumps(held).decode(),
            "gone": orjson.dumps(self.gone).decode(),
            "told": orjson.dumps(self.told).decode(),
            "oldest": min(open_ones, default=ENDLESS),
        }

    @property
    def spent(self) -> int:
        return self.base + sum(e.spent for e in self.held.values())

    @property
    def taken(self) -> int:
        """Spent, or granted to somebody who may spend it."""
        return self.base + sum(e.taken for e in self.held.values())

    def close(self, name: str, spent: int, now: float) -> None:
        """An entry has spent so much, and will spend no more."""
        entry = self.held.pop(name)
        self.base += spent
        self.gone[name] = (entry.before + spent, round(now, 3))

    def charge(self, work: str, nanos: int, now: float) -> bool:
        """Count what is known only now, once. -> whether it was not yet counted."""
        if work in self.gone:
            return False
        self.base += nanos
        self.gone[work] = (nanos, round(now, 3))
        self._forget(now)
        return True

    def tidy(self, now: float) -> None:
        """Close entries that hold nothing and were not heard of for long; forget closed ones after a day."""
        for name, entry in list(self.held.items()):
            if now - entry.seen > DEAD_SECONDS and entry.granted <= entry.spent:
                self.close(name, entry.spent, now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Of each kind the newest of a day stay: many works must not push out the entries."""
        fresh = sorted((when, name) for name, (_, when) in self.gone.items() if now - when < _KEPT)
        entries, works = ([name for _, name in fresh if ("|" in name) is entry] for entry in (True, False))
        kept = {*entries[-_MOST_KEPT:], *works[-_MOST_WORKS:]}
        self.gone = {name: gone for name, gone in self.gone.items() if name in kept}


def spent_of_dead(entry: Entry, totals: int) -> int:
    """What a process that is gone has spent beyond what is in `base`: by the totals of its usage on that day, but no
    less than it has reported, and no more than it was granted."""
    return min(max(entry.spent, totals - entry.before), entry.taken)
