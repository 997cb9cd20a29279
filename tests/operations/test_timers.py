"""Jobs over real tables: one at a time, each for itself, and what is left behind of each run."""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from local.host.triggers.schedule import Schedule
from shared.adapters.outbox import STATE_TABLE
from shared.errors import ApiError
from shared.operations import timers
from shared.operations.operation import Told
from shared.operations.timers import (
    JOBS,
    LATE_SECONDS,
    LOCK_SECONDS,
    SCHEDULES,
    TIMERS,
    Job,
    JobAsked,
    JobsAsked,
    jobs_list,
    jobs_run,
    run_job,
    run_timer,
)
from shared.types import Row
from tests.support.desk import ADMIN, TestDesk
from tests.support.outside import event_desk, own_month
from tests.support.own_azurite import dead_connection_string


class Done(Told):
    count: int = 1


class Trouble(Done):
    problems: list[str]


def job(act: Callable[[Any, datetime], Awaitable[Any]]) -> Job:
    return Job(f"test-{uuid.uuid4().hex}", act)


def play(connection: str, work: Callable[[TestDesk], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with event_desk(connection, own_month()) as desk:
            await work(desk)

    asyncio.run(whole())


def test_a_run_leaves_its_report(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        async def act(given: Any, now: datetime) -> Done:
            assert given is desk
            assert now.timestamp() == desk.clock.now
            desk.clock.forward(5)
            return Done(count=3)

        run = await run_job(desk, one := job(act))
        assert (run.outcome, run.report, run.error) == ("ok", {"count": 3}, "")
        assert (run.started[-14:], run.ended[-14:], run.last_ok) == (
            "T12:00:00.000Z"[-14:],
            "T12:00:05.000Z"[-14:],
            run.ended,
        )
        desk.clock.forward(60)
        again = await run_job(desk, one)
        assert again.started > run.ended
        assert desk.log.warnings == []

    play(azurite.connection_string, work)


def test_a_job_that_fails_is_noted_logged_and_may_run_again(azurite: Any) -> None:
    fails: list[Any] = [
        ApiError(502, "Azure is away.\nsecret details", code="x"),
        RuntimeError("first line with sk-abcdefgh12345678\nTraceback: more"),
    ]

    async def work(desk: TestDesk) -> None:
        async def act(_desk: Any, _now: datetime) -> Done:
            if fails:
                raise fails.pop(0)
            return Done()

        one = job(act)
        errors = [(await run_job(desk, one)).error for _ in range(2)]
        assert errors[0] == "Azure is away."
        assert errors[1].startswith("RuntimeError: first line with ")
        assert "sk-abc" not in errors[1]
        assert [(message, fields["job"]) for message, fields in desk.log.warnings] == [("job failed", one.name)] * 2
        first_ok = (await run_job(desk, one)).last_ok
        fails.append(ValueError("again"))
        desk.clock.forward(10)
        failed = await run_job(desk, one)
        assert (failed.outcome, failed.last_ok) == ("failed", first_ok)

    play(azurite.connection_string, work)


def test_a_report_with_problems_is_a_failure_that_keeps_its_report(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        async def act(_desk: Any, _now: datetime) -> Trouble:
            return Trouble(count=2, problems=["account main: 403", "account second: 404"])

        run = await run_job(desk, job(act))
        assert (run.outcome, run.error) == ("failed", "account main: 403; account second: 404")
        assert run.report["count"] == 2

    play(azurite.connection_string, work)


def test_of_many_instances_one_runs_a_job(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        ran = 0

        async def act(_desk: Any, _now: datetime) -> Done:
            nonlocal ran
            ran += 1
            await asyncio.sleep(0.3)
            return Done()

        one = job(act)
        for _ in range(2):  # also when the job's row is there already
            runs = await asyncio.gather(*(run_job(desk, one) for _ in range(8)))
            assert sorted(run.outcome for run in runs) == ["ok", *["skipped"] * 7]
        assert ran == 2

    play(azurite.connection_string, work)


def test_a_job_whose_instance_vanished_is_free_again_after_half_an_hour(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        async def act(_desk: Any, _now: datetime) -> Done:
            if desk.clock.now < half_an_hour_on:
                raise asyncio.CancelledError  # as when the process ends: nothing is written any more
            return Done()

        half_an_hour_on = desk.clock.now + LOCK_SECONDS
        one = job(act)
        with pytest.raises(asyncio.CancelledError):
            await run_job(desk, one)
        row = await desk.tables.get(STATE_TABLE, JOBS, one.name)
        assert row is not None
        assert row["outcome"] == "running"
        desk.clock.forward(LOCK_SECONDS - 1)
        assert (await run_job(desk, one)).outcome == "skipped"
        desk.clock.forward(2)
        assert (await run_job(desk, one)).outcome == "ok"

    play(azurite.connection_string, work)


def test_without_storage_a_job_does_not_run_and_nothing_is_raised() -> None:
    async def work(desk: TestDesk) -> None:
        async def act(_desk: Any, _now: datetime) -> Done:
            raise AssertionError("it must not run twice, and nobody knows whether it runs")

        run = await run_job(desk, job(act))
        assert run.outcome == "failed"
        assert desk.log.warnings

    play(dead_connection_string(), work)


@pytest.mark.parametrize("one", [job for jobs in TIMERS.values() for job in jobs], ids=lambda job: job.name)
def test_every_job_is_there(one: Job) -> None:
    act = one.resolve()
    assert inspect.iscoroutinefunction(act)
    assert list(inspect.signature(act).parameters)[:2] == ["desk", "now"]
    assert one.summary.endswith(".")


def test_one_job_that_fails_does_not_stop_the_next_and_late_days_are_made_up_for(
    azurite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def doing(name: str, fails: bool = False) -> Job:
        async def act(_desk: Any, _now: datetime) -> Done:
            ran.append(name)
            if fails:
                raise RuntimeError(name)
            return Done()

        return Job(f"{name}-{uuid.uuid4().hex}", act)

    table = {
        "timer_minutes": (doing("m"),),
        "timer_hour": (doing("h1", fails=True), doing("h2")),
        "timer_day": (doing("d1"), doing("d2", fails=True)),
    }
    monkeypatch.setattr(timers, "TIMERS", table)

    async def work(desk: TestDesk) -> None:
        async def runs(name: Any) -> str:
            ran.clear()
            await run_timer(desk, name)
            return " ".join(ran)

        assert await runs("timer_minutes") == "m"
        assert await runs("timer_day") == "d1 d2"
        assert await runs("timer_hour") == "h1 h2 d2"  # d2 has never ended well
        desk.clock.forward(LATE_SECONDS - 1)
        assert await runs("timer_hour") == "h1 h2 d2"
        desk.clock.forward(2)
        assert await runs("timer_hour") == "h1 h2 d1 d2"  # the day has passed without the timer
        assert await runs("timer_hour") == "h1 h2 d2"

    play(azurite.connection_string, work)


def test_what_an_operator_sees_and_starts(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        run = await jobs_run(JobAsked(job="send_events"), ADMIN, desk)
        assert run.outcome == "ok"
        assert run.report["sent"] == 0
        rows = {row.job: row for row in (await jobs_list(JobsAsked(), ADMIN, desk)).rows}
        assert list(rows) == [job.name for jobs in TIMERS.values() for job in jobs]
        shown = rows["send_events"]
        assert (shown.outcome, shown.timer, shown.schedule) == ("ok", "timer_minutes", "0 */5 * * * *")
        assert shown.started == run.started
        await desk.tables.delete(STATE_TABLE, JOBS, "send_events")
        rows = {row.job: row for row in (await jobs_list(JobsAsked(), ADMIN, desk)).rows}
        assert rows["send_events"].outcome == "never"
        with pytest.raises(ApiError) as refused:
            await jobs_run(JobAsked(job="nothing"), ADMIN, desk)
        assert (refused.value.status, refused.value.code) == (404, "job_not_found")
        assert "send_events" in refused.value.message

    play(azurite.connection_string, work)


def test_a_row_of_another_version_does_not_hide_the_list(azurite: Any) -> None:
    """A job that is no more."""

    async def work(desk: TestDesk) -> None:
        await desk.tables.write([Row(STATE_TABLE, {"PartitionKey": JOBS, "RowKey": "was_once"})])
        rows = (await jobs_list(JobsAsked(), ADMIN, desk)).rows
        assert "was_once" not in {row.job for row in rows}
        await desk.tables.delete(STATE_TABLE, JOBS, "was_once")

    play(azurite.connection_string, work)


@pytest.mark.parametrize("timer", TIMERS)
def test_schedules_are_such_as_the_host_reads(timer: Any) -> None:
    at = datetime.fromisoformat("2026-11-23T02:22:59+00:00")
    due = Schedule(SCHEDULES[timer]).next(at)
    assert {"timer_minutes": "02:25", "timer_hour": "03:07", "timer_day": "02:23"}[timer] == due.strftime("%H:%M")
