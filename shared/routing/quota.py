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


@dataclass(slots=True)
class Bound:
    """Requests or tokens."""

    left: float
    """As Azure said, less what has been sent since."""
    limit: float | None
    until: float

    def near(self, now: float, need: float, margin: float) -> bool:
        if now >= self.until:
            return False
        return self.left < need or (self.limit is not None and self.left <= margin * self.limit)


@dataclass(slots=True)
class Quota:
    """Of one deployment, as of its last answer."""

    at: float
    until: float
    """After this nothing of it counts."""
    requests: Bound | None
    tokens: Bound | None

    def near(self, now: float, tokens: float, margin: float) -> bool:
        """Whether a call of so many tokens might be refused, or no more than the share `margin` is left."""
        if now >= self.until:
            return False
        if self.requests is not None and self.requests.near(now, 1.0, margin):
            return True
        return self.tokens is not None and self.tokens.near(now, tokens, margin)

    def words(self, now: float) -> str:
        """-> what is left, for the reader."""
        both = (("requests", self.requests), ("tokens", self.tokens))
        return " and ".join(f"{max(b.left, 0):.0f} {of}" for of, b in both if b is not None and now < b.until)

    def sent(self, tokens: int) -> None:
        if self.requests is not None:
            self.requests.left -= 1
        if self.tokens is not None:
            self.tokens.left -= tokens


def read(headers: Mapping[str, str], now: float) -> Quota | None:
    """-> None when the answer says nothing of limits. headers: by names in small letters."""
    requests, tokens = headers.get("x-ratelimit-remaining-requests"), headers.get("x-ratelimit-remaining-tokens")
    if requests is None and tokens is None:
        return None
    of_requests = _bound(requests, headers, "requests", now)
    of_tokens = _bound(tokens, headers, "tokens", now)
    if of_requests is None and of_tokens is None:
        return None
    until = max(b.until for b in (of_requests, of_tokens) if b is not None)
    return Quota(now, until, of_requests, of_tokens)


def _bound(left: str | None, headers: Mapping[str, str], of: str, now: float) -> Bound | None:
    remaining = _number(left)
    if remaining is None:
        return None
    limit = _number(headers.get("x-ratelimit-limit-" + of))
    reset = _number(headers.get("x-ratelimit-reset-" + of))
    lasts = min(reset, LONGEST) if reset else UNSAID
    return Bound(remaining, limit or None, now + lasts)


def _number(text: str | None) -> float | None:
    """-> None for what is missing, no number, or below 0."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None
