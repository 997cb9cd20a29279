"""Who may use the manage API: the operator's own key, or an Entra caller with a role; and how often.

A caller's own key is never enough, and all wrong credentials get one answer. Knows neither HTTP nor the operations.
"""

from __future__ import annotations

import hmac
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shared.errors import ApiError
from shared.operations.operation import Actor

if TYPE_CHECKING:
    from shared.adapters.entra_tokens import Claims

ADMIN, READER = "Tollgate.Admin", "Tollgate.Reader"
CALLS_A_MINUTE = 120
WRONG_A_MINUTE = 20
QUIET_SECONDS = 60.0
"""After so long without a wrong credential a burst is over."""
_MOST_KNOWN = 1000
_WITH_PORT = re.compile(r"(\[.+\]|[^:]+):\d+")
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


class Verifier(Protocol):
    """Tokens of the configured tenants."""

    async def verify(self, token: str) -> Claims:
        """Raises ApiError 401 for every token that is not good, 503 when that cannot be found out."""
        ...


@dataclass(frozen=True, slots=True)
class Burst:
    """Wrong credentials that came one soon after the other."""

    began: float
    """Unix seconds."""
    number: int
    """Which of the process's bursts it is."""
    count: int


class Buckets:
    """For each name a bucket that holds so many tokens and fills again within a minute."""

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = float(a_minute), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def _level(self, name: str, now: float) -> float:
        level, at = self._buckets.get(name, (self._most, now))
        return min(self._most, level + (now - at) * self._most / 60)

    def wait(self, name: str) -> float:
        """Seconds until there is a token; 0 when there is one."""
        missing = 1 - self._level(name, self._clock())
        return max(0.0, missing * 60 / self._most)

    def take(self, name: str) -> None:
        now = self._clock()
        self._buckets[name] = max(0.0, self._level(name, now) - 1), now
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_KNOWN:
            self._buckets.popitem(last=False)


class Access:
    """One per process. `clock`: seconds that never go back; `now`: Unix seconds."""

    def __init__(
        self, admin_key: str, verifier: Verifier | None, clock: Callable[[], float], now: Callable[[], float]
    ) -> None:
        self._admin_key, self._verifier = admin_key.encode(), verifier
        self._calls, self._wrong = Buckets(CALLS_A_MINUTE, clock), Buckets(WRONG_A_MINUTE, clock)
        self._clock, self._now = clock, now
        self._burst, self._last_wrong = Burst(0, 0, 0), float("-inf")

    @property
    def possible(self) -> bool:
        """Whether there is any credential with which to sign in."""
        return bool(self._admin_key or self._verifier)

    @property
    def burst(self) -> Burst:
        return self._burst

    async def actor(self, headers: Mapping[str, str]) -> Actor:
        """Raises ApiError 401, 429, or 503 when a token cannot be checked."""
        given = _given(headers)
        actor = await self._by_token(given, headers) if _TOKEN.fullmatch(given) else self._by_key(given, headers)
        if wait := self._calls.wait(actor.name):
            raise _too_many(wait, f"You may send {CALLS_A_MINUTE} requests a minute to /manage.")
        self._calls.take(actor.name)
        return actor

    def _by_key(self, given: str, headers: Mapping[str, str]) -> Actor:
        """Guessing is slowed down: after so many wrong ones from an address, keys from there are not looked at."""
        if not given:
            raise _incorrect()
        place = _address(headers)
        if wait := self._wrong.wait(place):
            raise self._refusal(place, wait)
        if self._admin_key and hmac.compare_digest(given.encode(), self._admin_key):
            return Actor("admin-key")
        raise self._refusal(place)

    async def _by_token(self, given: str, headers: Mapping[str, str]) -> Actor:
        """A signature cannot be guessed: a good token is accepted, however many wrong ones came before."""
        place = _address(headers)
        if self._verifier is None:
            raise self._refusal(place, self._wrong.wait(place))
        try:
            claims = await self._verifier.verify(given)
        except ApiError as error:
            if error.status != 401:
                raise
            raise self._refusal(place, self._wrong.wait(place)) from error
        if not claims.roles & {ADMIN, READER}:
            raise self._refusal(place, self._wrong.wait(place))
        return Actor(f"entra:{claims.tenant}/{claims.name or claims.subject}", may_write=ADMIN in claims.roles)

    def _refusal(self, place: str, wait: float = 0.0) -> ApiError:
        now = self._clock()
        known = self._burst
        if now - self._last_wrong > QUIET_SECONDS:
            known = Burst(self._now(), known.number + 1, 0)
        self._burst, self._last_wrong = Burst(known.began, known.number, known.count + 1), now
        if wait:
            return _too_many(wait, "Too many wrong credentials came from here.")
        self._wrong.take(place)
        return _incorrect()


def _incorrect() -> ApiError:
    return ApiError(
        401,
        "Incorrect credential for /manage. Send the gateway's ADMIN_KEY as 'Authorization: Bearer …' or in the "
        f"header 'api-key', or an Entra token with the role {ADMIN} or {READER}. A caller's own key is not enough.",
        code="invalid_api_key",
        headers={"www-authenticate": "Bearer"},
    )


def may_not_write() -> ApiError:
    return ApiError(
        403, f"Your role only reads. Ask for the role {ADMIN} to change things.", code="read_only_role"
    )  # fmt: skip


def _too_many(wait: float, text: str) -> ApiError:
    seconds = math.ceil(wait)
    return ApiError(
        429,
        f"{text} Wait {seconds} s.",
        type="rate_limit_error",
        code="rate_limit_exceeded",
        headers={"retry-after": str(seconds)},
    )


def _given(headers: Mapping[str, str]) -> str:
    given = headers.get("authorization", "")
    return given[7:].strip() if given[:7].lower() == "bearer " else headers.get("api-key", "").strip()


def _address(headers: Mapping[str, str]) -> str:
    """Where a request came from, as the last proxy before the app saw it: Azure's front end. No other is believed."""
    last = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return found[1] if (found := _WITH_PORT.fullmatch(last)) else last
