"""Calls at the same time over many simulated processes."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from shared.errors import ApiError
from shared.limits import Pace
from shared.types import Need
from tests.support.fleet import Fleet
from tests.support.leases import a_key, a_team
from tests.support.virtual import virtually


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("limit", [1, 10, 100])
def test_never_more_than_the_limit_and_hardly_less(limit: int, seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(8, seed)
        await fleet.hammer(a_key(parallel=limit), 60, lasts=0.3)
        return fleet

    fleet = virtually(work())
    assert fleet.most == limit
    assert fleet.busy_seconds / 60 >= 0.97 * limit


@pytest.mark.parametrize("seed", range(3))
def test_clocks_that_differ_and_answers_that_are_lost_free_no_slot_that_is_used(seed: int) -> None:
    async def work() -> Fleet:
        fleet = Fleet(6, seed, skew=2.0, lost=0.1, closed=True)
        await fleet.hammer(a_key(parallel=20), 200, lasts=40.0, callers=5, think=5.0)
        await fleet.close()
        return fleet

    fleet = virtually(work())
    assert fleet.most <= 20


def test_calls_that_last_longer_than_a_claim_are_covered_by_renewal() -> None:
    async def work() -> None:
        fleet, key = Fleet(2), a_key(parallel=1)
        long = asyncio.ensure_future(fleet.call(0, key, Need(), seconds=400))
        await asyncio.sleep(1)
        for _ in range(50):
            with pytest.raises(ApiError):
                await fleet.call(1, key, Need())
            await asyncio.sleep(7)
        assert not long.done()
        await long
        await asyncio.sleep(0.5)
        await fleet.call(1, key, Need())

    virtually(work())


def test_calls_one_after_the_other_are_not_refused_wherever_they_go() -> None:
    """A limit of one, and a caller whose next call reaches another process a moment after his last one has ended."""

    async def work() -> Fleet:
        fleet = Fleet(4)
        key = a_key(parallel=1, team=a_team(parallel=3))
        for n in range(200):
            await fleet.call(n % 4, key, Need(), seconds=fleet.rng.uniform(0, 0.5))
            await asyncio.sleep(fleet.rng.choice([0.001, 0.3, 3.0]))
        return fleet

    assert virtually(work()).most == 1


def test_unused_slots_are_given_back_and_none_is_lost() -> None:
    async def work() -> None:
        fleet, key = Fleet(3), a_key(parallel=30)
        await fleet.hammer(key, 5, lasts=0.2)
        assert 0 < sum(n for n, _ in _held(fleet).values()) <= 30
        await asyncio.sleep(12)
        assert _held(fleet) == {}
        await fleet.hammer(key, 5, lasts=0.2)
        await fleet.close()
        assert _held(fleet) == {}

    virtually(work())


def test_slots_of_a_process_that_vanished_are_free_after_a_minute() -> None:
    async def work() -> float:
        fleet, key = Fleet(2), a_key(parallel=2)
        await fleet.limiters[0].reserve(key, Need())
        await fleet.limiters[0].reserve(key, Need())
        fleet.stores[0].dead = True
        while True:
            try:
                await fleet.call(1, key, Need())
            except ApiError:
                await asyncio.sleep(1)
            else:
                return fleet.loop.time()

    assert 55 < virtually(work()) < 65


def test_a_caller_that_leaves_while_it_waits_holds_nothing_and_breaks_no_other() -> None:
    async def work() -> None:
        fleet = Fleet(1, delay=1.0)
        key = a_key(rpm=100, parallel=2)
        waiting = [asyncio.ensure_future(fleet.limiters[0].reserve(key, Need())) for _ in range(4)]
        await asyncio.sleep(0.2)
        waiting[0].cancel()
        waiting[2].cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(d, asyncio.CancelledError) for d in done] == [True, False, True, False]
        for grant in (done[1], done[3]):
            assert grant is not None
            assert not isinstance(grant, BaseException)
            fleet.limiters[0].settle(grant, Need())
        for lease in fleet.limiters[0]._scopes.all():  # pyright: ignore[reportPrivateUsage]
            assert (lease.waiting, getattr(lease, "used", 0)) == ([], 0)

    virtually(work())


def test_a_full_limit_says_so() -> None:
    async def work() -> ApiError:
        fleet, key = Fleet(1), a_key(parallel=1, team=a_team(contact="#ml-help", rpm=60))
        await fleet.limiters[0].reserve(key, Need())
        with pytest.raises(ApiError) as caught:
            await fleet.limiters[0].reserve(key, Need())
        return caught.value

    error = virtually(work())
    assert (error.status, error.type, error.code) == (429, "parallel", "rate_limit_exceeded")
    assert error.headers["retry-after"] == "1"
    assert error.headers["x-ratelimit-remaining-requests"] == "59"
    assert error.message == (
        "Limit reached for key 'ci' on calls at the same time: limit 1. Retry when one of them has ended. Ask "
        "#ml-help if you need more."
    )


def test_limit_of_none() -> None:
    async def work() -> None:
        fleet = Fleet(1)
        with pytest.raises(ApiError, match="limit 0"):
            await fleet.call(0, a_key(parallel=0), Need())

    virtually(work())


def _held(fleet: Fleet) -> dict[str, list[float]]:
    return orjson.loads(fleet.row("key|id-of-ci", "parallel")["held"])


def test_pace_of_claims_is_a_setting() -> None:
    async def work() -> None:
        fleet = Fleet(1, pace=Pace(slots=6.0, tick=0.5))
        await fleet.call(0, a_key(parallel=1), Need(), seconds=20)
        assert 4 < fleet.operations < 20

    virtually(work())
