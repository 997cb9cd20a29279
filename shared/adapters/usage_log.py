"""Usage records become rows (ports.UsageLog): totals that this process owns, and pages of the ledger.

Totals are absolute numbers per key, day and alias in rows that only this process writes (RowKey ends in the instance):
writing them again changes nothing, so no write ever conflicts or counts twice. Ledger events of one flush share a row
(a page, named by instance and number): one row per event would cost the SDK 0.3 ms of CPU each (docs/adr/0005).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from shared.adapters.ledger_event import RARE, ledger_event
from shared.ports import CallLog, RowStore
from shared.types import Row, UsageRecord

FLUSH_SECONDS = 2.0
IDLE_SECONDS = 0.1
"""When nothing is in flight the rows are written after so short a pause: an instance may vanish while it is idle."""
PAGE_CHARACTERS = 30_000
"""A text property holds 64 KiB of UTF-16."""
MOST_PENDING = 200_000
"""Events kept while the store is down; beyond it the oldest pages are given up, and the log says how many."""

COUNTERS = (
    "requests",
    "failed",
    "estimated",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "cache_write_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "training_tokens",
    "images",
    "characters",
    "audio_ms",
    "video_ms",
    "latency_ms",
)


@dataclass(slots=True)
class _Total:
    """One row of the totals. `values` is what is written; `dirty` says that it has changed since."""

    table: str
    values: dict[str, Any]
    day: str
    dirty: bool = True


def usage_table(month: str) -> str:
    return f"tollgateusage{month}"


def ledger_table(month: str) -> str:
    return f"tollgateledger{month}"


class TableUsageLog:
    """`instance` names this process for ever: a restarted process is another one and starts rows of its own."""

    def __init__(
        self, store: RowStore, instance: str, clock: Callable[[], float], log: CallLog, interval: float = FLUSH_SECONDS
    ) -> None:
        self._store = store
        self._instance = instance
        self._clock = clock
        self._log = log
        self._interval = interval
        self._totals: dict[tuple[str, str, str], _Total] = {}
        self._events: list[UsageRecord] = []
        self._pages: list[Row] = []
        self._page_number = 0
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._failures = 0

    def begin(self) -> None:
        self._in_flight += 1

    def add(self, record: UsageRecord | None) -> None:
        self._in_flight -= 1
        if record is not None:
            self._count(record)
            self._events.append(record)
        self._schedule()

    async def intend(self, record: UsageRecord) -> None:
        raise NotImplementedError

    async def add_once(self, record: UsageRecord) -> None:
        raise NotImplementedError

    async def flush(self) -> None:
        """Everything that was added is durable when this returns. Raises StoreUnavailable."""
        if self._running:  # what is being written may lack the newest record
            await asyncio.wait({self._running})
        await asyncio.shield(self._running or self._start())  # callers that waited together share one write

    def pending(self) -> bool:
        return bool(self._events or self._pages or any(t.dirty for t in self._totals.values()))

    def owed(self) -> list[Row]:
        """The rows that have not been written: for the end of the process, when no loop can write them any more."""
        return self._rows()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(self._interval, self._due)
        if self._in_flight == 0 and self._idle is None and self._failures == 0:
            self._idle = loop.call_later(IDLE_SECONDS, self._maybe_due)

    def _maybe_due(self) -> None:
        self._idle = None
        if self._in_flight == 0:
            self._due()

    def _due(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if self._running is None and self.pending():
            self._start()

    def _start(self) -> asyncio.Task[None]:
        """One write at a time: of two that hold the same row, the older could land last."""
        running = self._running = asyncio.ensure_future(self._write())
        running.add_done_callback(self._landed)
        return running

    def _landed(self, running: asyncio.Task[None]) -> None:
        self._running = None
        error = None if running.cancelled() else running.exception()
        if error is None:
            self._failures = 0
            if self.pending() and not running.cancelled():
                self._schedule()  # what was added meanwhile found a write under way
            return
        self._failures += 1
        self._log.warning("usage not yet durable, will be retried", attempts=self._failures, error=str(error))
        if self._timer:
            self._timer.cancel()
        delay = min(60.0, self._interval * 2**self._failures)
        self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    async def _write(self) -> None:
        rows = self._rows()
        dirty = [t for t in self._totals.values() if t.dirty]
        for total in dirty:
            total.dirty = False
        try:
            await self._store.write(rows)
        except BaseException:
            for total in dirty:
                total.dirty = True
            self._give_up_oldest()
            raise
        written = set(map(id, rows))
        self._pages = [page for page in self._pages if id(page) not in written]
        self._forget_closed_days()

    def _rows(self) -> list[Row]:
        """Changed totals and all pages that have not been written."""
        self._pages += self._make_pages()
        totals = [Row(t.table, dict(t.values)) for t in self._totals.values() if t.dirty]
        return [*totals, *self._pages]

    def _make_pages(self) -> Iterable[Row]:
        events, self._events = self._events, []
        by_partition: dict[tuple[str, str], list[UsageRecord]] = {}
        for event in events:
            by_partition.setdefault((event.key_id, _day(event.at)), []).append(event)
        for (digest, day), group in by_partition.items():
            lines: list[str] = []
            size = 0
            for event in group:
                line = orjson.dumps(ledger_event(event), option=orjson.OPT_UTC_Z).decode()
                if lines and size + len(line) > PAGE_CHARACTERS:
                    yield self._page(digest, day, lines)
                    lines, size = [], 0
                lines.append(line)
                size += len(line) + 1
            yield self._page(digest, day, lines)

    def _page(self, digest: str, day: str, lines: list[str]) -> Row:
        self._page_number += 1
        return Row(
            ledger_table(day[:6]),
            {
                "PartitionKey": f"{digest}|{day}",
                "RowKey": f"{self._instance}-{self._page_number:08d}",
                "count": len(lines),
                "events": "\n".join(lines),
            },
        )

    def _count(self, record: UsageRecord) -> None:
        day = _day(record.at)
        place = (record.key_id, day, record.alias)
        total = self._totals.get(place)
        if total is None:
            total = self._totals[place] = self._new_total(record, day)
        values, usage = total.values, record.usage
        values["requests"] += 1
        values["failed"] += record.outcome not in ("ok", "client_closed")
        values["estimated"] += usage.estimated
        values["input_tokens"] += usage.input_tokens
        values["output_tokens"] += usage.output_tokens
        values["cached_input_tokens"] += usage.cached_input_tokens
        values["reasoning_tokens"] += usage.reasoning_tokens
        values["audio_input_tokens"] += usage.audio_input_tokens
        values["audio_output_tokens"] += usage.audio_output_tokens
        for name in RARE:
            values[name] += getattr(usage, name)
        values["audio_ms"] += round(usage.audio_seconds * 1000)
        values["video_ms"] += round(usage.video_seconds * 1000)
        values["latency_ms"] += round(record.latency * 1000)
        total.dirty = True

    def _new_total(self, record: UsageRecord, day: str) -> _Total:
        values: dict[str, Any] = {
            "PartitionKey": f"{record.key_id}|{day}",
            "RowKey": f"{quote(record.alias, safe='')}|{self._instance}",
            "key_name": record.key_name,
            "team": record.team,
            "alias": record.alias,
            "day": day,
        }
        return _Total(usage_table(day[:6]), values | dict.fromkeys(COUNTERS, 0), day)

    def _forget_closed_days(self) -> None:
        """Yesterday's totals stay: a call counts for the day on which it began, and a new total would begin at 0."""
        yesterday = _day(self._clock() - 86400)
        for place in [p for p, t in self._totals.items() if t.day < yesterday and not t.dirty]:
            del self._totals[place]

    def _give_up_oldest(self) -> None:
        lost = 0
        while sum(int(p.values["count"]) for p in self._pages) > MOST_PENDING:
            lost += int(self._pages.pop(0).values["count"])
        if lost:
            self._log.warning("ledger events given up: the table store has been down for too long", events=lost)


def _day(at: float) -> str:
    """The UTC day, YYYYMMDD."""
    return _day_name(int(at // 86400))


@functools.lru_cache(maxsize=8)
def _day_name(days_since_1970: int) -> str:
    return datetime.fromtimestamp(days_since_1970 * 86400, UTC).strftime("%Y%m%d")
