"""Which deployments a call may be sent to at all: tags and regions."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.catalog import Deployment
from shared.routing import NothingFits, Wish
from tests.unit.given import NOTHING
from tests.unit.routing.world import World, dep


class Fits(NamedTuple):
    id: str
    choices: list[Deployment]
    wish: dict[str, Any]
    expected: str
    """Who may be asked, or what fits nobody."""
    settings: dict[str, Any] = NOTHING


def tagged(name: str, tags: str = "") -> Deployment:
    return dep(name, tags=frozenset(tags.split()))


TAGGED = [tagged("free", "free"), tagged("paid", "paid eu"), tagged("plain"), tagged("spare", "default spare")]
PLACES = [
    dep("sweden", region="swedencentral"), dep("east", region="eastus2"), dep("zone", area="eu"), dep("unknown"),
]  # fmt: skip
ALL = {"tags_match_all": True}
CASES = [
    Fits("no tags", TAGGED, {}, "plain spare"),
    Fits("one", TAGGED, {"tags": ("free",)}, "free"),
    Fits("either", TAGGED, {"tags": ("free", "paid")}, "free paid"),
    Fits("any of them", TAGGED, {"tags": ("eu", "red")}, "paid"),
    Fits("all of them", TAGGED, {"tags": ("eu", "paid")}, "paid", ALL),
    Fits("not all of them", TAGGED, {"tags": ("free", "paid")}, "plain spare", ALL),
    Fits("labels are not for routing", TAGGED, {"tags": ("team-red",)}, "plain spare"),
    Fits("labels beside a tag, all", TAGGED, {"tags": ("team-red", "free")}, "free", ALL),
    Fits("default by name", TAGGED, {"tags": ("default",)}, "plain spare"),
    Fits("default and another tag", TAGGED, {"tags": ("spare",)}, "spare"),
    Fits("only tagged ones", TAGGED[:2], {}, "tags"),
    Fits("only tagged ones, a label", TAGGED[:2], {"tags": ("red",)}, "tags"),
    Fits("nothing is tagged", [tagged("a"), tagged("b")], {"tags": ("x",)}, "a b"),
    Fits("client's region", PLACES, {"region": "eastus2"}, "east"),
    Fits("client's zone", PLACES, {"region": "eu"}, "sweden zone"),
    Fits("nobody is there", PLACES, {"region": "japaneast"}, "region"),
    Fits("operator's", PLACES, {}, "sweden zone", {"regions": frozenset({"eu"})}),
    Fits("operator's, several", PLACES, {}, "sweden east", {"regions": frozenset({"swedencentral", "us"})}),
    Fits("both", PLACES, {"region": "swedencentral"}, "sweden", {"regions": frozenset({"eu"})}),
    Fits("client's beyond the operator's", PLACES, {"region": "us"}, "region", {"regions": frozenset({"eu"})}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_fits(case: Fits) -> None:
    world = World(case.choices, **case.settings)
    if case.expected in ("tags", "region"):
        with pytest.raises(NothingFits) as raised:
            world.begin(**case.wish)
        assert raised.value.what == case.expected
    else:
        assert {world.call(**case.wish)[0] for _ in range(60)} == set(case.expected.split())


def test_any_number_of_different_tags_costs_no_memory() -> None:
    world = World(TAGGED)
    for i in range(2000):
        world.begin(tags=(f"label-{i}",), region="")
    with pytest.raises(NothingFits):
        world.begin(region="nowhere")
    for i in range(2000):
        with pytest.raises(NothingFits):
            world.begin(region=f"nowhere-{i}")
    choices = world.router._choices[id(world.choices)]  # pyright: ignore[reportPrivateUsage]
    assert len(choices._fits) <= 256  # pyright: ignore[reportPrivateUsage]


def test_choices_that_are_made_for_one_call_are_not_taken_for_others() -> None:
    world = World("a b")
    for name in "abab" * 10:
        (only,) = [d for d in world.choices if d.name == name]
        journey = world.router.begin([only], Wish(), world.now)
        step = journey.next(world.now)
        assert getattr(step, "deployment", None) is only
