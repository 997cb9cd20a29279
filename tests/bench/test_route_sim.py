"""Routing against its script of faults, in virtual time: nothing lost, nothing misrouted; and the judge sees both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from bench import route_proof
from bench.route_figures import act_rows
from bench.route_script import ACTS, placed, write
from bench.route_sim import SETTINGS, Simulation
from bench.route_world import EPOCH, Size, sites
from shared.catalog import Deployment
from shared.router_settings import Strategy
from shared.routing import Failure, Journey, Over, Router, Step, Wish

FEW = 3_000


@pytest.fixture(scope="module")
def run() -> Simulation:
    found = Simulation(20_000, seed=1)
    found.run()
    return found


def test_no_call_is_lost_and_none_misrouted(run: Simulation) -> None:
    faults = run.judge.faults
    assert (faults.lost, faults.misrouted, faults.rules) == ({}, {}, {}), faults.examples


def test_every_call_ends_once_and_nothing_stays_in_flight(run: Simulation) -> None:
    assert run.figures.ends.total() == run.figures.calls == 20_000
    assert run.figures.in_flight == 0


def test_every_act_is_played_and_every_kind_of_failure_is_met(run: Simulation) -> None:
    assert all(act.calls for act in run.figures.acts)
    assert set(run.figures.failed) == {
        "bad_request", "rate_limit", "server", "unreachable", "timeout", "auth", "bad_answer", "conflict",
    }  # fmt: skip
    assert len(act_rows(run.figures)) == len(ACTS)
    assert run.figures.waits


def test_who_is_told_to_come_back_is_told_when(run: Simulation) -> None:
    assert run.figures.dumb == 0


@pytest.mark.parametrize("strategy", route_proof.OTHERS)
def test_every_strategy_holds(strategy: Strategy) -> None:
    found = Simulation(FEW, seed=2, settings=replace(SETTINGS, strategy=strategy))
    found.run()
    assert route_proof.held(found), found.judge.faults


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = Simulation(FEW, seed=5), Simulation(FEW, seed=5)
    first.run()
    second.run()
    assert (first.figures.ends, first.figures.failed) == (second.figures.ends, second.figures.failed)
    assert [a.attempts for a in first.figures.acts] == [a.attempts for a in second.figures.acts]


class GivesUp(Journey):
    """Never asks a second deployment."""

    __slots__ = ()

    def next(self, now: float) -> Step:
        return Over("failed") if self.attempts else super().next(now)


class Quitter(Router):
    def begin(self, choices: Sequence[Deployment], wish: Wish, now: float) -> Journey:
        journey = super().begin(choices, wish, now)
        return _as(GivesUp, journey)


class Backwards(Router):
    """Takes the last order for the first."""

    turned: Mapping[int, Sequence[Deployment]] = {}

    def begin(self, choices: Sequence[Deployment], wish: Wish, now: float) -> Journey:
        if id(choices) not in self.turned:
            self.turned = {id(choices): tuple(replace(each, order=-each.order) for each in choices)}
        return super().begin(self.turned[id(choices)], wish, now)


class Forgets(Journey):
    """Does not take notice of a refusal."""

    __slots__ = ()

    def failed(self, failure: Failure, now: float, headers: Mapping[str, str] | None = None) -> None:
        super().failed(Failure("conflict"), now, headers)


class Forgetful(Router):
    def begin(self, choices: Sequence[Deployment], wish: Wish, now: float) -> Journey:
        return _as(Forgets, super().begin(choices, wish, now))


def _as(kind: type[Journey], journey: Journey) -> Journey:
    journey.__class__ = kind
    return journey


def test_the_judge_sees_calls_that_need_not_have_failed() -> None:
    found = Simulation(FEW, seed=1, route=Quitter)
    found.run()
    assert found.judge.faults.lost.total() > 20


def test_the_judge_sees_what_was_asked_before_something_better() -> None:
    found = Simulation(FEW, seed=1, route=Backwards)
    found.run()
    assert found.judge.faults.misrouted["a later order, another was free"] > FEW / 10


def test_the_judge_sees_what_was_asked_before_its_retry_after() -> None:
    found = Simulation(FEW, seed=1, route=Forgetful)
    found.run()
    assert found.judge.faults.misrouted["before its Retry-After was over"] > 10


def test_what_the_oracle_calls_able_answers() -> None:
    world, rng = sites(5.0), Random(3)
    script = placed()
    write(script, world)
    answered = 0
    for _ in range(5_000):
        site, t = rng.choice(world), rng.uniform(EPOCH, script[-1].end)
        size = Size(rng.randrange(50, 4_000), 40, rng.random() < 0.5, 0.4, 2.0)
        able = site.able(size, t, t, t + 100.0, 30.0)
        seconds, failure, _ = site.ask(size, t, rng)
        assert able == (failure is None and seconds <= 30.0)
        answered += able
    assert 1_000 < answered < 4_900
