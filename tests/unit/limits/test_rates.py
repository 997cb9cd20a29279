"""Requests and tokens per minute over many simulated processes: never more than the limit, hardly ever less."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import ApiError
from shared.types import Need
from tests.support.fleet import START, Fleet
from tests.support.leases import a_key, a_team
from tests.support.virtual import virtually

MINUTE = int(START // 60)


@pytest.mark.parametrize(("limit", "seed"), [(60, 1), (600, 2), (600, 3), (6000, 4)])
def test_all_of_the_requests_and_not_one_more(limit: int, seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(8, seed)
        await fleet.hammer(a_key(rpm=limit), 119, lasts=0.05, again=3.0, callers=20 if limit < 6000 else 50)
        return fleet

    fleet = virtually(work())
    assert max(fleet.admitted.values()) <= limit
    assert min(fleet.admitted[MINUTE], fleet.admitted[MINUTE + 1]) >= 0.97 * limit


@pytest.mark.parametrize("seed", range(2))
def test_steady_callers_are_hardly_ever_refused_below_the_limit(seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(8, seed)
        await fleet.hammer(a_key(rpm=1000), 180, callers=20, think=12.0)  # 800 a minute
        return fleet

    fleet = virtually(work())
    assert sum(fleet.admitted.values()) > 2000
    assert not fleet.refused


@pytest.mark.parametrize("seed", range(2))
def test_what_is_leased_ahead_counts_for_its_own_minute(seed: int) -> None:
    """A little more is asked for than there is, so that callers are busy up to the end of each minute."""

    async def work() -> tuple[Fleet, int]:
        fleet, ahead = Fleet(8, seed), 0
        running = asyncio.ensure_future(fleet.hammer(a_key(rpm=1000), 239, callers=20, think=8.5, again=8.5))
        while not running.done():
            await asyncio.sleep(0.5)
            row = fleet.rows.rows.get(("key|id-of-ci", "rate"), (0, {"next_requests": 0}))[1]
            ahead = max(ahead, row["next_requests"])
        return fleet, ahead

    fleet, ahead = virtually(work())
    assert ahead > 20
    assert max(fleet.admitted.values()) <= 1000
    assert min(fleet.admitted[MINUTE + n] for n in range(1, 4)) >= 970


def test_a_surplus_belongs_to_its_own_minute() -> None:
    async def work() -> None:
        fleet, key = Fleet(1, start=START + 55), a_key(tpm=1000)
        over = asyncio.ensure_future(fleet.call(0, key, Need(1000), Need(1), seconds=10))
        await asyncio.sleep(6)
        await fleet.call(0, key, Need(600))
        await over
        with pytest.raises(ApiError):
            await fleet.call(0, key, Need(500))
        await fleet.call(0, key, Need(400))

    virtually(work())


def test_a_surplus_is_not_taken_into_the_minute_of_a_clock_that_is_ahead() -> None:
    async def work() -> None:
        fleet, key = Fleet(1, start=START + 30), a_key(tpm=1000)
        over = asyncio.ensure_future(fleet.call(0, key, Need(600), Need(1), seconds=4))
        await asyncio.sleep(3)
        version, row = fleet.rows.rows["key|id-of-ci", "rate"]
        fleet.rows.rows["key|id-of-ci", "rate"] = (version + 1, row | {"win": MINUTE + 1, "tokens": 0})
        await fleet.call(0, key, Need(600))
        await over
        await fleet.call(0, key, Need(400))
        with pytest.raises(ApiError):
            await fleet.call(0, key, Need(100))
        assert fleet.admitted == {MINUTE: 1, MINUTE + 1: 2}

    virtually(work())


@pytest.mark.parametrize("seed", range(3))
def test_clocks_that_differ_and_answers_that_are_lost_never_add_to_the_limit(seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(6, seed, skew=4.0, lost=0.1, closed=True)
        await fleet.hammer(
            a_key(rpm=300, tpm=30_000), 150, need=lambda r: Need(r.randint(1, 400)), again=2.0,
            spend=lambda r, need: Need(r.randint(0, need.tokens)),
        )  # fmt: skip
        return fleet

    fleet = virtually(work())
    assert max(fleet.admitted.values()) <= 300
    assert sum(fleet.admitted.values()) > 300


@pytest.mark.parametrize("seed", range(2))
def test_tokens_are_settled_and_the_rest_is_used(seed: int) -> None:
    """Reserved 2,000 each, spent a tenth of it: what is not spent finds its way to whoever needs it."""
    spent: dict[int, int] = {}

    async def work() -> None:
        fleet = Fleet(8, seed)
        await fleet.hammer(
            a_key(tpm=60_000), 119, callers=10, need=lambda _: Need(2000), spend=lambda *_: Need(200), again=3.0
        )
        spent.update({win: count * 200 for win, count in fleet.admitted.items()})

    virtually(work())
    assert max(spent.values()) <= 60_000
    assert min(spent[MINUTE], spent[MINUTE + 1]) >= 60_000 - 2000 - 200  # the last call could not be reserved


def test_small_calls_use_what_is_too_little_for_large_ones() -> None:
    async def work() -> Fleet:
        fleet = Fleet(4)
        await fleet.hammer(a_key(tpm=10_000), 59, need=lambda r: Need(r.choice([3000, 50])), again=2.0)
        return fleet

    fleet = virtually(work())
    assert fleet.tokens[MINUTE] == pytest.approx(10_000, rel=0.01)
    assert fleet.tokens[MINUTE] <= 10_000


def test_more_than_was_reserved_is_a_debt() -> None:
    async def work() -> list[int]:
        fleet, key = Fleet(1), a_key(tpm=1000)
        await fleet.call(0, key, Need(100), Need(1600))
        await fleet.hammer(key, 178, callers=1, need=lambda _: Need(100), again=1.0)
        return [fleet.tokens[MINUTE + n] for n in range(3)]

    assert virtually(work()) == [100, 400, 1000]


def test_a_call_larger_than_the_limit_is_never_admitted() -> None:
    async def work() -> ApiError:
        fleet = Fleet(1)
        with pytest.raises(ApiError) as caught:
            await fleet.call(0, a_key(tpm=1000), Need(1001))
        assert fleet.operations == 0
        return caught.value

    error = virtually(work())
    assert (error.status, error.type, error.code) == (429, "tokens", "rate_limit_exceeded")
    assert error.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.headers
    assert "limit 1000, requested 1001" in error.message


def test_a_closed_window_costs_no_storage() -> None:
    async def work() -> tuple[int, int]:
        fleet = Fleet(2)
        key = a_key(rpm=10)
        await fleet.hammer(key, 10, again=0.5)
        before = fleet.operations
        await fleet.hammer(key, 40, again=0.5)
        return before, fleet.operations

    before, after = virtually(work())
    assert before == after


def test_a_warm_key_costs_no_storage_before_its_answer() -> None:
    """At a steady pace every call is taken from what is there already, over the ends of windows, too."""

    async def work() -> int:
        fleet, key = Fleet(1, delay=0.2), a_key(rpm=6000, tpm=10**6, team=a_team(rpm=6000, parallel=50))
        waited = 0
        for n in range(1500):
            began = fleet.loop.time()
            grant = await fleet.limiters[0].reserve(key, Need(100))
            waited += n > 3 and fleet.loop.time() > began
            assert grant
            fleet.limiters[0].settle(grant, Need(50))
            await asyncio.sleep(0.1)
        return waited

    assert virtually(work()) == 0


def test_key_and_team_must_both_grant_and_a_refused_call_takes_nothing() -> None:
    async def work() -> None:
        fleet = Fleet(1)
        team = a_team(rpm=5)
        one, other = a_key("one", team, rpm=1000), a_key("other", team, rpm=1000)
        for n in range(5):
            await fleet.call(0, one if n % 2 else other, Need())
        for who in (one, other):
            with pytest.raises(ApiError) as caught:
                await fleet.call(0, who, Need())
            assert "team 'data' on requests per minute: limit 5, used 5" in caught.value.message
            assert caught.value.headers["x-ratelimit-remaining-requests"] == "0"
            assert caught.value.headers["x-ratelimit-limit-requests"] == "5"
        lease = fleet.limiters[0]._callers[one.key_id].rates[0]  # pyright: ignore[reportPrivateUsage]
        assert lease.remaining(fleet.now)[0] == 1000 - 2

    virtually(work())


def test_a_raised_limit_counts_at_once() -> None:
    async def work() -> None:
        fleet = Fleet(1)
        for _ in range(3):
            await fleet.call(0, a_key(rpm=3), Need())
        with pytest.raises(ApiError):
            await fleet.call(0, a_key(rpm=3), Need())
        await fleet.call(0, a_key(rpm=4), Need())
        with pytest.raises(ApiError):
            await fleet.call(0, a_key(rpm=4), Need())
        await fleet.call(0, a_key(), Need())

    virtually(work())


def test_a_row_from_a_clock_that_is_wrong_is_begun_anew() -> None:
    async def work() -> None:
        fleet = Fleet(1)
        far = {"win": MINUTE + 1000, "requests": 10**6, "tokens": 0, "lessees": 1}
        fleet.rows.rows["key|id-of-ci", "rate"] = (1, far)
        await fleet.call(0, a_key(rpm=3), Need())

    virtually(work())
