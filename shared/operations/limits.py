"""What is left of limits and budgets, and what instances that are gone had leased of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from shared.adapters.key_store import TableKeys
from shared.adapters.lease_rows import LeaseRows
from shared.errors import ApiError, bad_request
from shared.limits.account import BudgetRow
from shared.limits.periods import ENDLESS, day_number, period_end, period_row
from shared.limits.rate_row import RateRow
from shared.limits.rates import RATE
from shared.limits.scopes import scope_id
from shared.limits.slots import PARALLEL, claims
from shared.money import in_usd
from shared.operations import keys as key_operations
from shared.operations.allowances import iso, page
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.principals import Allowance, Budget

WINDOW = 60
KEPT_PERIODS = 2
"""Days and months that are over and still shown."""
UNUSED_DAYS = 60
"""After so long a row of rates or parallel calls is dropped; the next call makes it anew."""

Limit = Literal["rpm", "tpm", "parallel", "budget day", "budget month", "budget total"]


class LimitsAsked(Asked):
    key: str = Field(
        default="", description="A key, by its id, the beginning of it, or its name; its team is shown, too."
    )
    team: str = Field(default="", description="A team, by its name. Without either: all teams and keys with limits.")
    limit: int = Field(default=100, ge=1, le=1000, description="Teams and keys of a page.")
    cursor: str = Field(default="", description="`next` of the page before.")


class LimitTold(Told):
    scope: Literal["key", "team"]
    name: str = Field(description="Of the key or the team.")
    limit: Limit
    allowed: str = Field(description="Requests, tokens or calls; US dollars of a budget.")
    taken: str = Field(description="What instances have leased of it by now, spent money included.")
    spent: str = Field(default="", description="US dollars that are known to be spent; only of budgets.")
    percent: float = Field(description="Of a budget what is spent, else what is taken.")
    until: str = Field(default="", description="When it begins anew; empty: never, or as soon as a call has ended.")
    hard: bool = Field(default=True, description="False: a soft budget, which refuses nothing.")
    shadow: bool = Field(default=False, description="True: in shadow mode, in which nothing is refused.")


class LimitsTold(Told):
    rows: list[LimitTold]
    next: str = Field(description="The cursor of the next page; empty: this is the last.")


class Sweep(Asked):
    """Nothing is asked."""


class Swept(Told):
    closed: int = Field(default=0, description="Leases of instances that are gone.")
    found_usd: str = Field(default="0", description="US dollars that those had spent and not reported.")
    dropped: int = Field(default=0, description="Rows of days and months long past, or not used for 60 days.")


@dataclass(frozen=True, slots=True)
class _Limited:
    """A key or a team that has limits."""

    kind: Literal["key", "team"]
    id: str
    name: str
    allowance: Allowance


async def show(asked: LimitsAsked, _: Actor, desk: Desk) -> LimitsTold:
    keys = TableKeys(desk.tables, desk.log)
    if asked.key and asked.team:
        raise bad_request("Name a key or a team, not both; a key's team is shown with it.", param="team")
    if asked.key or asked.team:
        found = await _named(asked, keys, desk)
    else:
        found = await _all(keys)
    limited = [scope for scope in found if scope.allowance.limited]
    shown, end = page(limited, [_order(scope) for scope in limited], asked.limit, asked.cursor)
    store, now = LeaseRows(desk.tables), desk.clock()
    rows = await asyncio.gather(*(store.of(scope_id(scope.kind, scope.id)) for scope in shown))
    told = [line for scope, row in zip(shown, rows, strict=True) for line in _told(scope, row, now)]
    return LimitsTold(rows=told, next=end)


async def _named(asked: LimitsAsked, keys: TableKeys, desk: Desk) -> list[_Limited]:
    found: list[_Limited] = []
    team = asked.team
    if asked.key:
        key = (await key_operations.find(keys, asked.key, desk)).principal
        team = key.team
        found.append(_Limited("key", key.key_id, key.name, key.allowance))
    record = await keys.team_record(team) if team else None
    if asked.team and record is None:
        raise ApiError(404, f"No such team: {asked.team}. 'teams list' shows all.", code="team_not_found", param="team")
    return found + ([_Limited("team", team, team, record.team.allowance)] if record else [])


async def _all(keys: TableKeys) -> list[_Limited]:
    """In the order of the pages: teams, then the keys that work."""
    now = [_Limited("team", team.name, team.name, team.allowance) for team in await keys.all_teams()]
    for record in await keys.records():
        key = record.principal
        if not key.disabled:
            now.append(_Limited("key", key.key_id, key.name, key.allowance))
    return sorted(now, key=_order)


def _order(scope: _Limited) -> str:
    return f"{'0' if scope.kind == 'team' else '1'}|{scope.name}|{scope.id}"


def _told(scope: _Limited, rows: Mapping[str, Mapping[str, Any]], now: float) -> Iterator[LimitTold]:
    allowance = scope.allowance
    common: dict[str, Any] = {"scope": scope.kind, "name": scope.name, "shadow": allowance.shadow}
    rate = RateRow.read(rows.get(RATE)).at(int(now // WINDOW))
    until = iso((rate.win + 1) * WINDOW)
    slots = sum(n for n, _ in claims(rows.get(PARALLEL), now).values())
    counted: tuple[tuple[Limit, int | None, int, str], ...] = (
        ("rpm", allowance.rpm, rate.now.requests, until),
        ("tpm", allowance.tpm, rate.now.tokens, until),
        ("parallel", allowance.parallel, slots, ""),
    )
    for limit, allowed, taken, ends in counted:
        if allowed is not None:
            percent = round(100 * taken / allowed, 1) if allowed else 100.0
            yield LimitTold(
                limit=limit, allowed=str(allowed), taken=str(taken), percent=percent, until=ends, **common
            )  # fmt: skip
    for budget in allowance.budgets:
        yield _budget(budget, rows, now, common)


def _budget(budget: Budget, rows: Mapping[str, Mapping[str, Any]], now: float, common: dict[str, Any]) -> LimitTold:
    day = day_number(now)
    row = BudgetRow.read(rows.get(period_row(budget.period, day)))
    end = period_end(budget.period, day)
    limits: Mapping[str, Limit] = {"day": "budget day", "month": "budget month", "total": "budget total"}
    return LimitTold(
        limit=limits[budget.period],
        allowed=in_usd(budget.nanos),
        taken=in_usd(row.taken),
        spent=in_usd(row.spent),
        percent=round(100 * row.spent / budget.nanos, 1) if budget.nanos else 100.0,
        until="" if end == ENDLESS else iso(end),
        hard=budget.hard,
        **common,
    )


async def sweep_leases(desk: Desk, now: datetime) -> Swept:
    """May run anywhere and at once: each row is changed by compare-and-swap. Raises StoreUnavailable."""
    store, at = LeaseRows(desk.tables), now.timestamp()
    closed = found = 0
    for place, row in await store.forgotten(at):
        entries, nanos = await store.close_dead(place, row, at)
        closed, found = closed + entries, found + nanos
    dropped = 0
    for wanted in _outdated(now.astimezone(UTC)):
        dropped += await store.drop(wanted)
    return Swept(closed=closed, found_usd=in_usd(found), dropped=dropped)


def _outdated(now: datetime) -> Iterable[str]:
    day = now - timedelta(days=KEPT_PERIODS)
    month = now.replace(day=1)
    for _ in range(KEPT_PERIODS):
        month = (month - timedelta(days=1)).replace(day=1)
    yield f"RowKey ge 'day-' and RowKey lt 'day-{day:%Y%m%d}'"
    yield f"RowKey ge 'month-' and RowKey lt 'month-{month:%Y%m}'"
    unused = f"{now - timedelta(days=UNUSED_DAYS):%Y-%m-%dT%H:%M:%SZ}"
    yield f"(RowKey eq '{RATE}' or RowKey eq '{PARALLEL}') and Timestamp lt datetime'{unused}'"


async def _sweep(_: Sweep, __: Actor, desk: Desk) -> Swept:
    return await sweep_leases(desk, datetime.fromtimestamp(desk.clock(), UTC))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="limits_show",
        method="GET",
        path="limits",
        summary="Limits and budgets of keys and teams, and what is taken of them now.",
        asks=LimitsAsked,
        answers=LimitsTold,
        act=show,
        columns=("scope", "name", "limit", "allowed", "taken", "spent", "percent", "until"),
        example="--key ci",
    ),
    Operation(
        name="limits_sweep",
        method="POST",
        path="limits/sweep",
        summary="Take back what instances that are gone had leased of budgets; a timer does it every five minutes.",
        asks=Sweep,
        answers=Swept,
        act=_sweep,
    ),
)
