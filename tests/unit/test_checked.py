"""Classes of checked fields: what is given, what is missing, and what is left over."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import ValidationError

from shared.checked import (
    Checked,
    after,
    anything,
    either,
    flag,
    instance,
    mapping,
    needed,
    nullable,
    number,
    one_of,
    optional,
    several,
    text,
    usually,
    whole,
)


class Inner(Checked, extra="forbid"):
    size: int = needed(whole(ge=1))


class Outer(Checked):
    name: str | None = optional(text(), "name", "title")
    inner: Inner | None = optional(Inner.kind)
    tags: list[str] = usually(list, several(text(min_length=1)))


class Wide(Outer, extra="allow", numbers_as_text=True):
    """Has the fields of the other, too."""

    own: Inner = needed(Inner.kind)
    rate: float = usually(1.0, number(gt=0))
    facts: dict[str, Any] = usually(dict, mapping(anything()))
    on: bool = usually(False, flag())
    way: str = usually("a", one_of("a", "b"))
    counts: dict[str, int | None] = usually(dict, mapping(nullable(whole())))
    which: Any = usually("*", either(one_of("*"), several(text())))
    upper: str = usually("", after(str.upper, text()))
    secret: Any = optional(instance(bytes))


def wrong(cls: type[Checked], given: Any) -> list[tuple[str, tuple[Any, ...]]]:
    with pytest.raises(ValidationError) as caught:
        cls.model_validate(given)
    return [(one["type"], one["loc"]) for one in caught.value.errors()]


def test_what_is_not_given_is_as_the_class_says_and_nobody_elses() -> None:
    one, other = Wide.model_validate({"own": {"size": 1}}), Wide(own={"size": 2})
    assert (one.name, one.inner, one.rate, one.on, one.way, one.upper) == (None, None, 1.0, False, "a", "")
    one.tags.append("x")
    one.facts["y"] = 1
    assert (other.tags, other.facts, other.own.size) == ([], {}, 2)


def test_a_field_is_found_by_its_names_in_their_order() -> None:
    assert Outer.model_validate({"title": "b"}).name == "b"
    assert Outer.model_validate({"title": "b", "name": "a"}).name == "a"


def test_values_become_what_they_stand_for() -> None:
    given = {"own": {"size": "3"}, "name": 5, "rate": "2.5", "on": "yes", "upper": "x", "counts": {"a": None, "b": "1"}}
    made = Wide.model_validate(given)
    assert (made.own.size, made.name, made.rate, made.on, made.upper) == (3, "5", 2.5, True, "X")
    assert made.counts == {"a": None, "b": 1}
    assert isinstance(made.own, Inner)


def test_every_mistake_is_told_with_its_place() -> None:
    assert wrong(Outer, {"name": 5}) == [("string_type", ("name",))]
    assert wrong(Outer, 1) == [("model_type", ())]
    assert wrong(Inner, {"size": 0}) == [("greater_than_equal", ("size",))]
    assert wrong(Inner, {"size": 1, "color": "red"}) == [("extra_forbidden", ("color",))]
    given = {"tags": ["", "a"], "inner": {}, "way": "c", "secret": "x", "rate": 0}
    assert sorted(wrong(Wide, given)) == [
        ("greater_than", ("rate",)),
        ("is_instance_of", ("secret",)),
        ("literal_error", ("way",)),
        ("missing", ("inner", "size")),
        ("missing", ("own",)),
        ("string_too_short", ("tags", 0)),
    ]


def test_what_no_field_names_is_dropped_or_kept_apart() -> None:
    assert Outer.model_validate({"color": "red"}).model_extra is None
    made = Wide.model_validate({"own": {"size": 1}, "color": "red", "none": None})
    assert made.model_extra == {"color": "red", "none": None}
    assert not hasattr(made, "color")


def test_a_dump_holds_all_of_it() -> None:
    made = Wide.model_validate({"own": {"size": 1}, "inner": {"size": 2}, "color": "red", "none": None})
    whole_dump, short = made.model_dump(), made.model_dump(exclude_none=True)
    assert set(whole_dump) == {*Wide.model_fields, "color", "none"}
    assert (short["own"], short["inner"], short["color"]) == ({"size": 1}, {"size": 2}, "red")
    assert set(whole_dump) - set(short) == {"name", "secret", "none"}


def test_fields_of_a_class_are_not_those_of_its_base() -> None:
    assert list(Outer.model_fields) == ["name", "inner", "tags"]
    assert list(Wide.model_fields)[:4] == ["name", "inner", "tags", "own"]
    assert not hasattr(Outer, "tags")
