"""Which leases a caller needs: those of his key, and those of his team, which all keys of the team share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from shared.limits.lease import Lease, Pace, Place, Scope
from shared.limits.money import BudgetLease, by_period
from shared.limits.periods import day_number, period_end, period_row
from shared.limits.rates import RATE, RateLease
from shared.limits.slots import PARALLEL, SlotLease
from shared.principals import Allowance, Period, Principal

IDLE_SECONDS = 3600.0


@dataclass(slots=True)
class _Leases:
    """Of one key or one team."""

    scope: Scope
    used_at: float = 0.0
    rate: RateLease | None = None
    slots: SlotLease | None = None
    budgets: dict[Period, BudgetLease] = field(default_factory=dict[Period, BudgetLease])
    day: int = -1

    def __iter__(self) -> Iterator[Lease]:
        if self.rate:
            yield self.rate
        if self.slots:
            yield self.slots
        yield from self.budgets.values()


@dataclass(frozen=True, slots=True)
class Held:
    """What one caller's calls are taken from, until the next day or until his record changes."""

    principal: Principal
    leases: tuple[Lease, ...]
    rates: tuple[RateLease, ...]
    """Those that he is told of."""
    until: float


def scope_id(kind: str, name: str) -> str:
    """The partition of a key (by its id), a team (by its name) or a deployment (by its id)."""
    return f"{kind}|{name}" if kind == "key" else f"{kind}|{quote(name, safe='')}"


class Scopes:
    """All keys and teams that this process has served of late."""

    def __init__(self, instance: str, pace: Pace, wake: Callable[[Lease], None], rng: Random) -> None:
        self._instance, self._pace, self._wake = instance, pace, wake
        self._made = itertools.count(1)
        self._rng = rng
        self._scopes: dict[str, _Leases] = {}

    def of(self, principal: Principal, now: float) -> Held:
        """Also changes the leases to what the record now says."""
        found: list[_Leases] = []
        team = principal.of_team
        contact = team.contact if team else ""
        if principal.allowance.limited:
            found.append(self._leases("key", principal.key_id, principal.name, contact, principal.allowance, now))
        if team and team.allowance.limited:
            found.append(self._leases("team", team.name, team.name, contact, team.allowance, now))
        rates = tuple(f.rate for f in found if f.rate and not f.scope.shadow)
        leases = tuple(lease for f in found for lease in f)
        return Held(principal, leases, rates, period_end("day", day_number(now)))

    def all(self) -> Iterable[Lease]:
        return [lease for leases in self._scopes.values() for lease in leases]

    def forget(self, now: float) -> None:
        """Those that nobody has asked for in an hour."""
        for name, leases in list(self._scopes.items()):
            if now - leases.used_at > IDLE_SECONDS and not any(lease.busy(now) for lease in leases):
                del self._scopes[name]

    def _name(self) -> str:
        """Of one lease in its row: of two that a process has made one after the other, the older may still be open."""
        return f"{self._instance}.{next(self._made)}"

    def _leases(self, kind: str, id: str, name: str, contact: str, allowance: Allowance, now: float) -> _Leases:
        partition = scope_id(kind, id)
        leases = self._scopes.get(partition)
        if leases is None:
            scope = Scope("key" if kind == "key" else "team", id, name, contact, allowance.shadow)
            leases = self._scopes[partition] = _Leases(scope)
        scope = leases.scope
        scope.name, scope.contact, scope.shadow = name, contact, allowance.shadow
        leases.used_at = now
        self._limit_rates(leases, partition, allowance)
        self._limit_slots(leases, partition, allowance)
        self._limit_money(leases, partition, allowance, day_number(now))
        return leases

    def _limit_rates(self, leases: _Leases, partition: str, allowance: Allowance) -> None:
        if allowance.rpm is None and allowance.tpm is None:
            leases.rate = None
            return
        if leases.rate is None:
            jitter = self._rng.uniform(0.5, 1.0)
            leases.rate = RateLease(leases.scope, Place(partition, RATE), self._pace, self._wake, jitter)
        leases.rate.limit_to(allowance.rpm, allowance.tpm)

    def _limit_slots(self, leases: _Leases, partition: str, allowance: Allowance) -> None:
        if allowance.parallel is None:
            leases.slots = None
            return
        if leases.slots is None:
            place = Place(partition, PARALLEL)
            leases.slots = SlotLease(leases.scope, place, self._pace, self._wake, self._name(), allowance.parallel)
        leases.slots.limit_to(allowance.parallel)

    def _limit_money(self, leases: _Leases, partition: str, allowance: Allowance, day: int) -> None:
        if leases.day != day:  # yesterday's leases stay with the calls that began then, and with the limiter
            leases.budgets, leases.day = {}, day
        wanted = by_period(allowance.budgets)
        for period in set(leases.budgets) - set(wanted):
            del leases.budgets[period]
        for period, budgets in wanted.items():
            if period not in leases.budgets:
                place = Place(partition, period_row(period, day))
                leases.budgets[period] = BudgetLease(
                    leases.scope, place, self._pace, self._wake, self._name(), period, day
                )
            leases.budgets[period].limit_to(budgets)
