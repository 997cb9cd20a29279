"""Requests and tokens per minute: the lease of one process.

Bound: of one minute, by the row's stamp (rate_row.py), never more is granted than the limit, and nothing is given out
that was not granted. A process whose clock is behind the row's minute uses the row's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shared.limits.lease import UNLIMITED, Kind, Lease, Pace, Place, Refusal, Scope, Values, share
from shared.limits.rate_row import RateRow

RATE = "rate"
_SOON = 0.1
_AT_REST = -UNLIMITED


@dataclass(frozen=True, slots=True)
class Found:
    """What an edit has granted, and what it has left."""

    win: int
    requests: int
    tokens: int
    rest_requests: int
    rest_tokens: int
    lessee: bool


class RateLease(Lease):
    """Of one key or one team, in one process."""

    __slots__ = (
        "again", "aim", "blind", "counted", "end", "last", "lead", "low_requests", "low_tokens", "mark", "next",
        "out_requests", "out_tokens", "requests", "rest_at", "rest_requests", "rest_tokens", "rpm", "since",
        "taken", "taken_tokens", "tokens", "tpm", "win",
    )  # fmt: skip

    def __init__(
        self, scope: Scope, place: Place, pace: Pace, wake: Callable[[Lease], None], jitter: float = 1.0
    ) -> None:
        super().__init__(scope, place, pace, wake)
        self.rpm: int | None = None
        self.tpm: int | None = None
        self.lead = min(4.0, pace.window / 15) * jitter
        """How long before a window begins some of it is leased: each process at another moment."""
        self.last = self.mark = 0.0
        self.taken = self.taken_tokens = 0
        self.again = pace.again
        """How long the rest of the tokens is believed to be what it was: others may give some back."""
        self._void()

    def _void(self) -> None:
        self.win = -1
        self.end = self.rest_at = 0.0
        self.since = math.inf
        """Calls from then on have been taken from what is held now."""
        self.requests = self.rest_requests = self.tokens = self.rest_tokens = 0
        self.low_requests = self.low_tokens = _AT_REST
        self.next: Found | None = None
        self.aim = self.counted = -1
        self.out_requests = self.out_tokens = 0
        self.blind: tuple[int, int, int] | None = None
        """Window, requests and tokens that the process has granted itself."""

    def limit_to(self, rpm: int | None, tpm: int | None) -> None:
        if (rpm, tpm) != (self.rpm, self.tpm):
            self.rpm, self.tpm = rpm, tpm
            self._void()

    def take(self, tokens: int, nanos: int, now: float) -> bool:
        if now >= self.end:
            self._roll(now)
        if self.requests < 1 or (self.tokens < tokens and tokens):
            return False
        self.requests -= 1
        self.tokens -= tokens
        self.taken += 1
        self.taken_tokens += tokens
        self.last = now
        if (self.requests <= self.low_requests or self.tokens <= self.low_tokens) and self.flight is None:
            self.wake(self)
        return True

    def undo(self, tokens: int, nanos: int) -> None:
        self.requests += 1
        self.tokens += tokens
        self.taken -= 1
        self.taken_tokens -= tokens

    def settle(self, at: float, tokens: int, nanos: int, spent_tokens: int, spent_nanos: int) -> None:
        """A surplus belongs to the window that it was taken from; an excess is a debt, in whatever window."""
        if spent_tokens > tokens or at >= self.since:
            self.tokens += tokens - spent_tokens

    def force(self, tokens: int, nanos: int, now: float) -> bool:
        return False

    def amount(self, tokens: int, nanos: int) -> int:
        return tokens

    def refusal(self, amount: int, now: float, *, down: bool) -> Refusal | None:
        if self.tpm is not None and amount > self.tpm:
            return Refusal(self.scope, "tokens", self.tpm, amount, 0, None, too_large=True)
        if now >= self.end or self.win < 0:
            return None
        if self.requests + self.rest_requests < 1:
            return self._refused("requests", 1)
        stale = now - self.rest_at >= self.again and not down
        if amount and self.tokens + self.rest_tokens < amount and not stale:
            return self._refused("tokens", amount)
        return None

    def _refused(self, kind: Kind, asked: int) -> Refusal:
        limit = self.rpm if kind == "requests" else self.tpm
        rest = self.rest_requests + self.requests if kind == "requests" else self.rest_tokens + self.tokens
        limit = limit or 0
        return Refusal(self.scope, kind, limit, asked, limit - max(min(rest, limit), 0), self.end)

    def remaining(self, now: float) -> tuple[int, int]:
        """Requests and tokens that are left of the window, as far as this process knows."""
        if now >= self.end:
            return self.rpm or 0, self.tpm or 0
        return self.requests + self.rest_requests, self.tokens + self.rest_tokens

    def go_blind(self, now: float) -> None:
        win = int(now // self.pace.window)
        if self.blind is None or self.blind[0] != win:
            requests, tokens = self.remaining(now)
            self._start(win, requests, tokens, now)
            self.blind = (win, requests, tokens)
        self.rest_requests = self.rest_tokens = 0
        self.rest_at = now

    # What the limiter does.

    def due(self, now: float) -> bool:
        if self.blind or self.requests <= self.low_requests or self.tokens <= self.low_tokens:
            return now < self.end
        return self._wants_ahead(now) or self._surplus(now) > 0

    def busy(self, now: float) -> bool:
        return now < self.end or self.next is not None

    def begin(self, now: float, *, closing: bool = False) -> None:
        if now >= self.end:
            self._roll(now)
        self.out_requests = self.out_tokens = 0
        ahead = not self.waiting and not closing and self._wants_ahead(now)
        self.aim = max(self.win, int(now // self.pace.window)) + 1 if ahead else -1
        if ahead or self.win < 0 or self.blind:
            return
        if self.tpm is not None:  # those who wait share what is left here, or it goes back
            everything = bool(self.waiting) or closing
            self.out_tokens = max(self.tokens, 0) if everything else max(self._surplus(now), 0)
            self.tokens -= self.out_tokens
        if closing and self.rpm is not None:
            self.out_requests, self.requests = self.requests, 0

    def edit(self, row: Values | None, now: float) -> tuple[dict[str, Any] | None, Found]:
        window = int(now // self.pace.window)
        before = RateRow.read(row)
        state = before.at(window)
        win, cell = state.cell(max(self.aim, window))
        same = win == self.win and self.blind is None
        if self.blind and self.blind[0] == win:  # what was given out unseen counts from now on
            _, requests, tokens = self.blind
            cell = replace(
                cell, requests=cell.requests + requests - self.requests, tokens=cell.tokens + tokens - self.tokens
            )
        out_requests, out_tokens = (self.out_requests, self.out_tokens) if same else (0, 0)
        rest_requests = UNLIMITED if self.rpm is None else self.rpm - cell.requests + out_requests
        rest_tokens = UNLIMITED if self.tpm is None else self.tpm - cell.tokens + out_tokens
        debt = 0 if self.blind else min(max(-self.tokens, 0), max(rest_tokens, 0))
        rest_tokens -= debt
        lessees = cell.lessees + (self.counted != win)
        requests, tokens = self._share(rest_requests, rest_tokens, lessees, now, same=same)
        if self.rpm is not None:
            cell = replace(cell, requests=cell.requests + requests - out_requests)
        if self.tpm is not None:
            cell = replace(cell, tokens=cell.tokens + tokens + debt - out_tokens)
        granted = bool(requests or tokens)
        if granted:
            cell = replace(cell, lessees=lessees)
        after = state.granting(win, cell)
        found = Found(win, requests, tokens + debt, rest_requests - requests, rest_tokens - tokens, granted)
        return (None if after == before and row is not None else dict(after.values())), found

    def _share(self, rest_requests: int, rest_tokens: int, lessees: int, now: float, *, same: bool) -> tuple[int, int]:
        """-> requests and tokens to take of what is left. Both, or the call that waits is not helped by either."""
        waiting, least = self.waiting, min(self.waiting, default=0)
        if (self.out_requests or self.out_tokens) and not waiting:
            return 0, 0
        have = self.requests if same else 0
        if rest_requests + have < 1 or rest_tokens < least:
            return 0, 0
        wanted, wanted_tokens = self._wanted(now)
        requests = tokens = 0
        if self.rpm is not None:
            spare = min(wanted, max(1, self.rpm // 10)) - have
            lacking = max(0, len(waiting) - have)
            requests = share(rest_requests, lacking, 1 if waiting and not have else 0, spare, lessees)
        if self.tpm is not None:
            spare = min(wanted_tokens, self.tpm // 10) - (max(self.tokens, 0) if same else 0)
            tokens = share(rest_tokens, sum(waiting), least, spare, lessees)
        return requests, tokens

    def _wanted(self, now: float) -> tuple[int, int]:
        """What this process will need for two seconds, by what it has needed; at least what one call needs."""
        passed = max(now - self.mark, self.pace.window / 120)
        horizon = min(2.0, self.pace.window / 30)
        requests = math.ceil(self.taken / passed * horizon)
        tokens = math.ceil(self.taken_tokens / passed * horizon)
        each = math.ceil(self.taken_tokens / self.taken) if self.taken else 0
        return max(requests, (self.rpm or 0) // 200, 1), max(tokens, each)

    def landed(self, found: Found, now: float) -> None:
        self._end_blindness()
        if found.lessee:
            self.counted = found.win
        starts = found.win * self.pace.window
        if found.win > self.win and now < starts and (self.aim > 0 or starts - now <= _SOON):
            self.next = found
            self.not_before = starts if self.waiting else 0.0
        elif found.win > self.win:
            self._start(found.win, found.requests, found.tokens, now)
            self._know(found, now)
        elif found.win == self.win:
            self.requests += found.requests
            self.tokens += found.tokens
            self._know(found, now)
        if self.aim < 0 and now - self.mark > self.pace.window / 60:
            self.mark, self.taken, self.taken_tokens = now, 0, 0

    def failed(self, now: float) -> None:
        self.low_requests = self.low_tokens = _AT_REST

    def _know(self, found: Found, now: float) -> None:
        """What the row has left, and below which level more of it is fetched ahead."""
        self.rest_requests, self.rest_tokens = max(found.rest_requests, 0), max(found.rest_tokens, 0)
        self.rest_at = now
        helped = found.tokens > 0 or not self.waiting
        self.again = self.pace.again / 4 if helped else min(self.again * 2, self.pace.again)
        more = self.rpm is not None and found.requests > 0 and found.rest_requests > 0
        self.low_requests = self.requests // 2 if more else _AT_REST
        more = self.tpm is not None and found.tokens > 0 and found.rest_tokens > 0
        self.low_tokens = self.tokens // 2 if more else _AT_REST

    def _start(self, win: int, requests: int, tokens: int, now: float) -> None:
        debt = 0 if self.tpm is None else max(min(self.tokens, 0), -self.tpm)
        self.since = now if self.win < 0 or now >= self.end else math.nextafter(now, math.inf)
        self.win, self.end = win, (win + 1) * self.pace.window
        self.requests = requests if self.rpm is not None else UNLIMITED
        self.tokens = debt + tokens if self.tpm is not None else UNLIMITED
        self.next = None

    def _roll(self, now: float) -> None:
        """The window is over: go on with what was leased ahead, or with nothing."""
        win, ahead = int(now // self.pace.window), self.next
        self._end_blindness()
        early = ahead is not None and now < ahead.win * self.pace.window
        if ahead is not None and ahead.win >= win and not early:
            self._start(ahead.win, ahead.requests, ahead.tokens, now)
            self._know(ahead, now)
            return
        if self.tpm is not None:
            self.tokens = max(min(self.tokens, 0), -self.tpm)
        self.requests = self.rest_requests = self.rest_tokens = 0
        self.low_requests = self.low_tokens = _AT_REST
        self.win, self.end, self.since, self.next = -1, 0.0, math.inf, ahead if early else None

    def _end_blindness(self) -> None:
        if self.blind is not None:
            self.blind = None
            self.requests = 0 if self.rpm is not None else UNLIMITED
            self.tokens = 0 if self.tpm is not None else UNLIMITED

    def _wants_ahead(self, now: float) -> bool:
        left = self.end - now
        active = now - self.last < self.pace.window / 6
        return self.next is None and 0 < left < self.lead and active and self.aim <= self.win

    def _surplus(self, now: float) -> int:
        """Tokens that were reserved and not spent, beyond what is needed here: others may need them."""
        if self.tpm is None or self.tokens <= self.tpm // 10 or self.blind:
            return 0
        return self.tokens - max(2 * self._wanted(now)[1], self.tpm // 20)
