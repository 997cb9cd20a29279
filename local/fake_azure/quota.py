"""What is left of each deployment's quota: counts down, refuses at nothing, and spills over where that was ordered.

Owns the counting and the headers that tell of it. Knows no operation: a door asks before an answer, the headers of the
answer are made from what it was told.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import errors
from .errors import ApiError

_USUAL_REQUESTS, _USUAL_TOKENS = 120, 120_000


@dataclass(slots=True)
class _Quota:
    requests: int
    tokens: int
    window: float
    spill_to: str
    renewed: float
    left_requests: int = 0
    left_tokens: int = 0

    def __post_init__(self) -> None:
        self.renew(self.renewed)

    def renew(self, at: float) -> None:
        self.renewed, self.left_requests, self.left_tokens = at, self.requests, self.tokens


@dataclass(frozen=True, slots=True)
class Left:
    """What one answer tells of the quota that it was taken from."""

    deployment: str  # that serves the request: the one that was asked, or where it spilled over to
    spilled_from: str = ""
    figures: Mapping[str, str] = field(default_factory=dict[str, str])

    def headers(self, prompt_tokens: int) -> dict[str, str]:
        """`prompt_tokens`: by which the usual figures go down, where nobody has set a quota."""
        told = dict(self.figures) or _figures(
            _USUAL_REQUESTS, _USUAL_TOKENS, _USUAL_REQUESTS - 1, _USUAL_TOKENS - prompt_tokens, 60, 500, 7
        )
        told["x-ms-deployment-name"] = self.deployment
        told["x-ms-is-spilled-over"] = "true" if self.spilled_from else "false"
        if self.spilled_from:
            told |= {"x-ms-spillover-from-deployment": self.spilled_from, "x-ms-spillover-error": "429"}
        return told


class Quotas:
    """Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._quotas: dict[tuple[str, str], _Quota] = {}

    def put(
        self,
        resource: str,
        deployment: str,
        *,
        requests: int = _USUAL_REQUESTS,
        tokens: int = _USUAL_TOKENS,
        window: float = 60,
        spill_to: str = "",
    ) -> None:
        """From now on. A window begins anew as soon as it is over. `spill_to`: who serves what is over the quota."""
        if requests < 0 or tokens < 0 or window <= 0:
            raise ValueError("requests and tokens are 0 or more, a window is longer than 0 seconds")
        with self._lock:
            self._quotas[resource, deployment] = _Quota(requests, tokens, window, spill_to, self._clock())

    def clear(self) -> None:
        with self._lock:
            self._quotas.clear()

    def take(self, resource: str, deployment: str, body: Mapping[str, Any], size: int) -> Left:
        """One request. Raises 429 with Retry-After. As Azure does, it goes by what an answer may come to at most."""
        if not self._quotas:
            return Left(deployment)
        with self._lock:
            quota = self._quotas.get((resource, deployment))
            if quota is None:
                return Left(deployment)
            at = self._clock()
            if at - quota.renewed >= quota.window:
                quota.renew(at)
            rest = quota.window - (at - quota.renewed)
            if quota.left_requests <= 0 or quota.left_tokens <= 0:
                if quota.spill_to:
                    return Left(quota.spill_to, deployment)
                raise _refusal(quota, rest)
            quota.left_requests -= 1
            quota.left_tokens = max(0, quota.left_tokens - _estimate(body, size))
            return Left(deployment, figures=_told(quota, rest))


def _estimate(body: Mapping[str, Any], size: int) -> int:
    most = body.get("max_completion_tokens") or body.get("max_output_tokens") or body.get("max_tokens") or 0
    return size // 4 + (most if isinstance(most, int) else 0)


def _told(quota: _Quota, rest: float) -> dict[str, str]:
    return _figures(
        quota.requests, quota.tokens, quota.left_requests, quota.left_tokens, quota.window, rest, rest
    )  # fmt: skip


def _figures(
    requests: int,
    tokens: int,
    left_requests: int,
    left_tokens: int,
    window: float,
    requests_in: float,
    tokens_in: float,
) -> dict[str, str]:
    """Azure tells whole seconds, bare."""
    return {
        "x-ratelimit-limit-requests": str(requests),
        "x-ratelimit-limit-tokens": str(tokens),
        "x-ratelimit-remaining-requests": str(left_requests),
        "x-ratelimit-remaining-tokens": str(left_tokens),
        "x-ratelimit-renewalperiod-requests": str(math.ceil(window)),
        "x-ratelimit-renewalperiod-tokens": str(math.ceil(window)),
        "x-ratelimit-reset-requests": str(math.ceil(requests_in)),
        "x-ratelimit-reset-tokens": str(math.ceil(tokens_in)),
    }


def _refusal(quota: _Quota, rest: float) -> ApiError:
    seconds = str(max(1, math.ceil(rest)))
    error = errors.of_status(429)
    error.body = error.body.replace(b"after 6 seconds", f"after {seconds} seconds".encode())
    error.headers |= {"Retry-After": seconds, "retry-after-ms": str(max(1, round(rest * 1000))), **_told(quota, rest)}
    return error
