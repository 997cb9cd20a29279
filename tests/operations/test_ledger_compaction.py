"""Compaction at any point of it: killed after any write, run twice, run by two at once. The sums stay, exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters import ledger_pages
from shared.adapters.book_tables import COMPACTED, detail, marks, totals
from shared.adapters.ledger import entries
from shared.adapters.ledger_pages import merge_pages
from shared.adapters.tables import Tables
from shared.books.days import day_name, midnight
from shared.books.sums import Sums, counted, total
from shared.operations.checking import check_days
from shared.operations.compaction import EXPORTED, JOB, CompactReport, compact_day, compact_days
from tests.support import books
from tests.support.desk import TestDesk, desk_at


class Killed(Exception):
    """The process ended here."""


def play(azurite: Any, work: Callable[[TestDesk, date, datetime], Awaitable[None]]) -> None:
    """A day of the test's own, and the morning two days later."""

    async def whole() -> None:
        day = books.a_month() + timedelta(days=1)
        now = midnight(day + timedelta(days=2)) + timedelta(hours=3)
        async with desk_at(azurite.connection_string, now=now.timestamp()) as desk:
            await work(desk, day, now)

    asyncio.run(whole())


async def figures(tables: Tables, day: date, now: datetime) -> tuple[Sums, Sums]:
    """What readers of the totals and of the ledger find."""
    said = total([use.sums async for use in totals(tables, day, day)])
    return said, total([counted(entry.event) async for entry in entries(tables, day, day, now)])


async def hours(tables: Tables, day: date) -> Sums:
    return total([use.sums async for use in detail(tables, [day_name(day)])])


async def compact(desk: TestDesk, day: date, now: datetime, first_time: bool = True) -> CompactReport:
    report = CompactReport()
    await compact_day(desk, day, now, report, first_time=first_time)
    return report


def test_a_day_is_compacted_and_says_the_same(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 21, [day, day + timedelta(days=1)], calls=60, instances=3)
        wanted = books.sums_of(r for r in records if books.date_of(r) == day)
        report = await compact_days(desk, now)
        assert report.events == 60
        assert report.days[-1] == day.isoformat()
        assert await figures(desk.tables, day, now) == (wanted, wanted)
        assert await hours(desk.tables, day) == wanted
        rows = await books.rows_of(desk.tables, f"tollgateusage{day:%Y%m}", day)
        assert {row["RowKey"].rpartition("|")[2] for row in rows} == {COMPACTED}
        assert len(rows) == len({(r.key_id, r.alias, r.team) for r in records if books.date_of(r) == day})
        pages = await books.rows_of(desk.tables, f"tollgateledger{day:%Y%m}", day)
        assert {row["RowKey"][:11] for row in pages} == {"~compacted-"}
        assert sum(row["count"] for row in pages) == 60
        yesterday = await books.rows_of(desk.tables, f"tollgateledger{day:%Y%m}", day + timedelta(days=1))
        assert not any(row["RowKey"].startswith("~") for row in yesterday)  # too young
        again = await compact_days(desk, now)
        assert (again.keys, again.events) == (0, 0)

    play(azurite, work)


def test_events_survive_as_they_were(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        await books.random_days(desk.tables, 22, [day], keys=1)
        before = {event["request_id"]: event for event in await books.events_in(desk.tables, day)}
        await compact(desk, day, now)
        after = await books.events_in(desk.tables, day)
        assert {event["request_id"]: event for event in after} == before
        assert len(after) == len(before)

    play(azurite, work)


def test_pages_are_full(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_pages, "PAGE_CHARACTERS", 3000)

    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        await books.random_days(desk.tables, 23, [day], calls=60, keys=1)
        await compact(desk, day, now)
        pages = await books.rows_of(desk.tables, f"tollgateledger{day:%Y%m}", day)
        assert all(len(row["events"]) <= 3000 for row in pages)
        by_key: dict[str, list[int]] = {}
        for row in sorted(pages, key=lambda row: row["RowKey"]):
            by_key.setdefault(row["PartitionKey"], []).append(len(row["events"]))
        assert all(size > 2000 for sizes in by_key.values() for size in sizes[:-1])

    play(azurite, work)


class Mortal:
    """Lets so many changes of the tables through, and ends the process at the next one."""

    def __init__(self, tables: Tables, lives: int) -> None:
        self._tables, self._lives = tables, lives
        self.changes = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tables, name)
        return self._counting(found) if name in ("write", "insert", "delete") else found

    def _counting(self, act: Any) -> Any:
        async def counted(*args: Any) -> Any:
            if self.changes == self._lives:
                raise Killed
            self.changes += 1
            return await act(*args)

        return counted

    def table(self, name: str) -> Any:
        """Deletions of many rows: the process ends when half of them are done."""
        client = self._tables.table(name)

        async def submit_transaction(operations: Any) -> None:
            if self.changes == self._lives:
                await client.submit_transaction(operations[: (len(operations) + 1) // 2])
                raise Killed
            self.changes += 1
            await client.submit_transaction(operations)

        return SimpleNamespace(submit_transaction=submit_transaction)


def test_killed_after_any_change_and_run_again(azurite: Any) -> None:
    """After each death readers find the same sums as before, and so does the next run, which ends the work."""

    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 24, [day], calls=24, keys=3)
        wanted = books.sums_of(records)
        tables, deaths = desk.tables, 0
        await check_days(desk, now, day)
        ended = False
        while not ended:
            desk.tables = Mortal(tables, deaths % 6)  # type: ignore[assignment]
            try:
                await compact(desk, day, now)
                ended = True
            except Killed:
                deaths += 1
            desk.tables = tables
            assert await figures(tables, day, now) == (wanted, wanted), f"after {deaths} deaths"
        assert deaths > 5
        assert await hours(tables, day) == wanted
        assert len(await books.events_in(tables, day)) == len(records)
        assert await marks(tables, JOB, day_name(day), day_name(day))

    play(azurite, work)


@pytest.mark.parametrize("instance", ["0", "f"])
@pytest.mark.parametrize("reader", ["totals", "ledger"])
def test_a_reader_who_comes_by(azurite: Any, instance: str, reader: str) -> None:
    """Who has read the first row when everything is compacted finds neither less nor more than there was."""

    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        rng = books.Random(1)
        records = [books.random_call(rng, n, day, keys=1) for n in range(12)]
        for start in (0, 4, 8):
            log = books.log_of(desk.tables, f"{instance}{start}", now)
            await books.write(log, records[start : start + 4])
        tables = desk.tables
        slow = Slow(tables, lambda: compact(desk, day, now))
        wanted = books.sums_of(records)
        if reader == "totals":
            assert total([use.sums async for use in totals(slow, day, day)]) == wanted  # type: ignore[arg-type]
        else:
            found = [counted(entry.event) async for entry in entries(slow, day, day, now)]  # type: ignore[arg-type]
            assert total(found) == wanted
        assert slow.happened
        assert await figures(tables, day, now) == (wanted, wanted)

    play(azurite, work)


class Slow:
    """Reads row by row. After the first one something else happens."""

    def __init__(self, tables: Tables, happens: Callable[[], Awaitable[Any]]) -> None:
        self._tables, self._happens, self.happened = tables, happens, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    async def query(self, table: str, wanted: str = "", select: Any = None) -> AsyncIterator[dict[str, Any]]:
        cursor = ""
        while True:
            rows, cursor = await self._tables.page(table, wanted, 1, cursor, select)
            for row in rows:
                yield row
            if not self.happened:
                self.happened = True
                await self._happens()
            if not cursor:
                return


def test_two_at_once(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 25, [day], calls=30, keys=2)
        wanted = books.sums_of(records)
        await asyncio.gather(*(compact(desk, day, now) for _ in range(3)))
        await compact(desk, day, now, first_time=False)
        assert await figures(desk.tables, day, now) == (wanted, wanted)
        assert await hours(desk.tables, day) == wanted
        assert len(await books.events_in(desk.tables, day)) == len(records)

    play(azurite, work)


class Overtaken:
    """Before the first page is written, another process writes its own, of more events."""

    def __init__(self, tables: Tables, overtake: Callable[[], Awaitable[Any]], times: int = 1) -> None:
        self._tables, self._overtake, self._times = tables, overtake, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    async def insert(self, table: str, row: Any) -> bool:
        if self._times:
            self._times -= 1
            await self._overtake()
        return await self._tables.insert(table, row)


def test_a_page_number_that_somebody_else_has_taken(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        rng = books.Random(2)
        records = [books.random_call(rng, n, day, keys=1) for n in range(9)]
        await books.write(books.log_of(desk.tables, "one", now), records[:6])
        tables, key_id = desk.tables, records[0].key_id

        async def overtake() -> None:
            await books.write(books.log_of(tables, "two", now), records[6:])
            assert await merge_pages(tables, key_id, day_name(day)) == 9

        overtaken: Any = Overtaken(tables, overtake)
        assert await merge_pages(overtaken, key_id, day_name(day)) == 0
        assert len(await books.events_in(tables, day)) == 9
        wanted = books.sums_of(records)
        assert (await figures(tables, day, now))[1] == wanted

    play(azurite, work)


def test_a_process_that_is_always_overtaken_gives_way(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        record = books.random_call(books.Random(2), 1, day, keys=1)
        await books.write(books.log_of(desk.tables, "one", now), [record])
        tables = desk.tables

        async def overtake() -> None:
            there = [row["RowKey"] for row in await books.rows_of(tables, f"tollgateledger{day:%Y%m}", day)]
            row = {"PartitionKey": f"{record.key_id}|{day_name(day)}", "RowKey": f"~compacted-{len(there):06d}"}
            await tables.insert(f"tollgateledger{day:%Y%m}", row | {"count": 0, "events": ""})

        desk.tables = Overtaken(tables, overtake, times=100)  # type: ignore[assignment]
        report = await compact(desk, day, now)
        assert (report.days, report.keys) == ([], 0)
        assert any("another process" in message for message, _ in desk.log.warnings)
        desk.tables = tables
        assert (await compact(desk, day, now)).events == 1

    play(azurite, work)


def test_what_comes_late_is_taken_in(azurite: Any) -> None:
    """A process that could not write for days, and one whose old total comes back after it was compacted."""

    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 26, [day], calls=20, keys=2)
        old = await books.rows_of(desk.tables, f"tollgateusage{day:%Y%m}", day)
        await compact_days(desk, now)
        await desk.tables.write([books.Row("tollgatestate", {"PartitionKey": EXPORTED, "RowKey": day_name(day)})])
        await desk.tables.write([books.Row(f"tollgateusage{day:%Y%m}", row) for row in old[:2]])
        wanted = books.sums_of(records)
        assert (await figures(desk.tables, day, now))[0] == wanted
        late = [books.random_call(books.Random(7), 5000 + n, day) for n in range(3)]
        await books.write(books.log_of(desk.tables, "late", now), late)
        wanted = books.sums_of([*records, *late])
        assert (await figures(desk.tables, day, now))[1] == wanted
        report = await compact_days(desk, now + timedelta(days=3))
        assert report.events == 3
        assert await figures(desk.tables, day, now) == (wanted, wanted)
        assert await hours(desk.tables, day) == wanted
        assert not await marks(desk.tables, EXPORTED, day_name(day), day_name(day))  # it is exported again

    play(azurite, work)


def test_a_repaired_day_is_compacted_to_what_the_ledger_says(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 27, [day], calls=10, keys=2)
        lost = [books.random_call(books.Random(8), 6000 + n, day) for n in range(5)]
        await books.write(books.log_of(desk.tables, "dead", now, only="tollgateledger"), lost)
        await compact_days(desk, now)  # it checks a day that nobody has checked
        assert len(desk.outbox.of("ledger.repaired")) >= 1
        wanted = books.sums_of([*records, *lost])
        assert await figures(desk.tables, day, now) == (wanted, wanted)
        assert (await check_days(desk, now, day)).rows == []

    play(azurite, work)


def test_a_check_mends_a_compacted_row(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 28, [day], calls=10, keys=1)
        await compact(desk, day, now)
        table = f"tollgateusage{day:%Y%m}"
        row = (await books.rows_of(desk.tables, table, day))[0]
        await desk.tables.write([books.Row(table, row | {"requests": row["requests"] + 1})])
        (repair,) = (await check_days(desk, now, day)).rows
        assert repair.requests == -1
        assert (await figures(desk.tables, day, now))[0] == books.sums_of(records)

    play(azurite, work)


def test_a_call_without_an_outcome_stays_where_its_outcome_would_go(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        log = books.log_of(desk.tables, "killed", now)
        record = books.a_record(
            1, at=midnight(day).timestamp() + 60, key_id="1" * 64, outcome="unfinished", deployment=""
        )
        log.begin()
        await log.intend(record)
        await compact_days(desk, now)
        sums, _ = await figures(desk.tables, day, now)
        assert (sums["requests"], sums["failed"]) == (1, 1)
        ended = books.a_record(1, at=record.at, key_id="1" * 64)
        log.add(ended)
        await books.written(log)
        await compact_days(desk, now)
        wanted = books.sums_of([ended])
        assert await figures(desk.tables, day, now) == (wanted, wanted)
        assert await hours(desk.tables, day) == wanted

    play(azurite, work)
