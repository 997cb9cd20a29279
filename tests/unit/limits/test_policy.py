"""The store is down or slow, shadow mode, headers, messages, and what a limiter does when nothing is limited."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shared.errors import ApiError
from shared.limits.account import BudgetRow
from shared.limits.refusals import usd
from shared.principals import Principal
from shared.types import Need
from tests.support.fleet import START, Fleet
from tests.support.leases import a_key, a_team, hard, soft
from tests.support.virtual import virtually

CENT = 10_000_000
TODAY = "day-20261123"


def shadowed(who: Principal) -> Principal:
    return replace(who, allowance=replace(who.allowance, shadow=True))


def test_nobody_is_limited() -> None:
    async def work() -> None:
        fleet = Fleet(1)
        assert await fleet.call(0, a_key(team=a_team()), Need(5, 5)) is None
        assert fleet.operations == 0

    virtually(work())


def test_down_and_open_each_process_admits_the_limit_of_a_window() -> None:
    async def work() -> Fleet:
        fleet = Fleet(2)
        fleet.rows.down = True
        await fleet.hammer(a_key(rpm=50, tpm=10**6), 115, need=lambda _: Need(10), callers=5)
        return fleet

    fleet = virtually(work())
    assert set(fleet.admitted.values()) == {100}
    assert fleet.refused.keys() == {"requests"}
    assert 1 <= len(fleet.log.warnings) <= 2 * (1 + 118 // 30)
    assert "calls are admitted unchecked" in fleet.log.warnings[0][0]


def test_down_and_closed_nothing_is_admitted() -> None:
    async def work() -> ApiError:
        fleet = Fleet(1, closed=True)
        fleet.rows.down = True
        with pytest.raises(ApiError) as caught:
            await fleet.call(0, a_key(parallel=5), Need())
        return caught.value

    error = virtually(work())
    assert (error.status, error.code, error.headers["retry-after"]) == (503, "limits_unavailable", "5")


@pytest.mark.parametrize("closed", [False, True])
def test_a_lease_outlives_an_outage(closed: bool) -> None:
    """What was leased before is good; what is spent meanwhile is written down when the store is back."""

    async def work() -> Fleet:
        fleet = Fleet(1, closed=closed)
        key = a_key(rpm=600, budgets=(hard("day", 10),))
        await fleet.hammer(key, 5, callers=1, need=lambda _: Need(1, CENT))
        fleet.rows.down = True
        for _ in range(3):
            await fleet.call(0, key, Need(1, CENT))
        await asyncio.sleep(30)
        fleet.rows.down = False
        await asyncio.sleep(10)
        return fleet

    fleet = virtually(work())
    assert BudgetRow.read(fleet.row("key|id-of-ci", TODAY)).spent == fleet.settled > 0


def test_money_spent_unseen_is_reported_when_the_store_is_back() -> None:
    async def work() -> None:
        fleet, key = Fleet(2), a_key(parallel=3, budgets=(hard("day", 1),))
        fleet.rows.down = True
        for _ in range(3):
            await fleet.call(0, key, Need(1, 50 * CENT))
        fleet.rows.down = False
        await asyncio.sleep(10)
        assert BudgetRow.read(fleet.row("key|id-of-ci", TODAY)).spent == 150 * CENT
        with pytest.raises(ApiError, match=r"\$1.50 of \$1.00 are spent"):
            await fleet.call(1, key, Need(1, CENT))
        assert fleet.log.warnings[-1][0] == "limits are checked again"

    virtually(work())


def test_a_known_refusal_stands_while_the_store_is_down() -> None:
    async def work() -> None:
        fleet, key = Fleet(1), a_key(budgets=(hard("day", 1),))
        await fleet.call(0, key, Need(1, 100 * CENT))
        with pytest.raises(ApiError):
            await fleet.call(0, key, Need(1, CENT))
        fleet.rows.down = True
        await asyncio.sleep(10)
        for _ in range(20):
            with pytest.raises(ApiError, match="daily budget") if _ else _either():
                await fleet.call(0, key, Need(1, CENT))
            await asyncio.sleep(1)

    virtually(work())


def _either() -> pytest.RaisesExc[ApiError]:
    return pytest.raises(ApiError)


def test_slots_are_bounded_by_each_process_while_the_store_is_down() -> None:
    async def work() -> Fleet:
        fleet = Fleet(2)
        fleet.rows.down = True
        await fleet.hammer(a_key(parallel=3), 60, callers=10, lasts=2.0)
        return fleet

    assert virtually(work()).most == 6


def test_one_answer_that_is_lost_opens_nothing() -> None:
    async def work() -> Fleet:
        fleet = Fleet(4, lost=0.05)
        await fleet.hammer(a_key(rpm=200), 100, again=2.0)
        return fleet

    assert max(virtually(work()).admitted.values()) <= 200


def test_a_slow_store_is_waited_for_but_not_for_long() -> None:
    async def work() -> None:
        fleet = Fleet(1, delay=60.0, closed=True)
        began = fleet.loop.time()
        with pytest.raises(ApiError):
            await fleet.call(0, a_key(rpm=5), Need())
        assert fleet.loop.time() - began == pytest.approx(2.0)
        with pytest.raises(ApiError):
            await fleet.call(0, a_key(rpm=5), Need())
        assert fleet.loop.time() - began == pytest.approx(2.0)  # the second does not wait at all

    virtually(work())


def test_shadow_mode_refuses_nothing_and_says_what_would_have() -> None:
    async def work() -> Fleet:
        fleet = Fleet(1)
        key = shadowed(a_key(rpm=2, tpm=100, parallel=1, budgets=(hard("day", 0.05),)))
        said: list[str] = []
        for _ in range(4):
            grant = await fleet.call(0, key, Need(10, 2 * CENT))
            assert grant
            assert grant.headers() == []
            said.append(grant.shadow)
        assert said == ["", "", "key rpm", "key rpm"]
        await asyncio.sleep(60)
        grant = await fleet.call(0, key, Need(101, CENT))
        assert grant
        assert grant.shadow == "key tpm"
        long = asyncio.ensure_future(fleet.call(0, key, Need(1, 0), seconds=5))
        await asyncio.sleep(0.5)
        grant = await fleet.call(0, key, Need(1, 0))
        assert grant
        assert grant.shadow == "key parallel"
        await long
        await asyncio.sleep(60)
        grant = await fleet.call(0, key, Need(1, CENT))
        assert grant
        assert grant.shadow == "key budget per day"
        await asyncio.sleep(15)
        return fleet

    fleet = virtually(work())
    assert BudgetRow.read(fleet.row("key|id-of-ci", TODAY)).spent == fleet.settled == 10 * CENT


def test_a_team_in_shadow_mode_does_not_loosen_its_keys() -> None:
    async def work() -> None:
        fleet = Fleet(1)
        key = a_key(team=a_team(rpm=1, shadow=True), rpm=2)
        assert [(g.shadow if (g := await fleet.call(0, key, Need())) else None) for _ in range(2)] == ["", "team rpm"]
        with pytest.raises(ApiError, match="key 'ci' on requests per minute: limit 2"):
            await fleet.call(0, key, Need())

    virtually(work())


def test_shadow_mode_serves_whatever_becomes_of_the_store() -> None:
    async def work() -> None:
        fleet = Fleet(1, closed=True)
        fleet.rows.down = True
        grant = await fleet.call(0, shadowed(a_key(rpm=1, parallel=1, budgets=(hard("day", 1),))), Need(1, 200 * CENT))
        assert grant
        assert grant.shadow == "key budget per day"
        grant = await fleet.call(0, shadowed(a_key("b", rpm=1, parallel=1)), Need(1, 1))
        assert grant
        assert grant.shadow == ""

    virtually(work())


def test_headers_are_of_the_tighter_limit() -> None:
    async def work() -> dict[str, str]:
        fleet = Fleet(1)
        key = a_key(rpm=100, tpm=10_000, team=a_team(rpm=500, tpm=2_000))
        await fleet.call(0, key, Need(500))
        grant = await fleet.call(0, key, Need(500), Need(100))
        assert grant
        return {name.decode(): value.decode() for name, value in grant.headers()}

    assert virtually(work()) == {
        "x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "98", "x-ratelimit-reset-requests": "60s",
        "x-ratelimit-limit-tokens": "2000", "x-ratelimit-remaining-tokens": "1400", "x-ratelimit-reset-tokens": "60s",
    }  # fmt: skip


def test_headers_of_one_limit_only() -> None:
    async def work() -> list[bytes]:
        grant = await Fleet(1).call(0, a_key(tpm=10, budgets=(soft("day", 1),)), Need(1))
        assert grant
        return [name for name, _ in grant.headers()]

    assert virtually(work()) == [
        b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens",
    ]  # fmt: skip


def test_rate_messages() -> None:
    async def work() -> list[ApiError]:
        fleet = Fleet(1, start=START + 20)
        found: list[ApiError] = []
        for who, need in (
            (a_key("ci", rpm=1), Need()),
            (a_key("qa", team=a_team("ops & co", "ops@example.org", tpm=100)), Need(60)),
        ):
            await fleet.call(0, who, need)
            with pytest.raises(ApiError) as caught:
                await fleet.call(0, who, need)
            found.append(caught.value)
        return found

    requests, tokens = virtually(work())
    assert (requests.status, requests.type, requests.code) == (429, "requests", "rate_limit_exceeded")
    assert requests.message == (
        "Rate limit reached for key 'ci' on requests per minute: limit 1, used 1. Try again in 40 s, at 14:46:00 UTC. "
        "Ask your platform team if you need more."
    )
    assert requests.headers["retry-after"] == "40"
    assert (tokens.status, tokens.type, tokens.code) == (429, "tokens", "rate_limit_exceeded")
    assert "team 'ops & co' on tokens per minute: limit 100, used 60, requested 60." in tokens.message
    assert "Ask ops@example.org" in tokens.message


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "$0.00"), (10**9, "$1.00"), (12_500_000_000, "$12.50"), (1, "$0.000000001"), (1_230_000, "$0.00123"),
     (10**18, "$1000000000.00")],
)  # fmt: skip
def test_dollars(nanos: int, text: str) -> None:
    assert usd(nanos) == text
