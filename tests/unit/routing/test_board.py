"""What processes tell each other: enough, the newest wins, and nothing breaks who listens."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.routing import States
from tests.unit.routing.test_health import AB, fail, rests, succeed, under_way
from tests.unit.routing.test_ranks import answer, headers
from tests.unit.routing.world import START, World, failure


def tell(teller: World, listener: World) -> None:
    """By way of JSON, as between processes."""
    listener.states.hear(json.loads(orjson.dumps(teller.states.report(teller.now))), listener.now)


def pair() -> tuple[World, World]:
    return World(AB), World(AB)


def test_nothing_seen_is_nothing_said() -> None:
    world = World(AB)
    world.begin()
    assert world.states.report(world.now) == {"at": START, "deployments": {}}


def test_report_has_what_is_worth_knowing() -> None:
    world = World(AB)
    fail(world, "rate_limit", 1, 9)
    world.now += 9
    under_way(world)
    answer(world, "a", headers(50, 40_000, reset=20), 700)
    journey = world.begin(stream=True)
    journey.next(world.now)
    journey.answered(world.now, {})
    journey.ended(world.now, 0, 0.42, good=True)
    row = world.states.report(world.now)["deployments"]["res/a"]
    assert row == {
        "rest": {"at": START, "until": START + 9, "why": "rate_limit", "level": 0, "told": True},
        "in_flight": 1, "requests": 4, "tokens": 700, "first_ms": 420,
        "azure": {"at": START + 9, "until": START + 29, "requests": [49, 100, START + 29], "tokens": [40_000, 100_000, START + 29]},
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "after"), [("rate_limit", 30.0), ("unreachable", None)])
def test_rest_is_taken_over_and_so_is_its_end(kind: Any, after: float | None) -> None:
    here, there = pair()
    fail(here, kind, 1, after)
    tell(here, there)
    assert rests(there) == rests(here) > 0
    assert there.call() == ("b", "ok")
    assert there.states.changes == 0  # it is not news of its own
    assert "res/a" not in there.states.report(there.now)["deployments"]
    there.now = here.now = there.state("a").until
    succeed(there)
    assert there.call() == ("a", "ok")
    if kind == "unreachable":
        assert there.states.changes == 1
        tell(there, here)
        under_way(here, 3)  # well: none of these is a probe
    tell(here, there)
    assert there.call() == ("a", "ok")  # what is old is not believed again


def test_level_goes_along() -> None:
    here, there = pair()
    fail(here, "unreachable")
    here.now += 5
    here.call({"a": failure("server")})
    tell(here, there)
    there.now = there.state("a").until
    there.call({"a": failure("server")})
    assert rests(there) == 20


def test_heard_failure_does_not_shorten_a_rate_limit() -> None:
    here, there = pair()
    fail(there, "rate_limit", 1, 30)
    here.now = there.now = START + 1
    fail(here, "unreachable")
    tell(here, there)
    assert rests(there) == 29


def test_success_that_was_asked_before_the_limit_does_not_end_it() -> None:
    here, there = pair()
    fail(here, "unreachable")
    here.now = there.now = START + 5
    (early,) = under_way(here)
    there.now = START + 6
    fail(there, "rate_limit", 1, 30)
    early.answered(START + 7, {})
    here.now = there.now = START + 7
    tell(here, there)
    assert rests(there) == 29
    tell(there, here)
    assert rests(here) == 29


def test_what_is_left_at_azure_is_taken_over_when_it_is_newer() -> None:
    here, there = pair()
    answer(here, "a", headers(50, 300))
    tell(here, there)
    assert there.call()[0] == "b"
    there.now = here.now = START + 1
    answer(there, "a", headers(50, 90_000))
    tell(here, there)
    assert there.call()[0] == "a"


def test_times_of_others_are_better_than_none() -> None:
    here, there = World("a b", "lowest-latency"), World("a b", "lowest-latency")
    for name, seconds in (("a", 0.2), ("b", 2.0)):
        here.state(name).sent(0, here.now)
        here.state(name).whole.measured(seconds, here.now)
    tell(here, there)
    assert there.states.report(there.now)["deployments"] == {}  # hearsay is not passed on
    assert [there.call()[0] for _ in range(1)] == ["a"]
    there.state("b").whole.measured(0.1, there.now)
    tell(here, there)
    assert there.state("b").whole.mean == pytest.approx(2.0 + 0.2 * (0.1 - 2.0))


ROW: dict[str, Any] = {"rest": {"at": START, "until": START + 30, "why": "server", "level": 1}}
BAD: list[dict[str, Any]] = [
    {}, {"at": START}, {"at": START, "deployments": None}, {"at": START, "deployments": [ROW]}, {"deployments": {"res/a": ROW}},
    {"at": "now", "deployments": {"res/a": ROW}}, {"at": START - 700, "deployments": {"res/a": ROW}},
    {"at": START + 90, "deployments": {"res/a": ROW}}, {"at": True, "deployments": {"res/a": ROW}},
    *({"at": START, "deployments": {"res/a": {"rest": {**ROW["rest"], **wrong}}}} for wrong in (
        {"at": None}, {"until": "soon"}, {"why": "bored"}, {"why": None}, {"at": START + 90}, {"at": START - 700, "until": START - 700},
        {"at": float("nan")}, {"until": float("inf")}, {"why": ["server"]},
    )),
]  # fmt: skip


@pytest.mark.parametrize("said", BAD, ids=range(len(BAD)))
def test_what_is_old_or_makes_no_sense_is_left_out(said: dict[str, Any]) -> None:
    world = World(AB)
    world.states.hear(said, world.now)
    assert world.call() == ("a", "ok")


def test_rest_of_years_is_not_believed() -> None:
    world = World(AB)
    world.states.hear({"at": START, "deployments": {"res/a": {"rest": {**ROW["rest"], "until": START * 2}}}}, world.now)
    assert rests(world) == 600


NAMES = ["rest", "azure", "at", "until", "why", "level", "requests", "tokens", "first_ms", "deployments", "res/a"]
VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.just(START) | st.sampled_from(["server", "", "x"])
JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_hearing_never_fails(row: dict[str, Any]) -> None:
    states = States()
    states.hear({"at": START, "deployments": {"res/a": row}}, START)
    states.hear(row, START)
    orjson.dumps(states.report(START))
