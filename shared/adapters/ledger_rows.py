"""Events on their way into the ledger: the rows that have not been written yet.

Events of one key and day that are written together share a row, a page (docs/adr/0005). A call that was written down
before it was made (USAGE_FLUSH=request) has a row of its own, which its end replaces. Owns the rows and their keys;
when they are written is usage_log.py's business.

Writing a row again changes nothing. So that this stays true while the store fails, a page whose write was tried is
never changed or given up: only events that no write has seen are ever merged into sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import orjson

from shared.adapters.ledger_event import count, ledger_event, sum_event
from shared.adapters.usage_totals import day_of
from shared.books.sums import COUNTERS
from shared.types import Row, UsageRecord

PAGE_CHARACTERS = 30_000
"""A text property holds 64 KiB of UTF-16."""
MOST_PENDING = 200_000
"""Events kept while the store is down; beyond it the oldest are merged into sums, and the log says how many."""


class LedgerRows:
    """`instance` is part of every row's key."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._events: list[UsageRecord] = []
        self._sums: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        self._pages: list[Row] = []
        """Of writes whose outcome is not known."""
        self._calls: dict[str, Row] = {}
        """By request id: rows of single calls that have changed since they were written."""
        self._intended: set[str] = set()
        self._page_number = self._sum_number = 0

    def intend(self, record: UsageRecord) -> None:
        self._intended.add(record.request_id)
        self._calls[record.request_id] = self._row(record, f"{self._instance}-c-{record.request_id}")

    def withdraw(self, record: UsageRecord) -> None:
        """The intent may not have been written: the call's end is an event like others. Should it have been written
        all the same, readers find two events of one request id and take the finished one."""
        self._intended.discard(record.request_id)
        self._calls.pop(record.request_id, None)

    def add(self, record: UsageRecord) -> None:
        if record.request_id in self._intended:
            self.intend(record)
            self._intended.discard(record.request_id)
        else:
            self._events.append(record)

    def pending(self) -> bool:
        return bool(self._events or self._calls or self._pages or self._sums)

    def tried(self) -> list[Row]:
        """The pages that a write has failed to write, or not to write: they come first."""
        return list(self._pages)

    def new(self) -> list[Row]:
        """Everything else. From now on it counts as tried."""
        pages = list(self._new_pages())
        self._pages += pages
        return [*pages, *self._calls.values()]

    def landed(self, rows: Iterable[Row]) -> None:
        written = set(map(id, rows))
        self._pages = [page for page in self._pages if id(page) not in written]
        self._calls = {name: row for name, row in self._calls.items() if id(row) not in written}

    def give_up(self) -> int:
        """Merge the oldest events into sums, if there are too many. -> how many calls they stood for."""
        waiting = sum(int(page.values["count"]) for page in self._pages) + len(self._events)
        lost = self._events[: max(0, waiting - MOST_PENDING)]
        del self._events[: len(lost)]
        for record in lost:
            place = record.key_id, day_of(record.at), record.alias, record.team
            values = self._sums.get(place)
            if values is None:
                values = self._sums[place] = {"at": record.at, "key_name": record.key_name, **_NOTHING}
            values["at"] = min(values["at"], record.at)
            count(values, record)
        return len(lost)

    def _new_pages(self) -> Iterable[Row]:
        lines: dict[tuple[str, str], list[str]] = {}
        sums, self._sums = self._sums, {}
        for (key_id, day, alias, team), values in sums.items():
            self._sum_number += 1
            names = {"key_name": values["key_name"], "team": team, "alias": alias}
            request_id = f"sum-{self._instance}-{self._sum_number}"
            event = sum_event(request_id, values["at"], names, {name: values[name] for name in COUNTERS})
            lines.setdefault((key_id, day), []).append(_line(event))
        events, self._events = self._events, []
        for record in events:
            lines.setdefault((record.key_id, day_of(record.at)), []).append(_line(ledger_event(record)))
        for (key_id, day), of_day in lines.items():
            for page in _pages(of_day):
                self._page_number += 1
                yield _row(key_id, day, f"{self._instance}-{self._page_number:08d}", page)

    def _row(self, record: UsageRecord, name: str) -> Row:
        return _row(record.key_id, day_of(record.at), name, [_line(ledger_event(record))])


def once_row(record: UsageRecord) -> Row:
    """The row of an event that any process may write: it replaces itself."""
    return _row(record.key_id, day_of(record.at), once_name(record), [_line(ledger_event(record))])


def once_name(record: UsageRecord) -> str:
    return "once-" + quote(record.request_id, safe="")


_NOTHING = dict.fromkeys(COUNTERS, 0)


def _line(event: dict[str, Any]) -> str:
    return orjson.dumps(event, option=orjson.OPT_UTC_Z).decode()


def _pages(lines: list[str]) -> Iterable[list[str]]:
    page: list[str] = []
    size = 0
    for line in lines:
        if page and size + len(line) > PAGE_CHARACTERS:
            yield page
            page, size = [], 0
        page.append(line)
        size += len(line) + 1
    yield page


def _row(key_id: str, day: str, name: str, lines: list[str]) -> Row:
    values: dict[str, Any] = {
        "PartitionKey": f"{key_id}|{day}",
        "RowKey": name,
        "count": len(lines),
        "events": "\n".join(lines),
    }
    return Row(f"tollgateledger{day[:6]}", values)
