"""The choice among deployments of equal rank, over figures."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.routing.strategies import draw, least, nearest
from tests.unit.routing.world import World, deps

CHANCE = st.floats(0, 1, exclude_max=True)
WEIGHTS = st.lists(st.floats(0, 1e9), min_size=1, max_size=12)


def digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


class Weights(NamedTuple):
    id: str
    given: list[dict[str, float | None]]
    shares: list[float]
    """How often each deployment is asked first."""


CASES = [
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
    Weights("all zero is even", [{"weight": 0}, {"weight": 0}], [0.5, 0.5]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_shuffle_asks_in_proportion_to_the_weights(case: Weights) -> None:
    choices = [deps(str(i), **how)[0] for i, how in enumerate(case.given)]
    world, draws = World(choices, seed=20261123), 4000
    first = Counter(world.call()[0] for _ in range(draws))
    assert [first[str(i)] / draws for i in range(len(choices))] == pytest.approx(case.shares, abs=0.025)


@given(WEIGHTS, CHANCE)
def test_draw_finds_a_place_that_has_weight(weights: list[float], u: float) -> None:
    found = draw(list(accumulate(weights)), u)
    assert weights[found] > 0 or not any(weights)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_draw_gives_each_its_exact_share(weights: list[int]) -> None:
    bounds, total = list(accumulate(map(float, weights))), sum(weights)
    found = Counter(draw(bounds, (i + 0.5) / total) for i in range(total))
    assert [found[i] for i in range(len(weights))] == weights


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), CHANCE, st.floats(0, 0.5))
def test_least_is_never_more_than_the_slack_above_the_lowest(figures: list[float], u: float, slack: float) -> None:
    found = least(figures, [1.0] * len(figures), u, slack)
    assert figures[found] <= min(figures) * (1 + slack)


def test_least_shares_a_tie_by_weight_and_leaves_others_out() -> None:
    found = Counter(least([5, 1, 1, 9], [100.0, 3.0, 1.0, 100.0], (i + 0.5) / 400) for i in range(400))
    assert found == {1: 300, 2: 100}


@given(st.integers(2, 12), st.data())
def test_nearest_moves_only_the_keys_of_the_one_that_has_gone(count: int, data: st.DataObject) -> None:
    seeds = [digest(f"res/{i}") for i in range(count)]
    weights = data.draw(st.none() | st.lists(st.floats(0.1, 10), min_size=count, max_size=count))
    gone = data.draw(st.integers(0, count - 1))
    kept = [i for i in range(count) if i != gone]
    for key in map(digest, "abcdefghijklmnopqrst"):
        before = nearest(key, seeds, weights)
        after = kept[nearest(key, [seeds[i] for i in kept], weights and [weights[i] for i in kept])]
        assert before in (gone, after)


@pytest.mark.parametrize("weights", [None, [3.0, 1.0, 0.0, 4.0, 2.0]], ids=["even", "by weight"])
def test_nearest_shares_the_keys_by_weight(weights: list[float] | None) -> None:
    seeds = [digest(f"res/{i}") for i in range(5)]
    found = Counter(nearest(digest(f"key {i}"), seeds, weights) for i in range(10_000))
    expected = [0.2] * 5 if weights is None else [w / 10 for w in weights]
    assert [found[i] / 10_000 for i in range(5)] == pytest.approx(expected, abs=0.02)


def test_nearest_is_the_same_in_every_process() -> None:
    seeds = [digest(name) for name in ("res/a", "res/b", "res/c")]
    assert "".join("abc"[nearest(digest(str(i)), seeds, None)] for i in range(12)) == "bbbbbbbcbbac"
    assert "".join("abc"[nearest(digest(str(i)), seeds, [1.0, 1.0, 1.0])] for i in range(12)) == "bbbbbbbcbbac"
