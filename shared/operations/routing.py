"""Where calls are sent, as an operator sees it: how each deployment is, what instances report, and what if.

What routing would do is never worked out here: shared/routing is asked (simulating.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from shared.adapters.route_board import posts
from shared.call import served_by
from shared.catalog import Catalog, Deployment
from shared.operations.allowances import iso, page
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.operations.route_facts import Known, live, router_of
from shared.operations.simulating import SimulateAsked, SimulateTold, simulate
from shared.routing import State, Wish
from shared.routing.quota import Bound

Health = Literal["well", "near limit", "resting", "half-open"]


class StatusAsked(Asked):
    model: str = Field(default="", description="Only the deployments of this model_name.")
    unwell: bool = Field(default=False, description="Only those that are resting, half-open or near a limit.")
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.")


class StatusRow(Told):
    model: str = Field(description="model_name in the configuration.")
    deployment: str = Field(description="Which of its deployments, by number.")
    id: str = Field(description="Resource and deployment, as in Azure: the same in several rows is one deployment.")
    order: int = Field(description="The lowest is asked first.")
    weight: float | None = Field(description="As configured; empty: not given.")
    tier: str = Field(description="ptu, spill (beside provisioned throughput, paid by the token) or standard.")
    region: str = Field(description="Empty: not given.")
    tags: list[str] = Field(description="Only calls with one of these are sent there; empty: all.")
    health: Health = Field(
        description="well; near limit: passed over while there is another; resting: not asked before `until`, but for "
        "want of another; half-open: it has rested, and one call finds out."
    )
    why: str = Field(description="What it rests for: rate limit, timeout, unreachable, server, auth, bad answer.")
    since: str = Field(description="When it began to rest, ISO 8601, UTC; empty: it does not.")
    until: str = Field(description="How long it rests, ISO 8601, UTC.")
    used_percent: float | None = Field(description="Of its rpm or its tpm, whichever is nearer; empty: it has none.")
    rpm: int | None = Field(description="Requests per minute, as configured.")
    rpm_taken: int | None = Field(description="What instances have leased of them in this minute.")
    tpm: int | None = Field(description="Tokens per minute, as configured.")
    tpm_taken: int | None = Field(description="What instances have leased of them in this minute.")
    azure_requests: int | None = Field(description="Requests that Azure says are left; empty: it has said nothing.")
    azure_tokens: int | None = Field(description="Tokens that Azure says are left; empty: it has said nothing.")
    in_flight: int = Field(description="Calls that it is answering now.")
    requests: int = Field(description="Calls of this minute.")
    tokens: int = Field(description="Tokens of this minute, of calls that run the most that they may take.")
    first_token_ms: int | None = Field(description="Mean milliseconds until a stream's first token.")
    answer_ms: int | None = Field(description="Mean milliseconds until an answer that is no stream.")
    instances: int = Field(description="How many have reported something of it within the last minute.")


class StatusTold(Told):
    rows: list[StatusRow]
    next: str = Field(default="", description="Cursor of the next page; empty: there is none.")
    warnings: list[str] = Field(default_factory=list[str], description="What else there is to know.")


class ReportsAsked(Asked):
    """Nothing is asked."""


class ReportRow(Told):
    instance: str = Field(description="Who reports: a process, by a name that it makes itself.")
    at: str = Field(description="When, ISO 8601, UTC.")
    report: dict[str, Any] = Field(description="Of each deployment: rests, figures, what Azure says (docs/manage.md).")


class ReportsTold(Told):
    rows: list[ReportRow]


async def status(asked: StatusAsked, _: Actor, desk: Desk) -> StatusTold:
    catalog, known = await desk.catalog(), await live(desk)
    rows = await asyncio.to_thread(_rows, asked, catalog, known, desk)
    found, end = page([row for _, row in rows], [name for name, _ in rows], asked.limit, asked.cursor)
    told = StatusTold(rows=found, next=end)
    if not known.instances:
        told.warnings.append("no instance has reported within the last minute: nobody calls, or storage is down.")
    return told


def _rows(asked: StatusAsked, catalog: Catalog, known: Known, desk: Desk) -> list[tuple[str, StatusRow]]:
    """With their names, by which they are in order."""
    rows: list[tuple[str, StatusRow]] = []
    for place, alias in enumerate(catalog.aliases()):
        if asked.model in ("", alias):
            for row, number in _of_alias(catalog, alias, known, desk):
                if row.health != "well" or not asked.unwell:
                    rows.append((f"{place:06d}-{number:06d}", row))
    return rows


def _of_alias(catalog: Catalog, alias: str, known: Known, desk: Desk) -> Iterator[tuple[StatusRow, int]]:
    choices = catalog.of(alias)
    views = router_of(catalog, known, desk.prices).view(choices, Wish(), known.now)
    near = {view.deployment.id for view in views if view.rank == "near"}
    for deployment in choices:
        yield _row(deployment, choices, known, near=deployment.id in near), deployment.number


def _row(deployment: Deployment, choices: Sequence[Deployment], known: Known, *, near: bool) -> StatusRow:
    state, figures = known.states.of(deployment.id), known.of(deployment)
    requests, tokens = known.capacity.taken.get(deployment.id, (0, 0))
    bounded = deployment.rpm is not None or deployment.tpm is not None
    over = state.rest is not None and state.rest.told and known.now >= state.until
    rest = state.rest if state.until and not over else None
    quota = state.quota
    return StatusRow(
        model=deployment.alias,
        deployment=deployment.label,
        id=deployment.id,
        order=deployment.order,
        weight=deployment.weight,
        tier=served_by(deployment, choices, {}) or "standard",
        region=deployment.terms.region,
        tags=sorted(deployment.tags),
        health=_health(state, known.now, near=near),
        why=rest.why.replace("_", " ") if rest else "",
        since=iso(rest.at) if rest else "",
        until=iso(rest.until) if rest else "",
        used_percent=round(100 * (1 - known.capacity.left(deployment, known.now)), 1) if bounded else None,
        rpm=deployment.rpm,
        rpm_taken=requests if deployment.rpm is not None else None,
        tpm=deployment.tpm,
        tpm_taken=tokens if deployment.tpm is not None else None,
        azure_requests=_left(quota.requests, known.now) if quota else None,
        azure_tokens=_left(quota.tokens, known.now) if quota else None,
        in_flight=figures.in_flight,
        requests=figures.requests,
        tokens=figures.tokens,
        first_token_ms=figures.first_ms or None,
        answer_ms=figures.whole_ms or None,
        instances=figures.instances,
    )


def _health(state: State, now: float, *, near: bool) -> Health:
    if now < state.until:
        return "resting"
    if state.until and not (state.rest and state.rest.told):
        return "half-open"
    return "near limit" if near else "well"


def _left(bound: Bound | None, now: float) -> int | None:
    return max(0, int(bound.left)) if bound is not None and now < bound.until else None


async def reports(_: ReportsAsked, __: Actor, desk: Desk) -> ReportsTold:
    found = await posts(desk.tables, desk.clock())
    rows = [ReportRow(instance=post.instance, at=iso(post.at), report=dict(post.report)) for post in found]
    return ReportsTold(rows=rows)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="route_status",
        method="GET",
        path="route",
        summary="How each deployment is: health, rests, what is used of its limits, how soon it answers.",
        asks=StatusAsked,
        answers=StatusTold,
        act=status,
        columns=("deployment", "order", "tier", "health", "why", "until", "used_percent", "azure_requests",
                 "azure_tokens", "in_flight", "first_token_ms", "answer_ms", "instances"),
        example="--model gpt-4o --unwell",
    ),
    Operation(
        name="route_reports",
        method="GET",
        path="route/reports",
        summary="What each instance has told the others of deployments, as simulate --state takes it.",
        asks=ReportsAsked,
        answers=ReportsTold,
        act=reports,
        columns=("instance", "at", "report"),
        example="--json",
    ),
    Operation(
        name="simulate",
        method="POST",
        path="simulate/{model}",
        summary="Which deployment would serve a call, and why; with --calls, how many calls share themselves out.",
        asks=SimulateAsked,
        answers=SimulateTold,
        act=simulate,
        columns=("place", "deployment", "order", "tier", "rank", "share", "why", "served", "asked"),
        example="gpt-4o --stream --tokens 4000 --calls 1000",
        reads=True,
    ),
)  # fmt: skip
