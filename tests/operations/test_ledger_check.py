"""Totals against the ledger: what processes leave behind that end half-way is found, repaired once, and said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from shared.adapters.book_tables import totals
from shared.adapters.ledger import entries
from shared.books.days import midnight
from shared.books.sums import Sums, counted, total
from shared.errors import ApiError
from shared.operations.ledger import CheckAsked, check_days, ledger_check
from shared.types import Usage
from tests.support import books
from tests.support.desk import ADMIN, TestDesk, desk_at
from tests.support.doubles import a_record

KEY = "1" * 64


def play(azurite: Any, work: Callable[[TestDesk, date, datetime], Awaitable[None]]) -> None:
    """A day of the test's own, and the next morning."""

    async def whole() -> None:
        day = books.a_month() + timedelta(days=9)
        now = midnight(day + timedelta(days=1)) + timedelta(hours=3)
        async with desk_at(azurite.connection_string, now=now.timestamp()) as desk:
            await work(desk, day, now)

    asyncio.run(whole())


async def said(desk: TestDesk, day: date) -> Sums:
    """What the totals say."""
    return total([use.sums async for use in totals(desk.tables, day, day)])


async def recorded(desk: TestDesk, day: date, now: datetime) -> Sums:
    return total([counted(entry.event) async for entry in entries(desk.tables, day, day, now)])


def calls(day: date, first: int, count: int, **changed: Any) -> list[Any]:
    at = midnight(day).timestamp() + 3600
    return [a_record(n, key_id=KEY, at=at + n, **changed) for n in range(first, first + count)]


def test_books_that_agree_are_left_alone(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 11, [day])
        before = await books.rows_of(desk.tables, f"tollgateusage{day:%Y%m}", day)
        report = await check_days(desk, now, again=True)
        assert (report.rows, report.events, report.unfinished) == ([], len(records), 0)
        assert report.days == [(day - timedelta(days=1)).isoformat(), day.isoformat()]
        assert await books.rows_of(desk.tables, f"tollgateusage{day:%Y%m}", day) == before
        assert await said(desk, day) == books.sums_of(records) == await recorded(desk, day, now)
        assert desk.outbox.events == {}
        assert desk.log.warnings == []

    play(azurite, work)


def test_a_process_that_ended_between_ledger_and_totals(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 12, [day])
        lost = calls(day, 1000, 7, team="red", key_name="key-1")
        await books.write(books.log_of(desk.tables, "dead", now, only="tollgateledger"), lost)
        wanted = books.sums_of([*records, *lost])
        assert await said(desk, day) != wanted
        report = await check_days(desk, now, again=True)
        (row,) = report.rows
        assert (row.requests, row.tokens, row.model, row.team, row.key) == (7, 35, "gpt-4o", "red", "key-1")
        assert await said(desk, day) == wanted == await recorded(desk, day, now)
        (event,) = desk.outbox.of("ledger.repaired")
        assert event[1]["repairs"][0]["requests"] == 7
        assert len(desk.log.warnings) == 1
        assert (await check_days(desk, now, again=True)).rows == []
        assert await said(desk, day) == wanted
        assert len(desk.outbox.events) == 1

    play(azurite, work)


def test_totals_without_a_ledger_are_taken_back(azurite: Any) -> None:
    """It cannot happen as long as the ledger is written first; the ledger is the truth all the same."""

    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        await books.write(books.log_of(desk.tables, "dead", now, only="tollgateusage"), calls(day, 1, 3))
        (row,) = (await check_days(desk, now, again=True)).rows
        assert row.requests == -3
        assert not any((await said(desk, day)).values())

    play(azurite, work)


def test_a_repair_is_taken_back_when_the_totals_come_after_all(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        log = books.log_of(desk.tables, "slow", now, only="tollgateledger")
        late = calls(day, 1, 4)
        await books.write(log, late)
        assert [row.requests for row in (await check_days(desk, now, again=True)).rows] == [4]
        again = books.log_of(desk.tables, "slow", now, only="tollgateusage")
        await books.write(again, late)
        assert (await said(desk, day))["requests"] == 8  # until the next check
        assert [row.requests for row in (await check_days(desk, now, again=True)).rows] == [-4]
        assert await said(desk, day) == books.sums_of(late)
        rows = await books.rows_of(desk.tables, f"tollgateusage{day:%Y%m}", day)
        assert [row["RowKey"].rpartition("|")[2] for row in rows] == ["slow"]

    play(azurite, work)


def test_calls_that_never_ended_count_as_failed(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        log = books.log_of(desk.tables, "killed", now)
        for record in calls(day, 1, 2, outcome="unfinished", usage=Usage(input_tokens=5, estimated=True)):
            log.begin()
            await log.intend(record)
        (finished,) = calls(day, 1, 1)
        log.add(finished)  # one of them came to its end
        await books.written(log)
        report = await check_days(desk, now, again=True)
        assert report.unfinished == 1
        assert [row.requests for row in report.rows] == [1]
        sums = await said(desk, day)
        assert (sums["requests"], sums["failed"], sums["input_tokens"]) == (2, 1, 8)

    play(azurite, work)


def test_a_call_without_an_outcome_may_still_be_running(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        log = books.log_of(desk.tables, "alive", now)
        (record,) = calls(day, 1, 1, outcome="unfinished")
        log.begin()
        await log.intend(record)
        soon = datetime.fromtimestamp(record.at, now.tzinfo) + timedelta(minutes=30)
        assert [e async for e in entries(desk.tables, day, day, soon)] == []
        assert len([e async for e in entries(desk.tables, day, day, soon + timedelta(hours=1))]) == 1

    play(azurite, work)


def test_events_that_stand_for_many(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process gives up while the store is down is in the ledger as sums, and the books agree."""
    from shared.adapters import ledger_rows
    from shared.ports import StoreUnavailable

    monkeypatch.setattr(ledger_rows, "MOST_PENDING", 5)

    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        class Down(books.Store):
            down = True

            async def write(self, rows: Any) -> None:
                if self.down:
                    raise StoreUnavailable("down")
                await super().write(rows)

        store = Down(desk.tables)
        log = books.log_of(store, "long", now)
        records = calls(day, 1, 20)
        for half in (records[:10], records[10:]):
            with pytest.raises(StoreUnavailable):
                await books.write(log, half)
        store.down = False
        await books.written(log)
        events = await books.events_in(desk.tables, day)
        assert any(event.get("count", 0) > 1 for event in events)
        assert (await check_days(desk, now, again=True)).rows == []
        assert await said(desk, day) == await recorded(desk, day, now) == books.sums_of(records)

    play(azurite, work)


def test_a_day_is_checked_twice_and_not_every_hour(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        days = [(day - timedelta(days=1)).isoformat(), day.isoformat()]
        assert (await check_days(desk, now)).days == days
        assert (await check_days(desk, now + timedelta(hours=11))).days == []
        assert (await check_days(desk, now + timedelta(hours=12))).days == days
        next_day = now + timedelta(hours=23)
        assert (await check_days(desk, next_day)).days == [(day + timedelta(days=1)).isoformat()]

    play(azurite, work)


def test_a_day_that_is_named(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        earlier = day - timedelta(days=6)
        await books.write(books.log_of(desk.tables, "dead", now, only="tollgateledger"), calls(earlier, 1, 2))
        report = await ledger_check(CheckAsked(day=earlier), ADMIN, desk)
        assert (report.days, [row.requests for row in report.rows]) == ([earlier.isoformat()], [2])
        desk.clock.now = midnight(day + timedelta(days=1)).timestamp() + 3600
        with pytest.raises(ApiError) as refused:
            await ledger_check(CheckAsked(day=day), ADMIN, desk)
        assert (refused.value.status, refused.value.code) == (409, "day_not_closed")

    play(azurite, work)
