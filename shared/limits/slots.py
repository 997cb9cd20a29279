"""Calls in flight at once: the slots that one process has claimed, and the row `parallel` that all of them claim from.

    held     JSON {instance.n: [slots, until]}: a claim of one process, which holds until then (Unix seconds) unless it
             is renewed

Bound: the claims that have not run out are never more than the limit, and no call is admitted without a free slot of
this process. A process that is killed holds its slots for another minute at the most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from shared.limits.lease import Lease, Pace, Place, Refusal, Scope, Values

PARALLEL = "parallel"
_CLOSED = 1.0
"""A second after a slot was not to be had, another process may have given one back."""
_ONCE_MORE = 0.25
_QUICK = 0.05
_SCARCE = 1.0

type Claims = dict[str, tuple[int, float]]


def claims(row: Values | None, now: float) -> Claims:
    """The claims that still hold, by their names."""
    found: dict[str, Any] = orjson.loads(row["held"]) if row else {}
    return {name: (int(n), float(until)) for name, (n, until) in found.items() if until > now}


@dataclass(frozen=True, slots=True)
class Claimed:
    slots: int
    until: float
    free: int
    """What is left for anybody."""


class SlotLease(Lease):
    """Of one key or one team, in one process."""

    __slots__ = (
        "closed_until", "free", "giving", "grows", "keep", "last", "limit", "name", "peak", "peak_since", "slots",
        "tries", "until", "usable_until", "used",
    )  # fmt: skip

    def __init__(
        self, scope: Scope, place: Place, pace: Pace, wake: Callable[[Lease], None], name: str, limit: int
    ) -> None:
        super().__init__(scope, place, pace, wake)
        self.name = name
        self.limit = limit
        self.slots = self.used = self.free = self.peak = self.tries = 0
        self.grows = False
        """Whether there was one more than needed the last time."""
        self.giving = self.keep = 0
        """How many slots the next flight gives back; how many the present one keeps, unless it can have more."""
        self.until = self.usable_until = self.closed_until = self.last = self.peak_since = 0.0

    def limit_to(self, limit: int) -> None:
        if limit != self.limit:
            self.limit = limit
            self.slots, self.closed_until = min(self.slots, limit), 0.0

    def take(self, tokens: int, nanos: int, now: float) -> bool:
        if self.used >= self.slots or now >= self.usable_until:
            return False
        self.used += 1
        self.last = now
        if self.used > self.peak:
            self.peak = self.used
            if self.grows and self.used == self.slots and self.flight is None:
                self.wake(self)
        return True

    def undo(self, tokens: int, nanos: int) -> None:
        self.used -= 1

    def settle(self, at: float, tokens: int, nanos: int, spent_tokens: int, spent_nanos: int) -> None:
        self.used -= 1
        if self.free <= 0 and self.used < self.slots and not self.watched:
            self.wake(self)

    def force(self, tokens: int, nanos: int, now: float) -> bool:
        return False

    def amount(self, tokens: int, nanos: int) -> int:
        return 1

    def refusal(self, amount: int, now: float, *, down: bool) -> Refusal | None:
        if self.limit < 1:
            return Refusal(self.scope, "parallel", self.limit, 1, 0, None, too_large=True)
        held = now < self.usable_until and self.used >= self.slots
        if now < self.closed_until or (down and held and self.slots >= self.limit):
            return self._refused(now)
        return None

    def _refused(self, now: float) -> Refusal:
        return Refusal(self.scope, "parallel", self.limit, 1, self.limit, now + 1)

    def go_blind(self, now: float) -> None:
        self.slots, self.free = self.limit, 0
        self.usable_until = now + self.pace.down

    @property
    def _quiet(self) -> float:
        """How long a slot is kept that is not used. A caller whose calls go to one process after the other finds the
        last slot free when he needs it."""
        return _QUICK if self.free <= 0 else _SCARCE if self.free <= self.limit // 4 else self.pace.idle

    # What the limiter does.

    def due(self, now: float) -> bool:
        if not self.slots:
            return False
        self.giving = self._unused(now)
        growing = self.grows and self.used == self.slots
        in_use = self.used > 0 or now - self.last < self.pace.idle
        return growing or self.giving > 0 or (in_use and now > self.until - self.pace.slots / 2)

    def busy(self, now: float) -> bool:
        return self.slots > 0 or self.used > 0

    def look_again(self) -> float:
        return _QUICK if self.free <= 0 and self.used < self.slots else self.pace.tick

    def _unused(self, now: float) -> int:
        """Slots that have not been used for a while."""
        if now - self.peak_since < self._quiet:
            return 0
        most, self.peak, self.peak_since = self.peak, self.used, now
        spare = 0 if self.free <= self.limit // 4 or now - self.last >= self.pace.idle else 1
        return max(0, self.slots - max(most, self.used) - spare)

    def begin(self, now: float, *, closing: bool = False) -> None:
        most = max(0, self.slots - self.used)
        self.slots -= 0 if self.waiting else most if closing else min(self.giving, most)
        self.keep, self.giving = self.slots, 0

    def edit(self, row: Values | None, now: float) -> tuple[dict[str, Any] | None, Claimed]:
        held = claims(row, now)
        mine = held.pop(self.name, (0, 0.0))
        free = max(0, self.limit - sum(n for n, _ in held.values()))
        wanted = self.keep
        if self.waiting:
            wanted = self.used + min(len(self.waiting), max(1, (free - self.used) // 2))
        if self.waiting or self.used == self.keep > 0:  # one more than is used, so that the next call need not wait
            spare = min(1 + self.used // 4, (free - wanted) // (2 * (len(held) + 1)))
            wanted = max(wanted, self.keep) + max(0, spare)
        slots = min(wanted, free)
        until = now + self.pace.slots
        found = Claimed(slots, until if slots else 0.0, free - slots)
        if slots == mine[0] and (not slots or mine[1] > now + self.pace.slots / 2):
            return None, Claimed(slots, mine[1], free - slots)
        if slots:
            held[self.name] = (slots, math.ceil(until * 1000) / 1000)
        return {"held": orjson.dumps(held).decode()}, found

    def landed(self, found: Claimed, now: float) -> None:
        self.grows = found.free > 0 and found.slots > self.slots
        self.slots, self.until, self.free = found.slots, found.until, found.free
        self.usable_until = found.until - self.pace.slots / 12
        """A little before others take the claim for dead, by clocks that may be ahead of ours."""
        if self.waiting and self.used >= self.slots:
            self.tries += 1
            self.not_before = now + _ONCE_MORE
            if self.tries > 1:  # another process had a moment to give back what it does not use
                self.tries, self.closed_until = 0, now + _CLOSED
        else:
            self.tries = 0

    def failed(self, now: float) -> None:
        return None
