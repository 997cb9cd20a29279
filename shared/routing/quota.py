"""What Azure says in its answers of a deployment's limits: x-ratelimit-…, and for how long that is worth something.

Values may be missing, -1, 0 or absurd; a value that says nothing is left out, never an error. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LONGEST = 60.0
"""Azure's limits are per minute: nothing that it said is true for longer."""
UNSAID = 10.0
"""How long it counts when Azure does not say when the window ends: the next answer says more."""

REQUESTS = "x-ratelimit-remaining-requests", "x-ratelimit-limit-requests", "x-ratelimit-reset-requests"
TOKENS = "x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"


@dataclass(slots=True)
class Bound:
    """Requests or tokens. Never changed: it is not frozen because that makes it slow to build, once a call."""

    left: float
    """As Azure said."""
    limit: float | None
    until: float

    def near(self, now: float, sent: float, need: float, margin: float) -> bool:
        """sent: since then."""
        if now >= self.until:
            return False
        left = self.left - sent
        return left < need or (self.limit is not None and left <= margin * self.limit)


@dataclass(slots=True)
class Quota:
    """Of one deployment, as of the call that was asked last of those that it has answered. Never changed."""

    at: float
    """When that call was asked: what it says is of then, however late it was answered."""
    until: float
    """After this nothing of it counts."""
    requests: Bound | None
    tokens: Bound | None
    sent_requests: int
    sent_tokens: int
    """What had been sent there in all by then, that call included."""

    def near(self, now: float, tokens: float, margin: float, *, sent_requests: int, sent_tokens: int) -> bool:
        """Whether a call of so many tokens might be refused, or no more than the share `margin` is left. sent_…: in
        all, until now."""
        requests = self.requests
        if requests is not None and requests.near(now, sent_requests - self.sent_requests, 1.0, margin):
            return True
        of = self.tokens
        return of is not None and of.near(now, sent_tokens - self.sent_tokens, tokens, margin)


def read(headers: Mapping[str, str], at: float, sent_requests: int, sent_tokens: int) -> Quota | None:
    """-> None when the answer says nothing of limits. headers: by names in small letters. The rest as in Quota."""
    requests = _bound(headers, REQUESTS, at)
    tokens = _bound(headers, TOKENS, at)
    until = max(requests.until if requests else 0.0, tokens.until if tokens else 0.0)
    return Quota(at, until, requests, tokens, sent_requests, sent_tokens) if until else None


def speaks(headers: Mapping[str, str]) -> bool:
    """Whether there is anything to read."""
    return TOKENS[0] in headers or REQUESTS[0] in headers


def _bound(headers: Mapping[str, str], names: tuple[str, str, str], at: float) -> Bound | None:
    remaining = _number(headers.get(names[0]))
    if remaining is None:
        return None
    limit = _number(headers.get(names[1]))
    reset = _number(headers.get(names[2]))
    return Bound(remaining, limit or None, at + (min(reset, LONGEST) if reset else UNSAID))


def _number(text: str | None) -> float | None:
    """-> None for what is missing, no number, or below 0."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None
