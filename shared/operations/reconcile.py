"""The ledger compared with what Azure has counted: tokens by deployment and day, for accounts whose id is configured.

Owns which days are compared when, and when a difference is an event. Use that did not come through the gateway shows
as Azure's surplus; a deployment that the configuration does not name is compared as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from pydantic import Field

from shared.adapters.azure_monitor import AzureMonitor, Measured, MetricsFailed
from shared.adapters.ledger import entries
from shared.adapters.outbox import STATE_TABLE
from shared.books.days import day_name, last_closed
from shared.books.sums import counted
from shared.errors import ApiError
from shared.operations.asked_days import bad_cursor, now_of
from shared.operations.drift import Account, DriftRow, accounts, compare, is_final
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.ports import UnknownCursor
from shared.types import Row

ROWS, DAYS = "reconcile", "reconcile_days"
BACK_DAYS = 7


class ReconcileReport(Told):
    accounts: int = Field(default=0, description="Accounts with an azure_resource_id.")
    days: list[str] = Field(default_factory=list[str], description="Days that were compared.")
    deployments: int = Field(default=0, description="Comparisons made: one for each deployment and day.")
    drifting: int = Field(default=0, description="Those that are apart by more than they may.")
    problems: list[str] = Field(default_factory=list[str], description="Why an account could not be compared.")


async def reconcile_days(desk: Desk, now: datetime) -> ReconcileReport:
    """The closed days of the last week that are not settled. Raises StoreUnavailable, ConfigError."""
    last = last_closed(now)
    return await _reconcile(desk, now, [last - timedelta(days=n) for n in reversed(range(BACK_DAYS))], again=False)


async def _reconcile(desk: Desk, now: datetime, days: Sequence[date], again: bool) -> ReconcileReport:
    """again: also days that are settled."""
    found = accounts(await desk.catalog())
    report = ReconcileReport(accounts=len(found))
    if not (found and desk.settings.resource_manager_url):
        return report
    due = {
        (account.resource_id, day) for account in found for day in days if again or await _is_due(desk, account, day)
    }
    wanted = sorted({day for _, day in due})
    if not wanted:
        return report
    ours = await _in_ledger(desk, now, wanted)
    metrics = AzureMonitor(desk.http, desk.settings.resource_manager_url, desk.tokens)
    for account in found:
        for day in wanted:
            if (account.resource_id, day) not in due:
                continue
            try:
                rows = compare(account, day, now, ours, await metrics.day(account.resource_id, day))
            except MetricsFailed as error:
                report.problems.append(f"{account.name}, {day.isoformat()}: {error}")
                break  # the other days of this account would fail the same way
            await _keep(desk, account, day, now, rows)
            report.deployments += len(rows)
            report.drifting += sum([await _tell(desk, row) for row in rows])
            report.days = sorted({*report.days, day.isoformat()})
    return report


async def _is_due(desk: Desk, account: Account, day: date) -> bool:
    row = await desk.tables.get(STATE_TABLE, DAYS, account.mark(day))
    return row is None or not row["final"]


async def _in_ledger(desk: Desk, now: datetime, days: Sequence[date]) -> Mapping[tuple[str, str], Measured]:
    """By day and `host/deployment`."""
    sums: dict[tuple[str, str], Measured] = {}
    names = {day_name(day) for day in days}
    async for entry in entries(desk.tables, days[0], days[-1], now):
        if entry.day not in names:
            continue
        place = entry.day, str(entry.event.get("deployment") or "")
        known, new = sums.get(place, Measured()), counted(entry.event)
        sums[place] = Measured(
            known.requests + new["requests"],
            known.input_tokens + new["input_tokens"],
            known.output_tokens + new["output_tokens"],
        )
    return sums


async def _keep(desk: Desk, account: Account, day: date, now: datetime, rows: Sequence[DriftRow]) -> None:
    mark: dict[str, Any] = {"at": now.timestamp(), "final": is_final(day, now)}
    await desk.tables.write(
        [Row(STATE_TABLE, {"PartitionKey": ROWS, "RowKey": _key(row), **row.model_dump()}) for row in rows]
    )
    await desk.tables.write([Row(STATE_TABLE, {"PartitionKey": DAYS, "RowKey": account.mark(day), **mark})])


def _key(row: DriftRow) -> str:
    """Newest day first."""
    return (
        f"{99999999 - int(row.day.replace('-', '')):08d}|{quote(row.account, safe='')}|{quote(row.deployment, safe='')}"
    )


async def _tell(desk: Desk, row: DriftRow) -> bool:
    """`usage.drift`, once for each deployment and day. What Azure lacks may only be late: told when the day is settled.
    -> whether the two are apart."""
    if row.verdict in ("agrees", "unattributed"):
        return False
    if row.drift_tokens > 0 or row.final:
        data = row.model_dump(exclude={"compared_at", "final"})
        unique = f"drift|{row.account}|{row.deployment}|{row.day}"
        await desk.outbox.add_now("usage.drift", f"deployments/{row.account}/{row.deployment}", data, unique)
    return True


# What an operator asks.


class ReconcileListAsked(Asked):
    day: date | None = Field(default=None, description="Only this day, YYYY-MM-DD.")
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.", max_length=2000)


class ReconcileListTold(Told):
    rows: list[DriftRow]
    next: str = Field(description="The cursor of the next page; empty: there is none.")


async def reconcile_list(asked: ReconcileListAsked, _actor: Actor, desk: Desk) -> ReconcileListTold:
    wanted = f"PartitionKey eq '{ROWS}'"
    if asked.day:
        wanted += f" and day eq '{asked.day.isoformat()}'"
    try:
        rows, following = await desk.tables.page(STATE_TABLE, wanted, asked.limit, asked.cursor)
    except UnknownCursor as error:
        raise bad_cursor() from error
    shown = [DriftRow(**{name: row[name] for name in DriftRow.model_fields}) for row in rows]
    return ReconcileListTold(rows=shown, next=following)


class ReconcileAsked(Asked):
    day: date | None = Field(
        default=None, description="Compare this closed day, YYYY-MM-DD, also again; without it every day that is due."
    )


async def reconcile_run(asked: ReconcileAsked, _actor: Actor, desk: Desk) -> ReconcileReport:
    now = now_of(desk)
    if not desk.settings.resource_manager_url:
        raise ApiError(
            409, "The app setting RESOURCE_MANAGER_URL is `off`: take it away to compare.", code="monitor_off"
        )
    if asked.day is None:
        return await reconcile_days(desk, now)
    if asked.day > (last := last_closed(now)):
        text = f"{asked.day} is not over yet. The last day that can be compared is {last}."
        raise ApiError(400, text, code="day_not_closed", param="day")
    return await _reconcile(desk, now, [asked.day], again=True)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "reconcile_list", "GET", "reconcile",
        "The ledger beside Azure's own counts, by deployment and day, newest first.",
        ReconcileListAsked, ReconcileListTold, reconcile_list,
        columns=("day", "account", "deployment", "verdict", "ledger_tokens", "azure_tokens", "drift_percent"),
        example="--day 2026-11-22",
    ),
    Operation(
        "reconcile_run", "POST", "reconcile",
        "Compare the ledger with Azure Monitor now.",
        ReconcileAsked, ReconcileReport, reconcile_run,
        columns=("accounts", "days", "deployments", "drifting", "problems"),
        example="--day 2026-11-22",
    ),
)  # fmt: skip
