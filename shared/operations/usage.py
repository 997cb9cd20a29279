"""Who used what: reports over any days, and single calls.

A report by key, team, model and day reads the daily totals; by anything finer the hourly sums of days that were
compacted and the ledger of the others; by end user always the ledger, for no sums are kept of people.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from shared.adapters.book_tables import Share, shares, totals
from shared.adapters.tables import Tables
from shared.books.days import between
from shared.books.reports import OF_TOTALS, Line, Only, Report, Use
from shared.errors import ApiError
from shared.money import in_usd
from shared.operations import calls
from shared.operations.asked_days import now_of, page_of, span
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.operations.uses import uses

Dimension = Literal["key", "team", "model", "deployment", "endpoint", "tag", "user", "engine", "day", "hour"]


class UsageAsked(Asked):
    by: list[Dimension] = Field(
        default_factory=lambda: ["key"],
        description="What to sum by: one of these, or two, `team,day`.",
        min_length=1,
        max_length=2,
    )
    first: date | None = Field(
        default=None, alias="from", description="First day, YYYY-MM-DD (UTC). Without: the first of the month."
    )
    last: date | None = Field(default=None, alias="to", description="Last day. Without: today.")
    key: str = Field(default="", description="Only this key: its name, or its id.", max_length=256)
    team: str = Field(default="", description="Only this team.", max_length=256)
    model: str = Field(default="", description="Only this model.", max_length=256)
    tag: str = Field(default="", description="Only calls with this tag.", max_length=256)
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.", max_length=64)


class Dimensions(Told):
    key: str | None = Field(default=None, description="The key's name. Fields that were not asked for are null.")
    key_id: str | None = None
    team: str | None = None
    model: str | None = None
    deployment: str | None = None
    endpoint: str | None = None
    tag: str | None = None
    user: str | None = None
    engine: str | None = Field(default=None, description="What ran the batch that it was for: azure, own.")
    day: str | None = None
    hour: str | None = None


class Figures(Told):
    requests: int
    failed: int
    estimated: int = Field(description="Calls whose use the gateway had to count itself.")
    unpriced: int = Field(description="Calls of which something has no price: their cost is too low.")
    spilled: int = Field(description="Calls for provisioned throughput that were served elsewhere, paid by use.")
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    audio_input_tokens: int
    image_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_output_tokens: int
    image_output_tokens: int
    training_tokens: int
    images: int
    characters: int
    audio_ms: int
    video_ms: int
    cost_usd: str = Field(description="Of calls that are paid by use.")
    spill_cost_usd: str = Field(description="The part of `cost_usd` that the spilled ones cost.")
    ptu_cost_usd: str = Field(description="Shares of provisioned deployments' fixed costs.")


class UsageRow(Figures, Dimensions):
    """What was used, after for whom: columns stand in this order."""


class UsageTold(Told):
    rows: list[UsageRow]
    next: str = Field(description="The cursor of the next page; empty: there is none.")
    first: str = Field(description="The first day.")
    last: str = Field(description="The last day.")
    total: Figures = Field(description="Of all rows, on this page or not; each call once.")
    overlapping: bool = Field(description="A call counts in several rows: it has several tags.")
    unpriced_requests: int = Field(description="Calls of which something has no price: their cost is too low.")
    unpriced_models: dict[str, int] = Field(description="Such calls by model.")
    warnings: list[str] = Field(description="What must be known to read the figures rightly.")


async def usage(asked: UsageAsked, _actor: Actor, desk: Desk) -> UsageTold:
    if len(set(asked.by)) < len(asked.by):
        raise ApiError(400, f"'by' names {asked.by[0]} twice.", code="bad_by", param="by")
    now = now_of(desk)
    first, last = span(asked.first, asked.last, now)
    only = Only(asked.key, asked.team, asked.model, asked.tag)
    report = Report(asked.by, only)
    async for use in _uses(desk.tables, report, first, last, now):
        report.add(use)
    async for share in shares(desk.tables, first, last):
        report.add(_shared(share))
    rows = [UsageRow(**values, **_figures(line)) for values, line in report.lines()]
    page, more = page_of(rows, asked.limit, asked.cursor)
    return UsageTold(
        rows=page,
        next=more,
        first=first.isoformat(),
        last=last.isoformat(),
        total=Figures(**_figures(report.total)),
        overlapping=report.overlapping,
        unpriced_requests=sum(report.unpriced.values()),
        unpriced_models=dict(sorted(report.unpriced.items())),
        warnings=_warnings(report),
    )


def _warnings(report: Report) -> list[str]:
    found: list[str] = []
    if report.unpriced:
        calls_of = ", ".join(f"{model}: {count}" for model, count in sorted(report.unpriced.items()))
        found.append(f"Calls without a price, whose cost is missing here ({calls_of}). Give them one: docs/prices.md.")
    if report.overlapping:
        found.append("Calls with several tags count in several rows; the total counts each once.")
    return found


async def _uses(tables: Tables, report: Report, first: date, last: date, now: datetime) -> AsyncIterator[Use]:
    only = report.only
    key_id = only.key if calls.is_id(only.key) else ""
    if set(report.by) <= OF_TOTALS and not only.tag:
        async for use in totals(tables, first, last, key_id):
            yield use
        return
    async for use in uses(tables, between(first, last), now, key_id, people="user" in report.by):
        yield use


def _shared(share: Share) -> Use:
    payer = share.payer
    if payer is None:
        return Use(
            {}, day=share.day, hour=share.hour, deployment=share.deployment, ptu_nanos=share.nanos, is_share=True,
            is_idle=True,
        )  # fmt: skip
    return Use(
        {}, payer.key_id, payer.key_name, payer.team, payer.alias, share.day, share.hour, share.deployment,
        tags=payer.tags, ptu_nanos=share.nanos, is_share=True,
    )  # fmt: skip


_COUNTED = tuple(name for name in Figures.model_fields if not name.endswith("_usd"))


def _figures(line: Line) -> dict[str, Any]:
    money = {
        "cost_usd": in_usd(line.sums["cost_nanos"]),
        "spill_cost_usd": in_usd(line.sums["spill_nanos"]),
        "ptu_cost_usd": in_usd(line.ptu_nanos),
    }
    return {name: line.sums[name] for name in _COUNTED} | money


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "usage",
        "GET",
        "usage",
        "Calls, tokens and costs by key, team, model, deployment, endpoint, tag, user, day or hour.",
        UsageAsked,
        UsageTold,
        usage,
        columns=(
            "day", "hour", "key", "team", "model", "deployment", "endpoint", "tag", "user", "engine", "requests",
            "failed", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "estimated",
            "unpriced", "cost_usd", "spill_cost_usd", "ptu_cost_usd",
        ),
        example="--by team,day --from 2026-11-01 --to 2026-11-30",
    ),
    *calls.OPERATIONS,
)  # fmt: skip
