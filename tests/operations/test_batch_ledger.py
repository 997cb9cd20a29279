"""Batches in the books: a line of the ledger stands for many calls, is written once, and every sum stays right."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from shared.adapters.ledger import entries
from shared.adapters.ledger_event import ledger_event
from shared.books.charges import Day
from shared.books.days import midnight
from shared.books.focus import focus_rows
from shared.books.sums import Sums, counted, total
from shared.operations.calls import CallsAsked, calls_list
from shared.operations.checking import check_days
from shared.operations.compaction import CompactReport, compact_day
from shared.operations.usage import UsageAsked, usage
from shared.types import Cost, Usage, UsageRecord
from tests.support import books
from tests.support.desk import READER, TestDesk, desk_at


def a_batch(name: str, at: float, **changed: Any) -> UsageRecord:
    given: dict[str, Any] = {
        "request_id": name, "at": at, "key_id": "1" * 64, "key_name": "key-1", "team": "red", "batch": name[:8],
        "engine": "azure", "calls": 1000, "calls_failed": 7, "cost": Cost(5_000, True, "list"), "latency": 0.0,
        "usage": Usage(input_tokens=30_000, output_tokens=2_000, tier="batch"), "attempts": 0,
    }  # fmt: skip
    return books.a_record(**(given | changed))


async def by_engine(desk: TestDesk, day: Any) -> dict[str, tuple[int, int, str]]:
    told = await usage(UsageAsked.model_validate({"by": ["engine"], "from": day, "to": day}), READER, desk)
    return {str(row.engine): (row.requests, row.failed, row.cost_usd) for row in told.rows}


def test_a_batch_counts_once_for_all_its_lines(azurite: Any) -> None:
    async def work() -> None:
        day = books.a_month() + timedelta(days=1)
        at, now = midnight(day).timestamp() + 3600, midnight(day + timedelta(days=2)) + timedelta(hours=3)
        async with desk_at(azurite.connection_string, now=now.timestamp()) as desk:
            calls = await books.random_days(desk.tables, 31, [day], calls=20)
            log = books.log_of(desk.tables, "one", now)
            batches = [
                a_batch("batch_01", at),
                a_batch("batch_02-00001", at, engine="own", calls=100, calls_failed=0, cost=Cost(9, False)),
                a_batch("batch_03", at, calls=1, calls_failed=1, outcome="upstream_error"),
                a_batch("batch_04", at, capacity="spill", calls=3, usage=Usage(1, estimated=True)),
            ]
            for record in (*batches, *reversed(batches), batches[0]):
                await log.add_once(record)

            wanted = books.sums_of(calls)
            wanted["requests"] += 1104
            wanted["failed"] += 7 + 0 + 1 + 7
            wanted["unpriced"] += 100
            wanted["estimated"] += 3
            wanted["spilled"] += 3
            for record in batches:
                wanted["cost_nanos"] += record.cost.nanos
                wanted["input_tokens"] += record.usage.input_tokens
                wanted["output_tokens"] += record.usage.output_tokens
            wanted["spill_nanos"] += 5_000

            async def in_ledger() -> Sums:
                return total([counted(entry.event) async for entry in entries(desk.tables, day, day, now)])

            assert await in_ledger() == wanted
            report = await check_days(desk, now, day)
            assert (report.rows, report.events) == ([], wanted["requests"]), "the totals say the same"
            before = await by_engine(desk, day)
            assert before["azure"][:2] == (1004, 15)
            assert before["own"][:2] == (100, 0)
            assert before["(no batch)"][0] == 20
            await compact_day(desk, day, now, CompactReport(), first_time=True)
            assert await in_ledger() == wanted
            assert await by_engine(desk, day) == before
            rows = (await calls_list(CallsAsked(batch="batch_02"), READER, desk)).rows
            assert [(row.request_id, row.calls, row.engine, row.batch) for row in rows] == [
                ("batch_02-00001", 100, "own", "batch_02")
            ]
            assert (await check_days(desk, now, day)).rows == []

    asyncio.run(work())


def test_exports_say_what_ran_a_batch() -> None:
    day = Day("20261123")
    for record in (a_batch("batch_01", 0.0), a_batch("batch_02", 0.0, engine="own", calls=2), books.a_record(1)):
        day.add("k", ledger_event(record))
    rows = list(focus_rows(day.charges(), {}))
    assert {row["x_Engine"]: row["x_Requests"] for row in rows} == {"azure": 1000, "own": 2, None: 1}
