"""Budgets: what one process may spend of a period.

Bound: what is spent and all grants together are never more than a hard budget, and what is reserved for a call is
covered by the grant of its process. A call that turns out dearer than its reservation overshoots by that much, and is
reported with the next write. What the row says is account.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.limits.account import BudgetRow, Entry
from shared.limits.lease import UNLIMITED, Lease, Pace, Place, Refusal, Scope, Values
from shared.limits.periods import ENDLESS, day_name, period_end
from shared.principals import Budget, Period

_AT_REST = -UNLIMITED
_NEARLY = 0.95
"""Of a hard budget: who is refused after so much of it was spent has used it up."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A budget has reached 80 or 100 percent. Told once per budget and period."""

    scope: str
    """`key` or `team`."""
    name: str
    id: str
    period: str
    """`day-20261123`, `month-202611`, `total`."""
    percent: int
    limit_nanos: int
    spent_nanos: int
    hard: bool


@dataclass(frozen=True, slots=True)
class Funds:
    """What an edit has granted on top, and what it has found."""

    extra: int
    rest: int
    spent: int
    """By this process, as it now stands in its entry."""
    folded: int
    """Of this process's spending, what others have moved to `base`."""
    closed: bool
    total: int
    told: tuple[tuple[Budget, int], ...]


class BudgetLease(Lease):
    """Of one key or one team, for one period, one process and one UTC day: what a call costs counts where it began."""

    __slots__ = (
        "again", "before", "budgets", "calls", "closing", "day_end", "dirty", "end", "entered", "hard", "held", "last",
        "left", "low", "mark", "name", "open", "period", "refused", "reported", "rest", "rest_at", "spent", "taken",
        "total", "written_at",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        place: Place,
        pace: Pace,
        wake: Callable[[Lease], None],
        name: str,
        period: Period,
        day: int,
    ) -> None:
        super().__init__(scope, place, pace, wake)
        self.name = f"{name}|{day_name(day)}"
        self.period: Period = period
        self.end = period_end(period, day)
        self.day_end = period_end("day", day)
        self.budgets: tuple[Budget, ...] = ()
        self.hard: int | None = None
        self.held = self.left = self.spent = self.open = self.before = self.reported = 0
        """held = left + spent + what is reserved for open calls, at any time; the row never has less."""
        self.low = _AT_REST
        self.entered = self.closing = self.dirty = self.refused = False
        self.rest = self.total = 0
        self.rest_at = self.last = self.mark = self.written_at = 0.0
        self.again = pace.again
        self.taken = self.calls = 0

    def limit_to(self, budgets: tuple[Budget, ...]) -> None:
        if budgets == self.budgets:
            return
        self.budgets = budgets
        hard = min((b.nanos for b in budgets if b.hard), default=None)
        if hard is not None and self.hard is None:
            self.held, self.left = self.held - self.left, 0
        elif hard is None:
            self.held, self.left, self.low = self.held + UNLIMITED - self.left, UNLIMITED, _AT_REST
        self.hard = hard
        self.rest_at = 0.0

    def take(self, tokens: int, nanos: int, now: float) -> bool:
        if self.left < (nanos or 1):  # what nobody knows the price of needs that something is left
            return False
        self.left -= nanos
        self.open += 1
        self.taken += nanos
        self.calls += 1
        self.last = now
        if self.left <= self.low and self.flight is None:
            self.wake(self)
        return True

    def undo(self, tokens: int, nanos: int) -> None:
        self.left += nanos
        self.open -= 1
        self.taken -= nanos

    def settle(self, at: float, tokens: int, nanos: int, spent_tokens: int, spent_nanos: int) -> None:
        self.left += nanos - spent_nanos
        self.spent += spent_nanos
        self.open -= 1
        if spent_nanos and not self.dirty:
            self.dirty = True
            self.wake(self)

    def force(self, tokens: int, nanos: int, now: float) -> bool:
        self.left -= nanos
        self.open += 1
        self.last = now
        return True

    def amount(self, tokens: int, nanos: int) -> int:
        return nanos or 1

    def refusal(self, amount: int, now: float, *, down: bool) -> Refusal | None:
        if self.hard is None:
            return None
        if amount > self.hard:
            return Refusal(self.scope, self.period, self.hard, amount, 0, None, too_large=True)
        if self.refused and self.left + self.rest < amount and (down or now - self.rest_at < self.again):
            return self._refused(amount, now)
        return None

    def _refused(self, amount: int, now: float) -> Refusal:
        limit = self.hard or 0
        until = None if self.end == ENDLESS else self.end
        spent = self.total + self.spent - self.reported
        return Refusal(self.scope, self.period, limit, amount, spent, until, held=spent + amount <= limit)

    def go_blind(self, now: float) -> None:
        return None

    # What the limiter does.

    def due(self, now: float) -> bool:
        if now >= self.day_end and not self.open:
            return self.busy(now)
        since = now - self.written_at
        idle = now - self.last >= self.pace.idle
        if self.dirty and (idle or since >= self.pace.report):
            return True
        if self.hard is None:
            return False
        holds = self.left > 0 or self.open > 0
        return self.left <= self.low or (idle and self.left > 0) or (holds and since >= self.pace.beat / 2)

    def busy(self, now: float) -> bool:
        return self.dirty or self.open > 0 or (self.hard is not None and self.left != 0)

    def begin(self, now: float, *, closing: bool = False) -> None:
        if self.left < 0:  # calls that were dearer than was reserved for them
            self.held, self.left = self.held - self.left, 0
        self.closing = (closing or now >= self.day_end) and not self.open and not self.waiting
        if closing:
            self.last = 0.0
        idle = now - self.last >= self.pace.idle
        if self.hard is not None and (self.waiting or idle or self.closing):
            self.held, self.left = self.held - self.left, 0

    def edit(self, row: Values | None, now: float) -> tuple[dict[str, Any] | None, Funds]:
        state = BudgetRow.read(row)
        mine = state.held.pop(self.name, None)
        counted = self.before  # of what this process has spent, what others have moved to `base`
        if mine is not None:
            counted = mine.before
        elif self.entered:
            counted = state.gone.get(self.name, (self.before + self.reported, 0.0))[0]
        folded = counted - self.before
        state.tidy(now)
        spent, held = self.spent - folded, self.held - folded
        if self.hard is None:
            held = spent
        rest = UNLIMITED if self.hard is None else self.hard - state.taken - held
        extra = 0 if self.closing else self._extra(rest, now)
        entry = Entry(held + extra, spent, now, counted)
        if mine is not None or entry.granted or entry.spent:
            state.held[self.name] = entry
            if self.closing:
                state.close(self.name, spent, now)
        told = self._thresholds(state, refused=bool(self.waiting) and not extra)
        found = Funds(extra, rest - extra, spent, folded, self.closing, state.spent, told)
        if not told and self._as_it_was(mine, state.held.get(self.name), now):
            return None, found
        return state.values(), found

    def _as_it_was(self, mine: Entry | None, entry: Entry | None, now: float) -> bool:
        if mine is None or entry is None:
            return mine is entry
        same = (mine.granted, mine.spent, mine.before) == (entry.granted, entry.spent, entry.before)
        return same and now - mine.seen < self.pace.beat / 4

    def _extra(self, rest: int, now: float) -> int:
        """What is leased on top: enough for those who wait, or nothing when that cannot be had."""
        if self.hard is None or rest <= 0:
            return 0
        waiting, least = self.waiting, min(self.waiting, default=0)
        idle = now - self.last >= self.pace.idle
        if rest < least or (idle and not waiting):
            return 0
        each, rate = self.taken // max(self.calls, 1), self.taken / max(now - self.mark, 0.5)
        spare = min(self.hard // 20, rest // 4, max(16 * each, 16 * least, int(rate * 20)))
        if not waiting:
            return max(0, spare - max(self.left, 0))
        return min(rest, max(spare, min(sum(waiting), max(least, rest // 2))))

    def _thresholds(self, state: BudgetRow, *, refused: bool) -> tuple[tuple[Budget, int], ...]:
        """Which budgets have reached a threshold that nobody has told yet; noted in the row."""
        spent, told = state.spent, list[tuple[Budget, int]]()
        for budget in self.budgets:
            used_up = refused and budget.nanos == self.hard and spent >= _NEARLY * budget.nanos
            level = 100 if spent >= budget.nanos or used_up else 80 if spent >= 0.8 * budget.nanos else 0
            name = f"{'hard' if budget.hard else 'soft'}-{budget.nanos}"
            if level > state.told.get(name, 0):
                state.told[name] = level
                told.append((budget, level))
        return tuple(told)

    def landed(self, found: Funds, now: float) -> None:
        self.held += found.extra - found.folded
        self.left += found.extra
        self.spent -= found.folded
        self.before += found.folded
        self.dirty = self.spent != found.spent
        self.entered = not found.closed and (self.entered or self.held > 0 or self.spent > 0)
        self.reported = found.spent
        if found.closed:
            self.held, self.spent, self.before = (
                self.held - found.spent,
                self.spent - found.spent,
                self.before + found.spent,
            )
            self.reported = 0
        self.rest, self.rest_at, self.total, self.written_at = found.rest, now, found.total, now
        refused = bool(self.waiting) and not found.extra
        self.again = min(self.again * 2, self.pace.again * 16) if refused and self.refused else self.pace.again
        self.refused = refused or (self.refused and not found.extra)
        self.low = self.left // 2 if found.extra and found.rest > 0 else _AT_REST
        if now - self.mark > 1 and self.taken:
            self.mark, self.taken, self.calls = now, 0, 0

    def failed(self, now: float) -> None:
        self.low = _AT_REST

    def thresholds(self, found: Funds) -> list[Threshold]:
        s = self.scope
        return [
            Threshold(s.kind, s.name, s.id, self.place.key, level, b.nanos, found.total, b.hard)
            for b, level in found.told
        ]


def by_period(budgets: tuple[Budget, ...]) -> Mapping[Period, tuple[Budget, ...]]:
    found: dict[Period, tuple[Budget, ...]] = {}
    for budget in budgets:
        found[budget.period] = (*found.get(budget.period, ()), budget)
    return found
