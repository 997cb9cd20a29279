"""What is known of deployments at one moment, of all instances together: what they report of health and use, and what
is leased of the limits that the configuration gives. For operators who look at it; calls go by what their own instance
knows. What a report says, and what is believed of it, is the routing core's (shared/routing/board.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from random import Random
from typing import Any
from urllib.parse import unquote

from shared.adapters.lease_store import LIMITS_TABLE
from shared.adapters.route_board import posts
from shared.adapters.tables import Tables
from shared.catalog import Catalog, Deployment
from shared.errors import bad_request
from shared.expected import token_price
from shared.limits.rate_row import RateRow
from shared.limits.rates import RATE
from shared.limits.scopes import scope_id
from shared.operations.operation import Desk
from shared.ports import Prices
from shared.routing import Router, States
from shared.routing.board import AHEAD, OLD

WINDOW = 60


@dataclass(slots=True)
class Figures:
    """Of one deployment, by all reports together. Requests and tokens are those of the present minute."""

    instances: int = 0
    in_flight: int = 0
    requests: int = 0
    tokens: int = 0
    firsts: list[int] = field(default_factory=list[int])
    """Mean milliseconds until a stream's first token, of each instance that knows."""
    wholes: list[int] = field(default_factory=list[int])
    """The same until an answer that is no stream."""

    @property
    def first_ms(self) -> int:
        return sum(self.firsts) // (len(self.firsts) or 1)

    @property
    def whole_ms(self) -> int:
        return sum(self.wholes) // (len(self.wholes) or 1)


NO_FIGURES = Figures()


class SeenCapacity:
    """ports.Capacity that begins with what others have taken by now, and counts on by itself."""

    def __init__(self, taken: Mapping[str, tuple[int, int]], now: float) -> None:
        """taken: requests and tokens of the minute of `now`, by deployment id."""
        self.taken = dict(taken)
        self._minute = now // WINDOW

    def _of(self, name: str, now: float) -> tuple[int, int]:
        if now // WINDOW != self._minute:
            self._minute = now // WINDOW
            self.taken.clear()
        return self.taken.get(name, (0, 0))

    def left(self, deployment: Deployment, now: float) -> float:
        requests, tokens = self._of(deployment.id, now)
        used = ((requests, deployment.rpm), (tokens, deployment.tpm))
        return min((max(0.0, 1 - one / limit) if limit else 0.0 for one, limit in used if limit is not None), default=1)

    def take(self, deployment: Deployment, tokens: int, now: float) -> None:
        requests, before = self._of(deployment.id, now)
        self.taken[deployment.id] = requests + 1, before + tokens

    def settle(self, deployment: Deployment, at: float, tokens: int, spent: int) -> None:
        if at // WINDOW == self._minute and deployment.id in self.taken:
            requests, before = self.taken[deployment.id]
            self.taken[deployment.id] = requests, before + spent - tokens


@dataclass(frozen=True, slots=True)
class Known:
    """States hold what was heard, as if one instance had served all that all have."""

    now: float
    states: States
    figures: Mapping[str, Figures]
    capacity: SeenCapacity
    instances: int

    def of(self, deployment: Deployment) -> Figures:
        return self.figures.get(deployment.id, NO_FIGURES)


def router_of(catalog: Catalog, known: Known, prices: Prices, seed: int = 0) -> Router:
    """As the gateway has it, but for a chance that is always the same."""
    rng = Random(seed)  # noqa: S311
    price = partial(token_price, prices, at=known.now)
    return Router(catalog.router, known.states, known.capacity, rng, price)


async def live(desk: Desk) -> Known:
    """As it is now. Raises StoreUnavailable."""
    now = desk.clock()
    found = [post.report for post in await posts(desk.tables, now) if _recent(post.report, now)]
    states, figures = heard(found, now)
    return Known(now, states, figures, SeenCapacity(await leased(desk.tables, now), now), len(found))


def as_given(state: Any) -> Known:
    """As reports say, at the time of the newest. What is used of limits is what they say of it. Raises ApiError 400."""
    found = list(_reports(state))
    now = max((at for one in found if (at := _number(one.get("at")))), default=0.0)
    if not 0 < now < _LATEST:
        raise bad_request(
            "state: this holds no report. Write what 'route reports --json' prints, or one report, with `at` and "
            "`deployments` (docs/manage.md); times are seconds since 1970.",
            param="state",
            code="invalid_value",
        )
    recent = [one for one in found if _recent(one, now)]
    states, figures = heard(recent, now)
    taken = {name: (one.requests, one.tokens) for name, one in figures.items()}
    return Known(now, states, figures, SeenCapacity(taken, now), len(recent))


_LATEST = 4e9
"""Seconds: the year 2096."""


def _recent(report: Mapping[str, Any], now: float) -> bool:
    """Whether the routing core would listen to it."""
    at = _number(report.get("at"))
    return at is not None and now - OLD < at <= now + AHEAD


def _reports(state: Any) -> Iterable[Mapping[str, Any]]:
    """One report, several, or the rows of `route reports`."""
    for one in state if isinstance(state, list) else [state]:
        if isinstance(one, dict):
            inner = one.get("report")
            yield inner if isinstance(inner, dict) else one


async def leased(tables: Tables, now: float) -> dict[str, tuple[int, int]]:
    """-> requests and tokens of this minute that are leased of deployments' limits, by id. Raises StoreUnavailable."""
    begin = scope_id("deployment", "")
    wanted = f"PartitionKey ge '{begin}' and PartitionKey lt '{begin[:-1]}}}' and RowKey eq '{RATE}'"
    found: dict[str, tuple[int, int]] = {}
    async for row in tables.query(LIMITS_TABLE, wanted):
        cell = RateRow.read(row).at(int(now // WINDOW)).now
        found[unquote(str(row["PartitionKey"]).removeprefix(begin))] = cell.requests, cell.tokens
    return found


def heard(reports: Iterable[Mapping[str, Any]], now: float) -> tuple[States, dict[str, Figures]]:
    """What is not understood of a report is left out."""
    states, figures = States(), dict[str, Figures]()
    for report in reports:
        states.hear(report, now)
        rows, at = report.get("deployments"), _number(report.get("at")) or 0.0
        for name, row in rows.items() if isinstance(rows, dict) else ():
            if isinstance(row, dict):
                _add(figures.setdefault(str(name), Figures()), row, same_minute=at // WINDOW == now // WINDOW)
    for name, one in figures.items():
        state = states.of(name)
        state.in_flight, state.minute = one.in_flight, int(now // WINDOW)
        state.requests, state.tokens = one.requests, one.tokens
        for pace, ms in ((state.streams, one.first_ms), (state.whole, one.whole_ms)):
            pace.mean, pace.at = ms / 1000, now if ms else 0.0
    return states, figures


def _add(figures: Figures, row: Mapping[str, Any], *, same_minute: bool) -> None:
    def of(name: str) -> int:
        return max(0, int(_number(row.get(name)) or 0))

    for known, name in ((figures.firsts, "first_ms"), (figures.wholes, "whole_ms")):
        if ms := of(name):
            known.append(ms)
    figures.instances += 1
    figures.in_flight += of("in_flight")
    if same_minute:
        figures.requests += of("requests")
        figures.tokens += of("tokens")


def _number(value: Any) -> float | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and abs(value) < 1e15
    return float(value) if sound else None
