"""Leases on a real table service: several limiters and several processes on one row, outages, and instances that die."""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.adapters.key_store import TableKeys
from shared.adapters.late_costs import BudgetedOnce
from shared.adapters.lease_rows import LeaseRows
from shared.adapters.lease_store import LIMITS_TABLE, TableLeases
from shared.adapters.tables import Tables
from shared.errors import ApiError
from shared.limits import LeasedCapacity, LeaseLimiter, Pace, Threshold
from shared.limits.account import BudgetRow
from shared.limits.flights import Flights
from shared.limits.lease import Contended, Place
from shared.limits.periods import day_name, day_number
from shared.limits.scopes import scope_id
from shared.operations.limits import LimitsAsked, show, sweep_leases
from shared.operations.operation import Desk
from shared.ports import StoreUnavailable
from shared.principals import Principal, Team
from shared.types import Cost, Need, Row, UsageRecord
from tests.support.azurite import Azurite
from tests.support.desk import ADMIN, desk_at
from tests.support.doubles import Lines, a_record
from tests.support.leases import a_key, a_team, hard, soft
from tests.support.own_azurite import OwnAzurite, dead_connection_string
from tests.support.polling import eventually
from tests.unit.given import deployment

ROOT = Path(__file__).resolve().parents[2]
CENT = 10_000_000
SHORT = Pace(window=2.0, tick=0.05)


def in_loop[**P](test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Shop:
    """Limiters of several instances over one table service."""

    def __init__(self, connection: str) -> None:
        options: dict[str, Any] = {"retry_total": 0, "connection_timeout": 1, "read_timeout": 5}
        self.tables = Tables(lambda: TableServiceClient.from_connection_string(connection, **options))
        self.log = Lines()
        self.told: list[Threshold] = []
        self.stores: list[TableLeases] = []
        self.limiters: list[LeaseLimiter] = []

    def limiter(self, instance: str = "", **options: Any) -> LeaseLimiter:
        store = TableLeases(self.tables, Random(len(self.stores)))
        self.stores.append(store)
        name = instance or f"i{len(self.stores)}"
        made = LeaseLimiter(store, name, time.time, self.log, on_threshold=self.told.append, **options)
        self.limiters.append(made)
        return made

    async def row(self, partition: str, key: str) -> dict[str, Any]:
        return await self.tables.get(LIMITS_TABLE, partition, key) or {}


@asynccontextmanager
async def shop_at(connection: str) -> AsyncGenerator[Shop]:
    shop = Shop(connection)
    try:
        yield shop
    finally:
        for limiter in shop.limiters:
            await limiter.close()
        await shop.tables.close()


def own(name: str = "", team: Team | None = None, **limits: Any) -> Principal:
    """A key that no other test has."""
    return a_key(f"{name}{uuid.uuid4().hex[:8]}", team, **limits)


async def call(limiter: LeaseLimiter, who: Principal, need: Need, spent: Need | None = None) -> None:
    grant = await limiter.reserve(who, need)
    assert grant
    limiter.settle(grant, spent or need)


def today() -> str:
    return day_name(day_number(time.time()))


# The store itself.


@in_loop
async def test_changes_of_many_at_once_all_count(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop:
        partition, stores = uuid.uuid4().hex, [TableLeases(shop.tables, Random(n)) for n in range(4)]
        places = [Place(partition, "n") for _ in stores]

        async def add(store: TableLeases, place: Place) -> None:
            for _ in range(5):
                await store.change(place, lambda row: ({"n": int(row["n"]) + 1 if row else 1}, None))

        await asyncio.gather(*map(add, stores, places))
        assert (await shop.row(partition, "n"))["n"] == 20


@in_loop
async def test_a_row_that_nobody_else_writes_costs_one_operation_a_change(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop:
        store, place = TableLeases(shop.tables, Random(1)), Place(uuid.uuid4().hex, "n")
        seen: list[int] = []
        for n in range(6):
            await store.change(place, lambda _, n=n: ({"n": n}, None))
            seen.append(store.operations)
        assert seen == [2, 4, 6, 7, 8, 9]
        other = TableLeases(shop.tables, Random(2))
        await other.change(Place(place.partition, "n"), lambda row: ({"n": int(row["n"]) + 10} if row else None, None))
        assert await store.change(place, lambda row: (None, row and row["n"])) == 15  # what it remembers is not enough
        assert await store.change(place, lambda row: ({"n": 0}, row and row["n"])) == 15


@in_loop
async def test_who_is_never_fast_enough_is_told_so(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop:
        partition = uuid.uuid4().hex
        store, place = TableLeases(shop.tables, Random(1)), Place(partition, "n")
        turn = 0

        class Busy(Tables):
            async def replace_if(self, table: str, row: Any, etag: str) -> str | None:
                nonlocal turn
                turn += 1
                await shop.tables.write([Row(LIMITS_TABLE, {"PartitionKey": partition, "RowKey": "n", "n": turn})])
                return await shop.tables.replace_if(table, row, etag)

        await store.change(place, lambda _: ({"n": 0}, None))
        busy = Busy(lambda: None)
        busy.table = shop.tables.table  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(Contended):
            await TableLeases(busy, Random(1)).change(Place(partition, "n"), lambda _: ({"n": -1}, None))
        assert turn > 10


# Several instances.


@in_loop
async def test_instances_share_every_limit_of_key_and_team(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop:
        team = a_team(f"team {uuid.uuid4().hex[:6]} & co", parallel=30, rpm=45, budgets=(hard("month", 1),))
        who = own(team=team, rpm=1000, tpm=10**6, parallel=20, budgets=(hard("day", 10), hard("total", 100)))
        limiters = [shop.limiter() for _ in range(4)]
        admitted: Counter[str] = Counter()
        start = time.time()

        async def caller(limiter: LeaseLimiter) -> None:
            for _ in range(5):
                try:
                    await call(limiter, who, Need(100, CENT), Need(50, CENT // 2))
                    admitted["yes"] += 1
                except ApiError as error:
                    admitted[error.type] += 1

        await asyncio.gather(*(caller(limiter) for limiter in limiters for _ in range(4)))
        if int(start // 60) == int(time.time() // 60):
            assert admitted["yes"] <= 45
        assert admitted["yes"] >= 40
        for limiter in limiters:
            await limiter.close()
        spent = admitted["yes"] * CENT // 2
        for key in (f"day-{today()}", "total"):
            assert BudgetRow.read(await shop.row(f"key|{who.key_id}", key)).spent == spent
        partition = f"team|{team.name.replace(' ', '%20').replace('&', '%26')}"
        assert BudgetRow.read(await shop.row(partition, f"month-{today()[:6]}")).spent == spent
        assert (await shop.row(partition, "parallel"))["held"] == "{}"


@in_loop
async def test_a_warm_key_asks_no_storage(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop:
        who = own(rpm=10**6, tpm=10**9, parallel=1000, budgets=(hard("day", 10**6),))
        limiter, need = shop.limiter(), Need(10, 100)
        for _ in range(3):
            await call(limiter, who, need)
            await asyncio.sleep(0.05)
        for _ in range(1000):  # none of them gives another task a chance to run
            await call(limiter, who, need)
        assert shop.stores[0].operations < 40


# Storage that is down.


@in_loop
async def test_down_and_up_again(tmp_path: Path) -> None:
    with OwnAzurite(tmp_path) as storage:
        async with shop_at(storage.connection_string) as shop:
            who = own(rpm=5, budgets=(hard("day", 1),))
            quick = Pace(patience=0.3, down=0.2, tick=0.05, idle=0.2)
            opened, closed = shop.limiter(pace=quick), shop.limiter(pace=quick, closed=True)
            await call(opened, who, Need(1, CENT))
            storage.stop()
            fresh = own("fresh", rpm=3, budgets=(hard("day", 1),))
            for _ in range(3):
                await call(opened, fresh, Need(1, 30 * CENT))
            with pytest.raises(ApiError) as refused:
                await call(opened, fresh, Need(1, CENT))
            assert refused.value.status == 429
            with pytest.raises(ApiError) as unavailable:
                await call(closed, fresh, Need(1, CENT))
            assert (unavailable.value.status, unavailable.value.code) == (503, "limits_unavailable")
            assert len(shop.log.warnings) == 2
            await asyncio.to_thread(storage.start)

            async def reported() -> bool:
                row = await shop.row(f"key|{fresh.key_id}", f"day-{today()}")
                return bool(row) and BudgetRow.read(row).spent == 90 * CENT

            await eventually(reported)


@in_loop
async def test_what_was_never_there_is_unavailable() -> None:
    async with shop_at(dead_connection_string()) as shop:
        with pytest.raises(StoreUnavailable):
            await TableLeases(shop.tables, Random(1)).change(Place("a", "b"), lambda _: ({}, None))


# Processes.


def start(connection: str, key: str, n: int, limits: dict[str, Any], **given: Any) -> subprocess.Popen[str]:
    said = {"connection": connection, "instance": f"p{n}-{key}", "key": key, "limits": limits, **given}
    return subprocess.Popen(
        [sys.executable, "-m", "bench.lease_worker", json.dumps(said)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said_last(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    process.stdout.close()
    assert process.wait(20) == 0
    return json.loads(lines[-1])


def test_processes_never_admit_more_than_the_limit(azurite: Azurite) -> None:
    """Three of them over windows of two seconds."""
    now, key = time.time(), uuid.uuid4().hex
    pace = {"window": 2.0, "tick": 0.05}
    first = int(now // 2) + 1
    given = {"from": first * 2.0, "until": first * 2.0 + 5.9, "pace": pace, "callers": 15, "lasts": 0.01}
    running = [
        start(azurite.connection_string, key, n, {"rpm": 60, "tpm": 100_000}, **given, need=(10, 0)) for n in range(3)
    ]
    admitted: Counter[int] = Counter()
    for said in map(said_last, running):
        admitted.update({int(win): count for win, count in said["admitted"].items()})
    assert max(admitted.values()) <= 60
    assert sum(admitted.values()) >= 0.9 * 60 * 2


@in_loop
async def test_a_killed_instance_is_swept_and_nothing_is_lost(azurite: Azurite) -> None:
    key = uuid.uuid4().hex
    limits = {"parallel": 8, "budgets": [("day", 100 * CENT)]}
    given: dict[str, Any] = {"until": time.time() + 60, "need": (0, 3 * CENT), "spent": (0, CENT), "again": 0.05}
    process = start(azurite.connection_string, key, 0, limits, **given, callers=2, lasts=0.1)
    assert process.stdout is not None
    spent = 0
    for line in process.stdout:
        spent = json.loads(line)["nanos"]
        if spent >= 5 * CENT:
            break
    process.kill()
    rest = process.stdout.read().splitlines()
    spent = max([spent, *(json.loads(line)["nanos"] for line in rest if line.endswith("}"))])
    process.stdout.close()
    process.wait()
    now, partition = time.time(), f"key|{key}"
    async with desk_at(azurite.connection_string, now=now) as desk:
        rows = LeaseRows(desk.tables)
        entries = BudgetRow.read((await rows.of(partition))[f"day-{today()}"]).held
        (entry,) = entries.values()
        assert entry.granted > entry.spent
        usage = {
            "PartitionKey": f"{key}|{today()}", "RowKey": f"gpt|data|p0-{key}", "instance": f"p0-{key}",
            "day": today(), "team": "data", "cost_nanos": spent,
        }  # fmt: skip
        await desk.tables.write([Row(f"tollgateusage{today()[:6]}", usage)])
        said = await sweep_leases(_desk(desk), datetime.fromtimestamp(now + 100, UTC))
        assert BudgetRow.read((await rows.of(partition))[f"day-{today()}"]).held == entries  # it may still live
        said = await sweep_leases(_desk(desk), datetime.fromtimestamp(now + 400, UTC))
        assert said.closed >= 1
        row = BudgetRow.read((await rows.of(partition))[f"day-{today()}"])
        assert (row.base, row.held) == (spent, {})
        again = await sweep_leases(_desk(desk), datetime.fromtimestamp(now + 400, UTC))
        assert BudgetRow.read((await rows.of(partition))[f"day-{today()}"]).base == spent
        assert again.closed == 0


@in_loop
async def test_a_team_is_swept_by_the_usage_of_all_its_keys(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop, desk_at(azurite.connection_string) as desk:
        name, instance = f"o'team {uuid.uuid4().hex[:6]}", uuid.uuid4().hex
        team = a_team(name, budgets=(hard("month", 1),))
        limiter = shop.limiter(instance)
        for key in (own(team=team), own(team=team)):
            await call(limiter, key, Need(1, 2 * CENT), Need(1, CENT))
            usage = {
                "PartitionKey": f"{key.key_id}|{today()}", "RowKey": f"gpt|x|{instance}", "instance": instance,
                "day": today(), "team": name, "cost_nanos": CENT,
            }  # fmt: skip
            await desk.tables.write([Row(f"tollgateusage{today()[:6]}", usage)])
        now = time.time()
        await sweep_leases(_desk(desk), datetime.fromtimestamp(now + 400, UTC))
        partition = f"team|{name.replace(' ', '%20').replace(chr(39), '%27')}"
        row = BudgetRow.read(await shop.row(partition, f"month-{today()[:6]}"))
        assert (row.base, row.held) == (2 * CENT, {})


@in_loop
async def test_rows_of_periods_long_past_are_dropped(azurite: Azurite) -> None:
    partition = f"key|{uuid.uuid4().hex}"
    keys = ("day-20260301", "day-20260302", "day-20260303", "day-20260304", "month-202512", "month-202601",
            "month-202602", "month-202603", "total", "rate", "parallel")  # fmt: skip
    async with desk_at(azurite.connection_string) as desk:
        await desk.tables.write([Row(LIMITS_TABLE, {"PartitionKey": partition, "RowKey": key}) for key in keys])
        said = await sweep_leases(_desk(desk), datetime(2026, 3, 4, 12, tzinfo=UTC))
        assert said.dropped >= 2
        assert set(await LeaseRows(desk.tables).of(partition)) == set(keys) - {"day-20260301", "month-202512"}
        await sweep_leases(_desk(desk), datetime(2099, 3, 4, tzinfo=UTC))
        assert set(await LeaseRows(desk.tables).of(partition)) == {"total"}


class Once:
    def __init__(self) -> None:
        self.records: list[UsageRecord] = []

    async def add_once(self, record: UsageRecord) -> None:
        self.records.append(record)


@in_loop
async def test_work_in_the_background_counts_in_budgets_when_it_has_ended(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop:
        keys, name, usage = TableKeys(shop.tables), uuid.uuid4().hex[:8], Once()
        team = a_team(f"team {name}", budgets=(hard("month", 2), soft("total", 5)))
        who = a_key(name, team, budgets=(hard("day", 1),))
        await keys.put_key(who)
        await keys.put_team(team)
        await call(shop.limiter(), who, Need(1, CENT))
        late, now = BudgetedOnce(usage, shop.tables), time.time()
        record = a_record(key_id=who.key_id, team=team.name, at=now, cost=Cost(99 * CENT, True, "x"))
        for _ in range(2):
            await late.add_once(record)
        assert usage.records == [record, record]
        with pytest.raises(ApiError, match=r"daily budget of key .*: \$(0.99|1.00) of \$1.00 are spent"):
            await call(shop.limiter(), who, Need(1, CENT))
        for key in (f"month-{today()[:6]}", "total"):
            row = BudgetRow.read(await shop.row(f"team|team%20{name}", key))
            assert 99 * CENT <= row.spent <= 100 * CENT
        await late.add_once(a_record(key_id="f" * 64, team="nobody", at=now, cost=Cost(1, True, "x")))
        await late.add_once(a_record(key_id=who.key_id, team="", at=now, cost=Cost(0, False, "")))


@in_loop
async def test_limits_are_shown(azurite: Azurite) -> None:
    now = time.time()
    async with shop_at(azurite.connection_string) as shop, desk_at(azurite.connection_string, now=now) as desk:
        keys, name = TableKeys(desk.tables), uuid.uuid4().hex[:8]
        team = a_team(f"team-{name}", rpm=100, budgets=(hard("total", 2),))
        who = a_key(name, team, tpm=1000, parallel=5, budgets=(hard("day", 1),), shadow=True)
        await keys.put_key(who)
        await keys.put_team(team)
        limiter = shop.limiter()
        grant = await limiter.reserve(who, Need(500, 50 * CENT))
        assert grant
        told = await show(LimitsAsked(key=name), ADMIN, _desk(desk))
        found = {(row.scope, row.limit): row for row in told.rows}
        assert list(found) == [("key", "tpm"), ("key", "parallel"), ("key", "budget day"), ("team", "rpm"),
                               ("team", "budget total")]  # fmt: skip
        if int(now // 60) == int(time.time() // 60):
            assert 500 <= int(found["key", "tpm"].taken) <= 1000
        assert int(found["key", "parallel"].taken) >= 1
        day = found["key", "budget day"]
        assert (day.allowed, day.spent, day.percent, day.hard, day.shadow) == ("1", "0", 0.0, True, True)
        assert 0.5 <= float(day.taken) <= 1
        assert day.until.endswith("T00:00:00Z")
        assert (found["team", "budget total"].until, found["team", "rpm"].shadow) == ("", False)
        limiter.settle(grant, Need(500, 50 * CENT))
        await limiter.close()
        told = await show(LimitsAsked(team=team.name), ADMIN, _desk(desk))
        assert [(row.scope, row.limit, row.spent, row.percent) for row in told.rows][1] == (
            "team", "budget total", "0.5", 25.0,
        )  # fmt: skip
        for asked in (
            LimitsAsked(team="nobody"),
            LimitsAsked(key="no-such"),
        ):
            with pytest.raises(ApiError) as caught:
                await show(asked, ADMIN, _desk(desk))
            assert caught.value.status in (400, 404)


def _desk(desk: Any) -> Desk:
    return desk


# What deployments may take.


@in_loop
async def test_instances_share_what_a_deployment_may_take(azurite: Azurite) -> None:
    async with shop_at(azurite.connection_string) as shop:
        limited, begun = deployment(name=uuid.uuid4().hex, rpm=100, tpm=10_000), time.monotonic()

        def now() -> float:  # a minute of its own, from its beginning
            return 1_795_435_200.0 + time.monotonic() - begun

        flights = [Flights(TableLeases(shop.tables, Random(n)), now, shop.log, Pace(tick=0.02)) for n in range(2)]
        one, other = (LeasedCapacity(each) for each in flights)
        for _ in range(90):
            one.take(limited, 10, now())

        async def written() -> bool:
            rows = await shop.row(scope_id("deployment", limited.id), "rate")
            return bool(rows) and rows["requests"] == 90

        await eventually(written)
        other.take(limited, 10, now())
        assert other.left(limited, now()) == pytest.approx(0.99)
        for _ in range(9):  # more than it may send unseen
            other.take(limited, 10, now())

        async def known() -> bool:
            return other.left(limited, now()) <= 0.05

        await eventually(known)
        for each in flights:
            await each.close([])
        row = await shop.row(scope_id("deployment", limited.id), "rate")
        assert (row["requests"], row["tokens"], row["lessees"]) == (100, 1000, 2)
