"""The totals that this process owns: absolute numbers per key, day, alias and team.

Every row's key ends in the name of whoever writes it: writing it again changes nothing, so no write ever conflicts or
counts twice. Owns the numbers and their rows; when they are written is usage_log.py's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shared.adapters.ledger_event import count
from shared.books.sums import COUNTERS
from shared.limits.periods import day_name, day_number
from shared.types import Row, UsageRecord


@dataclass(slots=True)
class Total:
    """One row. `values` is what is written."""

    table: str
    day: str
    values: dict[str, Any]
    version: int = 0
    written: int = 0
    """The version that is known to be in the store."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A total as it stood at one moment."""

    total: Total
    version: int
    row: Row


class Totals:
    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._totals: dict[tuple[str, str, str, str], Total] = {}

    def count(self, record: UsageRecord) -> None:
        day = day_of(record.at)
        place = record.key_id, day, record.alias, record.team
        total = self._totals.get(place)
        if total is None:
            total = self._totals[place] = new_total(record, self._instance)
        count(total.values, record)
        total.version += 1

    def pending(self) -> bool:
        return any(total.version != total.written for total in self._totals.values())

    def changed(self) -> list[Snapshot]:
        """What is not known to be in the store, as it stands now."""
        return [
            Snapshot(total, total.version, Row(total.table, dict(total.values)))
            for total in self._totals.values()
            if total.version != total.written
        ]

    def landed(self, snapshots: list[Snapshot]) -> None:
        for snapshot in snapshots:
            snapshot.total.written = snapshot.version

    def forget_before(self, day: str) -> None:
        for place in [p for p, t in self._totals.items() if t.day < day and t.version == t.written]:
            del self._totals[place]


def new_total(record: UsageRecord, instance: str) -> Total:
    """A row of its own with nothing counted yet. `instance`: who writes it, as it may stand in a row's key."""
    day = day_of(record.at)
    values: dict[str, Any] = {
        "PartitionKey": f"{record.key_id}|{day}",
        "RowKey": f"{quote(record.alias, safe='')}|{quote(record.team, safe='')}|{instance}",
        "key_name": record.key_name,
        "team": record.team,
        "alias": record.alias,
        "day": day,
        "instance": instance,
    }
    return Total(f"tollgateusage{day[:6]}", day, values | dict.fromkeys(COUNTERS, 0))


def day_of(at: float) -> str:
    """The UTC day, YYYYMMDD."""
    return day_name(day_number(at))
