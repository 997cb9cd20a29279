"""ports.Limiter by leases: who has one takes from it in memory; who has none waits, briefly, for one flight to the
store that all callers of the same lease share.

Owns how calls wait and what happens to them while the store is down. What a lease is, and what its row says, is the
leases' own business (rates.py, slots.py, money.py); when they fly is that of flights.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random, SystemRandom

from shared.errors import ApiError
from shared.limits.flights import Flights
from shared.limits.grant import LeaseGrant
from shared.limits.lease import Lease, LeaseStore, Pace, Refusal, has, take_all
from shared.limits.money import BudgetLease, Threshold
from shared.limits.refusals import rate_headers, refused, store_down
from shared.limits.scopes import Held, Scopes
from shared.ports import CallLog, Grant
from shared.principals import Principal
from shared.types import Need

STALL_SECONDS = 0.1
"""A wait that ends so late was this process's own fault: the store's answer may be there, unread."""
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
        self._clock, self._closed, self._contact = clock, closed, contact
        self._pace = pace or Pace()
        self.flights = Flights(store, clock, log, self._pace, closed=closed, on_threshold=on_threshold)
        """Shared with whoever else gives leases out in this process."""
        self.flights.forgets.append(self._forget)
        self._scopes = Scopes(instance, self._pace, self.flights.wake, rng or SystemRandom())
        self._callers: dict[str, Held] = {}

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
        """Give everything back, also what others hold who share the flights. Never fails."""
        await self.flights.close(self._scopes.all())

    def _forget(self, now: float) -> None:
        self._scopes.forget(now)
        self._callers.clear()  # who comes back must not go on with a lease that is forgotten

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
            refusal = short.refusal(short.amount(need.tokens, need.nanos), now, down=self.flights.down)
            patience = end - loop.time()
            if refusal is not None:
                if not short.scope.shadow:
                    raise self._refused(refusal, held, now)
                passed[short] = refusal.name
            elif patience > 0 and not self.flights.down:
                await self._landing(leases, need, patience)
                if not stalled and loop.time() - end > STALL_SECONDS:
                    stalled, end = True, loop.time() + self._pace.patience / 2
            elif self._goes_on_blindly(short, now):
                passed[short] = ""

    def _unanswered(self, short: Lease) -> bool:
        """Whether the store has said nothing for so long that it must be down."""
        if self.flights.failures:
            return True
        if short.flight is None or short.place.answered:
            return False
        return asyncio.get_running_loop().time() - short.flying_since >= 0.9 * self._pace.patience

    def _goes_on_blindly(self, short: Lease, now: float) -> bool:
        """The store does not help. -> whether the call goes on without this limit; else the lease has what a process
        may give out without asking. Raises ApiError 503."""
        flights = self.flights
        answers = not flights.down and not self._unanswered(short)  # but too many ask for the row at once
        if not flights.down and not answers:
            flights.note_down("no answer in time", now)
        if flights.down and now >= flights.probe_at:
            flights.fly(short)
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
            await asyncio.wait({self.flights.fly(lease) for lease in lacking}, timeout=patience)
        finally:  # a caller that leaves does not end the flights
            for lease, amount in amounts:
                lease.waiting.remove(amount)
