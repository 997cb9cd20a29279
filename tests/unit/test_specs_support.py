"""The judge of the tests against published specifications: that it finds what is wrong, and says where."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.specs import EVENTS, JSON, Problem, Spec, Undocumented, named

THING: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "size": {"type": "integer", "nullable": True},
        "rate": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        "share": {"type": "number", "maximum": 1, "exclusiveMaximum": False},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
    },
}
PART: dict[str, Any] = {
    "oneOf": [
        {"type": "object", "required": ["kind", "text"],
         "properties": {"kind": {"enum": ["text"]}, "text": {"type": "string"}}},
        {"type": "object", "required": ["kind", "url"],
         "properties": {"kind": {"const": "image"}, "url": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
    ]
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "200": {"content": {JSON: {"schema": {"$ref": "#/components/schemas/Thing"}}, "image/png": {"schema": {}}}},
    "202": {"description": "nothing to be read"},
    "4XX": {"content": {JSON: {"schema": {"type": "object"}}}},
}
SPEC = Spec(
    {
        "paths": {"/v9/things/{thing_id}": {"get": {"responses": ANSWERS}}},
        "components": {"schemas": {"Thing": THING, "Part": PART}},
    },
    "/v9",
)


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ({"id": "a", "size": None, "rate": 0.1, "share": 1, "more": 1}, []),
        ({"size": "big"}, ["/id", "/size"]),
        ({"id": None}, ["/id"]),
        ({"id": "a", "rate": 0}, ["/rate"]),
        ({"id": "a", "share": 1.1}, ["/share"]),
        ({"id": "a", "parts": [{"kind": "text", "text": "x"}, {"kind": "image", "url": None}]}, []),
        ({"id": "a", "parts": [{"kind": "image", "url": 7}, {"kind": "image", "url": 8}]}, ["/parts/*/url"]),
        ({"id": "a", "parts": [{"kind": "text"}]}, ["/parts/*/text"]),
        ({"id": "a", "parts": [{"kind": "sound", "text": "x"}]}, ["/parts/*/kind"]),
        ({"id": "a", "parts": "text"}, ["/parts"]),
        ([], ["/"]),
    ],
)
def test_problems_are_placed(value: Any, places: list[str]) -> None:
    assert sorted({problem.place for problem in SPEC.problems(named("Thing"), value)}) == places


def test_a_problem_says_what_is_wrong() -> None:
    assert SPEC.problems(named("Thing"), {"id": 1}) == [Problem("/id", "1 is not of type 'string'")]


def test_schema_of_an_operation() -> None:
    found = SPEC.schema("GET", "things/{id}", 200, JSON)
    assert found
    assert [problem.place for problem in SPEC.problems(found, {})] == ["/id"]
    assert SPEC.schema("GET", "things/{id}", 404, JSON)
    assert SPEC.schema("GET", "things/{id}", 202, JSON) is None
    assert SPEC.schema("GET", "things/{id}", 200, "image/png") is None


@pytest.mark.parametrize(("status", "media"), [(201, JSON), (200, EVENTS), (500, JSON)])
def test_what_is_not_specified(status: int, media: str) -> None:
    with pytest.raises(Undocumented):
        SPEC.schema("GET", "things/{id}", status, media)


def test_which_operations_are_covered() -> None:
    assert SPEC.covers("GET", "things/{other_name}")
    assert not SPEC.covers("DELETE", "things/{id}")
    assert not SPEC.covers("GET", "things")
