"""Provisioned deployments: each hour's fixed cost, divided among those who used it, and what of it lay idle.

Hours are divided once they are closed, in their order, and how far that has come is noted for each deployment. A row's
key says deployment, hour and payer, so that an hour which is divided twice has the same rows. The first run begins
with the hour that was closed last: what was before that, nobody asked to be divided.

Beside the shares stands what was meant for the deployment and spilled over. That has used nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from pydantic import Field

from shared.adapters.book_tables import Share, mark, marks, share_row, shares, totals
from shared.adapters.ledger import entries
from shared.adapters.tables import Tables
from shared.books.days import day_name, midnight, named_day, shown_day
from shared.books.ptu import Payer, payer_of, split, weighted
from shared.books.reports import IDLE
from shared.books.spills import Meant
from shared.books.sums import hour_of
from shared.catalog import Catalog, Deployment
from shared.money import in_usd
from shared.operations.asked_days import now_of, page_of, span
from shared.operations.operation import Actor, Asked, Desk, Told
from shared.operations.uses import uses

JOB = "ledger.ptu"
CLOSED_AFTER = timedelta(hours=1)
"""After an hour's end: calls that began in it may still run."""
LOOK_BACK = timedelta(days=31)
_HOUR = timedelta(hours=1)


class SplitReport(Told):
    hours: int = Field(default=0, description="Hours of deployments that were divided.")
    cost_usd: str = Field(default="0", description="Their fixed costs.")
    idle_usd: str = Field(default="0", description="The part of it that nobody used.")
    unpriced: list[str] = Field(
        default_factory=list[str],
        description="Provisioned deployments whose hourly price is not known: their hours wait, 31 days at the most.",
    )


type Uses = dict[tuple[str, datetime], dict[Payer, int]]
"""Weighted tokens by deployment, hour and payer."""


async def split_hours(desk: Desk, now: datetime) -> SplitReport:
    """Raises StoreUnavailable, ConfigError."""
    report, end = SplitReport(), _end(now)
    provisioned = provisioned_of(await desk.catalog())
    begins = await _begins(desk, provisioned, end, report)
    if not begins:
        return report
    uses = await _uses(desk.tables, {name: provisioned[name] for name in begins}, min(begins.values()), end, now)
    cost = idle = 0
    for name, begin in begins.items():
        deployment, hour = provisioned[name], begin
        while hour < end:
            parts: list[Share] = []
            after = min(end, midnight(hour.date() + timedelta(days=1)))
            while hour < after:
                fixed = desk.prices.hourly(deployment, hour.timestamp()).nanos
                parts += _divided(deployment, hour, fixed, uses.get((name, hour), {}))
                cost, report.hours, hour = cost + fixed, report.hours + 1, hour + _HOUR
            await desk.tables.write([share_row(part) for part in parts])
            await mark(desk.tables, JOB, quote(name, safe=""), until=hour.timestamp())
            idle += sum(part.nanos for part in parts if part.payer is None)
    report.cost_usd, report.idle_usd = in_usd(cost), in_usd(idle)
    return report


def provisioned_of(catalog: Catalog) -> dict[str, Deployment]:
    """By id: a deployment that has several aliases is paid for once."""
    found: dict[str, Deployment] = {}
    for deployments in catalog.deployments.values():
        for deployment in deployments:
            if deployment.terms.ptu is not None:
                found.setdefault(deployment.id, deployment)
    return found


def _end(now: datetime) -> datetime:
    """The end of the last hour that is closed."""
    return (now - CLOSED_AFTER).replace(minute=0, second=0, microsecond=0)


async def _begins(
    desk: Desk, provisioned: Mapping[str, Deployment], end: datetime, report: SplitReport
) -> dict[str, datetime]:
    """The first hour of each deployment that is due."""
    if not provisioned:
        return {}
    done = await marks(desk.tables, JOB)
    begins: dict[str, datetime] = {}
    for name, deployment in provisioned.items():
        known = done.get(quote(name, safe=""))
        begin = datetime.fromtimestamp(float(known["until"]), UTC) if known else end - _HOUR
        begin = max(begin, end - LOOK_BACK)
        if begin >= end:
            continue
        if desk.prices.hourly(deployment, begin.timestamp()).priced:
            begins[name] = begin
        else:
            report.unpriced.append(deployment.label)
            if known is None:  # from now on its hours wait for a price
                await mark(desk.tables, JOB, quote(name, safe=""), until=begin.timestamp())
            desk.log.warning("the hourly price of a provisioned deployment is not known", deployment=deployment.label)
    return begins


async def _uses(
    tables: Tables, deployments: Mapping[str, Deployment], first: datetime, end: datetime, now: datetime
) -> Uses:
    uses: Uses = {}
    last = (end - _HOUR).date()
    async for entry in entries(tables, first.date(), last, now, since=first):
        deployment = deployments.get(str(entry.event.get("deployment")))
        if deployment is None or deployment.terms.ptu is None or entry.event.get("capacity") == "azure-spill":
            continue
        hour = midnight(named_day(entry.day)) + hour_of(entry.event, entry.day) * _HOUR
        payer = payer_of(entry.key_id, entry.event)
        payers = uses.setdefault((deployment.id, hour), {})
        payers[payer] = payers.get(payer, 0) + weighted(entry.event, deployment.terms.ptu.output_weight)
    return uses


def _divided(deployment: Deployment, hour: datetime, cost: int, use: Mapping[Payer, int]) -> list[Share]:
    """The hour's rows. What nobody used has one also when it is nothing: of an hour that was divided before, with less
    use, it must not stay."""
    assert deployment.terms.ptu is not None
    paid, idle = split(cost, use, deployment.terms.ptu.capacity_tokens_per_hour)
    day = day_name(hour.date())

    def share(nanos: int, payer: Payer | None) -> Share:
        tokens = use.get(payer, 0) if payer else 0
        return Share(deployment.id, deployment.label, day, hour.hour, nanos, payer, tokens)

    return [*(share(nanos, payer) for payer, nanos in paid.items()), share(idle, None)]


# What an operator asks.


class PtuAsked(Asked):
    first: date | None = Field(
        default=None, alias="from", description="First day, YYYY-MM-DD (UTC). Without: the month's."
    )
    last: date | None = Field(default=None, alias="to", description="Last day. Without: today.")
    deployment: str = Field(default="", description="Only this one, by its label (`gpt-4o#1`) or id.", max_length=256)
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.", max_length=64)


class PtuRow(Told):
    day: str
    deployment: str = Field(description="Its label; empty: of what spilled over, the configuration names none now.")
    key: str = Field(description="The key's name; `(idle PTU)`: nobody used it.")
    key_id: str
    team: str
    model: str
    tags: list[str]
    tokens: int = Field(description="Weighted: uncached input, and output times the model's weight.")
    cost_usd: str
    spilled: int = Field(description="Calls meant for it that were served elsewhere, paid by use.")
    spill_cost_usd: str = Field(description="What those cost.")


class PtuTold(Told):
    rows: list[PtuRow]
    next: str = Field(description="The cursor of the next page; empty: there is none.")
    cost_usd: str = Field(description="Of all rows, on this page or not.")
    idle_usd: str = Field(description="What of it nobody used.")
    spilled: int = Field(description="Calls that spilled over, of all rows.")
    spill_cost_usd: str = Field(description="What those cost, besides `cost_usd`.")


@dataclass(slots=True)
class _Line:
    nanos: int = 0
    tokens: int = 0
    spilled: int = 0
    spill_nanos: int = 0

    def add(self, other: _Line) -> None:
        self.nanos, self.tokens = self.nanos + other.nanos, self.tokens + other.tokens
        self.spilled, self.spill_nanos = self.spilled + other.spilled, self.spill_nanos + other.spill_nanos


type _Place = tuple[str, str]
"""Day and deployment."""
type _Lines = dict[_Place, dict[Payer | None, _Line]]


async def ptu_list(asked: PtuAsked, _actor: Actor, desk: Desk) -> PtuTold:
    now = now_of(desk)
    first, last = span(asked.first, asked.last, now)
    found: _Lines = {}
    labels: dict[_Place, str] = {}
    async for share in shares(desk.tables, first, last):
        place = share.day, share.deployment
        labels[place] = share.label
        found.setdefault(place, {}).setdefault(share.payer, _Line()).add(_Line(share.nanos, share.tokens))
    await _add_spilled(desk, first, last, now, found, labels)
    rows: list[PtuRow] = []
    total, idle = _Line(), 0
    for place in sorted(found):
        if asked.deployment not in ("", place[1], labels[place]):
            continue
        lines = found[place]
        idle += sum(line.nanos for payer, line in lines.items() if payer is None)
        for payer in sorted(lines, key=lambda p: (p is None, -lines[p].nanos, -lines[p].spill_nanos, str(p))):
            line = lines[payer]
            total.add(line)
            if line.nanos or line.spilled:
                rows.append(_row(place[0], labels[place], payer, line))
    page, more = page_of(rows, asked.limit, asked.cursor)
    return PtuTold(
        rows=page,
        next=more,
        cost_usd=in_usd(total.nanos),
        idle_usd=in_usd(idle),
        spilled=total.spilled,
        spill_cost_usd=in_usd(total.spill_nanos),
    )


async def _add_spilled(
    desk: Desk, first: date, last: date, now: datetime, found: _Lines, labels: dict[_Place, str]
) -> None:
    """More than totals are read only of days on which something spilled over. Raises StoreUnavailable, ConfigError."""
    days = {use.day async for use in totals(desk.tables, first, last) if use.sums["spilled"]}
    if not days:
        return
    meant = Meant(await desk.catalog())
    async for use in uses(desk.tables, map(named_day, days), now):
        if not use.sums["spilled"]:
            continue
        whose = meant.of(use.alias, use.deployment)
        place = use.day, whose.id if whose else ""
        labels.setdefault(place, whose.label if whose else "")
        payer = Payer(use.key_id, use.key_name, use.team, use.alias, tuple(sorted(use.tags)))
        spilled = _Line(spilled=use.sums["spilled"], spill_nanos=use.sums["spill_nanos"])
        found.setdefault(place, {}).setdefault(payer, _Line()).add(spilled)


def _row(day: str, label: str, payer: Payer | None, line: _Line) -> PtuRow:
    return PtuRow(
        day=shown_day(day),
        deployment=label,
        key=payer.key_name if payer else IDLE,
        key_id=payer.key_id[:12] if payer else "",
        team=payer.team if payer else "",
        model=payer.alias if payer else "",
        tags=list(payer.tags) if payer else [],
        tokens=line.tokens,
        cost_usd=in_usd(line.nanos),
        spilled=line.spilled,
        spill_cost_usd=in_usd(line.spill_nanos),
    )
