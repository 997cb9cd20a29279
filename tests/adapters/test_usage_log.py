"""Totals and ledger through writes that fail in every way: before, after and half-way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.adapters import usage_log
from shared.adapters.usage_log import PAGE_CHARACTERS, TableUsageLog
from shared.ports import StoreUnavailable
from shared.types import Row, Usage
from tests.support.doubles import Clock, Lines, MemoryRows, a_record
from tests.support.polling import eventually

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
DAY = 86400.0


class Scene:
    def __init__(self, interval: float = 0.02) -> None:
        self.clock, self.log, self.store = Clock(NOON), Lines(), MemoryRows()
        self.usage = TableUsageLog(self.store, "instance", self.clock, self.log, interval)

    def add(self, number: int, **changed: Any) -> None:
        self.usage.begin()
        self.usage.add(a_record(number, **({"at": NOON} | changed)))

    def events(self) -> list[dict[str, Any]]:
        rows = sorted(self.store.of("tollgateledger"), key=lambda row: row["RowKey"])
        return [json.loads(line) for row in rows for line in row["events"].split("\n")]

    def total(self) -> dict[str, int]:
        rows = self.store.of("tollgateusage")
        return {name: sum(row[name] for row in rows) for name in usage_log.COUNTERS}

    async def written(self) -> None:
        async def done() -> bool:
            return not self.usage.pending()

        await eventually(done)


def play(work: Callable[[Scene], Awaitable[None]], interval: float = 0.02) -> Scene:
    scene = Scene(interval)

    async def whole() -> None:
        await work(scene)

    asyncio.run(whole())
    return scene


@pytest.mark.parametrize("fails", [[], ["before"], ["after"], ["half"], ["after", "half", "before", "after"]], ids=str)
def test_writes_of_unknown_outcome_count_nothing_twice(fails: list[str]) -> None:
    async def work(scene: Scene) -> None:
        scene.store.fails = list(fails)
        for number in range(30):
            scene.add(number, key_id=str(number % 3) * 64)
            if number % 10 == 0:
                await asyncio.sleep(0.03)
        await scene.written()

    scene = play(work)
    assert [e["request_id"] for e in sorted(scene.events(), key=lambda e: int(e["request_id"][4:]))] == [
        f"req_{n}" for n in range(30)
    ]
    total = scene.total()
    assert (total["requests"], total["input_tokens"], total["output_tokens"]) == (30, 90, 60)
    assert len(scene.log.warnings) == len(fails)


def test_flush_raises_and_keeps_what_it_could_not_write() -> None:
    async def work(scene: Scene) -> None:
        scene.store.fails = ["before"]
        scene.add(1)
        with pytest.raises(StoreUnavailable):
            await scene.usage.flush()
        assert scene.usage.pending()
        await scene.usage.flush()
        assert not scene.usage.pending()

    assert play(work, interval=60).total()["requests"] == 1


def test_flushes_at_once_share_writes_and_never_overlap() -> None:
    """Of two writes of one row at the same time, the older could land last."""

    class Slow(MemoryRows):
        under_way = most = 0

        async def write(self, rows: Any) -> None:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0.01)
            await super().write(rows)
            self.under_way -= 1

    async def work() -> None:
        store = Slow()
        usage = TableUsageLog(store, "instance", Clock(NOON), Lines(), 60)

        async def call(number: int) -> None:
            await asyncio.sleep(number / 1000)
            usage.begin()
            usage.add(a_record(number, at=NOON))
            await usage.flush()
            written = [json.loads(e)["request_id"] for r in store.of("tollgateledger") for e in r["events"].split("\n")]
            assert f"req_{number}" in written

        await asyncio.gather(*(call(number) for number in range(50)))
        assert store.most == 1
        assert len(store.writes) < 25
        assert store.of("tollgateusage")[0]["requests"] == 50

    asyncio.run(work())


def test_what_comes_while_a_write_is_under_way_is_written_next() -> None:
    """Even when nothing more comes after it."""
    release = asyncio.Event()

    class Held(MemoryRows):
        async def write(self, rows: Any) -> None:
            given = list(rows)
            await release.wait()
            await super().write(given)

    async def work() -> None:
        store = Held()
        usage = TableUsageLog(store, "instance", Clock(NOON), Lines(), 0.02)
        usage.begin()
        usage.add(a_record(1, at=NOON))
        await asyncio.sleep(0.05)
        usage.begin()
        usage.add(a_record(2, at=NOON))
        await asyncio.sleep(0.2)  # both timers go off meanwhile
        release.set()

        async def done() -> bool:
            return bool(store.rows) and not usage.pending()

        await eventually(done)
        assert store.of("tollgateusage")[0]["requests"] == 2

    asyncio.run(work())


def test_idle_is_written_soon_and_busy_at_the_interval() -> None:
    async def work(scene: Scene) -> None:
        scene.add(1)
        await asyncio.wait_for(scene.written(), 1.0)  # the interval is a minute
        scene.usage.begin()  # a long call, so that nothing is idle
        scene.add(2)
        await asyncio.sleep(0.25)
        assert scene.usage.pending()
        scene.usage.add(None)
        await asyncio.wait_for(scene.written(), 1.0)

    assert play(work, interval=60).total()["requests"] == 2


def test_pages_stay_below_what_a_property_holds() -> None:
    async def work(scene: Scene) -> None:
        for number in range(500):
            scene.add(number, alias="a" * 100)
        await scene.written()

    scene = play(work)
    rows = scene.store.of("tollgateledger")
    assert len(rows) > 3
    assert all(len(row["events"]) <= PAGE_CHARACTERS for row in rows)
    assert sum(row["count"] for row in rows) == len(scene.events()) == 500
    assert [e["request_id"] for e in scene.events()] == [f"req_{n}" for n in range(500)]


def test_event_that_is_larger_than_a_page_has_one_of_its_own() -> None:
    async def work(scene: Scene) -> None:
        scene.add(1)
        scene.add(2, upstream_model="m" * PAGE_CHARACTERS)
        scene.add(3)
        await scene.written()

    assert len(play(work).store.of("tollgateledger")) == 3


def test_days_and_months_have_rows_and_tables_of_their_own() -> None:
    async def work(scene: Scene) -> None:
        for number in range(4):
            scene.add(number, at=NOON + (DAY if number % 2 else 0))  # the 30th of November and the 1st of December
        await scene.written()

    scene = play(work)
    places = {(table, key) for table, key, _ in scene.store.rows}
    digest = "d" * 64
    assert places == {
        ("tollgateusage202611", f"{digest}|20261130"),
        ("tollgateusage202612", f"{digest}|20261201"),
        ("tollgateledger202611", f"{digest}|20261130"),
        ("tollgateledger202612", f"{digest}|20261201"),
    }
    assert [row["requests"] for row in scene.store.of("tollgateusage")] == [2, 2]


def test_call_that_ends_after_midnight_does_not_reset_its_day() -> None:
    async def work(scene: Scene) -> None:
        scene.add(1)
        await scene.written()
        scene.clock.forward(DAY)
        scene.add(2, at=NOON + DAY)
        await scene.written()
        scene.add(3)  # began yesterday, ended today
        await scene.written()

    scene = play(work)
    assert len(scene.events()) == 3
    assert scene.total()["requests"] == 3


def test_counters_of_every_outcome() -> None:
    async def work(scene: Scene) -> None:
        for number, outcome in enumerate(("ok", "client_closed", "client_error", "upstream_error", "upstream_cut")):
            scene.add(number, outcome=outcome, usage=Usage(1, 2, 3, 4, 5, 6, estimated=number == 1), latency=0.1004)
        scene.usage.begin()
        scene.usage.add(None)
        await scene.written()

    assert play(work).total() == {
        "requests": 5, "failed": 3, "estimated": 1, "input_tokens": 5, "output_tokens": 10, "cached_input_tokens": 15,
        "reasoning_tokens": 20, "audio_input_tokens": 25, "audio_output_tokens": 30, "latency_ms": 500,
        "cache_write_tokens": 0, "image_input_tokens": 0, "image_output_tokens": 0, "training_tokens": 0, "images": 0,
        "characters": 0, "audio_ms": 0, "video_ms": 0,
    }  # fmt: skip


def test_alias_with_slashes_makes_a_legal_row_key() -> None:
    async def work(scene: Scene) -> None:
        scene.add(1, alias="team/model #1?\\")
        await scene.written()

    (row,) = play(work).store.of("tollgateusage")
    assert not set(row["RowKey"]) & set("/\\#?")
    assert row["alias"] == "team/model #1?\\"


def test_oldest_events_are_given_up_when_the_store_is_down_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_log, "MOST_PENDING", 50)

    async def work(scene: Scene) -> None:
        scene.store.fails = ["before"] * 10
        for number in range(100):
            scene.add(number, key_id=f"{number % 10}" * 64)
            if number % 10 == 9:
                with pytest.raises(StoreUnavailable):
                    await scene.usage.flush()
        await scene.usage.flush()

    scene = play(work, interval=60)
    given_up = sum(told["events"] for message, told in scene.log.warnings if "given up" in message)
    assert given_up == 50
    assert [int(e["request_id"][4:]) for e in scene.events()] == list(range(50, 100))
    assert scene.total()["requests"] == 100  # the totals lose nothing


def test_owed_rows_are_those_that_a_write_would_have_written() -> None:
    async def work(scene: Scene) -> None:
        scene.add(1)
        assert scene.usage.pending()
        rows: list[Row] = scene.usage.owed()
        assert sorted(row.table[:14] for row in rows) == ["tollgateledger", "tollgateusage2"]
        await scene.store.write(rows)

    assert play(work, interval=60).total()["requests"] == 1
