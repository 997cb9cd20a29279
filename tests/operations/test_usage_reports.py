"""Reports by every dimension, before and after compaction, against sums by brute force; single calls."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any, get_args

import pytest

from shared.books.days import midnight
from shared.errors import ApiError
from shared.money import NANOS, from_usd
from shared.operations.calls import CallsAsked, calls_list
from shared.operations.compaction import CompactReport, compact_day
from shared.operations.usage import OPERATIONS, Dimension, Figures, UsageAsked, UsageRow, UsageTold, usage
from shared.types import UsageRecord
from tests.support import books
from tests.support.desk import READER, TestDesk, desk_at

COUNTED = [name for name in Figures.model_fields if not name.endswith("_usd")]
type Work = Callable[[TestDesk, date, list[UsageRecord]], Awaitable[None]]


@pytest.fixture(scope="module")
def play(azurite: Any) -> Callable[[Work], None]:
    """Three days of calls, of which the first is compacted; the third ends in a second. Tests only read."""
    day = books.a_month() + timedelta(days=3)
    now = midnight(day + timedelta(days=3)) - timedelta(seconds=1)

    async def write() -> list[UsageRecord]:
        async with desk_at(azurite.connection_string, now=now.timestamp()) as desk:
            records = await books.random_days(desk.tables, 31, [day + timedelta(days=n) for n in range(3)], calls=30)
            await compact_day(desk, day, now, CompactReport(), first_time=True)
            return records

    records = asyncio.run(write())

    def play(work: Work) -> None:
        async def whole() -> None:
            async with desk_at(azurite.connection_string, now=now.timestamp()) as desk:
                await work(desk, day, records)

        asyncio.run(whole())

    return play


async def ask(desk: TestDesk, day: date, *by: str, **more: Any) -> UsageTold:
    asked = {"by": list(by), "from": day, "to": day + timedelta(days=2), "limit": 1000, **more}
    return await usage(UsageAsked.model_validate(asked), READER, desk)


VALUES: dict[str, Callable[[UsageRecord], list[str]]] = {
    "key": lambda r: [r.key_name],
    "team": lambda r: [r.team or "(no team)"],
    "model": lambda r: [r.alias],
    "deployment": lambda r: [r.deployment],
    "endpoint": lambda r: [r.endpoint],
    "tag": lambda r: list(r.tags) or ["(no tag)"],
    "user": lambda r: [r.user or "(no user)"],
    "day": lambda r: [books.date_of(r).isoformat()],
    "hour": lambda r: [f"{books.date_of(r)}T{int(r.at % 86400 // 3600):02d}:00:00Z"],
}


def expected(records: list[UsageRecord], by: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, Any]]:
    groups: dict[tuple[str, ...], list[UsageRecord]] = {}
    for record in records:
        for place in itertools.product(*(VALUES[name](record) for name in by)):
            groups.setdefault(place, []).append(record)
    return {place: shown(group) for place, group in groups.items()}


def shown(records: list[UsageRecord]) -> dict[str, Any]:
    sums = books.sums_of(records)
    return {name: sums[name] for name in COUNTED} | {"cost": sums["cost_nanos"], "spill": sums["spill_nanos"]}


def found(rows: list[UsageRow], by: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, Any]]:
    lines: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        place = tuple(str(getattr(row, name)) for name in by)
        assert place not in lines
        lines[place] = figures(row)
    return lines


def figures(row: Figures) -> dict[str, Any]:
    money = {"cost": from_usd(row.cost_usd), "spill": from_usd(row.spill_cost_usd)}
    return {name: getattr(row, name) for name in COUNTED} | money


def test_every_dimension_and_some_pairs(play: Callable[[Work], None]) -> None:
    async def work(desk: TestDesk, day: date, records: list[UsageRecord]) -> None:
        pairs = [("team", "day"), ("day", "model"), ("tag", "deployment"), ("key", "hour"), ("user", "model")]
        for by in [*((name,) for name in VALUES), *pairs]:
            told = await ask(desk, day, *by)
            assert found(told.rows, by) == expected(records, by), by
            assert figures(told.total) == shown(records), by
            assert told.overlapping == ("tag" in by), by
            unpriced = [r.alias for r in records if not r.cost.priced]
            assert told.unpriced_requests == len(unpriced) > 0
            assert told.unpriced_models == {"team/image": len(unpriced)}
            assert [text.partition(" ")[0] for text in told.warnings] == ["Calls"] * (1 + told.overlapping)
            assert told.next == ""

    play(work)


def test_every_dimension_is_a_column_of_the_table() -> None:
    (row,) = [row for row in OPERATIONS if row.name == "usage"]
    assert set(get_args(Dimension)) <= set(row.columns)


def test_filters(play: Callable[[Work], None]) -> None:
    async def work(desk: TestDesk, day: date, records: list[UsageRecord]) -> None:
        cases: list[tuple[dict[str, str], Callable[[UsageRecord], bool]]] = [
            ({"key": "key-2"}, lambda r: r.key_name == "key-2"),
            ({"key": "333333333333"}, lambda r: r.key_name == "key-3"),
            ({"team": "red"}, lambda r: r.team == "red"),
            ({"team": "(no team)"}, lambda r: r.team == ""),
            ({"model": "gpt-4o"}, lambda r: r.alias == "gpt-4o"),
            ({"tag": "alpha"}, lambda r: "alpha" in r.tags),
            ({"tag": "alpha", "key": "key-1"}, lambda r: "alpha" in r.tags and r.key_name == "key-1"),
            ({"key": "nobody"}, lambda r: r.key_name == "nobody"),
        ]
        for given, wanted in cases:
            for by in (("model",), ("deployment",)):
                told = await ask(desk, day, *by, **given)
                assert found(told.rows, by) == expected([r for r in records if wanted(r)], by), given

    play(work)


def test_order_and_pages(play: Callable[[Work], None]) -> None:
    async def work(desk: TestDesk, day: date, records: list[UsageRecord]) -> None:
        by_cost = (await ask(desk, day, "team")).rows
        costs = [from_usd(row.cost_usd) for row in by_cost]
        assert costs == sorted(costs, reverse=True)
        by_day = (await ask(desk, day, "day")).rows
        assert [row.day for row in by_day] == [(day + timedelta(days=n)).isoformat() for n in range(3)]
        pairs = (await ask(desk, day, "team", "day")).rows
        assert [row.team for row in pairs] == [row.team for row in by_cost for _ in range(3)]
        assert [row.day for row in pairs[:3]] == [row.day for row in by_day]
        paged: list[UsageRow] = []
        cursor = ""
        while True:
            told = await ask(desk, day, "team", "day", limit=4, cursor=cursor)
            paged += told.rows
            assert figures(told.total) == shown(records)
            if not (cursor := told.next):
                break
            assert len(told.rows) == 4
        assert paged == pairs

    play(work)


def test_what_cannot_be_asked(azurite: Any) -> None:
    async def work() -> None:
        async with desk_at(azurite.connection_string, now=midnight(date(1979, 5, 5)).timestamp()) as desk:
            for asked, code in (
                ({"by": ["team", "team"]}, "bad_by"),
                ({"from": "1979-05-05", "to": "1979-05-01"}, "bad_days"),
                ({"from": "1970-05-05"}, "bad_days"),
                ({"cursor": "rubbish"}, "bad_cursor"),
            ):
                with pytest.raises(ApiError) as refused:
                    await usage(UsageAsked.model_validate(asked), READER, desk)
                assert (refused.value.status, refused.value.code) == (400, code)
            with pytest.raises(ApiError) as refused:
                await calls_list(CallsAsked(cursor="rubbish"), READER, desk)
            assert refused.value.code == "bad_cursor"
            told = await usage(UsageAsked(), READER, desk)  # no table at all
            assert (told.rows, told.first, told.last) == ([], "1979-05-01", "1979-05-05")

    asyncio.run(work())


def test_two_keys_of_one_name_are_two_lines(azurite: Any) -> None:
    async def work() -> None:
        day = books.a_month() + timedelta(days=3)
        async with desk_at(azurite.connection_string, now=midnight(day).timestamp() + 80000) as desk:
            log = books.log_of(desk.tables, "one", datetime.fromtimestamp(desk.clock.now))
            at = midnight(day).timestamp()
            await books.write(log, [books.a_record(n, at=at, key_id=f"{n}" * 64, key_name="same") for n in (5, 6)])
            told = await ask(desk, day, "key")
            assert [(row.key, row.key_id) for row in told.rows] == [("same", "5" * 12), ("same", "6" * 12)]

    asyncio.run(work())


def test_single_calls_newest_first(play: Callable[[Work], None]) -> None:
    async def work(desk: TestDesk, day: date, records: list[UsageRecord]) -> None:
        newest = [r.request_id for r in sorted(records, key=lambda r: (round(r.at, 3), r.request_id), reverse=True)]
        asked: dict[str, Any] = {"limit": 50}
        got: list[str] = []
        while True:
            told = await calls_list(CallsAsked(**asked), READER, desk)
            got += [row.request_id for row in told.rows]
            if not told.next:
                break
            asked["cursor"] = told.next
        assert got == newest
        rows = (await calls_list(CallsAsked(limit=1000), READER, desk)).rows
        assert sum(from_usd(row.cost_usd) for row in rows) == sum(r.cost.nanos for r in records)
        served = {r.request_id: (r.capacity, r.served_alias) for r in records}
        assert {row.request_id: (row.capacity, row.served_model) for row in rows} == served

    play(work)


def test_calls_are_found_by_what_they_are(play: Callable[[Work], None]) -> None:
    async def work(desk: TestDesk, day: date, records: list[UsageRecord]) -> None:
        one = records[3]
        cases: list[tuple[dict[str, Any], Callable[[UsageRecord], bool]]] = [
            ({"key": "key-2"}, lambda r: r.key_name == "key-2"),
            ({"key": "2" * 20}, lambda r: r.key_name == "key-2"),
            ({"day": day}, lambda r: books.date_of(r) == day),
            (
                {"model": "gpt-4o", "outcome": "upstream_error"},
                lambda r: (r.alias, r.outcome) == ("gpt-4o", "upstream_error"),
            ),
            ({"request_id": one.request_id}, lambda r: r.request_id == one.request_id),
            ({"request_id": one.request_id, "key": "nobody"}, lambda r: r.key_name == "nobody"),
        ]
        for given, wanted in cases:
            told = await calls_list(CallsAsked(limit=1000, **given), READER, desk)
            assert {row.request_id for row in told.rows} == {r.request_id for r in records if wanted(r)}, given
        (row,) = (await calls_list(CallsAsked(request_id=one.request_id), READER, desk)).rows
        assert (row.key, row.team, row.model, row.calls) == (one.key_name, one.team, one.alias, 1)
        assert (row.cost_usd == "0") == (one.cost.nanos == 0)
        assert int(float(row.cost_usd) * NANOS + 0.5) == one.cost.nanos

    play(work)
