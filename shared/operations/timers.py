"""The background work: which job runs when, one instance at a time, and what became of each.

Owns the table of jobs, their locks and their record (tollgatestate, partition `job`). What a job does is its own
module's business, which is imported when the job runs.

Jobs look at what there is to do, not at the clock: one that missed a day does two days' work the next time. A daily
job that has not ended well for longer than a day is tried again every hour.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, Field

from shared.adapters.outbox import STATE_TABLE
from shared.books.days import iso
from shared.errors import ApiError
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.ports import StoreUnavailable
from shared.redact import redact

JOBS = "job"
LOCK_SECONDS = 1800.0
"""As long as a function may run: a job whose instance vanished is free again after that."""
LATE_SECONDS = 25 * 3600.0
_MOST_TEXT = 2000
Timer = Literal["timer_minutes", "timer_hour", "timer_day"]
Outcome = Literal["ok", "failed", "running", "skipped", "never"]


type Act = Callable[[Any, datetime], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Job:
    """`act`: `async def (desk, now) -> a model`, or where it is: module below shared.operations and function."""

    name: str
    act: str | Act
    summary: str = ""

    def resolve(self) -> Act:
        if not isinstance(self.act, str):
            return self.act
        module, _, function = self.act.partition(".")
        return getattr(importlib.import_module(f"shared.operations.{module}"), function)


TIMERS: Mapping[Timer, tuple[Job, ...]] = {
    "timer_minutes": (
        Job("sweep_leases", "limits.sweep_leases", "Take back what instances that are gone had leased of limits."),
        Job("sweep_batches", "batch_sweep.sweep_batches", "Look again at batches whose messages were lost."),
        Job("send_events", "sending.send_events", "Send the events that wait."),
    ),
    "timer_hour": (
        Job("check_days", "ledger.check_days", "Compare the totals with the ledger and repair them."),
        Job("split_hours", "ledger.split_hours", "Split the hourly price of provisioned deployments by use."),
        Job("warn_of_expiry", "expiry.warn_of_expiry", "Tell which keys end within a week or a day."),
        Job("sweep_background", "background.sweep_background", "Charge background work that nobody has asked for."),
    ),
    "timer_day": (
        Job("compact_days", "ledger.compact_days", "Turn the calls of closed days into hourly rows."),
        Job("refresh_prices", "prices.refresh_prices", "Fetch Azure's list prices."),
        Job("reconcile_days", "reconcile.reconcile_days", "Compare the ledger with Azure's own metrics."),
        Job("export_days", "ledger.export_days", "Write closed days to the export container."),
        Job("drop_months", "ledger.drop_months", "Drop the tables of months beyond the retention."),
        Job("drop_kept_files", "kept_files.drop_kept_files", "Drop files, uploads and batches whose time is over."),
    ),
}
SCHEDULES: Mapping[Timer, str] = {
    "timer_minutes": "0 */5 * * * *",
    "timer_hour": "0 7 * * * *",
    "timer_day": "0 23 2 * * *",
}
"""NCRONTAB, in UTC: second, minute, hour, day, month, weekday. Off the full hour, when everybody's timers fire."""


class JobRun(Told):
    job: str
    outcome: Outcome = Field(description="ok, failed, running, skipped (it runs elsewhere just now), never (not yet).")
    started: str = Field(default="", description="When the last run began.")
    ended: str = Field(default="", description="When it ended; empty while it runs.")
    last_ok: str = Field(default="", description="When the job last ended well.")
    report: dict[str, Any] = Field(default_factory=dict[str, Any], description="What the run has done.")
    error: str = Field(default="", description="Why it failed.")


async def run_timer(desk: Desk, timer: Timer) -> list[JobRun]:
    """Every job of one timer, in order; one that fails does not stop the next."""
    jobs = list(TIMERS[timer])
    if timer == "timer_hour":
        jobs += [job for job in TIMERS["timer_day"] if await _late(desk, job)]
    return [await run_job(desk, job) for job in jobs]


async def _late(desk: Desk, job: Job) -> bool:
    try:
        row = await desk.tables.get(STATE_TABLE, JOBS, job.name)
    except StoreUnavailable:
        return False
    return row is None or desk.clock() - float(row["last_ok"]) > LATE_SECONDS


async def run_job(desk: Desk, job: Job) -> JobRun:
    """Run it unless it runs elsewhere; never fails."""
    try:
        row = await _lock(desk, job)
    except StoreUnavailable as error:
        desk.log.warning("job not run: the table store does not answer", job=job.name, error=str(error))
        return JobRun(job=job.name, outcome="failed", error=str(error))
    if row is None:
        return JobRun(job=job.name, outcome="skipped")
    report, error = await _act(desk, job)
    if error:
        desk.log.warning("job failed", job=job.name, error=error)
    now = desk.clock()
    done = row | {
        "ended": now,
        "outcome": "failed" if error else "ok",
        "error": error,
        "report": report if len(report) <= _MOST_TEXT else "{}",
        "locked_until": 0.0,
        "last_ok": float(row["last_ok"]) if error else now,
    }
    try:
        await desk.tables.replace_if(STATE_TABLE, done, row["etag"])
    except StoreUnavailable as lost:
        desk.log.warning("a job's outcome could not be noted", job=job.name, error=str(lost))
    return _run_of(done)


async def _act(desk: Desk, job: Job) -> tuple[str, str]:
    """-> what it reports, as JSON, and what went wrong."""
    try:
        told = await job.resolve()(desk, datetime.fromtimestamp(desk.clock(), UTC))
    except ApiError as error:
        return "{}", _first_line(error.message)
    except Exception as error:  # whatever it is: the next job runs
        return "{}", _first_line(f"{type(error).__name__}: {error}")
    problems = cast("list[str]", getattr(told, "problems", []))
    return told.model_dump_json(), _first_line("; ".join(problems))


def _first_line(text: str) -> str:
    return redact(text.strip().partition("\n")[0], {})[:300]


async def _lock(desk: Desk, job: Job) -> dict[str, Any] | None:
    """-> the job's row as it is ours now, with its etag; None: somebody else runs it."""
    now, owner = desk.clock(), uuid.uuid4().hex
    mine: dict[str, Any] = {
        "PartitionKey": JOBS, "RowKey": job.name, "owner": owner, "started": now, "ended": 0.0, "outcome": "running",
        "error": "", "report": "{}", "locked_until": now + LOCK_SECONDS, "last_ok": 0.0,
    }  # fmt: skip
    row = await desk.tables.get(STATE_TABLE, JOBS, job.name)
    if row is None:
        await desk.tables.insert(STATE_TABLE, mine)
    elif float(row["locked_until"]) > now:
        return None
    else:
        await desk.tables.replace_if(STATE_TABLE, mine | {"last_ok": float(row["last_ok"])}, row["etag"])
    # read again: an answer that was lost on its way tells nothing about who has got it
    held = await desk.tables.get(STATE_TABLE, JOBS, job.name)
    return held if held is not None and held["owner"] == owner else None


def _run_of(row: Mapping[str, Any]) -> JobRun:
    import orjson

    times = {name: iso(float(row[name])) if float(row[name]) else "" for name in ("started", "ended", "last_ok")}
    return JobRun(
        job=row["RowKey"], outcome=row["outcome"], error=row["error"], report=orjson.loads(row["report"]), **times
    )


# What an operator asks.


class JobsAsked(Asked):
    pass


class JobRow(JobRun):
    timer: str = Field(description="Which timer runs it.")
    schedule: str = Field(description="When, in UTC: second, minute, hour, day, month, weekday.")
    summary: str = Field(description="What it does.")


class JobsTold(Told):
    rows: list[JobRow]


async def jobs_list(_asked: JobsAsked, _actor: Actor, desk: Desk) -> JobsTold:
    known = {row["RowKey"]: row async for row in desk.tables.query(STATE_TABLE, f"PartitionKey eq '{JOBS}'")}
    rows: list[JobRow] = []
    for timer, jobs in TIMERS.items():
        for job in jobs:
            row = known.get(job.name)
            run = _run_of(row) if row else JobRun(job=job.name, outcome="never")
            rows.append(JobRow(**run.model_dump(), timer=timer, schedule=SCHEDULES[timer], summary=job.summary))
    return JobsTold(rows=rows)


class JobAsked(Asked):
    job: str = Field(description="The job's name, as `jobs list` shows it.")


async def jobs_run(asked: JobAsked, _actor: Actor, desk: Desk) -> JobRun:
    found = {job.name: job for jobs in TIMERS.values() for job in jobs}
    if asked.job not in found:
        raise ApiError(
            404, f"There is no such job. There are: {', '.join(found)}.", code="job_not_found", param="job"
        )  # fmt: skip
    return await run_job(desk, found[asked.job])


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "jobs_list", "GET", "jobs", "The background jobs: when each runs and what its last run did.",
        JobsAsked, JobsTold, jobs_list,
        columns=("job", "timer", "outcome", "started", "ended", "last_ok", "error"),
    ),
    Operation(
        "jobs_run", "POST", "jobs/{job}", "Run one background job now and say what it did.",
        JobAsked, JobRun, jobs_run,
        columns=("job", "outcome", "started", "ended", "error"), example="reconcile_days",
    ),
)  # fmt: skip
