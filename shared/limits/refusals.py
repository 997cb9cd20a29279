"""What a caller is told who has reached a limit, and the headers that tell him where he stands.

Source of types, codes and headers: OpenAI "Rate limits" and "Error codes" guides (2026-08); `x-should-retry` is read
by OpenAI's and Anthropic's SDKs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from shared.errors import ApiError, unavailable
from shared.limits.lease import UNLIMITED, Kind, Refusal
from shared.limits.rates import RateLease
from shared.types import RawHeaders

_RATES: Mapping[Kind, str] = {"requests": "requests per minute", "tokens": "tokens per minute"}
HELD_SECONDS = 1
"""When to try again for money that calls under way have reserved."""
_HELD = (
    "What is left is reserved for calls under way, which mostly cost less. Retry in a moment, or set a lower "
    "max_tokens. "
)
_BUDGETS: Mapping[Kind, str] = {"day": "daily budget", "month": "monthly budget", "total": "total budget"}


def refused(refusal: Refusal, now: float, contact: str) -> ApiError:
    """contact: whom to ask where the team names nobody."""
    ask = f"Ask {refusal.scope.contact or contact or 'your platform team'} if you need more."
    if refusal.kind in _BUDGETS:
        return _no_money(refusal, now, ask)
    who, limit = _who(refusal), refusal.limit
    if refusal.kind == "parallel":
        text = f"Limit reached for {who} on calls at the same time: limit {limit}. Retry when one of them has ended. "
    elif refusal.too_large:
        text = (
            f"Request too large for {who} on tokens per minute: limit {limit}, requested {refusal.asked} (input and "
            "the most that may be answered). Send less, or set a lower max_tokens. "
        )
    else:
        asked = f", requested {refusal.asked}" if refusal.kind == "tokens" else ""
        text = (
            f"Rate limit reached for {who} on {_RATES[refusal.kind]}: limit {limit}, used {refusal.used}{asked}. "
            f"{_until(refusal.until, now)}"
        )
    error = ApiError(429, text + ask, type=refusal.kind, code="rate_limit_exceeded")
    return _with_retry(error, refusal, now)


def _no_money(refusal: Refusal, now: float, ask: str) -> ApiError:
    budget = f"{_BUDGETS[refusal.kind]} of {_who(refusal)}"
    if refusal.too_large:
        text = (
            f"This call may cost up to {usd(refusal.asked)}, which is more than the whole {budget}: "
            f"{usd(refusal.limit)}. Send less, or set a lower max_tokens. "
        )
    else:
        text = f"You have reached the {budget}: {usd(refusal.used)} of {usd(refusal.limit)} are spent"
        text += f", and this call may cost up to {usd(refusal.asked)}. " if refusal.asked > 1 else ". "
        if refusal.held:
            error = ApiError(429, text + _HELD + ask, type="insufficient_quota", code="insufficient_quota")
            error.headers["retry-after"] = str(HELD_SECONDS)
            return error
        if refusal.until is not None:
            text += f"It is renewed on {_time(refusal.until):%Y-%m-%d} at 00:00 UTC. "
    error = ApiError(429, text + ask, type="insufficient_quota", code="insufficient_quota")
    error.headers["x-should-retry"] = "false"
    return _with_retry(error, refusal, now)


def _with_retry(error: ApiError, refusal: Refusal, now: float) -> ApiError:
    if refusal.too_large:
        error.headers["x-should-retry"] = "false"
    elif refusal.until is not None:
        error.headers["retry-after"] = str(max(1, math.ceil(refusal.until - now)))
    return error


def store_down(retry_after: int) -> ApiError:
    return unavailable(
        "The gateway cannot check your limits at the moment. Retry in a few seconds.", "limits_unavailable", retry_after
    )


_REQUESTS = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
_TOKENS = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")


def rate_headers(leases: Iterable[RateLease], now: float) -> RawHeaders:
    """x-ratelimit-…: the tighter of the leases, and only for limits that there are. Asked at every answer."""
    found: RawHeaders = []
    requests = tokens = UNLIMITED
    by_requests: RateLease | None = None
    by_tokens: RateLease | None = None
    for lease in leases:
        left, left_tokens = lease.remaining(now)
        if lease.rpm is not None and left < requests:
            by_requests, requests = lease, left
        if lease.tpm is not None and left_tokens < tokens:
            by_tokens, tokens = lease, left_tokens
    if by_requests is not None:
        _add_headers(found, _REQUESTS, by_requests.rpm or 0, requests, by_requests.end - now)
    if by_tokens is not None:
        _add_headers(found, _TOKENS, by_tokens.tpm or 0, tokens, by_tokens.end - now)
    return found


def _add_headers(found: RawHeaders, names: tuple[bytes, bytes, bytes], limit: int, left: int, seconds: float) -> None:
    found.append((names[0], b"%d" % limit))
    found.append((names[1], b"%d" % max(0, min(left, limit))))
    found.append((names[2], b"%ds" % max(0, math.ceil(seconds))))


def usd(nanos: int) -> str:
    """`$12.50`: with cents at least, exact to the nano-dollar."""
    amount = Decimal(nanos).scaleb(-9)
    text = f"{amount:f}"
    return "$" + (f"{amount:.2f}" if amount == round(amount, 2) else text.rstrip("0"))


def _who(refusal: Refusal) -> str:
    return f"{refusal.scope.kind} '{refusal.scope.name}'"


def _until(until: float | None, now: float) -> str:
    if until is None:
        return ""
    seconds = max(1, math.ceil(until - now))
    return f"Try again in {seconds} s, at {_time(now + seconds):%H:%M:%S} UTC. "


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
