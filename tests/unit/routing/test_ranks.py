"""Who comes first: by class, then by order, then by strategy."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.router_settings import Strategy
from shared.routing import Ask, Failure, Over, Wish
from tests.unit.routing.world import START, World, asked, dep, deps, failure

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
CONDITIONS = ["well", "near", "azure", "resting", "probing", "limited"]
CLASS = {"well": 0, "near": 1, "azure": 1, "resting": 2, "probing": 2}


def headers(
    requests: object = None, tokens: object = None, *, of: object = 100_000, reset: object = 30
) -> dict[str, str]:
    """What Azure says is left."""
    said = {
        "x-ratelimit-remaining-requests": requests, "x-ratelimit-limit-requests": 100,
        "x-ratelimit-remaining-tokens": tokens, "x-ratelimit-limit-tokens": of,
        "x-ratelimit-reset-requests": reset, "x-ratelimit-reset-tokens": reset,
    }  # fmt: skip
    return {name: str(value) for name, value in said.items() if value is not None}


def answer(world: World, name: str, said: dict[str, str], tokens: int = 0) -> None:
    """A call of so many tokens is answered by that one, in no time."""
    journey = world.router.begin([d for d in world.choices if d.name == name], Wish(tokens=tokens), world.now)
    assert asked(journey.next(world.now)) == name
    journey.answered(world.now, said)
    journey.ended(world.now, tokens, None, good=True)


def bring(world: World, name: str, condition: str) -> None:
    """That deployment into that condition."""
    only = [d for d in world.choices if d.name == name]
    if condition == "near":
        world.capacity.shares[name] = 0.05
    elif condition == "azure":
        answer(world, name, headers(50, 300))
    elif condition != "well":
        journey = world.router.begin(only, Wish(num_retries=0), world.now)
        journey.next(world.now)
        limited = condition == "limited"
        journey.failed(Failure("rate_limit", 50) if limited else Failure("unreachable"), world.now)
    if condition == "probing":
        at = world.state(name).until
        assert isinstance(world.router.begin(only, Wish(), at).next(at), Ask)
        world.state(name).until = world.now  # as if all this had begun earlier


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(CONDITIONS), st.none() | st.integers(0, 3)), min_size=1, max_size=8),
    stream=st.booleans(),
)  # fmt: skip
def test_worse_is_never_asked_while_there_is_better(
    strategy: Strategy, rows: list[tuple[int, str, int | None]], stream: bool
) -> None:
    choices = [dep(str(i), order=order, weight=weight, rpm=600) for i, (order, _, weight) in enumerate(rows)]
    world = World(choices, strategy, allowed_fails=99)
    for i, (_, condition, _) in enumerate(rows):
        bring(world, str(i), condition)
    ranks = {str(i): (CLASS[c], order) for i, (order, c, _) in enumerate(rows) if c != "limited"}
    journey = world.begin(stream=stream, cache_key="k", num_retries=0)
    path: list[str] = []
    while isinstance(step := journey.next(world.now), Ask):
        path.append(step.deployment.name)
        journey.failed(failure("conflict"), world.now)
    assert isinstance(step, Over)
    assert sorted(path) == sorted(ranks)
    assert [ranks[name] for name in path] == sorted(ranks.values())


def test_provisioned_one_spills_over_before_it_is_full_and_is_asked_when_all_are() -> None:
    world = World([dep("ptu", order=0, share=1.0, tpm=100), dep("paid", rpm=6)])
    assert world.call()[0] == "ptu"
    world.capacity.shares = {"ptu": 0.04}
    assert world.call()[0] == "paid"
    world.capacity.shares = {"ptu": 0.04, "paid": 0.0}
    assert world.call()[0] == "ptu"


def test_near_limit_is_the_operators() -> None:
    world = World([dep("a", tpm=100), dep("b", order=2)], near_limit=0.5)
    world.capacity.shares = {"a": 0.51}
    assert world.call()[0] == "a"
    world.capacity.shares = {"a": 0.5}
    assert world.call()[0] == "b"


QUOTAS: list[tuple[str, dict[str, str], int, str]] = [
    ("plenty", headers(50, 50_000), 1000, "a"),
    ("few tokens", headers(50, 4_999), 10, "b"),
    ("fewer than the call may take", headers(50, 50_000), 50_001, "b"),
    ("few requests", headers(5, 50_000), 10, "b"),
    ("none", headers(50, 0), 0, "b"),
    ("without a limit", headers(None, 300, of=None), 200, "a"),
    ("without a limit, too few", headers(None, 300, of=None), 301, "b"),
    ("limit of 0 is none", headers(50, 300, of=0), 200, "a"),
    ("limit of -1 is none", headers(50, 300, of=-1), 200, "a"),
    ("-1 says nothing", headers(-1, -1), 90_000, "a"),
    ("words", headers("many", "nan"), 90_000, "a"),
    ("infinite", headers("inf", "1e99"), 90_000, "a"),
    ("nothing", {}, 90_000, "a"),
]


@pytest.mark.parametrize(("said", "tokens", "expected"), [q[1:] for q in QUOTAS], ids=[q[0] for q in QUOTAS])
def test_what_azure_says_is_left(said: dict[str, str], tokens: int, expected: str) -> None:
    world = World([dep("a"), dep("b", order=2)])
    answer(world, "a", said)
    assert asked(world.begin(tokens=tokens).next(world.now)) == expected


@pytest.mark.parametrize(("reset", "seconds"), [(30, 30), (500, 60), (0, 10), (-1, 10), (None, 10), ("6m0s", 10)])
def test_what_azure_says_holds_until_its_window_ends(reset: object, seconds: int) -> None:
    world = World([dep("a"), dep("b", order=2)])
    answer(world, "a", headers(50, 300, reset=reset))
    world.now = START + seconds - 0.5
    assert world.call()[0] == "b"
    world.now = START + seconds
    assert world.call()[0] == "a"


def test_what_has_been_sent_since_is_taken_off() -> None:
    world = World([dep("a"), dep("b", order=2)])
    answer(world, "a", headers(50, 20_000))
    assert [asked(world.begin(tokens=6_000).next(world.now)) for _ in range(4)] == ["a", "a", "a", "b"]


def test_answer_of_an_older_call_says_nothing_new() -> None:
    world = World([dep("a"), dep("b", order=2)])
    early, late = world.begin(tokens=10), world.begin(tokens=10)
    early.next(world.now)
    late.next(world.now + 1)
    late.answered(world.now + 2, headers(50, 300))
    early.answered(world.now + 3, headers(50, 50_000))
    world.now += 4
    assert world.call()[0] == "b"


def test_refusal_says_what_is_left_as_well() -> None:
    world = World([dep("a"), dep("b", order=2)])
    journey = world.begin()
    journey.next(world.now)
    journey.failed(failure("conflict"), world.now, headers(50, 300))
    assert world.call()[0] == "b"


@pytest.mark.parametrize(
    ("share", "stream", "expected"), [(0.3, False, 0.3), (0.3, True, 1), (0.0, False, 0), (1.0, False, 1)]
)
def test_share_of_whole_answers_that_may_go_to_provisioned_throughput(
    share: float, stream: bool, expected: float
) -> None:
    world = World([dep("ptu", order=0, share=share), dep("paid"), dep("more", order=2)])
    first = Counter(asked(world.begin(stream=stream).next(world.now)) for _ in range(2000))
    assert first["ptu"] / 2000 == pytest.approx(expected, abs=0.04)
    assert first["more"] == 0


def test_others_near_their_limits_come_before_what_whole_answers_may_not_have_but_not_resting_ones() -> None:
    world = World([dep("ptu", order=0, share=0.0), dep("paid", rpm=6), dep("more", order=2)])
    world.capacity.shares = {"paid": 0.0}
    bring(world, "more", "resting")
    fails = {"ptu": failure("conflict"), "paid": failure("conflict"), "more": failure("conflict")}
    assert world.call(fails, num_retries=0)[:-1] == ("paid", "ptu", "more")


def test_least_used() -> None:
    world = World("a b c", "least-used")
    for name, tokens in (("a", 500), ("b", 100), ("c", 300)):
        answer(world, name, {}, tokens)
    assert world.call(tokens=250) == ("b", "ok")
    assert world.call() == ("c", "ok")
    world.now += 60
    assert {world.call()[0] for _ in range(30)} == {"a", "b", "c"}  # another minute: nothing is used


def test_least_used_counts_what_is_under_way() -> None:
    world = World("a b c", "least-used")
    assert sorted(asked(world.begin(tokens=100).next(world.now)) for _ in range(3)) == ["a", "b", "c"]


def test_least_busy() -> None:
    world = World("a b c", "least-busy")
    journeys = [world.begin() for _ in range(7)]
    steps = [asked(journey.next(world.now)) for journey in journeys]
    assert sorted(Counter(steps).values()) == [2, 2, 3]
    journeys[0].failed(failure("bad_request"), world.now)
    busiest = Counter(steps[1:])
    assert busiest[world.first()] == min(busiest.values())


def test_lowest_latency() -> None:
    world = World("fast slow dead", "lowest-latency", allowed_fails=99)
    for _ in range(60):
        journey = world.begin(stream=True)
        name = asked(journey.next(world.now))
        world.now += 0.1
        if name == "dead":
            journey.failed(failure("server"), world.now)
            continue
        journey.answered(world.now, {})
        journey.ended(world.now, 0, 0.3 if name == "fast" else 0.9, good=True)
    assert [world.state(name).all_requests for name in ("slow", "dead")] == [1, 1]  # each was tried once
    world.now += 55
    assert world.first(stream=True) in ("slow", "dead")  # and is tried again


def test_lowest_latency_tries_what_it_does_not_know_with_one_call_at_a_time() -> None:
    world = World("a b", "lowest-latency")
    answered = world.begin()
    name = asked(answered.next(world.now))
    answered.answered(world.now + 0.5, {})
    answered.ended(world.now + 0.5, 0, None, good=True)
    other = "b" if name == "a" else "a"
    assert [asked(world.begin().next(world.now + 1)) for _ in range(4)] == [other, name, name, name]


def test_lowest_cost() -> None:
    world = World("a b c", "lowest-cost", prices={"a": 2.0, "b": 1.0, "c": 1.0})
    found = Counter(world.call()[0] for _ in range(50))
    assert set(found) == {"b", "c"}
    assert world.call({"b": failure("server"), "c": failure("server")})[2:] == ("a", "ok")


def test_prompt_cache_stays_with_one_yields_to_health_and_comes_back() -> None:
    world = World("a b c d", "prompt-cache")
    homes = {key: world.call(cache_key=key)[0] for key in map(str, range(40))}
    assert set(homes.values()) == {"a", "b", "c", "d"}
    bring(world, "a", "resting")
    for key, home in homes.items():
        assert (world.call(cache_key=key)[0] == home) is (home != "a")
    moved = [key for key, home in homes.items() if home == "a"]
    second = {key: world.call(cache_key=key)[0] for key in moved}
    assert len(set(second.values())) > 1  # the keys of one that rests are spread over the others,
    assert {key: world.call(cache_key=key)[0] for key in moved} == second  # and stay there while it does
    world.now += 5
    assert [world.call(cache_key=key)[0] for key in moved] == ["a"] * len(moved)


def test_prompt_cache_without_a_key_is_by_weight() -> None:
    world = World([*deps("a", weight=3), *deps("b", weight=1)], "prompt-cache")
    assert Counter(world.call()[0] for _ in range(2000))["a"] / 2000 == pytest.approx(0.75, abs=0.04)
