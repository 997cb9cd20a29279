"""One call's way over the deployments that may answer it: a state machine that is told what became of each attempt."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from random import Random
from typing import Literal

from shared.catalog import Deployment
from shared.ports import Capacity
from shared.router_settings import FINAL, RouterSettings
from shared.routing import health
from shared.routing.lineup import PATIENCE, Entry, Lineup, Parts
from shared.routing.ranks import Ranks
from shared.routing.states import States
from shared.routing.steps import Ask, Failure, Over, Step, Wait, Wish

BROKE_OFF = Failure("bad_answer")
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 8.0
UNKNOWN = 5.0
"""When to come back, where nothing says when one that has failed is well again."""
GRACE = 0.05
"""Seconds of the deadline within which a timeout is the call's own, not the deployment's."""


class Trip:
    """What all journeys of one router share."""

    __slots__ = ("capacity", "ranks", "rng", "settings", "states")

    def __init__(self, settings: RouterSettings, states: States, capacity: Capacity, ranks: Ranks, rng: Random) -> None:
        self.settings = settings
        self.states = states
        self.capacity = capacity
        self.ranks = ranks
        self.rng = rng


class Journey:
    """Made by Router.begin. Between `next` and `failed` or `answered` one attempt is under way."""

    __slots__ = (
        "_asked", "_at", "_begun", "_entry", "_known", "_last", "_lineup", "_only_limits", "_parts", "_probe",
        "_ready", "_sent", "_timeout", "_trip", "_wait_until", "_wish", "attempts", "retries",
    )  # fmt: skip

    attempts: int
    """Deployments asked so far, those that were asked again included."""
    retries: int
    """How often it has waited and asked again."""

    def __init__(self, trip: Trip, lineup: Lineup, parts: Parts, wish: Wish) -> None:
        self._trip = trip
        self._lineup = lineup
        self._parts = parts
        self._wish = wish
        self.attempts = self.retries = 0
        self._begun = 0.0
        self._at = 0.0  # when the attempt under way began
        self._sent = 0, 0  # requests and tokens that had been sent there in all, this attempt included
        self._probe = False
        self._timeout: float | None = None
        self._only_limits = False
        self._asked = lineup.bits if wish.again else 0  # bits of those asked since the last wait
        self._entry: Entry | None = None  # the attempt under way, or being answered
        self._known = False  # the attempt has answered
        self._last: Failure | None = None
        self._wait_until = 0.0
        self._ready: dict[int, float] | None = None  # bit -> when its upstream wants to be asked again

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """Those that fit the call."""
        return tuple(e.deployment for e in self._lineup.entries)

    @property
    def has_more(self) -> bool:
        """Whether a deployment is left that this call has not asked since it waited last."""
        return bool(self._lineup.bits & ~self._asked)

    @property
    def may_go_on(self) -> bool:
        """Whether, should the present attempt fail, `next` would very likely find another deployment or a retry."""
        left, at = self._lineup.bits & ~self._asked, self._at
        if left and any(e.bit & left and (e.state.until <= at or not e.state.limited) for e in self._lineup.entries):
            return True
        return self.retries < self._allowed()

    def next(self, now: float) -> Step:
        if now < self._wait_until:
            return Wait(self._wait_until - now)
        last = self._last
        if last is not None and last.kind in FINAL:
            return Over("failed")
        wish = self._wish
        if now >= wish.deadline:
            return self._over(now)
        self._begun = self._begun or now
        entry = self._trip.ranks.choose(self._parts, self._lineup.lone, self._asked, wish, now)
        return self._ask(entry, now) if entry is not None else self._wait_or_over(now)

    def _ask(self, entry: Entry, now: float) -> Ask:
        wish, state = self._wish, entry.state
        self._entry, self._at, self._known = entry, now, False
        self._asked |= entry.bit
        self.attempts += 1
        state.sent(wish.tokens, now)
        self._sent = state.all_requests, state.all_tokens
        if entry.bounded:
            self._trip.capacity.take(entry.deployment, wish.tokens, now)
        ask, more = entry.ask_whole, entry.ask_whole_more
        if wish.stream:
            ask, more = entry.ask_stream, entry.ask_stream_more
        if ask is not more and self._another(now):
            ask = more
            if wish.stream and now + 2 * PATIENCE > wish.deadline:  # half of what is left, and half for another one
                ask = Ask(more.deployment, (wish.deadline - now) / 2)
        self._timeout = ask.timeout
        self._probe = health.begun(state, now)
        return Ask(ask.deployment, ask.timeout, probe=True) if self._probe else ask

    def failed(self, failure: Failure, now: float, headers: Mapping[str, str] | None = None) -> None:
        """The attempt gave no answer. headers: of the upstream's refusal, where there was one."""
        entry = self._entry
        if entry is None:
            return
        state = entry.state
        if headers is not None:
            state.said(headers, self._at, *self._sent)
        self._back(entry, 0)
        if self._known:
            state.not_succeeded()
        self._only_limits = failure.kind == "rate_limit" and (self._last is None or self._only_limits)
        self._last = failure
        if failure.retry_after:
            self._ready = {**(self._ready or {}), entry.bit: now + failure.retry_after}
        if failure.kind == "timeout" and self._was_short(now):
            health.probed(state, probe=self._probe)
            return
        pace = state.streams if self._wish.stream else state.whole
        if failure.kind == "timeout":
            pace.measured(now - self._at, now)
        elif failure.kind not in FINAL:
            pace.missed(now)
        self._judge(entry, failure, now, probe=self._probe)

    def answered(self, now: float, headers: Mapping[str, str]) -> None:
        """The answer has begun. What is left of Azure's quotas is in its headers."""
        entry = self._entry
        if entry is None:
            return
        state = entry.state
        self._known = True
        state.said(headers, self._at, *self._sent)
        if not self._wish.stream:
            state.whole.measured(now - self._at, now)
        if state.until:
            health.well(self._trip.states, state, asked_at=self._at)
        state.succeeded(now)

    def ended(self, now: float, tokens: int, first_token: float | None, *, good: bool) -> None:
        """What was answered has ended, or was given up by the client: called once after `answered`, and once instead
        of `failed` when the client left before an answer. first_token: seconds from the attempt's beginning; None: it
        was no stream. good: False for a stream that broke off."""
        entry = self._entry
        if entry is None:
            return
        state = entry.state
        self._back(entry, tokens)
        if first_token is not None:
            state.streams.measured(first_token, now)
        if not self._known:
            health.probed(state, probe=self._probe)
        elif not good:
            state.not_succeeded()
            self._judge(entry, BROKE_OFF, now, probe=False)

    def _back(self, entry: Entry, spent: int) -> None:
        self._entry = None
        tokens = self._wish.tokens
        entry.state.back(tokens, spent, self._at)
        if entry.bounded:
            self._trip.capacity.settle(entry.deployment, self._at, tokens, spent)

    def _judge(self, entry: Entry, failure: Failure, now: float, *, probe: bool) -> None:
        trip = self._trip
        health.failed(
            trip.states, entry.state, failure, trip.settings,
            cooldown=entry.cooldown, asked_at=self._at, probe=probe, now=now,
        )  # fmt: skip

    def _was_short(self, now: float) -> bool:
        """Whether the deadline ended the attempt, sooner than the deployment can be blamed for: before it has had its
        time, or half of the call's."""
        fair = min(self._timeout or PATIENCE, (self._wish.deadline - self._begun) / 2)
        return now >= self._wish.deadline - GRACE and now - self._at < fair - GRACE

    def _another(self, now: float) -> bool:
        asked = self._asked
        return any(not e.bit & asked and e.state.until <= now for e in self._lineup.entries)

    def _allowed(self) -> int:
        """-> how often this call may wait and ask again."""
        settings, asked = self._trip.settings, self._wish.num_retries
        if asked is not None:
            return max(min(asked, settings.most_retries), 0)
        kind = self._last.kind if self._last is not None else None
        return settings.retries.get(kind, settings.num_retries) if kind is not None else settings.num_retries

    def _wait_or_over(self, now: float) -> Step:
        allowed = self._allowed()
        if self.retries < allowed:
            settings = self._trip.settings
            seconds = max(self._until_ready(now, last=self.retries == allowed - 1), settings.least_wait)
            if seconds <= max(settings.longest_wait, settings.least_wait) and now + seconds < self._wish.deadline:
                self.retries += 1
                self._asked = 0
                self._wait_until = now + seconds
                return Wait(seconds)
        return self._over(now)

    def _until_ready(self, now: float, *, last: bool) -> float:
        """-> seconds until it is worth asking again. The last of several retries goes by an end that is known, rather
        than by the hope that what has failed twice is well again."""
        trip = self._trip
        known = [end - now for e in self._lineup.entries if (end := self._known_end(e, now)) > now]
        limit = min(known, default=inf) + min(0.25, 0.05 * min(known, default=0)) * trip.rng.random()
        if len(known) == len(self._lineup.entries):
            return limit
        if last and self.retries and limit <= trip.settings.longest_wait and now + limit < self._wish.deadline:
            return limit
        backoff = FIRST_BACKOFF * 2.0 ** min(self.retries, 10) * (0.75 + trip.rng.random() / 2)
        return min(limit, backoff, LONGEST_BACKOFF)

    def _known_end(self, entry: Entry, now: float) -> float:
        """-> when a rate limit ends, or its upstream wants to be asked again; 0: not known."""
        state = entry.state
        told = 0.0 if self._ready is None else self._ready.get(entry.bit, 0.0)
        return max(state.until, told) if state.limited and now < state.until else told

    def _over(self, now: float) -> Over:
        entries = self._lineup.entries
        if self._last is not None:
            why: Literal["failed", "limited", "down"] = "limited" if self._only_limits else "failed"
        else:
            why = "limited" if any(e.state.limited and now < e.state.until for e in entries) else "down"
        ends = [end for e in entries if (end := max(self._known_end(e, now), e.state.until)) > now]
        if not ends:
            return Over(why)
        seconds = max(min(ends) - now, 0.0)
        # the others have failed and could be asked at any time, for all that is known
        return Over(why, seconds if len(ends) == len(entries) else min(seconds, UNKNOWN))
