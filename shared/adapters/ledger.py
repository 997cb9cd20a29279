"""Reading the ledger: its events by key and day, each once. How they are written: usage_log.py; what they say: docs.

Partitions are `{key}|{day}`, so the days of one key are a range, and the keys of a month are found by leaps from one
to the next: two requests for each key, however many rows lie between.

An event may be there twice: in a page and in the compacted page that replaces it (docs/ledger.md), or as an intent and
as its outcome. One with an outcome is preferred. An intent that has none is a call of which nothing else is known: it
counts once it is so old that it cannot be running any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from shared.adapters.tables import Tables, in_filter
from shared.adapters.usage_log import ledger_table
from shared.books.days import day_name, months
from shared.books.sums import UNFINISHED, time_of

GIVEN_UP_AFTER = timedelta(hours=1)
"""After so long a call that has no outcome is taken to have none."""
_CLOCKS_DIFFER = timedelta(minutes=10)
_LAST = "~"
"""Sorts behind all that keys and days are made of."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event and where it stands: neither key nor day is in the event."""

    key_id: str
    day: str
    event: dict[str, Any]


async def key_ids(tables: Tables, table: str, prefix: str = "") -> AsyncIterator[str]:
    """The keys that have partitions `{key}|…` in a table. Raises StoreUnavailable."""
    after = prefix
    while True:
        wanted = f"PartitionKey gt '{in_filter(after)}' and PartitionKey lt '{in_filter(prefix)}{_LAST}'"
        rows, _ = await tables.page(table, wanted, 1, select=["PartitionKey"])
        if not rows:
            return
        found = rows[0]["PartitionKey"].rpartition("|")[0]
        yield found
        after = f"{found}|{_LAST}"


async def entries(
    tables: Tables, first: date, last: date, now: datetime, *, key: str = "", since: datetime | None = None
) -> AsyncIterator[Entry]:
    """Every event of these days, key by key and day by day. Raises StoreUnavailable.

    key: an id, or its beginning. since: leave out what was written before that, by the table service's clock; what was
    written later may come from before as well.
    """
    for month in months(first, last):
        table = ledger_table(month)
        async for key_id in key_ids(tables, table, key):
            wanted = (
                f"PartitionKey ge '{in_filter(key_id)}|{day_name(first)}' and "
                f"PartitionKey le '{in_filter(key_id)}|{day_name(last)}'"
            )
            if since is not None:
                wanted += f" and Timestamp ge datetime'{since - _CLOCKS_DIFFER:%Y-%m-%dT%H:%M:%SZ}'"
            partition, reading = "", Reading(now)
            async for row in tables.query(table, wanted, select=["PartitionKey", "events"]):
                if row["PartitionKey"] != partition:
                    for event in reading.rest():
                        yield _entry(partition, event)
                    partition, reading = row["PartitionKey"], Reading(now)
                for event in reading.new(events_of(row)):
                    yield _entry(partition, event)
            for event in reading.rest():
                yield _entry(partition, event)


def events_of(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of one page."""
    for line in str(row.get("events") or "").split("\n"):
        if line:
            yield orjson.loads(line)


class Reading:
    """One partition as it is read: lets each event through once, those without an outcome at the end."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._seen: set[str] = set()
        self._unfinished: dict[str, dict[str, Any]] = {}

    def new(self, events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for event in events:
            name = str(event["request_id"])
            if event.get("outcome") == UNFINISHED:
                self._unfinished.setdefault(name, event)
            elif name not in self._seen:
                self._seen.add(name)
                yield event

    def rest(self) -> Iterator[dict[str, Any]]:
        for name, event in self._unfinished.items():
            if name not in self._seen and self._now - time_of(event) >= GIVEN_UP_AFTER:
                yield event


def day_of(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _entry(partition: str, event: dict[str, Any]) -> Entry:
    key_id, _, day = partition.rpartition("|")
    return Entry(key_id, day, event)
