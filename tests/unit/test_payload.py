"""A client's JSON body: what is refused, with which words, and how fast."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.body_checks import check_body
from shared.endpoints import ENDPOINTS, Endpoint
from shared.errors import ApiError
from shared.payload import MOST_DEPTH, OPERATORS_OWN, check_size, depth, read_json

CHAT = ENDPOINTS["chat_completions"]
JSON = "application/json"
HELLO = b'{"messages":[{"role":"user","content":"Hello"}]}'


def refusal(body: bytes, content_type: str = JSON, **limits: int) -> ApiError:
    with pytest.raises(ApiError) as caught:
        _read(replace(CHAT, **limits), body, content_type)
    return caught.value


def _read(endpoint: Endpoint, body: bytes, content_type: str) -> None:
    check_body(endpoint, read_json(endpoint, body, content_type))


def with_field(text: str) -> bytes:
    return HELLO[:-1] + b"," + text.encode() + b"}"


class Good(NamedTuple):
    id: str
    body: bytes
    content_type: str = JSON


GOOD = [
    Good("plain", HELLO),
    Good("charset", HELLO, "Application/JSON; charset=utf-8"),
    Good("no content type", HELLO, ""),
    Good("a JSON kind", HELLO, "application/vnd.api+json"),
    Good("space around", b"\n  " + HELLO + b"\r\n"),
    Good("unknown fields", with_field('"top_k":3,"extra":{"a":null}')),
    Good("stream", with_field('"stream":true,"stream_options":{"include_usage":true}')),
    Good("nulls", with_field('"stream":null,"stream_options":null,"model":null')),
    Good("model", with_field('"model":"gpt-5"')),
    Good("brackets inside strings", with_field('"x":"' + "[" * 5000 + '"')),
    Good("brackets after escaped quotes", with_field('"x":"\\\\\\"' + "[{" * 500 + '"')),
    Good("depth 100", with_field('"x":' + "[" * 99 + "]" * 99)),
    Good("emoji", '{"messages":[{"role":"user","content":"🙂\\ud83d\\ude42"}]}'.encode()),
    Good("operators' fields deeper down", with_field('"tools":[{"api_key":1,"parameters":{"base_url":{},"headers":{}}}]')),
    Good("content that is no text", b'{"messages":[{"role":"user","content":5}]}'),
]  # fmt: skip


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_body_that_is_fine_is_read(case: Good) -> None:
    assert read_json(CHAT, case.body, case.content_type) == orjson.loads(case.body)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/jsonp", "json", "a/b+json"]
)
def test_content_type_that_is_no_json_is_refused(content_type: str) -> None:
    error = refusal(HELLO, content_type)
    assert (error.status, error.code) == (415, "unsupported_media_type")
    assert "Send 'Content-Type: application/json'" in error.message


class Bad(NamedTuple):
    id: str
    body: bytes
    says: str
    code: str | None = "invalid_json"
    param: str | None = None
    status: int = 400


BAD = [
    Bad("empty", b"", "The body is empty"),
    Bad("blank", b" \r\n\t", "The body is empty"),
    Bad("list", b"[]", "must be a JSON object"),
    Bad("text", b'"x"', "must be a JSON object"),
    Bad("null", b"null", "must be a JSON object"),
    Bad("unfinished", b'{"messages":[', "is not valid JSON"),
    Bad("trailing", HELLO + b"x", "is not valid JSON"),
    Bad("trailing comma", with_field('"a":1,'), "is not valid JSON"),
    Bad("single quotes", b"{'a':1}", "line 1, column 2"),
    Bad("NaN", with_field('"temperature":NaN'), "NaN and Infinity are not JSON"),
    Bad("Infinity", with_field('"temperature":Infinity'), "is not valid JSON"),
    Bad("minus infinity", with_field('"temperature":-Infinity'), "is not valid JSON"),
    Bad("not UTF-8", HELLO.replace(b"Hello", b"\xff\xfe"), "is not valid JSON"),
    Bad("lone surrogate", HELLO.replace(b"Hello", b"\\ud800"), "is not valid JSON"),
    Bad("UTF-16", HELLO.decode().encode("utf-16"), "is not valid JSON"),
    Bad("byte order mark", b"\xef\xbb\xbf" + HELLO, "is not valid JSON"),
    Bad("control character", HELLO.replace(b"Hello", b"\x00"), "is not valid JSON"),
    Bad("unbalanced", b"]" * 500 + b"[" * 101, "is not valid JSON"),
    Bad("no messages", b"{}", "Missing required parameter: 'messages'.", "missing_required_parameter", "messages"),
    Bad("null messages", b'{"messages":null}', "'messages'", "missing_required_parameter", "messages"),
    Bad("empty messages", b'{"messages":[]}', "at least one message", "invalid_type", "messages"),
    Bad("text for messages", b'{"messages":"x"}', "a list", "invalid_type", "messages"),
    Bad("no message", b'{"messages":["x"]}', "an object with a 'role'", "invalid_type", "messages[0]"),
    Bad("no role", b'{"messages":[{"role":"user"},{}]}', "an object with a 'role'", "invalid_type", "messages[1]"),
    Bad("odd role", b'{"messages":[{"role":5}]}', "an object with a 'role'", "invalid_type", "messages[0]"),
    Bad("odd stream", with_field('"stream":"true"'), "true or false", "invalid_type", "stream"),
    Bad("number for stream", with_field('"stream":1'), "true or false", "invalid_type", "stream"),
    Bad("odd model", with_field('"model":5'), "a string", "invalid_type", "model"),
    Bad("odd options", with_field('"stream":true,"stream_options":[]'), "an object", "invalid_type", "stream_options"),
    Bad("depth 101", with_field('"x":' + "[" * 100 + "]" * 100), "more than 100 levels", "too_deep"),
    Bad("depth of objects", with_field('"x":' + '{"a":' * 100 + "1" + "}" * 100), "more than 100 levels", "too_deep"),
    Bad("unclosed", b"[" * 200, "more than 100 levels", "too_deep"),
    Bad("a megabyte of openers", b"[" * (1 << 20), "more than 1,000,000 elements", "request_too_large", status=413),
    Bad("many openers", b"[" * 999_999, "more than 100 levels", "too_deep"),
    Bad("many commas", b"[" + b"," * 1_000_000, "more than 1,000,000 elements", "request_too_large", status=413),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_body_that_is_wrong_is_refused_with_the_reason(case: Bad) -> None:
    began = time.perf_counter()
    error = refusal(case.body)
    assert time.perf_counter() - began < 1.0
    assert (error.status, error.code, error.param) == (case.status, case.code, case.param)
    assert case.says in error.message


def test_duplicate_keys_are_read_as_the_last_and_huge_numbers_as_floats() -> None:
    body = with_field('"seed":1,"seed":2,"n":' + "9" * 40)
    found = read_json(CHAT, body, JSON)
    assert (found["seed"], found["n"]) == (2, 1e40)


@pytest.mark.parametrize("name", sorted(OPERATORS_OWN))
def test_operators_field_cannot_be_set_by_a_client(name: str) -> None:
    error = refusal(with_field(f'"{name}":"x"'))
    assert (error.status, error.code, error.param) == (400, "unknown_parameter", name)
    assert "cannot be set by a client" in error.message


def test_operators_field_that_is_named_is_always_the_same_one() -> None:
    assert refusal(with_field('"headers":1,"base_url":1,"api_key":1')).param == "api_key"


def test_size_is_bounded() -> None:
    endpoint = replace(CHAT, body_limit=100)
    check_size(endpoint, 100)
    with pytest.raises(ApiError, match="larger than 100 bytes") as caught:
        check_size(endpoint, 101)
    assert (caught.value.status, caught.value.code) == (413, "request_too_large")


def test_size_and_elements_are_bounded_before_parsing() -> None:
    assert "larger than 20 bytes" in refusal(b"{" * 21, body_limit=20).message
    assert "more than 2 elements" in refusal(HELLO, token_limit=2).message
    assert read_json(replace(CHAT, token_limit=3), HELLO.replace(b',"content":"Hello"', b""), JSON)


def test_other_endpoints_are_not_read_as_chat() -> None:
    models = ENDPOINTS["models_list"]
    assert read_json(models, b'{"messages":5}', JSON) == {"messages": 5}


class Depth(NamedTuple):
    body: bytes
    expect: int


@pytest.mark.parametrize(
    "case",
    [
        Depth(b"", 0),
        Depth(b"[]", 1),
        Depth(b"[[],{}]", 2),
        Depth(b'{"a":[{"b":[]}]}', 4),
        Depth(b'"[[["', 0),
        Depth(rb'["\"[[[",[]]', 2),
        Depth(rb'["\\",[["]"]]]', 3),
        Depth(rb'["\\\"[",[]]', 2),
        Depth(b'["', 1),
        Depth(b"][[", 1),
    ],
    ids=lambda case: repr(case.body),
)
def test_depth_counts_brackets_outside_of_strings(case: Depth) -> None:
    assert depth(case.body) == case.expect


def nesting(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, (dict, list)) + max(map(nesting, inner), default=0)


@given(
    st.recursive(
        st.none() | st.text(alphabet='[]{}"\\,:a'),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[]{}"\\a'), inner, max_size=3),
        max_leaves=30,
    )
)
def test_depth_of_any_json_is_its_nesting(value: Any) -> None:
    assert depth(orjson.dumps(value)) == nesting(value)


HOSTILE = [
    b'"' + b'\\"' * 3_000_000,
    b'"' + b"\\" * 6_000_001,
    b'"' * 6_000_000,
    b'"]"' * 2_000_000,
    b'"' + b"a" * 6_000_000 + b'"',
]


@pytest.mark.parametrize("tail", HOSTILE, ids=lambda tail: repr(tail[:6]))
def test_depth_takes_linear_time_whatever_the_strings_hold(tail: bytes) -> None:
    began = time.perf_counter()
    assert depth(b"[" * (MOST_DEPTH + 1) + tail) == MOST_DEPTH + 1
    assert time.perf_counter() - began < 1.0
