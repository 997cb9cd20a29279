"""Tags and the end user: cut to what a report can hold, whatever a client sends."""

from __future__ import annotations

from typing import Any

import pytest

from shared.tagging import HEADERS, MOST_CHARACTERS, MOST_TAGS, tags_of, user_of

OURS, LITELLM = HEADERS
MANY = ",".join(f"t{number}" for number in range(40))


@pytest.mark.parametrize(
    ("headers", "own", "expect"),
    [
        ({}, (), ()),
        ({}, ("team-a",), ("team-a",)),
        ({OURS: "a,b"}, (), ("a", "b")),
        ({LITELLM: "a,b"}, (), ("a", "b")),
        ({OURS: "a", LITELLM: "b"}, (), ("a",)),
        ({OURS: "", LITELLM: "b"}, (), ("b",)),
        ({OURS: " a , b,,  ,c "}, (), ("a", "b", "c")),
        ({OURS: "a,a,b,a"}, (), ("a", "b")),
        ({OURS: "b,own"}, ("own", "other"), ("own", "other", "b")),
        ({OURS: ",, ,"}, ("own",), ("own",)),
        ({OURS: "job:1, task: two words"}, (), ("job:1", "task: two words")),
        ({OURS: "a\tb\x00c,\x1b[31mred,x\x85y"}, (), ("a b c", "[31mred", "x y")),
        ({OURS: "\x00,\x7f"}, (), ()),
        ({OURS: "x" * 1000}, (), ("x" * MOST_CHARACTERS,)),
        ({OURS: "ünï-çödé"}, (), ("ünï-çödé",)),
        ({OURS: MANY}, (), tuple(f"t{number}" for number in range(MOST_TAGS))),
        ({OURS: MANY}, ("own",), ("own", *(f"t{number}" for number in range(MOST_TAGS)))),
        ({"X-Tollgate-Tags": "a", "x-other-tags": "b"}, (), ()),
    ],
)
def test_tags(headers: dict[str, str], own: tuple[str, ...], expect: tuple[str, ...]) -> None:
    assert tags_of(headers, own) == expect


@pytest.mark.parametrize(
    ("body", "user"),
    [
        ({}, ""),
        ({"user": "ana"}, "ana"),
        ({"safety_identifier": "hash"}, "hash"),
        ({"safety_identifier": "hash", "user": "ana"}, "hash"),
        ({"safety_identifier": "", "user": "ana"}, "ana"),
        ({"safety_identifier": " \n", "user": "ana"}, "ana"),
        ({"safety_identifier": None, "user": "ana"}, "ana"),
        ({"end_user": "ana"}, "ana"),
        ({"metadata": {"user_id": "ana"}}, "ana"),
        ({"user": "ben", "metadata": {"user_id": "ana"}}, "ben"),
        ({"user": 5, "safety_identifier": ["x"], "end_user": {"a": 1}, "metadata": {"user_id": 7}}, ""),
        ({"user": True, "metadata": "ana"}, ""),
        ({"metadata": ["user_id"]}, ""),
        ({"metadata": None}, ""),
        ({"user": "a\r\nb\u2028c"}, "a b c"),
        ({"user": "y" * 1000}, "y" * MOST_CHARACTERS),
        ({"metadata": {"user_id": "z" * 1000}}, "z" * MOST_CHARACTERS),
    ],
)
def test_user(body: dict[str, Any], user: str) -> None:
    assert user_of(body) == user
