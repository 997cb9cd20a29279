"""Totals and ledger through writes that fail in every way: before, after and half-way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.adapters import ledger_rows
from shared.adapters.ledger_rows import PAGE_CHARACTERS
from shared.adapters.usage_log import TableUsageLog
from shared.books.sums import COUNTERS, counted
from shared.ports import StoreUnavailable
from shared.types import Cost, Row, Usage, UsageRecord
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

    async def intend(self, number: int, **changed: Any) -> UsageRecord:
        self.usage.begin()
        record = a_record(number, **({"at": NOON, "outcome": "unfinished"} | changed))
        await self.usage.intend(record)
        return record

    def end(self, number: int, **changed: Any) -> None:
        """Of a call that was intended."""
        self.usage.add(a_record(number, **({"at": NOON} | changed)))

    def events(self) -> list[dict[str, Any]]:
        rows = sorted(self.store.of("tollgateledger"), key=lambda row: row["RowKey"])
        return [json.loads(line) for row in rows for line in row["events"].split("\n")]

    def total(self) -> dict[str, int]:
        rows = self.store.of("tollgateusage")
        return {name: sum(row[name] for row in rows) for name in COUNTERS}

    def sums(self) -> dict[str, int]:
        """What the events in the ledger add up to."""
        counts = [counted(event) for event in self.events()]
        return {name: sum(each[name] for each in counts) for name in COUNTERS}

    async def written(self) -> None:
        await eventually_written(self.usage)


async def eventually_written(usage: TableUsageLog) -> None:
    async def done() -> bool:
        return not usage.pending()

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
        assert len(scene.events()) == 1

    play(work, interval=60)


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
        assert not store.of("tollgateusage")  # nobody waits for the totals
        await eventually_written(usage)
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
        "characters": 0, "audio_ms": 0, "video_ms": 0, "cache_write_1h_tokens": 0, "cost_nanos": 0, "unpriced": 0,
        "spilled": 0, "spill_nanos": 0,
    }  # fmt: skip


def test_alias_with_slashes_makes_a_legal_row_key() -> None:
    async def work(scene: Scene) -> None:
        scene.add(1, alias="team/model #1?\\")
        await scene.written()

    (row,) = play(work).store.of("tollgateusage")
    assert not set(row["RowKey"]) & set("/\\#?")
    assert row["alias"] == "team/model #1?\\"


def test_teams_have_totals_of_their_own() -> None:
    async def work(scene: Scene) -> None:
        for number, team in enumerate(("a/b", "a/b", "c", "")):
            scene.add(number, team=team)
        await scene.written()

    rows = play(work).store.of("tollgateusage")
    assert sorted((row["RowKey"], row["team"], row["requests"], row["instance"]) for row in rows) == [
        ("gpt-4o|a%2Fb|instance", "a/b", 2, "instance"),
        ("gpt-4o|c|instance", "c", 1, "instance"),
        ("gpt-4o||instance", "", 1, "instance"),
    ]


RICH: list[dict[str, Any]] = [
    {},
    {"outcome": "upstream_cut", "latency": 0.1005, "usage": Usage(1, 2, 3, 4, 5, 6, estimated=True)},
    {"cost": Cost(123_456_789_012, True, "config"), "usage": Usage(10, 5, tier="priority")},
    {"cost": Cost(7, False), "latency": 0.10046, "tags": ("a", "b"), "user": "u", "shadow": "rpm"},
    {"usage": Usage(audio_seconds=1.0005, video_seconds=4, images=2, image_kind="1024x1024", characters=9)},
    {"usage": Usage(9, 1, cache_write_tokens=5, cache_write_1h_tokens=2, training_tokens=3, image_input_tokens=1)},
]


def test_totals_are_the_sum_of_the_events() -> None:
    async def work(scene: Scene) -> None:
        for number, changed in enumerate(RICH):
            scene.add(number, **changed)
        await scene.written()

    scene = play(work)
    total = scene.total()
    assert scene.sums() == total
    assert (total["cost_nanos"], total["unpriced"], total["cache_write_1h_tokens"]) == (123_456_789_019, 1, 2)
    events = scene.events()
    assert [e["cost_nanos"] for e in events] == [0, 0, 123_456_789_012, 7, 0, 0]
    assert [e.get("price") for e in events] == [None, None, "config", None, None, None]
    assert [e.get("tier") for e in events] == [None, None, "priority", None, None, None]
    assert {name: events[3].get(name) for name in ("unpriced", "tags", "user", "shadow")} == {
        "unpriced": True, "tags": ["a", "b"], "user": "u", "shadow": "rpm",
    }  # fmt: skip
    assert not {"unpriced", "tags", "user", "shadow", "tier", "price"} & set(events[0])


@pytest.mark.parametrize("fails", [[], ["after"], ["half", "after"]], ids=str)
def test_ledger_is_never_behind_the_totals(fails: list[str]) -> None:
    """Looked at after each write, of which some fail."""

    class Watched(MemoryRows):
        async def write(self, rows: Any) -> None:
            try:
                await asyncio.sleep(0)  # calls go on while a write is under way
                await super().write(rows)
            finally:
                events = [json.loads(e) for r in self.of("tollgateledger") for e in r["events"].split("\n")]
                assert sum(r["requests"] for r in self.of("tollgateusage")) <= len(events)

    async def work() -> None:
        store = Watched()
        store.fails = list(fails)
        usage = TableUsageLog(store, "instance", Clock(NOON), Lines(), 0.01)
        for number in range(100):
            usage.begin()
            usage.add(a_record(number, at=NOON, key_id=str(number % 3) * 64))
            await asyncio.sleep(0.002)
        await eventually_written(usage)
        assert sum(row["requests"] for row in store.of("tollgateusage")) == 100

    asyncio.run(work())


def test_totals_wait_for_a_ledger_that_cannot_be_written() -> None:
    class NoLedger(MemoryRows):
        async def write(self, rows: Any) -> None:
            given = list(rows)
            if any(row.table.startswith("tollgateledger") for row in given):
                raise StoreUnavailable("no ledger")
            await super().write(given)

    async def work() -> None:
        store, log = NoLedger(), Lines()
        usage = TableUsageLog(store, "instance", Clock(NOON), log, 0.01)
        usage.begin()
        usage.add(a_record(at=NOON))

        async def tried() -> bool:
            return len(log.warnings) > 1

        await eventually(tried)
        assert not store.rows

    asyncio.run(work())


# Calls that are written down before they are made (USAGE_FLUSH=request).


def test_an_intent_is_durable_and_its_end_takes_its_place() -> None:
    async def work(scene: Scene) -> None:
        await scene.intend(1)
        (row,) = scene.store.of("tollgateledger")
        assert row["RowKey"] == "instance-c-req_1"
        assert [e["outcome"] for e in scene.events()] == ["unfinished"]
        scene.end(1)
        await scene.usage.flush()
        (row,) = scene.store.of("tollgateledger")
        assert row["RowKey"] == "instance-c-req_1"
        assert [e["outcome"] for e in scene.events()] == ["ok"]
        assert not scene.store.of("tollgateusage")  # which follow
        await scene.written()

    assert play(work).total()["requests"] == 1


def test_an_intent_that_nothing_follows_stays_and_is_in_no_total() -> None:
    async def work(scene: Scene) -> None:
        await scene.intend(1)
        await scene.intend(2)
        scene.end(2)
        await scene.written()

    scene = play(work)
    assert [e["outcome"] for e in scene.events()] == ["unfinished", "ok"]
    assert scene.total()["requests"] == 1


def test_intents_that_wait_together_share_a_write() -> None:
    class Slow(MemoryRows):
        async def write(self, rows: Any) -> None:
            await asyncio.sleep(0.01)
            await super().write(rows)

    async def work() -> None:
        store = Slow()
        usage = TableUsageLog(store, "instance", Clock(NOON), Lines(), 60)

        async def call(number: int) -> None:
            usage.begin()
            await usage.intend(a_record(number, at=NOON, outcome="unfinished"))
            await asyncio.sleep(0.001 * (number % 7))
            usage.add(a_record(number, at=NOON))
            await usage.flush()
            row = store.rows["tollgateledger202611", f"{'d' * 64}|20261130", f"instance-c-req_{number}"]
            assert json.loads(row["events"])["outcome"] == "ok"

        await asyncio.gather(*(call(number) for number in range(60)))
        assert len(store.writes) < 12
        assert len(store.of("tollgateledger")) == 60
        await eventually_written(usage)
        assert store.of("tollgateusage")[0]["requests"] == 60

    asyncio.run(work())


@pytest.mark.parametrize("fails", ["before", "after", "half"])
def test_an_intent_that_fails_is_counted_once_when_its_call_ends(fails: str) -> None:
    """Whether it was written or not: readers drop what has the same request id and is unfinished."""

    async def work(scene: Scene) -> None:
        scene.store.fails = [fails]
        with pytest.raises(StoreUnavailable):
            await scene.intend(1)
        scene.end(1)
        await scene.written()

    scene = play(work)
    assert {e["request_id"] for e in scene.events()} == {"req_1"}
    assert [e["outcome"] for e in scene.events() if e["outcome"] != "unfinished"] == ["ok"]
    assert scene.total()["requests"] == 1


@pytest.mark.parametrize("fails", ["before", "after", "half"])
def test_the_end_of_an_intended_call_is_written_until_it_is_there(fails: str) -> None:
    async def work(scene: Scene) -> None:
        for number in (1, 2):
            await scene.intend(number)
            scene.end(number)
        scene.store.fails = [fails, fails]
        with pytest.raises(StoreUnavailable):
            await scene.usage.flush()
        await scene.written()

    scene = play(work)
    assert [e["outcome"] for e in scene.events()] == ["ok", "ok"]
    assert len(scene.store.of("tollgateledger")) == 2
    assert scene.total()["requests"] == 2


def test_a_caller_who_stops_waiting_leaves_an_intent_that_its_end_replaces() -> None:
    async def work(scene: Scene) -> None:
        waiting = asyncio.ensure_future(scene.intend(1))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        scene.end(1, outcome="gateway_error")
        await scene.written()

    scene = play(work)
    assert [e["outcome"] for e in scene.events()] == ["gateway_error"]
    assert len(scene.store.of("tollgateledger")) == 1


# Work that any process may find to have ended.


@pytest.mark.parametrize("fails", [[], ["before"], ["after"], ["half"], ["", "after"], ["", "before"]], ids=str)
def test_what_is_written_once_counts_once_whoever_writes_it(fails: list[str]) -> None:
    async def work(scene: Scene) -> None:
        other = TableUsageLog(scene.store, "other", scene.clock, scene.log)
        record = a_record(at=NOON, request_id="work-1/2", alias="a/b", usage=Usage(5, 7), cost=Cost(11))
        scene.store.fails = list(fails)
        for usage in (scene.usage, scene.usage, other):
            try:
                await usage.add_once(record)
            except StoreUnavailable:
                await usage.add_once(record)

    scene = play(work)
    (row,) = scene.store.of("tollgateledger")
    (total,) = scene.store.of("tollgateusage")
    assert row["RowKey"] == "once-work-1%2F2"
    assert (total["RowKey"], total["instance"]) == ("a%2Fb|team|once-work-1%2F2", "once-work-1%2F2")
    assert scene.sums() == scene.total()
    assert (total["requests"], total["output_tokens"], total["cost_nanos"]) == (1, 7, 11)


# A store that is down for too long.


def outage(scene: Scene, fails: list[str], calls: int = 100, per_write: int = 10) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        scene.store.fails = list(fails)
        for number in range(calls):
            changed = {"key_id": f"{number % 3}" * 64, "alias": f"m{number % 2}", "at": NOON + 50 - number % 7}
            scene.add(number, **(RICH[number % len(RICH)] | changed))
            if number % per_write == per_write - 1:
                with contextlib.suppress(StoreUnavailable):
                    await scene.usage.flush()
        await scene.usage.flush()
        await scene.written()

    return work


@pytest.mark.parametrize(
    "fails", [["before"] * 10, ["half"] * 10, ["after"] * 10, ["", *["half", "after"] * 4]], ids=str
)
def test_events_that_are_given_up_live_on_in_sums(monkeypatch: pytest.MonkeyPatch, fails: list[str]) -> None:
    monkeypatch.setattr(ledger_rows, "MOST_PENDING", 30)
    scene = play(lambda scene: outage(scene, fails)(), interval=60)
    events = scene.events()
    sums = [e for e in events if "count" in e]
    given_up = sum(told["events"] for message, told in scene.log.warnings if "given up" in message)
    assert given_up > 40
    assert sum(e["count"] for e in sums) == given_up
    assert len(sums) <= 6  # keys and aliases
    assert scene.sums() == scene.total()
    assert scene.total()["requests"] == 100
    assert len({e["request_id"] for e in events}) == len(events)
    assert all(e["request_id"].startswith("sum-instance-") for e in sums)
    assert {e["at"] for e in sums} == {"2026-11-30T12:00:44Z"}  # the earliest
    kept = [int(e["request_id"][4:]) for e in events if "count" not in e]
    assert 99 in kept  # the newest


def test_owed_rows_are_those_that_a_write_would_have_written_and_in_its_order() -> None:
    async def work(scene: Scene) -> None:
        await scene.intend(0)
        scene.store.fails = ["before"]
        scene.add(1)
        with pytest.raises(StoreUnavailable):
            await scene.usage.flush()
        scene.end(0)
        scene.add(2)
        assert scene.usage.pending()
        rows: list[Row] = []
        for _ in range(2):  # owed until they are written
            rows = scene.usage.owed()
            assert [row.table[:14] for row in rows] == ["tollgateledger"] * 3 + ["tollgateusage2"]
        await scene.store.write(rows)

    scene = play(work, interval=60)
    assert scene.total()["requests"] == 3
    assert [e["outcome"] for e in scene.events()] == ["ok"] * 3
