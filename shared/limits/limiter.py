"""ports.Limiter by leases: who has one takes from it in memory; who has none waits, briefly, for one flight to the
store that all callers of the same lease share.

Owns the flights, their timing and what happens while the store is down. What a lease is, and what its row says, is the
leases' own business (rates.py, slots.py, money.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random, SystemRandom

from shared.errors import ApiError
from shared.limits.grant import LeaseGrant
from shared.limits.lease import Contended, Lease, LeaseStore, Pace, Refusal, has, take_all
from shared.limits.money import BudgetLease, Threshold
from shared.limits.refusals import rate_headers, refused, store_down
from shared.limits.scopes import Held, Scopes
from shared.ports import CallLog, Grant
from shared.principals import Principal
from shared.types import Need

WARN_SECONDS = 30.0
FAILURES = 2
"""So many flights that fail, one after the other, mean that the store is down."""
STALL_SECONDS = 0.1
"""A wait that ends so late was this process's own fault: the store's answer may be there, unread."""
CLOSE_SECONDS = 5.0
MOST_AT_ONCE = 16
_FORGET_SECONDS = 600.0
_MOST_CALLERS = 50_000


class LeaseLimiter:
    """One per process, for one event loop. `instance`: the name by which the process writes its usage, too."""

    def __init__(
        self,
        store: LeaseStore,
        instance: str,
        clock: Callable[[], float],
        log: CallLog,
        *,
        closed: bool = False,
        contact: str = "",
        on_threshold: Callable[[Threshold], None] = lambda _: None,
        rng: Random | None = None,
        pace: Pace | None = None,
    ) -> None:
        """closed: calls are refused while the store does not answer. on_threshold: must neither wait nor raise."""
        self._store, self._clock, self._log = store, clock, log
        self._closed, self._contact, self._on_threshold = closed, contact, on_threshold
        self._pace = pace or Pace()
        self._scopes = Scopes(instance, self._pace, self._wake, rng or SystemRandom())
        self._callers: dict[str, Held] = {}
        self._active: set[Lease] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._flights: set[asyncio.Task[None]] = set()
        self._down = False
        self._failures = 0
        """Of flights in a row."""
        self._probe_at = self._warned_at = self._forgot_at = 0.0
        self._ending = False

    async def reserve(self, principal: Principal, need: Need) -> Grant | None:
        now = self._clock()
        held = self._callers.get(principal.key_id)
        if held is None or held.principal is not principal or now >= held.until:
            held = self._learn(principal, now)
        if not held.leases:
            return None
        if take_all(held.leases, need, now) is None:
            return LeaseGrant(held.leases, held.rates, need, now, self._clock)
        return await self._reserve_slowly(principal, held, need)

    def settle(self, grant: Grant, spent: Need) -> None:
        if isinstance(grant, LeaseGrant):
            need, at = grant.need, grant.at
            for lease in grant.taken:
                lease.settle(at, need.tokens, need.nanos, spent.tokens, spent.nanos)

    async def close(self) -> None:
        """Give everything back. Never fails; what could not be given back is swept, or is free again in a minute."""
        self._ending = True
        if self._timer:
            self._timer.cancel()
        if self._flights:
            await asyncio.wait(self._flights, timeout=CLOSE_SECONDS)
        now = self._clock()
        leases = [lease for lease in {*self._active, *self._scopes.all()} if lease.busy(now) and lease.flight is None]
        flights = [self._fly(lease) for lease in leases]
        if flights:
            await asyncio.wait(flights, timeout=CLOSE_SECONDS)

    def _learn(self, principal: Principal, now: float) -> Held:
        known = self._callers.get(principal.key_id)
        if known and known.principal == principal and now < known.until:
            held = Held(principal, known.leases, known.rates, known.until)
        else:
            held = self._scopes.of(principal, now)
        if len(self._callers) >= _MOST_CALLERS:
            self._callers.clear()
        self._callers[principal.key_id] = held
        return held

    # A call that is not covered by a lease.

    async def _reserve_slowly(self, principal: Principal, held: Held, need: Need) -> Grant:
        """Raises ApiError 429 or 503. Nothing is held while it waits."""
        loop = asyncio.get_running_loop()
        end, stalled = loop.time() + self._pace.patience, False
        passed: dict[Lease, str] = {}
        """Leases that cannot cover the call and do not stop it, with the name of the limit if it would have."""
        while True:
            now = self._clock()
            if now >= held.until:
                held = self._learn(principal, now)
            leases = tuple(lease for lease in held.leases if lease not in passed) if passed else held.leases
            short = take_all(leases, need, now)
            if short is None:
                return self._granted(held, leases, passed, need, now)
            refusal = short.refusal(short.amount(need.tokens, need.nanos), now, down=self._down)
            patience = end - loop.time()
            if refusal is not None:
                if not short.scope.shadow:
                    raise self._refused(refusal, held, now)
                passed[short] = refusal.name
            elif patience > 0 and not self._down:
                await self._landing(leases, need, patience)
                if not stalled and loop.time() - end > STALL_SECONDS:
                    stalled, end = True, loop.time() + self._pace.patience / 2
            elif self._goes_on_blindly(short, now):
                passed[short] = ""

    def _unanswered(self, short: Lease) -> bool:
        """Whether the store has said nothing for so long that it must be down."""
        if self._failures:
            return True
        if short.flight is None or short.place.answered:
            return False
        return asyncio.get_running_loop().time() - short.flying_since >= 0.9 * self._pace.patience

    def _goes_on_blindly(self, short: Lease, now: float) -> bool:
        """The store does not help. -> whether the call goes on without this limit; else the lease has what a process
        may give out without asking. Raises ApiError 503."""
        answers = not self._down and not self._unanswered(short)  # but too many ask for the row at once
        if not self._down and not answers:
            self._note_down("no answer in time", now)
        if self._down and now >= self._probe_at:
            self._fly(short)
        if short.scope.shadow:
            return True
        if self._closed or answers:
            raise store_down(1 if answers else 5)
        short.go_blind(now)
        return isinstance(short, BudgetLease)  # what is spent is written down when the store is back

    def _granted(
        self, held: Held, leases: tuple[Lease, ...], passed: dict[Lease, str], need: Need, now: float
    ) -> LeaseGrant:
        if passed:
            leases += tuple(lease for lease in passed if lease.force(need.tokens, need.nanos, now))
        shadow = next((name for name in passed.values() if name), "")
        return LeaseGrant(leases, held.rates, need, now, self._clock, shadow)

    def _refused(self, refusal: Refusal, held: Held, now: float) -> ApiError:
        error = refused(refusal, now, self._contact)
        for name, value in rate_headers(held.rates, now):
            error.headers[name.decode()] = value.decode()
        return error

    async def _landing(self, leases: tuple[Lease, ...], need: Need, patience: float) -> None:
        """Wait until the leases that the call lacks have changed, or might have: all at once."""
        now = self._clock()
        lacking = [lease for lease in leases if not has(lease, need, now)]
        pause = max(lease.not_before for lease in lacking) - now
        if pause > 0:
            await asyncio.sleep(min(pause, patience))
            return
        amounts = [(lease, lease.amount(need.tokens, need.nanos)) for lease in lacking]
        for lease, amount in amounts:
            lease.waiting.append(amount)
        try:
            await asyncio.wait({self._fly(lease) for lease in lacking}, timeout=patience)
        finally:  # a caller that leaves does not end the flights
            for lease, amount in amounts:
                lease.waiting.remove(amount)

    # Flights.

    def _fly(self, lease: Lease) -> asyncio.Task[None]:
        if lease.flight is None:
            if self._down:
                self._probe_at = self._clock() + self._probe_pause()
            lease.place.answered = False
            lease.flying_since = asyncio.get_running_loop().time()
            lease.flight = asyncio.ensure_future(self._flight(lease))
            self._flights.add(lease.flight)
            lease.flight.add_done_callback(self._flights.discard)
        return lease.flight

    async def _flight(self, lease: Lease) -> None:
        """Never fails: whoever waits looks at the lease."""
        lease.begin(self._clock(), closing=self._ending)
        try:
            found = await self._store.change(lease.place, lambda row: lease.edit(row, self._clock()))
        except Contended:
            lease.failed(self._clock())
        except Exception as error:
            lease.failed(self._clock())
            self._failures += 1
            if self._failures >= FAILURES:
                self._note_down(str(error) or type(error).__name__, self._clock())
        else:
            self._note_up()
            lease.landed(found, self._clock())
            if isinstance(lease, BudgetLease):
                self._tell(lease.thresholds(found))
        finally:
            lease.flight = None
            self._watch(lease)

    def _tell(self, thresholds: list[Threshold]) -> None:
        for threshold in thresholds:
            self._on_threshold(threshold)

    def _note_down(self, reason: str, now: float) -> None:
        if not self._down:
            self._down, self._probe_at = True, now + self._probe_pause()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            policy = "calls that cannot be checked are refused" if self._closed else "calls are admitted unchecked"
            self._log.warning(f"limits cannot be checked, {policy}", error=reason)

    def _probe_pause(self) -> float:
        return min(self._pace.down, self._pace.tick / 2 * 2 ** min(self._failures, 10))

    def _note_up(self) -> None:
        self._failures = 0
        if self._down:
            self._down, self._warned_at = False, 0.0
            self._log.warning("limits are checked again")

    # What is done although nobody waits.

    def _wake(self, lease: Lease) -> None:
        if lease.flight is None and not self._ending and self._may_fly() and lease.due(self._clock()):
            self._fly(lease)
        self._watch(lease)

    def _may_fly(self) -> bool:
        return not self._down or self._clock() >= self._probe_at

    def _watch(self, lease: Lease) -> None:
        if self._ending:
            return
        self._active.add(lease)
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(self._pace.tick, self._tick)
        delay = lease.look_again()
        if delay < self._pace.tick and not lease.watched:
            lease.watched = True
            loop.call_later(delay, self._look, lease)

    def _look(self, lease: Lease) -> None:
        lease.watched = False
        self._wake(lease)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        for lease in tuple(self._active):
            if not lease.busy(now):
                self._active.discard(lease)
            elif lease.flight is None and len(self._flights) < MOST_AT_ONCE and self._may_fly() and lease.due(now):
                self._fly(lease)
        if now - self._forgot_at > _FORGET_SECONDS:
            self._forgot_at = now
            self._scopes.forget(now)
            self._callers.clear()  # who comes back must not go on with a lease that is forgotten
        if self._active:
            self._timer = asyncio.get_running_loop().call_later(self._pace.tick, self._tick)
