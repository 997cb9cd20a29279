"""Usage records become rows (ports.UsageLog): this module owns when, and in which order.

The ledger comes first and the totals after it, so that the ledger is never behind the totals. The ledger is written by
one task at a time and the totals by another: of two writes of one row at once, the older could land last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.adapters.ledger_event import count
from shared.adapters.ledger_rows import LedgerRows, once_name, once_row
from shared.adapters.usage_totals import Totals, day_of, new_total
from shared.books.sums import COUNTERS
from shared.ports import CallLog, RowStore, StoreUnavailable
from shared.types import Row, UsageRecord

__all__ = ("COUNTERS", "TableUsageLog", "ledger_table", "usage_table")
FLUSH_SECONDS = 2.0
IDLE_SECONDS = 0.1
"""When nothing is in flight the rows are written after so short a pause: an instance may vanish while it is idle."""


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
        self._clock = clock
        self._log = log
        self._interval = interval
        self._totals = Totals(instance)
        self._ledger = LedgerRows(instance)
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        """Writes the ledger."""
        self._settling: asyncio.Task[None] | None = None
        """Has the ledger written, then writes the totals."""
        self._failures = 0

    def begin(self) -> None:
        self._in_flight += 1

    async def intend(self, record: UsageRecord) -> None:
        """Those that wait together share a write. Raises StoreUnavailable; `add` is to be called all the same."""
        self._ledger.intend(record)
        try:
            await self.flush()
        except StoreUnavailable:
            self._ledger.withdraw(record)
            raise

    def add(self, record: UsageRecord | None) -> None:
        self._in_flight -= 1
        if record is not None:
            self._totals.count(record)
            self._ledger.add(record)
        self._schedule()

    async def add_once(self, record: UsageRecord) -> None:
        """Both rows are absolute and named by the record: whoever writes them again changes nothing."""
        total = new_total(record, once_name(record))
        count(total.values, record)
        await self._store.write([once_row(record)])
        await self._store.write([Row(total.table, total.values)])

    async def flush(self) -> None:
        """Everything that was added is in the ledger when this returns; the totals follow. Raises StoreUnavailable."""
        if self._writing:  # what is being written may lack the newest record
            await asyncio.wait({self._writing})
        if self._ledger.pending():
            await asyncio.shield(self._writing or self._start())  # callers that waited together share one write

    def pending(self) -> bool:
        return self._ledger.pending() or self._totals.pending()

    def owed(self) -> list[Row]:
        """The rows that are not known to be written, in the order in which they are to be written: for the end of the
        process, when no loop can write them any more."""
        totals = self._totals.changed()
        return [*self._ledger.tried(), *self._ledger.new(), *(snapshot.row for snapshot in totals)]

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
        if self._settling is None and self.pending():
            self._settling = asyncio.ensure_future(self._settle())
            self._settling.add_done_callback(self._settled)

    async def _settle(self) -> None:
        totals = self._totals.changed()  # not those of a moment later: their events may not be in the ledger by then
        await self.flush()
        if totals:
            await self._store.write([snapshot.row for snapshot in totals])
            self._totals.landed(totals)
        # Yesterday's totals stay: a call counts for the day on which it began, and a new total would begin at 0.
        self._totals.forget_before(day_of(self._clock() - 86400))

    def _settled(self, settling: asyncio.Task[None]) -> None:
        self._settling = None
        error = None if settling.cancelled() else settling.exception()
        if error is None:
            self._failures = 0
            if self.pending() and not settling.cancelled():
                self._schedule()  # what was added meanwhile found a write under way
            return
        self._failures += 1
        self._log.warning("usage not yet durable, will be retried", attempts=self._failures, error=str(error))
        if self._timer:
            self._timer.cancel()
        delay = min(60.0, self._interval * 2**self._failures)
        self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _start(self) -> asyncio.Task[None]:
        writing = self._writing = asyncio.ensure_future(self._write())
        writing.add_done_callback(self._written)
        return writing

    def _written(self, writing: asyncio.Task[None]) -> None:
        self._writing = None
        if not writing.cancelled():
            writing.exception()  # told to whoever waits; nobody may, by now

    async def _write(self) -> None:
        try:
            for make in (self._ledger.tried, self._ledger.new):
                if rows := make():
                    await self._store.write(rows)
                    self._ledger.landed(rows)
        except StoreUnavailable:
            if given_up := self._ledger.give_up():
                self._log.warning(
                    "ledger events given up and merged into sums: the table store has been down for too long",
                    events=given_up,
                )
            raise
