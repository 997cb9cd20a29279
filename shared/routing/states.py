"""What one process knows of deployments, by their ids: in flight, used this minute, how fast, how healthy.

A deployment that stands behind several aliases has one state. Survives a new configuration. What of it other
processes are told, and what is taken from them, is board.py's; when a deployment rests is health.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf
from typing import Any

from shared.router_settings import FailureKind
from shared.routing import board, quota
from shared.routing.quota import Quota
from shared.routing.rest import Rest

HALF = 30
"""Successes are counted in halves of a minute: this one and the one before."""
WEIGHT = 0.2
"""Of the newest answer in the mean time of answers: what was ten answers ago hardly counts."""


@dataclass(slots=True)
class Pace:
    """How soon answers begin."""

    mean: float = 0.0
    """Seconds; 0: nothing is known; inf: all that is known is a failure."""
    at: float = 0.0
    """When it was measured last."""

    def measured(self, seconds: float, now: float) -> None:
        known = 0.0 < self.mean < inf
        self.mean = self.mean + WEIGHT * (seconds - self.mean) if known else max(seconds, 1e-6)
        self.at = now

    def missed(self, now: float) -> None:
        """There was no answer: not to be measured again at once."""
        self.mean = self.mean or inf
        self.at = now


@dataclass(slots=True)
class State:
    """Of one deployment."""

    id: str
    seed: int
    """Its place for prompt-cache, the same in all processes."""
    in_flight: int = 0
    minute: int = 0
    """The minute of `requests` and `tokens`, since 1970."""
    requests: int = 0
    tokens: int = 0
    all_requests: int = 0
    all_tokens: int = 0
    """Sent there since the process began."""
    until: float = 0.0
    """Not 0: it rests until then, or rested and nothing has shown yet that it is well again."""
    limited: bool = False
    """It rests because of a rate limit."""
    probe_until: float = 0.0
    """A call is finding out whether it is well again; after that long another may."""
    rest: Rest | None = None
    """The last time that it began to rest or was well again."""
    quota_at: float = 0.0
    unread: tuple[Mapping[str, str], float, int, int] | None = None
    """The newest answer's headers, and the rest of what quota.read wants: read when somebody asks."""
    read: Quota | None = None
    streams: Pace = field(default_factory=Pace)
    whole: Pace = field(default_factory=Pace)
    failures: list[tuple[float, FailureKind, int]] = field(default_factory=list[tuple[float, FailureKind, int]])
    """Those of the last minute that count: when, which, and how many successes there had been by then."""
    half: int = 0
    good: int = 0
    good_before: int = 0
    all_good: int = 0
    seen: float = 0.0
    """When it was asked last."""

    def sent(self, tokens: int, now: float) -> None:
        """A call is being sent there."""
        minute = int(now // 60)
        if minute == self.minute:
            self.requests += 1
            self.tokens += tokens
        else:
            self.minute, self.requests, self.tokens = minute, 1, tokens
        self.in_flight += 1
        self.seen = now
        self.all_requests += 1
        self.all_tokens += tokens

    @property
    def quota(self) -> Quota | None:
        """What Azure said last of its limits."""
        if self.unread is not None:
            self.read = quota.read(*self.unread) or self.read
            self.unread = None
        return self.read

    def said(self, headers: Mapping[str, str], at: float, sent_requests: int, sent_tokens: int) -> None:
        """An answer tells what is left; the rest as in Quota. One asked earlier than another says nothing new."""
        if at >= self.quota_at and quota.speaks(headers):
            self.quota_at = at
            self.unread = headers, at, sent_requests, sent_tokens

    def heard(self, said: Quota) -> None:
        """The same from another process."""
        if said.at > self.quota_at:
            self.quota_at, self.unread, self.read = said.at, None, said

    def near(self, now: float, tokens: float, margin: float) -> bool:
        """Whether, as Azure says, no more than the share `margin` is left, or too little for so many tokens."""
        said = self.quota
        if said is None or now >= said.until:
            return False
        return said.near(now, tokens, margin, sent_requests=self.all_requests, sent_tokens=self.all_tokens)

    def left(self, now: float) -> tuple[float | None, float | None]:
        """-> requests and tokens that are left, as Azure says, less what has been sent since; None: not known."""
        said = self.quota
        if said is None:
            return None, None
        of, tokens = said.requests, said.tokens
        return (
            None if of is None or now >= of.until else of.left - (self.all_requests - said.sent_requests),
            None if tokens is None or now >= tokens.until else tokens.left - (self.all_tokens - said.sent_tokens),
        )

    def back(self, tokens: int, spent: int, at: float) -> None:
        """It has ended. at, tokens: as of `sent`; spent: what it has really used."""
        self.in_flight -= 1
        if self.minute == at // 60:
            self.tokens += spent - tokens

    def succeeded(self, now: float) -> None:
        half = int(now // HALF)
        if half != self.half:
            self.good_before = self.good if half == self.half + 1 else 0
            self.half, self.good = half, 0
        self.good += 1
        self.all_good += 1

    def not_succeeded(self) -> None:
        """What had begun well was no success after all."""
        self.good = max(self.good - 1, 0)
        self.all_good -= 1

    def take(self, rest: Rest) -> None:
        """It rests or is well from now on as `rest` says."""
        self.rest = rest
        self.until = rest.until
        self.limited = rest.why == "rate_limit"
        self.probe_until = 0.0

    def successes(self, now: float) -> int:
        """-> how many of about the last minute."""
        gone = int(now // HALF) - self.half
        return self.good + self.good_before if gone <= 0 else self.good if gone == 1 else 0

    def used(self, now: float) -> tuple[int, int]:
        """-> requests and tokens of this minute, by this process alone."""
        return (self.requests, self.tokens) if self.minute == now // 60 else (0, 0)


class States:
    """All deployments that this process has asked or heard of."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self.changes = 0
        """Grows whenever this process sees a deployment begin or cease to rest: others should soon be told."""

    def of(self, deployment_id: str) -> State:
        """Made when it is first asked for."""
        state = self._states.get(deployment_id)
        if state is None:
            digest = blake2b(deployment_id.encode(), digest_size=8).digest()
            state = self._states[deployment_id] = State(deployment_id, int.from_bytes(digest))
        return state

    def known(self) -> Mapping[str, State]:
        return self._states

    def report(self, now: float) -> dict[str, Any]:
        """-> what other processes should know of what this one has seen lately, as JSON (board.py says its form)."""
        return board.report(self._states, now)

    def hear(self, report: Mapping[str, Any], now: float) -> None:
        """What another process has reported: who rests, and until when; who is well again. Raises nothing: what is
        not understood is left out."""
        board.hear(self, report, now)
