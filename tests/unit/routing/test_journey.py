"""One call's way: who is asked next, when it waits, when it gives up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalog import Deployment
from shared.router_settings import FINAL, FailureKind
from shared.routing import Ask, Failure, Over, Wait
from shared.transform.families import FAMILIES
from tests.unit.given import NOTHING
from tests.unit.routing.world import World, asked, dep, deps, failure

KINDS: list[FailureKind] = [
    "rate_limit", "timeout", "unreachable", "server", "auth", "conflict", "bad_answer",
    "bad_request", "not_found", "content_filter", "context_window", "quota",
]  # fmt: skip
ELSEWHERE = [kind for kind in KINDS if kind not in FINAL]


class Way(NamedTuple):
    id: str
    choices: Sequence[Deployment]
    fails: dict[str, Failure]
    path: str
    settings: dict[str, Any] = NOTHING
    wish: dict[str, Any] = NOTHING


A, AB, ABC = "a", [dep("a"), dep("b", order=2)], [dep("a"), dep("b", order=2), dep("c", order=3)]
DOWN = failure("server")
LIMIT = failure("rate_limit", 3)
WAYS = [
    Way("good", deps("a"), {}, "a ok"),
    Way("moves on at once", ABC, {"a": DOWN, "b": LIMIT}, "a b c ok"),
    Way("lone: asks again after a wait", deps("a"), {"a": DOWN}, "a ~0 a ~1 a failed"),
    Way("all fail: all are asked again", AB, {"a": DOWN, "b": DOWN}, "a b ~0 a b ~1 a b failed"),
    Way("client asks for no retries", AB, {"a": DOWN, "b": DOWN}, "a b failed", wish={"num_retries": 0}),
    Way("client asks for more than it may", deps("a"), {"a": DOWN}, "a ~0 a failed", {"most_retries": 1}, {"num_retries": 9}),
    Way("client asks for nonsense", deps("a"), {"a": DOWN}, "a failed", wish={"num_retries": -3}),
    Way("retries of a kind", deps("a"), {"a": failure("auth")}, "a failed", {"retries": {"auth": 0}}),
    Way("by the kind of the last failure", AB, {"a": failure("auth"), "b": DOWN}, "a b ~0 b a failed", {"retries": {"auth": 0, "server": 1}}),
    Way("waits for the end of a rate limit", deps("a"), {"a": LIMIT}, "a ~3 a ~3 a limited"),
    Way("not for long", deps("a"), {"a": failure("rate_limit", 86400)}, "a limited"),
    Way("as long as it may", deps("a"), {"a": failure("rate_limit", 9)}, "a limited", {"longest_wait": 8}),
    Way("not beyond the deadline", deps("a"), {"a": LIMIT}, "a limited", wish={"deadline": 1_790_000_002.0}),
    Way("a rate limit with nothing said", deps("a"), {"a": failure("rate_limit")}, "a ~7 a limited", {"cooldown": 7, "num_retries": 1}),
    Way("Retry-After of another failure", deps("a"), {"a": failure("server", 2)}, "a ~2 a ~2 a failed"),
    Way("least wait", deps("a"), {"a": DOWN}, "a ~6 a failed", {"least_wait": 6, "num_retries": 1}),
    Way("least wait is no limit", deps("a"), {"a": LIMIT}, "a ~3 a limited", {"least_wait": 2, "num_retries": 1}),
    Way("limited ones are left out", AB, {"a": LIMIT, "b": DOWN}, "a b ~0 b failed", {"num_retries": 1}),
    Way("the last wait is for what is known", AB, {"a": LIMIT, "b": DOWN}, "a b ~0 b ~2 a b failed"),
    Way("without cooldowns", AB, {"a": LIMIT, "b": LIMIT}, "a b ~3 a b limited", {"cooldowns": False, "num_retries": 1}),
    Way("the deadline is over", deps("a"), {}, "down", wish={"deadline": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.id)
def test_way(way: Way) -> None:
    assert " ".join(World(way.choices, **way.settings).call(way.fails, **way.wish)) == way.path


@pytest.mark.parametrize("kind", sorted(FINAL))
def test_final_failure_ends_it_at_once_and_nothing_rests(kind: FailureKind) -> None:
    world = World(ABC)
    for _ in range(9):
        assert world.call({"a": failure(kind)}) == ("a", "failed")


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_any_other_failure_moves_on(kind: FailureKind) -> None:
    assert World(AB).call({"a": failure(kind)}) == ("a", "b", "ok")


def test_call_that_finds_all_limited_waits_for_the_first_to_be_ready() -> None:
    world = World(AB)
    assert world.call({"a": failure("rate_limit", 9), "b": failure("rate_limit", 4)}, num_retries=0)[-1] == "limited"
    assert world.begin(num_retries=0).next(world.now) == Over("limited", 4.0)
    journey = world.begin()
    wait = journey.next(world.now)
    assert isinstance(wait, Wait)
    assert 4 <= wait.seconds <= 4.3
    assert (journey.attempts, journey.retries) == (0, 1)
    assert asked(journey.next(world.now + wait.seconds)) == "b"


def test_woken_too_early_waits_for_the_rest_and_it_is_no_retry() -> None:
    world = World("a")
    journey = world.begin(num_retries=1)
    journey.next(world.now)
    journey.failed(failure("server"), world.now)
    wait = journey.next(world.now)
    assert isinstance(wait, Wait)
    again = journey.next(world.now + wait.seconds - 0.125)
    assert isinstance(again, Wait)
    assert again.seconds == pytest.approx(0.125, abs=1e-3)
    assert asked(journey.next(world.now + wait.seconds)) == "a"
    assert (journey.attempts, journey.retries) == (2, 1)


def test_over_says_when_the_first_is_ready() -> None:
    world = World(AB, num_retries=0)
    # the one that has failed and does not rest may be asked at any time
    assert _end(world, {"a": failure("rate_limit", 30), "b": failure("server")}) == Over("failed", 5.0)
    world = World(AB, num_retries=0)
    assert _end(world, {"a": failure("rate_limit", 30), "b": failure("unreachable")}) == Over("failed", 5.0)
    world = World(AB, num_retries=0)
    assert _end(world, {"a": failure("server"), "b": failure("server")}) == Over("failed", None)
    world = World(AB, num_retries=0)
    assert _end(world, {"a": failure("rate_limit", 86400), "b": failure("rate_limit", 70)}) == Over("limited", 70.0)


def _end(world: World, fails: dict[str, Failure]) -> Over:
    journey = world.begin()
    while isinstance(step := journey.next(world.now), Ask):
        journey.failed(fails[step.deployment.name], world.now)
    assert isinstance(step, Over)
    return step


class Limit(NamedTuple):
    id: str
    expected: float | None
    stream: bool = False
    deployment: dict[str, Any] = NOTHING
    settings: dict[str, Any] = NOTHING
    others: str = ""


LIMITS = [
    Limit("nothing said", None),
    Limit("nothing said, stream", None, True),
    Limit("stream with another left", 60.0, True, others="b"),
    Limit("whole with another left", 100.0, others="b"),
    Limit(
        "whole of a model that thinks, with another left", None, deployment={"family": FAMILIES["o_series"]}, others="b"
    ),
    Limit("deployment's", 9.0, deployment={"timeout": 9.0}, settings={"first_byte": 4.0}),
    Limit("deployment's for streams too", 9.0, True, {"timeout": 9.0}, {"stream_first_byte": 4.0}),
    Limit("deployment's of streams", 3.0, True, {"timeout": 9.0, "stream_timeout": 3.0}),
    Limit("of streams, for a whole answer", None, False, {"stream_timeout": 3.0}),
    Limit("settings", 4.0, settings={"first_byte": 4.0}),
    Limit("settings, stream", 4.0, True, settings={"first_byte": 4.0}, others="b"),
    Limit("settings of streams", 2.0, True, settings={"first_byte": 4.0, "stream_first_byte": 2.0}),
]


@pytest.mark.parametrize("case", LIMITS, ids=lambda case: case.id)
def test_timeout_of_an_attempt(case: Limit) -> None:
    world = World([dep("a", **case.deployment), *deps(case.others, order=2)], **case.settings)
    assert world.begin(stream=case.stream).next(world.now) == Ask(world.choices[0], case.expected)


def test_stream_has_all_the_time_when_what_is_left_rests() -> None:
    world = World(AB)
    world.call({"a": failure("server"), "b": failure("unreachable")}, num_retries=0)
    assert world.begin(stream=True).next(world.now) == Ask(world.choices[0], None)


def test_may_go_on() -> None:
    world = World(AB)
    journey = world.begin(num_retries=0)
    journey.next(world.now)
    assert journey.may_go_on
    journey.failed(failure("server"), world.now)
    journey.next(world.now)
    assert not journey.may_go_on
    world.call({"b": failure("rate_limit", 9), "a": failure("server")}, num_retries=0)
    lone = world.begin(num_retries=0)
    assert asked(lone.next(world.now)) == "a"
    assert not lone.may_go_on  # the other one rests because of a rate limit
    again = world.begin(num_retries=1)
    again.next(world.now)
    assert again.may_go_on


def test_stream_that_died_before_its_content_moves_on() -> None:
    world = World(AB)
    journey = world.begin(stream=True, num_retries=0)
    journey.next(world.now)
    journey.answered(world.now, {})
    journey.failed(failure("bad_answer"), world.now)
    assert asked(journey.next(world.now)) == "b"
    assert world.state("a").in_flight == 0
    assert world.state("a").successes(world.now) == 0


def test_tokens_and_places_are_given_back() -> None:
    world = World([dep("a", tpm=1000), dep("b", order=2, rpm=10)])
    journey = world.begin(tokens=500)
    journey.next(world.now)
    assert (world.capacity.taken, world.state("a").tokens, world.state("a").in_flight) == ({"a": 500}, 500, 1)
    journey.failed(failure("server"), world.now)
    assert (world.capacity.taken, world.state("a").tokens, world.state("a").in_flight) == ({"a": 0}, 0, 0)
    journey.next(world.now)
    journey.answered(world.now, {})
    journey.ended(world.now + 1, 320, None, good=True)
    journey.ended(world.now + 1, 320, None, good=True)
    assert (world.capacity.taken, world.capacity.calls) == ({"a": 0, "b": 320}, {"a": 0, "b": 0})
    assert world.state("b").used(world.now) == (1, 320)
    assert world.state("b").used(world.now + 60) == (0, 0)


def test_client_that_leaves_before_an_answer_says_nothing_of_the_deployment() -> None:
    world = World(AB)
    for _ in range(9):
        journey = world.begin()
        assert asked(journey.next(world.now)) == "a"
        journey.ended(world.now + 100, 0, None, good=True)
    assert world.state("a").in_flight == 0


OUTCOME = st.sampled_from(["ok", "left", "broke off", *KINDS])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=6),
    st.lists(st.tuples(OUTCOME, st.sampled_from([None, 0.0, 0.5, 8.0, 90.0])), min_size=1, max_size=80),
    st.booleans(),
)
def test_every_call_ends_and_leaves_nothing_behind(
    orders: list[int], outcomes: list[tuple[str, float | None]], cooldowns: bool
) -> None:
    world = World([dep(str(i), order=order, tpm=100) for i, order in enumerate(orders)], cooldowns=cooldowns)
    left = list(outcomes)
    while left:
        world.now += 7
        journey, began, since_wait = world.begin(tokens=10), world.now, list[str]()
        while True:
            step = journey.next(world.now)
            if isinstance(step, Over):
                break
            if isinstance(step, Wait):
                assert 0 < step.seconds <= world.settings.longest_wait
                world.now += step.seconds
                since_wait.clear()
                continue
            since_wait.append(step.deployment.name)
            assert len(set(since_wait)) == len(since_wait)
            outcome, after = left.pop(0) if left else ("ok", None)
            world.now += 0.25
            if outcome in ("ok", "left", "broke off"):
                if outcome != "left":
                    journey.answered(world.now, {})
                journey.ended(world.now, 5, None, good=outcome == "ok")
                break
            journey.failed(Failure(outcome, after), world.now)  # pyright: ignore[reportArgumentType]
        assert journey.retries <= world.settings.num_retries
        assert journey.attempts <= len(orders) * (journey.retries + 1)
        assert world.now - began <= (journey.retries * 20.3) + journey.attempts * 0.25
    assert all(world.state(d.name).in_flight == 0 for d in world.choices)
    assert set(world.capacity.calls.values()) <= {0}
