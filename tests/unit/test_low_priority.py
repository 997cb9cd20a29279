"""Calls that nobody waits for take what is left, and nothing that others may need."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from shared.catalog import Catalog
from shared.errors import ApiError
from shared.low_priority import LEAVES, LeavingRouter, low_priority_settings
from shared.router_settings import RouterSettings
from shared.routing import Ask, Failure, Wish
from tests.unit.routing.world import World, dep


def leaving(world: World) -> LeavingRouter:
    settings = low_priority_settings(Catalog({}, router=world.settings)).router
    return LeavingRouter(settings, world.states, world.capacity, Random(1), lambda _: 0.0)


def begun(world: World, **wish: Any) -> str:
    """-> who is asked. Raises ApiError."""
    step = leaving(world).begin(world.choices, Wish(**wish), world.now).next(world.now)
    assert isinstance(step, Ask)
    return step.deployment.name


def said(left: int, reset: int = 30) -> dict[str, str]:
    return {
        "x-ratelimit-remaining-tokens": str(left), "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-reset-tokens": str(reset),
    }  # fmt: skip


def answer(world: World, name: str, headers: dict[str, str]) -> None:
    journey = world.router.begin([d for d in world.choices if d.name == name], Wish(), world.now)
    assert isinstance(journey.next(world.now), Ask)
    journey.answered(world.now, headers)
    journey.ended(world.now, 0, None, good=True)


def test_a_part_of_azures_limit_is_left_to_others() -> None:
    world = World("one")
    answer(world, "one", said(int(1000 * LEAVES) + 100))
    assert begun(world, tokens=10) == "one"
    answer(world, "one", said(int(1000 * LEAVES)))
    assert world.first() == "one", "a call that somebody waits for is served"
    with pytest.raises(ApiError) as refused:
        begun(world, tokens=10)
    assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "30")
    world.now += 31
    assert begun(world) == "one", "a new window has begun"


def test_a_part_of_the_configured_limit_is_left_to_others() -> None:
    world = World([dep("one", tpm=1000), dep("two", tpm=1000)])
    world.capacity.shares |= {"one": LEAVES, "two": 0.5}
    assert {begun(world) for _ in range(10)} == {"two"}
    world.capacity.shares["two"] = 0.1
    with pytest.raises(ApiError) as refused:
        begun(world)
    assert 1 <= int(refused.value.headers["retry-after"]) <= 60


def test_who_rests_is_not_asked_by_a_call_that_can_wait_and_probed_when_the_time_has_come() -> None:
    world = World("one")
    journey = world.begin()
    journey.next(world.now)
    journey.failed(Failure("rate_limit", 20), world.now)
    with pytest.raises(ApiError) as refused:
        begun(world)
    assert refused.value.headers["retry-after"] == "20"
    world.now += 21
    assert begun(world) == "one"


def test_nothing_stands_in_and_nothing_waits_for_long() -> None:
    settings = RouterSettings(
        fallbacks={"a": ("b",)}, default_fallbacks=("c",), context_window_fallbacks={"a": ("d",)}, longest_wait=20,
        retries={"rate_limit": 5}, strategy="least-busy",
    )  # fmt: skip
    low = low_priority_settings(Catalog({}, router=settings)).router
    assert not low.any_fallbacks
    assert low.longest_wait <= 2
    assert not low.retries
    assert low.strategy == "least-busy"
