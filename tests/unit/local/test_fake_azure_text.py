"""The pure parts: tokens, stop sequences and instances of schemas."""

from typing import Any

import pytest

from local.fake_azure.chat.answer import until_stop
from local.fake_azure.chat.schema import instance
from local.fake_azure.chat.tokenizer import split, tokens


@pytest.mark.parametrize("text", ["", " ", "a b", "Hello, world!  \n\tend ", "zażółć 🙂日本", "x" * 50, "a\n\n b"])
def test_tokens_give_the_text_back(text: str) -> None:
    assert "".join(tokens(text)) == text
    assert list(tokens(text)) == split(text)


def test_token_is_a_word_or_a_mark() -> None:
    assert split("Hello, world") == ["Hello", ",", " world"]
    assert len(split("x" * 33)) == 3


@pytest.mark.parametrize(
    ("text", "stops", "kept"),
    [
        ("one two three", ("two",), "one "),
        ("one two three", ("e tw",), "on"),
        ("one two three", ("four", "thr"), "one two "),
        ("one two three", ("four",), "one two three"),
        ("one two three", ("o",), ""),
        ("one two three", ("three", "one"), ""),
        ("abab abac", ("abac",), "abab "),
        ("one", ("",), "one"),
    ],
)
def test_stop_sequence_may_lie_across_tokens(text: str, stops: tuple[str, ...], kept: str) -> None:
    assert "".join(until_stop(tokens(text), stops)) == kept


NODE = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/Node"}, "id": {"type": "integer"}},
    "required": ["id"],
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "red"),
        ({"type": "string", "minLength": 10}, "red green red"),
        ({"type": "string", "maxLength": 2}, "re"),
        ({"type": "string", "format": "email"}, "someone@example.com"),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": ["integer", "null"], "minimum": 5}, 5),
        ({"type": "integer", "maximum": 0}, 0),
        ({"type": "number", "exclusiveMinimum": 2}, 3),
        ({"type": "integer", "multipleOf": 5}, 5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": "array", "items": {"type": "string"}, "minItems": 3}, ["red", "green", "red"]),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
        ({"properties": {"city": {"type": "string"}, "note": {"type": "string"}}}, {"city": "Paris", "note": "red"}),
        ({"$ref": "#/definitions/x", "definitions": {"x": {"type": "boolean"}}}, True),
        (True, "red"),
    ],
)
def test_instance_fits_its_schema(schema: Any, expected: Any) -> None:
    made = (
        instance(schema, ["red", "green"], "Paris")
        if isinstance(schema, dict)
        else instance({"type": "array", "items": schema}, ["red"])[0]
    )
    assert made == expected


def test_instance_of_a_recursive_schema_ends() -> None:
    made = instance({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, ["x"])
    depth = 0
    while "next" in made:
        made, depth = made["next"], depth + 1
    assert made == {"id": 1}
    assert depth < 10
