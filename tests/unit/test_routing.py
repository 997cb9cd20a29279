"""In which order deployments are asked."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import Deployment
from shared.routing import MOST_ATTEMPTS, RETRY_ELSEWHERE, plan
from tests.unit.given import deployment


def named(name: str, **how: float | None) -> Deployment:
    return deployment(name=name, **how)  # pyright: ignore[reportArgumentType]


def names(deployments: list[Deployment], seed: int = 1) -> list[str]:
    return [d.name for d in plan(deployments, Random(seed))]


class Weights(NamedTuple):
    id: str
    given: list[dict[str, float | None]]
    shares: list[float]
    """How often each deployment is asked first."""


DRAWS = 20_000
WEIGHTS = [
    Weights("even", [{}, {}, {}, {}], [0.25] * 4),
    Weights("weight", [{"weight": 3}, {"weight": 1}], [0.75, 0.25]),
    Weights("fractions", [{"weight": 0.7}, {"weight": 0.2}, {"weight": 0.1}], [0.7, 0.2, 0.1]),
    Weights("tiny", [{"weight": 0.0003}, {"weight": 0.0001}], [0.75, 0.25]),
    Weights("huge", [{"weight": 3e17}, {"weight": 1e17}], [0.75, 0.25]),
    Weights("rpm", [{"rpm": 1800}, {"rpm": 1800}, {"rpm": 9000}], [1 / 7, 1 / 7, 5 / 7]),
    Weights("tpm", [{"tpm": 240000}, {"tpm": 80000}], [0.75, 0.25]),
    Weights("weight before rpm before tpm", [{"weight": 1, "rpm": 9, "tpm": 9}, {"weight": 3, "rpm": 1}], [0.25, 0.75]),
    Weights("rpm before tpm", [{"rpm": 1, "tpm": 9}, {"rpm": 3, "tpm": 1}], [0.25, 0.75]),
    Weights("none beside some counts as one", [{"weight": 3}, {}], [0.75, 0.25]),
    Weights("zero is never first", [{"weight": 0}, {"weight": 1}], [0.0, 1.0]),
]


@pytest.mark.parametrize("case", WEIGHTS, ids=lambda case: case.id)
def test_plan_asks_first_in_proportion_to_the_weights(case: Weights) -> None:
    deployments = [named(str(i), **how) for i, how in enumerate(case.given)]
    rng = Random(20261123)
    first = Counter(plan(deployments, rng)[0].name for _ in range(DRAWS))
    assert [first[str(i)] / DRAWS for i in range(len(deployments))] == pytest.approx(case.shares, abs=0.015)


def test_plan_asks_lower_orders_first() -> None:
    deployments = [named("c", order=9), named("a", order=1), named("b", order=2), named("A", order=1)]
    found = [names(deployments, seed) for seed in range(50)]
    assert {tuple(sorted(f[:2])) for f in found} == {("A", "a")}
    assert {tuple(f[2:]) for f in found} == {("b", "c")}
    assert {f[0] for f in found} == {"A", "a"}


def test_plan_puts_a_weight_of_zero_last_within_its_order() -> None:
    deployments = [named("zero", weight=0), named("a", weight=1), named("none", weight=0), named("later", order=2)]
    assert names(deployments) == ["a", "zero", "none", "later"]


def test_plan_of_one_is_that_one() -> None:
    only = [named("a", weight=0)]
    assert plan(only, Random(1)) is only
    assert names([]) == []


@given(
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.floats(0, 1e9)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_plan_asks_none_twice_and_not_too_many(rows: list[tuple[int, float | None]], rng: Random) -> None:
    deployments = [named(str(i), order=order, weight=weight) for i, (order, weight) in enumerate(rows)]
    found = plan(deployments, rng)
    assert len({d.name for d in found}) == len(found) == min(len(rows), MOST_ATTEMPTS)
    assert [d.order for d in found] == sorted(order for order, _ in rows)[: len(found)]


def test_plan_is_the_same_for_the_same_random_source() -> None:
    deployments = [named(str(i)) for i in range(4)]
    assert names(deployments, 7) == names(deployments, 7)
    assert len({tuple(names(deployments, seed)) for seed in range(200)}) == 24


def test_retry_elsewhere_leaves_out_what_would_be_the_same_anywhere() -> None:
    assert {401, 403, 408, 409, 429, 500, 502, 503, 504} == RETRY_ELSEWHERE
