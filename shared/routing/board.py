"""What processes tell each other of deployments, as JSON that another version may have written.

    {"at": 1790000000.0, "deployments": {"resource/deployment": {
        "rest":   {"at": …, "until": … (0: well again), "why": "server", "level": 0, "told": false},   seen itself
        "in_flight": 3, "requests": 40, "tokens": 81000,                                of this minute
        "first_ms": 420, "whole_ms": 1800,                                              until answers begin, mean
        "azure":  {"at": …, "until": …, "requests": [left, limit | null, until], "tokens": […]}}}}

Times are seconds since 1970. What is empty is left out. Of two reports the newer event of a deployment wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, get_args

from shared.router_settings import FailureKind
from shared.routing.quota import Bound, Quota
from shared.routing.rest import Rest

if TYPE_CHECKING:
    from shared.routing.states import Pace, State, States

OLD = 600.0
"""Seconds after which nothing that was said is true any more."""
AHEAD = 60.0
"""By how much another process's clock may be ahead."""


def report(states: Mapping[str, State], now: float) -> dict[str, Any]:
    return {"at": now, "deployments": {s.id: said for s in states.values() if (said := _of(s, now))}}


def _of(state: State, now: float) -> dict[str, Any]:
    said: dict[str, Any] = {}
    rest = state.rest
    if rest is not None and rest.own and max(rest.at, rest.until) > now - OLD:
        said["rest"] = {"at": rest.at, "until": rest.until, "why": rest.why, "level": rest.level, "told": rest.told}
    if not state.all_requests:
        return said  # all else that it knows of it is what others have said
    requests, tokens = state.used(now)
    figures = {"in_flight": state.in_flight, "requests": requests, "tokens": tokens}
    figures |= {"first_ms": _ms(state.streams, now), "whole_ms": _ms(state.whole, now)}
    said |= {name: figure for name, figure in figures.items() if figure}
    if state.quota is not None and now < state.quota.until:
        said["azure"] = _said(state.quota, state, now)
    return said


def _ms(pace: Pace, now: float) -> int:
    return round(pace.mean * 1000) if 0 < pace.mean < inf and now - pace.at < OLD else 0


def _said(quota: Quota, state: State, now: float) -> dict[str, Any]:
    said: dict[str, Any] = {"at": quota.at, "until": quota.until}
    both = (("requests", quota.requests), ("tokens", quota.tokens))
    for (name, bound), left in zip(both, state.left(now), strict=True):
        if bound is not None and left is not None:
            said[name] = [left, bound.limit, bound.until]
    return said


def hear(states: States, said: Mapping[str, Any], now: float) -> None:
    """Raises nothing."""
    of: Any = said.get("deployments")
    if not isinstance(of, Mapping) or not _recent(said.get("at"), now):
        return
    for name, row in of.items():
        if isinstance(name, str) and isinstance(row, Mapping):
            _hear_of(states.of(name), row, now)


def _hear_of(state: State, row: Mapping[Any, Any], now: float) -> None:
    if (rest := _rest(row.get("rest"), now)) is not None and _news(state, rest, now):
        state.take(rest)
    if (quota := _quota(row.get("azure"), state, now)) is not None:
        state.heard(quota)
    for pace, name in ((state.streams, "first_ms"), (state.whole, "whole_ms")):
        if not pace.mean and (ms := _number(row.get(name))):
            pace.mean, pace.at = ms / 1000, now  # better than nothing; what this process measures itself wins


def _news(state: State, rest: Rest, now: float) -> bool:
    if state.rest is not None and rest.at <= state.rest.at:
        return False
    # another failure does not shorten a rate limit, the end of which is known
    return not (rest.until and state.limited and max(now, rest.until) < state.until)


def _rest(said: object, now: float) -> Rest | None:
    if not isinstance(said, Mapping):
        return None
    at, until, level = (_number(said.get(name)) for name in ("at", "until", "level"))
    kind: FailureKind | None = next((k for k in get_args(FailureKind) if k == said.get("why")), None)
    if at is None or until is None or kind is None or not now - OLD < max(at, until) or at > now + AHEAD:
        return None
    return Rest(at, min(until, now + OLD), kind, int(level or 0), told=said.get("told") is True, own=False)


def _quota(said: object, state: State, now: float) -> Quota | None:
    if not isinstance(said, Mapping):
        return None
    at, until = _number(said.get("at")), _number(said.get("until"))
    if at is None or until is None or not now < until <= now + 2 * AHEAD or at > now + AHEAD:
        return None
    requests, tokens = _bound(said.get("requests")), _bound(said.get("tokens"))
    return Quota(at, until, requests, tokens, state.all_requests, state.all_tokens)


def _bound(said: object) -> Bound | None:
    if not isinstance(said, list) or len(said) != 3:
        return None
    left, limit, until = (_number(v) for v in said)
    return Bound(left, limit, until) if left is not None and until is not None else None


def _recent(at: object, now: float) -> bool:
    return (when := _number(at)) is not None and now - OLD < when <= now + AHEAD


def _number(value: object) -> float | None:
    """-> None for what is no number that makes sense. A quota that was overspent is below 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) and abs(value) < 1e15 else None
