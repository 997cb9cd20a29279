"""The flights of one process's leases to the store: when they begin, that each lease has one at a time, who looks after
a lease that nobody asks for, and what is known of a store that does not answer.

Knows nothing of calls, callers and what leases are of: those who give leases out share one of these (limiter.py for
keys and teams, capacity.py for deployments).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from shared.limits.lease import Contended, Lease, LeaseStore, Pace
from shared.limits.money import BudgetLease, Threshold
from shared.ports import CallLog

WARN_SECONDS = 30.0
FAILURES = 2
"""So many flights that fail, one after the other, mean that the store is down."""
CLOSE_SECONDS = 5.0
MOST_AT_ONCE = 16
_FORGET_SECONDS = 600.0


class Flights:
    """One per process, for one event loop."""

    def __init__(
        self,
        store: LeaseStore,
        clock: Callable[[], float],
        log: CallLog,
        pace: Pace,
        *,
        closed: bool = False,
        on_threshold: Callable[[Threshold], None] = lambda _: None,
    ) -> None:
        """closed: what the log is told of calls that cannot be checked. on_threshold: must neither wait nor raise."""
        self.clock, self.pace = clock, pace
        self.down = False
        self.failures = 0
        """Of flights in a row."""
        self.probe_at = 0.0
        self.ending = False
        self.forgets: list[Callable[[float], None]] = []
        """Called every ten minutes: what has not been used for long may go."""
        self._store, self._log, self._closed, self._on_threshold = store, log, closed, on_threshold
        self._active: set[Lease] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._flights: set[asyncio.Task[None]] = set()
        self._warned_at = self._forgot_at = 0.0

    def fly(self, lease: Lease) -> asyncio.Task[None]:
        """The flight that is under way, or another."""
        if lease.flight is None:
            if self.down:
                self.probe_at = self.clock() + self._probe_pause()
            lease.place.answered = False
            lease.flying_since = asyncio.get_running_loop().time()
            lease.flight = asyncio.ensure_future(self._flight(lease))
            self._flights.add(lease.flight)
            lease.flight.add_done_callback(self._flights.discard)
        return lease.flight

    async def close(self, leases: Iterable[Lease]) -> None:
        """Give everything back: of these, and of all that are looked after. Never fails; what could not be given back
        is swept, or is free again in a minute."""
        self.ending = True
        if self._timer:
            self._timer.cancel()
        if self._flights:
            await asyncio.wait(self._flights, timeout=CLOSE_SECONDS)
        now = self.clock()
        open_ones = [lease for lease in {*self._active, *leases} if lease.busy(now) and lease.flight is None]
        flights = [self.fly(lease) for lease in open_ones]
        if flights:
            await asyncio.wait(flights, timeout=CLOSE_SECONDS)

    async def _flight(self, lease: Lease) -> None:
        """Never fails: whoever waits looks at the lease."""
        lease.begin(self.clock(), closing=self.ending)
        try:
            found = await self._store.change(lease.place, lambda row: lease.edit(row, self.clock()))
        except Contended:
            lease.failed(self.clock())
        except Exception as error:
            lease.failed(self.clock())
            self.failures += 1
            if self.failures >= FAILURES:
                self.note_down(str(error) or type(error).__name__, self.clock())
        else:
            self._note_up()
            lease.landed(found, self.clock())
            if isinstance(lease, BudgetLease):
                for threshold in lease.thresholds(found):
                    self._on_threshold(threshold)
        finally:
            lease.flight = None
            self._watch(lease)

    # A store that does not answer.

    def note_down(self, reason: str, now: float) -> None:
        if not self.down:
            self.down, self.probe_at = True, now + self._probe_pause()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            policy = "calls that cannot be checked are refused" if self._closed else "calls are admitted unchecked"
            self._log.warning(f"limits cannot be checked, {policy}", error=reason)

    def _note_up(self) -> None:
        self.failures = 0
        if self.down:
            self.down, self._warned_at = False, 0.0
            self._log.warning("limits are checked again")

    def _probe_pause(self) -> float:
        return min(self.pace.down, self.pace.tick / 2 * 2 ** min(self.failures, 10))

    def _may_fly(self) -> bool:
        return not self.down or self.clock() >= self.probe_at

    # What is done although nobody waits.

    def wake(self, lease: Lease) -> None:
        """The lease wants to be looked after."""
        if lease.flight is None and not self.ending and self._may_fly() and lease.due(self.clock()):
            self.fly(lease)
        self._watch(lease)

    def _watch(self, lease: Lease) -> None:
        if self.ending:
            return
        self._active.add(lease)
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(self.pace.tick, self._tick)
        delay = lease.look_again()
        if delay < self.pace.tick and not lease.watched:
            lease.watched = True
            loop.call_later(delay, self._look, lease)

    def _look(self, lease: Lease) -> None:
        lease.watched = False
        self.wake(lease)

    def _tick(self) -> None:
        self._timer = None
        now = self.clock()
        for lease in tuple(self._active):
            if not lease.busy(now):
                self._active.discard(lease)
            elif lease.flight is None and len(self._flights) < MOST_AT_ONCE and self._may_fly() and lease.due(now):
                self.fly(lease)
        if now - self._forgot_at > _FORGET_SECONDS:
            self._forgot_at = now
            for forget in self.forgets:
                forget(now)
        if self._active:
            self._timer = asyncio.get_running_loop().call_later(self.pace.tick, self._tick)
