"""ports.Capacity: what the configuration says that a deployment takes per minute (tpm, rpm), counted by all processes
in one row for each deployment, `deployment|ID` `rate` (rate_row.py), by the flights that limits are leased with.

The bound is soft, because Azure decides: nobody waits and nobody is refused. So a lease is paid for afterwards: a
process may send so much without having written it down that all together use at most a quarter of what is left: not all
of it, for they do not look at the same time. The nearer a limit, the more often the row is written; far from it, hardly
ever. Without a store each process goes by what it knew last and by what it has sent itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random, SystemRandom
from typing import Any

from shared.catalog import Deployment
from shared.limits.flights import Flights
from shared.limits.lease import UNLIMITED, Lease, Pace, Place, Refusal, Scope, Values
from shared.limits.rate_row import RateRow
from shared.limits.rates import RATE
from shared.limits.scopes import IDLE_SECONDS, scope_id

_SCARCE = 0.1
"""With so little left it is worth asking what others have given back of tokens."""
_LESSEES = 10
"""How many processes share a deployment, as long as that is not known."""


@dataclass(frozen=True, slots=True)
class Used:
    """What an edit has found in the row, and what it has added of it."""

    requests: int
    tokens: int
    lessees: int
    counted: int
    """The window in which this process is one of the lessees."""
    paid: bool
    """Whether what was to be written down was that window's."""


class CapacityLease(Lease):
    """Of one deployment, in one process. Minutes are by the clock that is given: Unix time."""

    __slots__ = (
        "asked_at", "counted", "fly_at", "jitter", "left", "lessees", "minute_end", "paying_requests", "paying_tokens",
        "paying_until", "rpm", "sent_requests", "sent_tokens", "spare_requests", "spare_tokens", "told_requests",
        "told_tokens", "tpm", "used_requests", "used_tokens",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        place: Place,
        pace: Pace,
        wake: Callable[[Lease], None],
        limits: tuple[int | None, int | None],
        jitter: float,
    ) -> None:
        """limits: requests and tokens per minute. jitter: 0 to 1, so that not all processes write at once."""
        super().__init__(scope, place, pace, wake)
        self.rpm, self.tpm = limits
        self.jitter = jitter
        self.left = 1.0
        """The share of the tighter limit that is left until `minute_end`: asked for far more often than it changes."""
        self.minute_end = self.fly_at = self.asked_at = self.paying_until = 0.0
        self.lessees, self.counted = _LESSEES, -1
        self.paying_requests = self.paying_tokens = 0
        """What the present flight writes down."""
        self._begin_minute(0.0)
        self.minute_end = 0.0

    def take(self, tokens: int, nanos: int, now: float) -> bool:
        fresh = now >= self.minute_end
        if fresh:
            self._begin_minute(now)
        self.sent_requests += 1
        self.sent_tokens += tokens
        self._weigh()
        if fresh or (self.flight is None and self._much_untold()):
            self.wake(self)
        return True

    def undo(self, tokens: int, nanos: int) -> None:
        self.sent_requests -= 1
        self.sent_tokens -= tokens

    def settle(self, at: float, tokens: int, nanos: int, spent_tokens: int, spent_nanos: int) -> None:
        """What a minute that is over has taken too much or too little of matters to nobody."""
        if at >= self.minute_end - self.pace.window:
            self.sent_tokens += spent_tokens - tokens
            self._weigh()

    def force(self, tokens: int, nanos: int, now: float) -> bool:
        return self.take(tokens, nanos, now)

    def amount(self, tokens: int, nanos: int) -> int:
        return tokens

    def refusal(self, amount: int, now: float, *, down: bool) -> Refusal | None:
        return None

    def go_blind(self, now: float) -> None:
        return None

    def _begin_minute(self, now: float) -> None:
        self.minute_end = (now // self.pace.window + 1) * self.pace.window
        self.fly_at = now + self.jitter * self.pace.window / 60
        self.sent_requests = self.sent_tokens = self.told_requests = self.told_tokens = 0
        self.used_requests = self.used_tokens = 0
        self.left = 1.0
        self._allow()

    def _allow(self) -> None:
        """How much may be sent before it must be written down."""
        lessees = 4 * max(self.lessees, 1)
        self.spare_requests = UNLIMITED if self.rpm is None else max(0, self.rpm - self.used_requests) // lessees
        self.spare_tokens = UNLIMITED if self.tpm is None else max(0, self.tpm - self.used_tokens) // lessees

    def _much_untold(self) -> bool:
        """More than is allowed, where there is anything left to be known."""
        requests, tokens = self.sent_requests - self.told_requests, self.sent_tokens - self.told_tokens
        return self.left > 0 and (requests > self.spare_requests or tokens > self.spare_tokens)

    def _weigh(self) -> None:
        left = 1.0
        if self.rpm is not None:
            left = 1.0 - (self.used_requests + self.sent_requests - self.told_requests) / (self.rpm or 1)
        if self.tpm is not None:
            left = min(left, 1.0 - (self.used_tokens + self.sent_tokens - self.told_tokens) / (self.tpm or 1))
        self.left = max(left, 0.0)

    # What its flights do.

    def due(self, now: float) -> bool:
        if now >= self.minute_end:
            return False
        if self.sent_requests != self.told_requests or self.sent_tokens != self.told_tokens:
            return now >= self.fly_at or self._much_untold()
        passed_over = self.left <= _SCARCE and now - self.asked_at < self.pace.again
        return passed_over and self.tpm is not None and now >= self.fly_at

    def busy(self, now: float) -> bool:
        return now < self.minute_end

    def begin(self, now: float, *, closing: bool = False) -> None:
        self.paying_requests = self.sent_requests - self.told_requests
        self.paying_tokens = self.sent_tokens - self.told_tokens
        self.paying_until = self.minute_end

    def edit(self, row: Values | None, now: float) -> tuple[dict[str, Any] | None, Used]:
        window = int(now // self.pace.window)
        state = RateRow.read(row).at(window)
        win, cell = state.cell(window)
        if now >= self.paying_until or not (self.paying_requests or self.paying_tokens):
            return None, Used(cell.requests, cell.tokens, cell.lessees, self.counted, now < self.paying_until)
        cell = replace(
            cell,
            requests=cell.requests + self.paying_requests,
            tokens=max(0, cell.tokens + self.paying_tokens),
            lessees=cell.lessees + (self.counted != win),
        )
        found = Used(cell.requests, cell.tokens, cell.lessees, win, paid=True)
        return dict(state.granting(win, cell).values()), found

    def landed(self, found: Used, now: float) -> None:
        self.counted = found.counted
        if not found.paid or self.paying_until != self.minute_end:
            return  # another minute has begun meanwhile
        self.told_requests += self.paying_requests
        self.told_tokens += self.paying_tokens
        self.used_requests, self.used_tokens, self.lessees = found.requests, found.tokens, found.lessees
        self._allow()
        self._weigh()
        minute = self.pace.window
        self.fly_at = now + (min(max(self.left * minute / 2, minute / 30), minute / 3) if self.left else minute / 12)

    def failed(self, now: float) -> None:
        """Written twice at worst: a store that does not answer has most often done nothing."""
        self.fly_at = now + self.pace.window / 30


class LeasedCapacity:
    """All deployments that this process has sent calls to of late. Used inside one event loop."""

    def __init__(self, flights: Flights, rng: Random | None = None) -> None:
        """flights: those of the process's limiter. `now` is by their clock, everywhere."""
        self._flights = flights
        self._rng = rng or SystemRandom()
        self._leases: dict[tuple[str, int | None, int | None], CapacityLease] = {}
        """By the limits, too: two entries of a configuration may say different things of one deployment."""
        flights.forgets.append(self._forget)

    def left(self, deployment: Deployment, now: float) -> float:
        lease = self._leases.get((deployment.id, deployment.rpm, deployment.tpm))
        if lease is None or now >= lease.minute_end:
            return 1.0
        lease.asked_at = now
        return lease.left

    def take(self, deployment: Deployment, tokens: int, now: float) -> None:
        rpm, tpm = deployment.rpm, deployment.tpm
        if rpm is None and tpm is None:
            return
        lease = self._leases.get((deployment.id, rpm, tpm))
        if lease is None:
            lease = self._leases[deployment.id, rpm, tpm] = self._lease(deployment)
        lease.take(tokens, 0, now)

    def settle(self, deployment: Deployment, at: float, tokens: int, spent: int) -> None:
        lease = self._leases.get((deployment.id, deployment.rpm, deployment.tpm))
        if lease is not None:
            lease.settle(at, tokens, 0, spent, 0)

    def _lease(self, deployment: Deployment) -> CapacityLease:
        scope = Scope("deployment", deployment.id, deployment.label, "", shadow=False)
        place, flights = Place(scope_id("deployment", deployment.id), RATE), self._flights
        limits = deployment.rpm, deployment.tpm
        return CapacityLease(scope, place, flights.pace, flights.wake, limits, self._rng.uniform(0.0, 1.0))

    def _forget(self, now: float) -> None:
        for name, lease in list(self._leases.items()):
            if now - lease.minute_end > IDLE_SECONDS and lease.flight is None:
                del self._leases[name]


class FreeCapacity:
    """ports.Capacity for a program that imports the gateway: it has nobody to share with, and counts nothing."""

    def left(self, deployment: Deployment, now: float) -> float:
        return 1.0

    def take(self, deployment: Deployment, tokens: int, now: float) -> None:
        return None

    def settle(self, deployment: Deployment, at: float, tokens: int, spent: int) -> None:
        return None
