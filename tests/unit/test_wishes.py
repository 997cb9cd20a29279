"""What clients say of routing: taken out of the body, whatever else is in it, and refused when it means nothing."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import ApiError
from shared.wishes import NAMES, NONE, Wishes, take_wishes

REST = {"model": "m", "messages": [], "metadata": {"purpose": "test"}}


def taken(body: dict[str, Any], headers: dict[str, str] | None = None, *, stream: bool = False) -> Wishes:
    given = {**REST, **body}
    found = take_wishes(given, headers or {}, stream=stream)
    assert given == REST
    return found


@pytest.mark.parametrize(
    ("body", "headers", "expect"),
    [
        ({}, {}, NONE),
        ({"fallbacks": ["a", "b"]}, {}, Wishes(fallbacks=("a", "b"))),
        ({"fallbacks": []}, {}, NONE),
        ({"num_retries": 0}, {}, Wishes(num_retries=0)),
        ({"num_retries": "3"}, {}, Wishes(num_retries=3)),
        ({"timeout": 1.5}, {}, Wishes(timeout=1.5)),
        ({"timeout": 9, "stream_timeout": 2}, {}, Wishes(timeout=9)),
        ({"disable_fallbacks": True}, {}, Wishes(fallbacks_off=True)),
        ({"disable_fallbacks": "false"}, {}, NONE),
        ({"tags": ["x", "y"]}, {}, Wishes(tags=("x", "y"))),
        ({name: None for name in NAMES}, {}, NONE),
        ({}, {"x-tollgate-num-retries": "1"}, Wishes(num_retries=1)),
        ({}, {"x-litellm-num-retries": "1", "x-tollgate-num-retries": "2"}, Wishes(num_retries=2)),
        ({"num_retries": 4}, {"x-litellm-num-retries": "1"}, Wishes(num_retries=4)),
        ({}, {"x-litellm-timeout": "7"}, Wishes(timeout=7)),
        ({}, {"x-tollgate-region": " EU "}, Wishes(region="eu")),
    ],
)
def test_what_is_wished(body: dict[str, Any], headers: dict[str, str], expect: Wishes) -> None:
    assert taken(body, headers) == expect


def test_a_stream_has_a_time_of_its_own() -> None:
    assert taken({"timeout": 9, "stream_timeout": 2}, stream=True).timeout == 2
    assert taken({"timeout": 9}, stream=True).timeout == 9


def test_tags_in_metadata_are_taken_out_of_it() -> None:
    body = {"metadata": {"tags": ["a"], "purpose": "test"}}
    assert taken(body).tags == ("a",)
    assert body == {"metadata": {"tags": ["a"], "purpose": "test"}}
    alone = {"metadata": {"tags": ["a"]}}
    assert take_wishes(alone, {}, stream=False).tags == ("a",)
    assert alone == {}


def test_metadata_of_openais_own_form_stays() -> None:
    body: dict[str, Any] = {"metadata": {"tags": "a,b"}}
    assert take_wishes(body, {}, stream=False) is NONE
    assert body == {"metadata": {"tags": "a,b"}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fallbacks", {"model": "a"}), ("fallbacks", [{"model": "a"}]), ("fallbacks", ["a"] * 21),
        ("num_retries", -1), ("num_retries", 1.5), ("num_retries", "many"), ("num_retries", True),
        ("timeout", 0), ("timeout", -1), ("timeout", "soon"), ("timeout", float("inf")), ("stream_timeout", []),
        ("tags", [1]), ("tags", {"a": 1}), ("disable_fallbacks", "perhaps"), ("disable_fallbacks", 1),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ApiError) as refused:
        take_wishes({"model": "m", name: value}, {}, stream=False)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, name, "invalid_type")
