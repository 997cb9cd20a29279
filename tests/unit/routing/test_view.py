"""How deployments stand to a call, for people: the same order and shares as calls really meet."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from shared.router_settings import Strategy
from shared.routing import View, Wish
from tests.unit.routing.test_ranks import bring
from tests.unit.routing.world import World, asked, dep, deps


def view(world: World, **wish: object) -> dict[str, View]:
    rows = world.router.view(world.choices, Wish(**wish), world.now)  # pyright: ignore[reportArgumentType]
    return {row.deployment.name: row for row in rows}


def test_each_is_listed_in_the_order_in_which_it_would_be_asked() -> None:
    world = World([
        dep("limited", rpm=60), dep("near", rpm=60), dep("well", rpm=60), dep("resting", rpm=60), dep("azure", order=2),
        dep("tried", order=3), dep("later", order=4), dep("other", tags=frozenset({"x"})),
    ])  # fmt: skip
    for name in ("limited", "near", "azure", "resting"):
        bring(world, name, name)
    bring(world, "tried", "resting")
    world.state("tried").until = world.now
    rows = view(world, tokens=100)
    assert {name: (row.rank, row.why, row.share) for name, row in rows.items()} == {
        "well": ("well", "well, with room", 1.0),
        "tried": (
            "well",
            "well, with room; rested because of: unreachable, the next call finds out whether it is well",
            0.0,
        ),
        "later": ("well", "well, with room", 0.0),
        "near": ("near", "near a limit: 5% of its tpm or rpm is left", 0.0),
        "azure": ("near", "near a limit: Azure has 50 requests and 300 tokens left", 0.0),
        "resting": ("resting", "rests for 5 s because of: unreachable", 0.0),
        "limited": ("limited", "rests for 50 s because of a rate limit", 0.0),
        "other": ("unfit", "not for the tags of this call", 0.0),
    }
    assert list(rows) == ["well", "tried", "later", "near", "azure", "resting", "limited", "other"]


def test_nobody_fits() -> None:
    world = World([dep("a", tags=frozenset({"x"})), dep("b", region="eastus")])
    assert [(row.deployment.name, row.rank, row.why) for row in view(world, region="eu").values()] == [
        ("a", "unfit", "not for the tags of this call"), ("b", "unfit", "not in the region"),
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_shares_are_those_of_real_calls_and_nothing_is_changed(strategy: Strategy) -> None:
    prices = {"a": 1.0, "b": 1.0, "c": 1.0}
    choices = [dep("ptu", order=0, share=0.25), *deps("a b c", weight=2), *deps("d", weight=0)]
    world = World(choices, strategy, seed=7, prices=prices)
    shares = {name: row.share for name, row in view(world, cache_key="some key").items()}
    assert world.states.report(world.now)["deployments"] == {}
    found: Counter[str] = Counter()
    for _ in range(1500):
        journey = world.begin(cache_key="some key")
        found[asked(journey.next(world.now))] += 1
        journey.ended(world.now, 0, None, good=True)
    assert shares["ptu"] == 0.25
    assert sum(shares.values()) == pytest.approx(1)
    assert {name: found[name] / 1500 for name in shares} == pytest.approx(shares, abs=0.04)


def test_streams_are_not_held_to_the_share() -> None:
    world = World([dep("ptu", order=0, share=0.25), dep("a")])
    assert view(world, stream=True)["ptu"].share == 1
    assert view(world)["ptu"].why == "well, with room; first for 25% of the calls without a stream"
