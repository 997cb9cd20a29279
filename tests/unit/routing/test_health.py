"""When a deployment rests, for how long, and how it comes to be well again."""

from __future__ import annotations

from typing import Any

import pytest

from shared.router_settings import FailureKind
from shared.routing import Failure, Journey
from tests.unit.routing.world import World, asked, dep, failure

AB = [dep("a"), dep("b", order=2)]
"""`a` comes first while it is well."""


def rests(world: World, name: str = "a") -> float:
    """-> for how long."""
    return max(world.state(name).until - world.now, 0.0)


def under_way(world: World, count: int = 1) -> list[Journey]:
    """-> so many calls that `a` is being asked for."""
    journeys = [world.begin() for _ in range(count)]
    assert [asked(journey.next(world.now)) for journey in journeys] == ["a"] * count
    return journeys


def fail(world: World, kind: FailureKind = "server", times: int = 1, retry_after: float | None = None) -> None:
    for journey in under_way(world, times):
        journey.failed(Failure(kind, retry_after), world.now)


def succeed(world: World, times: int = 1) -> None:
    for journey in under_way(world, times):
        journey.answered(world.now, {})
        journey.ended(world.now, 0, None, good=True)


@pytest.mark.parametrize("kind", ["unreachable", "auth", "rate_limit"])
def test_rests_after_one_failure(kind: FailureKind) -> None:
    world = World(AB)
    fail(world, kind)
    assert rests(world) == 5
    assert world.call() == ("b", "ok")


@pytest.mark.parametrize("kind", ["timeout", "server", "bad_answer"])
def test_rests_after_more_failures_than_are_allowed(kind: FailureKind) -> None:
    world = World(AB, allowed_fails=3)
    fail(world, kind, 3)
    assert not rests(world)
    fail(world, kind)
    assert rests(world) == 5


def test_failures_count_for_a_minute() -> None:
    world = World(AB)
    fail(world, times=2)
    world.now += 61
    fail(world)
    assert not rests(world)
    world.now += 30
    fail(world, times=2)
    assert rests(world) == 5


def test_does_not_rest_while_it_succeeds_more_often() -> None:
    world = World(AB)
    for _ in range(20):
        succeed(world, 6)
        fail(world)
        world.now += 1
    assert not rests(world)


def test_rests_when_it_fails_as_often_as_it_succeeds() -> None:
    world = World(AB)
    succeed(world, 4)
    fail(world, times=3)
    assert not rests(world)
    fail(world)
    assert rests(world)


def test_outage_of_a_busy_one_is_seen_after_a_few_failures_on_end() -> None:
    world = World(AB)
    succeed(world, 1000)
    fail(world, times=4)
    assert not rests(world)
    fail(world)
    assert rests(world)


def test_kind_with_a_bound_of_its_own_is_counted_by_itself() -> None:
    world = World(AB, fails={"timeout": 0, "auth": 1})
    fail(world, "server", 2)
    fail(world, "auth")
    assert not rests(world)
    fail(world, "timeout")
    assert rests(world)
    world = World(AB, fails={"timeout": 3})
    fail(world, "timeout", 3)
    fail(world, "server", 2)
    assert not rests(world)


def test_conflict_never_makes_it_rest() -> None:
    world = World(AB)
    fail(world, "conflict", 20)
    assert not rests(world)


@pytest.mark.parametrize(
    ("said", "settings", "expected"),
    [(3, {}, 3), (0, {}, 5), (None, {"cooldown": 9}, 9), (86400, {}, 60), (86400, {"longest_cooldown": 200}, 200), (0.25, {}, 0.25)],
)  # fmt: skip
def test_rate_limit_rests_as_long_as_it_says(said: float | None, settings: dict[str, Any], expected: float) -> None:
    world = World(AB, **settings)
    fail(world, "rate_limit", 1, said)
    assert rests(world) == pytest.approx(expected)


def test_cooldown_of_the_deployment_wins() -> None:
    world = World([dep("a", cooldown=200), dep("b", order=2)], cooldown=9, longest_cooldown=200)
    fail(world, "unreachable")
    assert rests(world) == 200


@pytest.mark.parametrize("kind", ["rate_limit", "unreachable", "server"])
def test_cooldown_of_nothing_is_no_rest(kind: FailureKind) -> None:
    world = World(AB, cooldown=0)
    fail(world, kind, 5, 9)
    assert world.call() == ("a", "ok")


@pytest.mark.parametrize("kind", ["rate_limit", "unreachable", "server"])
def test_nothing_rests_without_cooldowns(kind: FailureKind) -> None:
    world = World(AB, cooldowns=False)
    fail(world, kind, 5, 9)
    assert not world.state("a").until


def test_lone_one_is_asked_although_it_rests_but_not_beyond_a_rate_limit() -> None:
    world = World("a")
    fail(world, "unreachable")
    assert world.call() == ("a", "ok")
    fail(world, "rate_limit", 1, 30)
    assert world.call() == ("limited",)


def test_rest_that_is_over_lets_one_call_find_out() -> None:
    world = World(AB)
    fail(world, "unreachable")
    world.now += 5
    probe, other = world.begin(), world.begin()
    step = probe.next(world.now)
    assert (asked(step), getattr(step, "probe", None)) == ("a", True)
    assert asked(other.next(world.now)) == "b"
    probe.answered(world.now + 1, {})
    assert world.call() == ("a", "ok")


def test_probe_that_fails_makes_it_rest_twice_as_long() -> None:
    world = World(AB)
    fail(world, "unreachable")
    for expected in (10, 20, 40, 60, 60):
        world.now = world.state("a").until
        assert world.call({"a": failure("server")}) == ("a", "b", "ok")
        assert rests(world) == expected
    world.now = world.state("a").until
    assert world.call() == ("a", "ok")
    fail(world, "unreachable")
    assert rests(world) == 5


def test_probe_that_says_nothing_lets_the_next_call_probe() -> None:
    world = World(AB)
    fail(world, "unreachable")
    world.now += 5
    (probe,) = under_way(world)
    probe.ended(world.now, 0, None, good=True)  # the client left
    assert world.call({"a": failure("conflict")}) == ("a", "b", "ok")
    (probe,) = under_way(world)
    world.now += 31  # it hangs
    assert world.call() == ("a", "ok")


def test_probe_that_took_so_long_that_others_know_more_does_not_count_as_one() -> None:
    world = World(AB)
    fail(world, "unreachable")
    world.now += 5
    (slow,) = under_way(world)
    world.now += 31
    assert world.call({"a": failure("rate_limit", 50)}) == ("a", "b", "ok")
    slow.failed(failure("timeout"), world.now + 1)
    assert rests(world) == 50


@pytest.mark.parametrize("kind", ["bad_request", "content_filter", "context_window"])
def test_probe_that_the_call_itself_was_at_fault_of_shows_that_it_is_well(kind: FailureKind) -> None:
    world = World(AB)
    fail(world, "unreachable")
    world.now += 5
    assert world.call({"a": failure(kind)}) == ("a", "failed")
    assert not world.state("a").until


def test_probed_one_is_asked_when_there_is_nothing_else() -> None:
    world = World("a")
    fail(world, "unreachable")
    world.now += 5
    under_way(world, 3)


def test_rate_limit_whose_end_was_told_ends_without_a_probe() -> None:
    world = World(AB)
    fail(world, "rate_limit", 1, 3)
    world.now += 3
    under_way(world, 3)
    fail(world, "rate_limit")  # nothing told
    world.now += 5
    under_way(world)
    assert world.call() == ("b", "ok")


def test_what_was_under_way_when_it_began_to_rest_neither_ends_nor_doubles_it() -> None:
    world = World(AB)
    late = under_way(world, 3)
    world.now += 1
    fail(world, "unreachable")
    world.now += 1
    late[0].answered(world.now, {})
    late[1].failed(failure("unreachable"), world.now)
    assert rests(world) == 4
    late[2].failed(failure("rate_limit", 30), world.now)
    assert rests(world) == 30


def test_answer_while_it_rests_ends_the_rest() -> None:
    world = World("a")
    fail(world, "unreachable")
    world.now += 1
    succeed(world)
    assert not world.state("a").until


def test_stream_that_breaks_off_is_a_failure() -> None:
    world = World(AB)
    for _ in range(3):
        (journey,) = under_way(world)
        journey.answered(world.now, {})
        journey.ended(world.now, 10, 0.5, good=False)
    assert rests(world) == 5


def test_timeout_of_the_clients_own_making_is_no_failure() -> None:
    world = World(AB)
    for _ in range(9):
        journey = world.begin(deadline=world.now + 20)
        assert asked(journey.next(world.now)) == "a"
        journey.failed(failure("conflict"), world.now + 18)
        assert asked(journey.next(world.now + 18)) == "b"  # it has 2 s of 20
        world.now += 20
        journey.failed(failure("timeout"), world.now)
    assert not world.state("b").until
    for _ in range(3):
        journey = world.begin(deadline=world.now + 100)
        assert asked(journey.next(world.now)) == "a"
        world.now += 15
        journey.failed(failure("timeout"), world.now)
    assert rests(world) == 5


def test_each_change_is_counted_once_however_many_calls_fail() -> None:
    world = World(AB)
    late = under_way(world, 50)
    for i, journey in enumerate(late):
        journey.failed(failure("rate_limit", 30), world.now + i / 100)
    assert world.states.changes == 1
    assert rests(world) == pytest.approx(30.49)
