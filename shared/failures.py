"""What kind of failure an upstream's error is: whether the same model may be asked again, and whether it is ill.

UPSTREAM statuses and codes -> router_settings.FailureKind; and the time that the upstream itself says to wait. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from shared.errors import ApiError, UpstreamFailed, UpstreamFailure
from shared.router_settings import FailureKind
from shared.routing import Failure

_OF_STATUS: Mapping[int, FailureKind] = {
    401: "auth", 403: "auth", 404: "not_found", 408: "timeout", 409: "conflict", 429: "rate_limit", 504: "timeout",
}  # fmt: skip
_OF_CODE: Mapping[str, FailureKind] = {
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "context_length_exceeded": "context_window",
    "insufficient_quota": "quota",
    "upstream_bad_response": "bad_answer",
}
_OF_FAILURE: Mapping[UpstreamFailure, FailureKind] = {
    "unreachable": "unreachable", "reset": "server", "timeout": "timeout", "credential": "auth", "secret": "auth",
}  # fmt: skip


def of_failure(failure: UpstreamFailed) -> Failure:
    """No answer came."""
    return Failure(_OF_FAILURE[failure.kind])


def of_refusal(status: int, public: ApiError, headers: Mapping[str, str], now: float) -> Failure:
    """The upstream's own status, and its error as the client would see it. now: Unix seconds."""
    known = _OF_CODE.get(public.code or "")
    if known and (known != "content_filter" or status < 500):
        return Failure(known)
    kind = _OF_STATUS.get(status) or ("bad_request" if status < 500 else "server")
    return Failure(kind, retry_after(headers, now) if kind in ("rate_limit", "server") else None)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds, by the most exact header that is of use; None: there is none. A value of 0 is none: recorded beside a
    header that says 1 (Foundry, 2026-08)."""
    for name, unit in (("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value and (seconds := _seconds(value, now) / unit) > 0:
            return seconds
    return None


def _seconds(value: str, now: float) -> float:
    """Or milliseconds. 0 for what is neither a number nor a date."""
    try:
        number = float(value)
    except ValueError:
        try:
            return parsedate_to_datetime(value).replace(tzinfo=UTC).timestamp() - now
        except (ValueError, TypeError):
            return 0.0
    return number if math.isfinite(number) else 0.0
