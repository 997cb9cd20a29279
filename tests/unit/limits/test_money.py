"""Budgets over many simulated processes: never over a hard one, and not a nano-dollar lost or counted twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import pytest

from shared.errors import ApiError
from shared.limits.account import BudgetRow, Entry, instance_of, spent_of_dead
from shared.types import Need
from tests.support.fleet import START, Fleet
from tests.support.leases import a_key, a_team, hard, soft
from tests.support.virtual import virtually

CENT = 10_000_000
DAY = 86400.0
TODAY = "day-20261123"


def a_cent(_: Random) -> Need:
    return Need(1, CENT)


def less(rng: Random, need: Need) -> Need:
    return Need(1, rng.randint(0, need.nanos))


def account(fleet: Fleet, partition: str = "key|id-of-ci", key: str = TODAY) -> BudgetRow:
    return BudgetRow.read(fleet.row(partition, key))


@pytest.mark.parametrize("seed", range(2))
def test_never_over_a_hard_budget_and_hardly_under(seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(8, seed)
        await fleet.hammer(a_key(budgets=(hard("day", 10),)), 60, need=a_cent, spend=less, lasts=0.3)
        await fleet.close()
        return fleet

    fleet = virtually(work())
    assert 9.7e9 < fleet.settled <= 10e9
    row = account(fleet)
    assert (row.spent, row.taken) == (fleet.settled, fleet.settled)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_granted_never_exceeds_the_budget_whatever_is_lost(seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(6, seed, skew=2.0, lost=0.15, closed=True)
        watch = asyncio.ensure_future(_watch(fleet, 3 * 10**9))
        await fleet.hammer(a_key(budgets=(hard("day", 3),)), 60, need=a_cent, spend=less, callers=5, think=0.5)
        watch.cancel()
        for store in fleet.stores:
            store.lost = 0.0
        await asyncio.sleep(30)
        await fleet.close()
        return fleet

    fleet = virtually(work())
    assert account(fleet).spent == fleet.settled > 2.5e9


async def _watch(fleet: Fleet, limit: int) -> None:
    while True:
        if ("key|id-of-ci", TODAY) in fleet.rows.rows:
            assert account(fleet).taken <= limit
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(2))
def test_key_and_team_day_month_and_total_all_agree(seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(4, seed)
        all_three = (hard("day", 100), soft("month", 100), hard("total", 500))
        team = a_team(budgets=all_three)
        keys = [a_key(f"k{n}", team, budgets=all_three) for n in range(3)]
        await asyncio.gather(*(
            fleet.hammer(key, 40, need=a_cent, spend=less, callers=2, think=0.5) for key in keys
        ))  # fmt: skip
        await fleet.close()
        return fleet

    fleet = virtually(work())
    for key in (TODAY, "month-202611", "total"):
        assert account(fleet, "team|data", key).spent == fleet.settled
        assert sum(account(fleet, f"key|id-of-k{n}", key).spent for n in range(3)) == fleet.settled


def test_cost_counts_where_the_call_began() -> None:
    async def work() -> Fleet:
        fleet = Fleet(1, start=START - START % DAY + DAY - 5)
        key = a_key(budgets=(hard("day", 1), hard("month", 1)))
        over_night = asyncio.ensure_future(fleet.call(0, key, Need(1, CENT), seconds=60))
        await asyncio.sleep(30)
        await fleet.call(0, key, Need(1, 2 * CENT))
        await over_night
        await asyncio.sleep(30)
        return fleet

    fleet = virtually(work())
    days = sorted(key for _, key in fleet.rows.rows)
    assert len(days) == 3
    assert [account(fleet, key=key).spent for key in days] == [CENT, 2 * CENT, 3 * CENT]
    month = account(fleet, key=days[2])
    assert (month.base, [e.spent for e in month.held.values()]) == (CENT, [2 * CENT])  # yesterday is closed


def test_a_budget_is_new_in_its_next_period() -> None:
    async def work() -> None:
        fleet, key = Fleet(2), a_key(budgets=(hard("day", 0.02),))
        for n in range(2):
            await fleet.call(n, key, Need(1, CENT))
        with pytest.raises(ApiError):
            await fleet.call(0, key, Need(1, CENT))
        await asyncio.sleep(DAY)
        await fleet.call(0, key, Need(1, CENT))

    virtually(work())


def test_idle_money_goes_back_and_is_used_elsewhere() -> None:
    async def work() -> None:
        fleet, key = Fleet(2), a_key(budgets=(hard("day", 1),))
        await fleet.call(0, key, Need(1, 90 * CENT), Need(1, CENT))
        with pytest.raises(ApiError):
            await fleet.call(1, key, Need(1, 50 * CENT))
        await asyncio.sleep(8)
        await fleet.call(1, key, Need(1, 50 * CENT))

    virtually(work())


def test_dearer_than_reserved_is_counted_and_stops_the_next() -> None:
    async def work() -> Fleet:
        fleet, key = Fleet(2), a_key(budgets=(hard("day", 1),))
        await fleet.call(0, key, Need(1, CENT), Need(1, 150 * CENT))
        for n in range(2):
            with pytest.raises(ApiError):
                await fleet.call(n, key, Need(1, CENT))
        await fleet.close()
        return fleet

    fleet = virtually(work())
    assert account(fleet).spent == 150 * CENT
    assert [(t.percent, t.spent_nanos) for t in fleet.told] == [(100, 150 * CENT)]


def test_what_has_no_price_needs_that_something_is_left() -> None:
    async def work() -> None:
        fleet, key = Fleet(1), a_key(budgets=(hard("day", 0.01),))
        await fleet.call(0, key, Need(), Need(0, CENT))
        with pytest.raises(ApiError) as caught:
            await fleet.call(0, key, Need())
        assert "$0.01 of $0.01 are spent. It is renewed on 2026-11-24" in caught.value.message

    virtually(work())


def test_thresholds_are_told_once() -> None:
    async def work() -> Fleet:
        fleet = Fleet(5)
        key = a_key(
            budgets=(hard("day", 10), soft("day", 5), soft("month", 2)), team=a_team(budgets=(hard("total", 11),))
        )
        await fleet.hammer(key, 40, need=a_cent, spend=lambda *_: Need(1, CENT // 2), lasts=0.3)
        await asyncio.sleep(15)
        return fleet

    fleet = virtually(work())
    told = sorted((t.scope, t.period, t.limit_nanos // 10**9, t.percent, t.hard) for t in fleet.told)
    assert len(told) == len(set(told))
    assert {t for t in told if t[3] == 100} == {
        ("key", TODAY, 10, 100, True), ("key", TODAY, 5, 100, False), ("key", "month-202611", 2, 100, False),
    }  # fmt: skip
    assert ("team", "total", 11, 80, True) in told
    assert all(t.spent_nanos >= t.limit_nanos * (0.95 if t.percent == 100 else 0.8) for t in fleet.told)
    assert {t.id for t in fleet.told} == {"id-of-ci", "data"}


def test_soft_budgets_refuse_nothing() -> None:
    async def work() -> Fleet:
        fleet, key = Fleet(2), a_key(budgets=(soft("day", 0.05),))
        for n in range(20):
            grant = await fleet.call(n % 2, key, Need(1, CENT))
            assert grant
            assert grant.shadow == ""
        await asyncio.sleep(12)
        return fleet

    fleet = virtually(work())
    assert account(fleet).spent == 20 * CENT
    assert [t.percent for t in fleet.told] in ([100], [80, 100])


def test_messages_say_what_until_when_and_whom_to_ask() -> None:
    async def work() -> list[ApiError]:
        fleet = Fleet(1, contact="platform@example.org")
        found: list[ApiError] = []
        for budget, need in (
            (hard("day", 1), 60),
            (hard("month", 1), 60),
            (hard("total", 1), 60),
            (hard("day", 1), 101),
        ):
            key = a_key(f"{budget.period}{need}", budgets=(budget,))
            if need == 60:
                await fleet.call(0, key, Need(1, need * CENT))
            with pytest.raises(ApiError) as caught:
                await fleet.call(0, key, Need(1, need * CENT))
            found.append(caught.value)
        return found

    day, month, total, large = virtually(work())
    assert {(e.status, e.type, e.code, e.headers["x-should-retry"]) for e in (day, month, total, large)} == {
        (429, "insufficient_quota", "insufficient_quota", "false")
    }
    assert day.message == (
        "You have reached the daily budget of key 'day60': $0.60 of $1.00 are spent, and this call may cost up to "
        "$0.60. It is renewed on 2026-11-24 at 00:00 UTC. Ask platform@example.org if you need more."
    )
    assert day.headers["retry-after"] == str(int(DAY - START % DAY))
    assert "It is renewed on 2026-12-01 at 00:00 UTC." in month.message
    assert "renewed" not in total.message
    assert "retry-after" not in total.headers
    assert "may cost up to $1.01, which is more than the whole daily budget of key 'day101': $1.00" in large.message
    assert "retry-after" not in large.headers


def test_money_that_calls_under_way_hold_is_worth_waiting_for() -> None:
    async def work() -> tuple[ApiError, bool]:
        fleet, key = Fleet(1), a_key(budgets=(hard("total", 1),))
        grant = await fleet.limiters[0].reserve(key, Need(1, 60 * CENT))
        with pytest.raises(ApiError) as caught:
            await fleet.call(0, key, Need(1, 60 * CENT))
        assert grant
        fleet.limiters[0].settle(grant, Need(1, CENT))
        return caught.value, bool(await fleet.call(0, key, Need(1, 60 * CENT)))

    error, admitted = virtually(work())
    assert admitted
    assert error.headers.get("x-should-retry") is None
    assert (error.code, error.headers["retry-after"]) == ("insufficient_quota", "1")
    assert "$0.00 of $1.00 are spent" in error.message
    assert "reserved for calls under way" in error.message


@pytest.mark.parametrize("back", [False, True])
def test_a_process_taken_for_dead_that_comes_back_is_counted_once(back: bool) -> None:
    """The sweep closes its entry by what the usage totals say; the process itself knows better, and says so."""

    async def work() -> Fleet:
        fleet, key = Fleet(2), a_key(budgets=(hard("day", 1),))
        await fleet.call(0, key, Need(1, 5 * CENT))
        grant = await fleet.limiters[0].reserve(key, Need(1, CENT))
        fleet.stores[0].dead = True
        assert grant
        fleet.limiters[0].settle(grant, Need(1, CENT))
        fleet.settled += CENT
        await asyncio.sleep(400)
        row = account(fleet)
        (name,) = (name for name in row.held if instance_of(name) == ("i0", "20261123"))
        entry = row.held[name]
        assert entry.granted > entry.spent
        row.close(name, spent_of_dead(entry, 6 * CENT), fleet.now)
        version, _ = fleet.rows.rows["key|id-of-ci", TODAY]
        fleet.rows.rows["key|id-of-ci", TODAY] = (version + 1, row.values())
        if back:
            fleet.stores[0].dead = False
            await asyncio.sleep(20)
            await fleet.call(0, key, Need(1, CENT))
        await fleet.call(1, key, Need(1, CENT))
        await fleet.close()
        return fleet

    fleet = virtually(work())
    assert account(fleet).spent == fleet.settled == (8 if back else 7) * CENT


@pytest.mark.parametrize("seed", range(6))
def test_processes_that_come_and_go_while_answers_are_lost_count_everything_once(seed: int) -> None:
    """Each is cut off for ten minutes, swept meanwhile by what it has really spent, and comes back."""

    async def work() -> Fleet:
        fleet, key = Fleet(3, seed, lost=0.3), a_key(budgets=(soft("day", 100), hard("day", 1000)))
        rng = Random(seed)
        for _ in range(3):
            away = rng.randrange(3)
            for _ in range(30):
                with suppress(ApiError):
                    await fleet.call(rng.randrange(3), key, Need(1, 10 * CENT), Need(1, rng.randint(0, 10 * CENT)))
                await asyncio.sleep(rng.expovariate(1))
            fleet.stores[away].dead = True
            with suppress(ApiError):
                await fleet.call(away, key, Need(1, 5 * CENT))
            await asyncio.sleep(600)
            version, values = fleet.rows.rows["key|id-of-ci", TODAY]
            row = BudgetRow.read(values)
            for name, entry in list(row.held.items()):
                if entry.granted > entry.spent and fleet.now - entry.seen > 300:
                    n = int(instance_of(name)[0].removeprefix("i"))
                    row.close(name, spent_of_dead(entry, fleet.by_process[n]), fleet.now)
            fleet.rows.rows["key|id-of-ci", TODAY] = (version + 1, row.values())
            fleet.stores[away].dead = False
        for store in fleet.stores:
            store.lost = 0.0
        await asyncio.sleep(60)
        for n in range(3):
            await fleet.call(n, key, Need(1, CENT))
        await asyncio.sleep(30)
        return fleet

    fleet = virtually(work())
    assert account(fleet).spent == fleet.settled > 0


@pytest.mark.parametrize(
    ("entry", "totals", "spent"),
    [
        (Entry(100, 40, 0.0), 70, 70),
        (Entry(100, 40, 0.0), 0, 40),  # its totals are gone: what it has reported
        (Entry(100, 40, 0.0), 500, 100),  # it has spent before there was a budget
        (Entry(100, 40, 0.0, 25), 70, 45),  # some of it is in `base` already
        (Entry(30, 40, 0.0), 39, 40),  # it was dearer than reserved
    ],
)
def test_what_the_dead_have_spent(entry: Entry, totals: int, spent: int) -> None:
    assert spent_of_dead(entry, totals) == spent


def test_entries_of_the_idle_are_closed_and_rows_stay_small() -> None:
    row = BudgetRow(
        held={f"i{n}|20261123": Entry(n, n, START) for n in range(300)} | {"x|20261123": Entry(9, 3, START)}
    )
    row.tidy(START + 301)
    assert (row.base, set(row.held), len(row.gone)) == (sum(range(300)), {"x|20261123"}, 50)
    assert BudgetRow.read(row.values()) == row
    row.tidy(START + 2 * DAY)
    assert (row.gone, set(row.held)) == ({}, {"x|20261123"})


def test_a_row_stays_small_however_many_works_are_charged() -> None:
    """A key whose use is batches alone never leases anything: nobody else tidies its row."""
    row = BudgetRow(gone={"i1|20261123": (5, START)})
    for n in range(1000):
        assert row.charge(f"batch_{n:032x}", 10**12, START + n)
        assert not row.charge(f"batch_{n:032x}", 10**12, START + n + 0.5), "found again, it counts once"
    assert row.base == 1000 * 10**12
    assert "i1|20261123" in row.gone, "what was closed is known as long as before"
    assert len(row.values()["gone"]) < 32_000
    row.charge("batch_late", 1, START + 2 * DAY)
    assert set(row.gone) == {"batch_late"}


def test_a_budget_that_is_taken_away_and_given_again_loses_nothing() -> None:
    async def work() -> Fleet:
        fleet = Fleet(1)
        limited, free = a_key(parallel=2, budgets=(hard("day", 1),)), a_key(rpm=100)
        await fleet.call(0, limited, Need(1, CENT))
        over = asyncio.ensure_future(fleet.call(0, limited, Need(1, 2 * CENT), seconds=20))
        await asyncio.sleep(1)
        await fleet.call(0, free, Need(1, 0))
        await fleet.call(0, limited, Need(1, 3 * CENT))
        await over
        await fleet.call(0, limited, Need(1, 4 * CENT))
        await asyncio.sleep(15)
        return fleet

    fleet = virtually(work())
    assert account(fleet).spent == fleet.settled == 10 * CENT


def test_keys_that_were_forgotten_come_back() -> None:
    async def work() -> Fleet:
        fleet = Fleet(1)
        team = a_team(budgets=(hard("total", 1),))
        one, other = a_key("one", team), a_key("other", team)
        await fleet.call(0, one, Need(1, CENT))
        for n in range(8):
            await asyncio.sleep(1000)
            await fleet.call(0, a_key(f"k{n}", budgets=(hard("day", 1),)), Need(1, 0))
            await asyncio.sleep(10)
        assert not [lease for lease in fleet.limiters[0]._scopes.all() if lease.scope.kind == "team"]  # pyright: ignore[reportPrivateUsage]
        for who in (one, other, one):
            await fleet.call(0, who, Need(1, CENT))
        held = fleet.limiters[0]._callers  # pyright: ignore[reportPrivateUsage]
        assert held[one.key_id].leases[0] is held[other.key_id].leases[0]
        await asyncio.sleep(20)
        return fleet

    fleet = virtually(work())
    assert account(fleet, "team|data", "total").spent == 4 * CENT
