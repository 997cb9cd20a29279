"""What deployments may take, over many simulated processes: known soon everywhere, hardly ever exceeded, never waited
for."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from shared.catalog import Deployment
from shared.limits import FreeCapacity, LeasedCapacity, Pace
from shared.limits.flights import Flights
from shared.limits.rate_row import RateRow
from tests.support.doubles import Lines
from tests.support.fleet import START
from tests.support.leases import MemoryLeases, MemoryRowsByEtag
from tests.support.virtual import virtually
from tests.unit.given import deployment as given

MINUTE = int(START // 60)
NEAR = 0.05
"""With so little left a router passes a deployment over."""


class Gateways:
    """Processes that send calls to deployments, as a router would, and what each deployment got in each minute."""

    def __init__(
        self, count: int, seed: int = 1, *, start: float = START, delay: float = 0.02, lost: float = 0
    ) -> None:
        self.rng, self.rows, self.log = Random(seed), MemoryRowsByEtag(), Lines()
        self.loop, self.start = asyncio.get_running_loop(), start
        self.stores = [MemoryLeases(self.rows, self.rng, delay, lost) for _ in range(count)]
        self.flights = [Flights(store, lambda: self.now, self.log, Pace()) for store in self.stores]
        self.capacities = [LeasedCapacity(flights, self.rng) for flights in self.flights]
        self.sent: Counter[tuple[str, int]] = Counter()
        self.tokens: Counter[tuple[str, int]] = Counter()

    @property
    def now(self) -> float:
        return self.start + self.loop.time()

    @property
    def operations(self) -> int:
        return sum(store.operations for store in self.stores)

    def row(self, deployment: Deployment) -> RateRow:
        partition = f"deployment|{deployment.id.replace('/', '%2F')}"
        return RateRow.read(self.rows.rows.get((partition, "rate"), (0, None))[1])

    def left(self, n: int, deployment: Deployment) -> float:
        return self.capacities[n].left(deployment, self.now)

    async def send(
        self, n: int, deployment: Deployment, tokens: int = 0, spent: int | None = None, lasts: float = 0.0
    ) -> None:
        at, place = self.now, (deployment.id, int(self.now // 60))
        self.capacities[n].take(deployment, tokens, at)
        self.sent[place] += 1
        self.tokens[place] += tokens if spent is None else spent
        await asyncio.sleep(lasts)
        self.capacities[n].settle(deployment, at, tokens, tokens if spent is None else spent)

    async def stream(self, rate: float, seconds: float, choices: list[Deployment], **call: Any) -> None:
        """So many calls a second at each process, to the first deployment that is not near its limit, else the last."""
        end = self.loop.time() + seconds

        async def one(n: int) -> None:
            calls: list[asyncio.Task[None]] = []
            while self.loop.time() < end:
                await asyncio.sleep(self.rng.expovariate(rate))
                there = next((d for d in choices if self.left(n, d) > NEAR), choices[-1])
                calls.append(asyncio.create_task(self.send(n, there, **call)))
            await asyncio.gather(*calls)

        await asyncio.gather(*(one(n) for n in range(len(self.capacities))))

    async def close(self) -> None:
        for flights in self.flights:
            await flights.close([])


@pytest.mark.parametrize(("count", "rpm"), [(1, 600), (8, 600), (8, 6000)])
def test_calls_spill_over_before_the_requests_are_used_up(count: int, rpm: int) -> None:
    first, second = given(name="first", rpm=rpm), given(name="second")

    async def work() -> Gateways:
        gateways = Gateways(count)
        await gateways.stream(2 * rpm / 60 / count, 118, [first, second])
        return gateways

    gateways = virtually(work())
    for minute in (MINUTE, MINUTE + 1):
        assert 0.9 * rpm <= gateways.sent[first.id, minute] <= rpm


@pytest.mark.parametrize("seed", range(2))
def test_tokens_are_counted_as_they_were_spent(seed: int) -> None:
    """1,000 reserved and 300 spent each: what is not spent finds its way to those who pass the deployment over."""
    first, second = given(name="first", tpm=300_000, rpm=10_000), given(name="second")

    async def work() -> Gateways:
        gateways = Gateways(6, seed)
        await gateways.stream(5, 118, [first, second], tokens=1000, spent=300, lasts=2.0)
        return gateways

    gateways = virtually(work())
    for minute in (MINUTE, MINUTE + 1):
        assert 0.9 * 300_000 <= gateways.tokens[first.id, minute] <= 300_000


def test_what_was_sent_is_in_the_row_soon() -> None:
    """Soon for much of what is left; within 20 s for little of it, and when the process ends."""
    deployment = given(rpm=600, tpm=60_000)

    async def work() -> None:
        gateways = Gateways(1)
        for _ in range(20):
            await gateways.send(0, deployment, 100)
        await asyncio.sleep(1)
        assert gateways.row(deployment).now.requests >= 15
        await asyncio.sleep(21)
        assert (gateways.row(deployment).now.requests, gateways.row(deployment).now.tokens) == (20, 2000)
        await gateways.send(0, deployment, 50_000)
        await asyncio.sleep(1)
        assert gateways.row(deployment).now.tokens == 52_000
        await gateways.send(0, deployment, 3)
        await gateways.close()
        assert (gateways.row(deployment).now.requests, gateways.row(deployment).now.tokens) == (22, 52_003)

    virtually(work())


def test_another_process_knows_with_its_first_call() -> None:
    deployment = given(rpm=100)

    async def work() -> None:
        gateways = Gateways(2)
        for _ in range(98):
            await gateways.send(0, deployment, lasts=0.05)
        assert gateways.left(0, deployment) <= NEAR
        assert gateways.left(1, deployment) == 1.0
        await gateways.send(1, deployment)
        await asyncio.sleep(2)
        assert gateways.left(1, deployment) <= NEAR

    virtually(work())


def test_tokens_that_others_give_back_are_seen_by_who_has_passed_over() -> None:
    deployment = given(tpm=10_000)

    async def work() -> None:
        gateways = Gateways(2)
        long = asyncio.ensure_future(gateways.send(0, deployment, 9_800, spent=100, lasts=10))
        await asyncio.sleep(1)
        await asyncio.sleep(2)
        await gateways.send(1, deployment, 10)
        await asyncio.sleep(2)
        assert gateways.left(1, deployment) <= NEAR
        await long
        for _ in range(14):
            await asyncio.sleep(0.5)
            gateways.left(1, deployment)
        assert gateways.left(1, deployment) > 0.5

    virtually(work())


def test_a_minute_begins_without_what_the_last_one_owed() -> None:
    deployment = given(rpm=10, tpm=1000)

    async def work() -> None:
        gateways = Gateways(1, start=START + 50)
        for _ in range(30):
            await gateways.send(0, deployment, 100, spent=500)
        await asyncio.sleep(1)
        assert gateways.left(0, deployment) == 0.0
        await asyncio.sleep(9)
        assert gateways.left(0, deployment) == 1.0
        await gateways.send(0, deployment, 100)
        await asyncio.sleep(3)
        assert gateways.left(0, deployment) == pytest.approx(0.9)

    virtually(work())


def test_what_ends_in_another_minute_changes_nothing() -> None:
    deployment = given(tpm=1000)

    async def work() -> None:
        gateways = Gateways(1, start=START + 55)
        over = asyncio.ensure_future(gateways.send(0, deployment, 500, spent=5000, lasts=10))
        await asyncio.sleep(6)
        await gateways.send(0, deployment, 100)
        await asyncio.sleep(1)
        before = gateways.left(0, deployment)
        await over
        assert gateways.left(0, deployment) == before == pytest.approx(0.9)

    virtually(work())


def test_a_deployment_at_its_limit_costs_little_storage_however_often_it_is_asked() -> None:
    deployment = given(rpm=60)

    async def work() -> int:
        gateways = Gateways(1)
        await gateways.stream(100, 50, [deployment])
        return gateways.operations

    assert virtually(work()) <= 50 * 2 + 40


def test_without_a_store_each_process_goes_by_what_it_has_sent() -> None:
    deployment = given(rpm=100)

    async def work() -> Gateways:
        gateways = Gateways(2)
        gateways.rows.down = True
        for _ in range(97):
            await gateways.send(0, deployment, lasts=0.1)
        assert gateways.left(0, deployment) == pytest.approx(0.03)
        assert gateways.left(1, deployment) == 1.0
        gateways.rows.down = False
        await asyncio.sleep(6)
        await gateways.send(0, deployment)
        for _ in range(50):
            await gateways.send(1, deployment, lasts=0.1)
        await asyncio.sleep(2)
        assert gateways.left(0, deployment) == pytest.approx(0.02)
        assert gateways.left(1, deployment) == 0.0
        assert gateways.row(deployment).now.requests >= 148
        return gateways

    assert len(virtually(work()).log.warnings) == 2


@pytest.mark.parametrize("seed", range(2))
def test_answers_that_are_lost_cost_capacity_at_worst(seed: int) -> None:
    """What a failed flight may or may not have written is forgotten: a minute may have that much less or more."""
    first, second = given(name="first", rpm=600), given(name="second")

    async def work() -> Gateways:
        gateways = Gateways(4, seed, lost=0.1)
        await gateways.stream(5, 118, [first, second])
        return gateways

    gateways = virtually(work())
    for minute in (MINUTE, MINUTE + 1):
        assert 0.6 * 600 <= gateways.sent[first.id, minute] <= 1.1 * 600


def test_without_limits_nothing_is_counted() -> None:
    async def work() -> None:
        gateways, free = Gateways(1), given()
        await gateways.send(0, free, 10**9)
        assert gateways.left(0, free) == 1.0
        await asyncio.sleep(5)
        assert not gateways.operations

    virtually(work())
    counts_nothing, limited = FreeCapacity(), given(rpm=1)
    for _ in range(3):
        counts_nothing.take(limited, 5, START)
        counts_nothing.settle(limited, START, 5, 3)
    assert counts_nothing.left(limited, START) == 1.0


def test_two_entries_for_one_deployment_share_its_row() -> None:
    one, other = given(rpm=100), given(rpm=50)

    async def work() -> None:
        gateways = Gateways(1)
        for _ in range(40):
            await gateways.send(0, one, lasts=0.1)
        await asyncio.sleep(21)
        await gateways.send(0, other)
        await asyncio.sleep(2)
        assert gateways.left(0, one) == pytest.approx(0.6, abs=0.1)
        assert gateways.left(0, other) < 0.2

    virtually(work())


def test_what_has_not_been_asked_for_an_hour_is_forgotten() -> None:
    deployment = given(rpm=100)

    async def work() -> None:
        gateways = Gateways(1)
        await gateways.send(0, deployment)
        await asyncio.sleep(4000)
        other = given(name="other", rpm=100)
        await asyncio.sleep(21)
        await gateways.send(0, other)
        await asyncio.sleep(2)
        kept = gateways.capacities[0]._leases  # pyright: ignore[reportPrivateUsage]
        assert [name for name, *_ in kept] == [other.id]

    virtually(work())
