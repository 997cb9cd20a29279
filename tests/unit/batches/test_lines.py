"""The reader of inputs: every rule with the line that breaks it, whatever the pieces are, and chunks that fit."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.batches.intake import lines as module
from shared.batches.intake.line_ids import may_hold_ids, open_line_ids, plain_tokens
from shared.batches.intake.lines import BadLine, LineReader, lines_of, read_index
from shared.transform.owned import ID_FIELDS
from shared.types import Json
from shared.usage import estimate_input


def row(custom_id: Any = "a", **changed: Any) -> Json:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **changed}


def jsonl(*rows: Any) -> bytes:
    return b"".join((r if isinstance(r, bytes) else orjson.dumps(r)) + b"\n" for r in rows)


def read(data: bytes, cuts: Iterable[int] = (), opened: list[str] | None = None) -> LineReader:
    def open_id(public_id: str) -> str:
        (opened if opened is not None else []).append(public_id)
        return public_id

    reader = LineReader(open_id)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        reader.feed(data[start:end])
    reader.end()
    return reader


def body(**changed: Any) -> Json:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **changed}


WRONG: list[tuple[str, bytes, str, str | None]] = [
    ("no JSON", b"{nonsense", "invalid_json_line", None),
    ("two lines in one", orjson.dumps(row("x")) + orjson.dumps(row("y")), "invalid_json_line", None),
    ("NaN", b'{"custom_id": "x", "method": "POST", "url": "/v1/chat/completions", "body": {"n": NaN}}',
     "invalid_json_line", None),
    ("not UTF-8", orjson.dumps(row("x")).replace(b"hi", b"h\xff"), "invalid_json_line", None),
    ("half a surrogate", orjson.dumps(row("x")).replace(b"hi", rb"\ud800"), "invalid_json_line", None),
    ("a list", b"[]", "invalid_request", None),
    ("no custom_id", orjson.dumps({k: v for k, v in row().items() if k != "custom_id"}), "missing_required_parameter",
     "custom_id"),
    ("empty custom_id", orjson.dumps(row("")), "missing_required_parameter", "custom_id"),
    ("custom_id a number", orjson.dumps(row(7)), "invalid_type", "custom_id"),
    ("custom_id too long", orjson.dumps(row("x" * 513)), "invalid_value", "custom_id"),
    ("custom_id twice", orjson.dumps(row("first")), "duplicate_custom_id", "custom_id"),
    ("no method", orjson.dumps(row("x", method=None)), "missing_required_parameter", "method"),
    ("GET", orjson.dumps(row("x", method="GET")), "invalid_value", "method"),
    ("no url", orjson.dumps(row("x", url=None)), "missing_required_parameter", "url"),
    ("url a number", orjson.dumps(row("x", url=1)), "invalid_type", "url"),
    ("url unknown", orjson.dumps(row("x", url="/v1/files")), "invalid_url", "url"),
    ("url is another", orjson.dumps(row("x", url="/v1/embeddings")), "url_mismatch", "url"),
    ("no body", orjson.dumps(row("x", body=None)), "missing_required_parameter", "body"),
    ("body a text", orjson.dumps(row("x", body="hi")), "invalid_type", "body"),
    ("model is another", orjson.dumps(row("x", body=body(model="gpt-5"))), "model_mismatch", "body.model"),
    ("model a number", orjson.dumps(row("x", body=body(model=1))), "invalid_type", "body.model"),
    ("stream", orjson.dumps(row("x", body=body(stream=True))), "unsupported_value", "body.stream"),
    ("background", orjson.dumps(row("x", body=body(background=True))), "unsupported_value", "body.background"),
    ("too deep", orjson.dumps(row("x", body=body(a="x" * 70_000)))[:-2] + b',"b":' + b"[" * 101 + b"]" * 101 + b"}}",
     "too_deep", None),
    ("too deep and short", orjson.dumps(row("x"))[:-2] + b',"b":' + b"[" * 101 + b"]" * 101 + b"}}", "too_deep", None),
    ("too many objects", orjson.dumps(row("x", body=body(a="x" * 70_000, b=[[]] * 100_001))), "line_too_large", None),
    ("BOM", b"\xef\xbb\xbf{}", "invalid_json_line", None),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code", "param"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_is_wrong_is_told_with_its_line(data: bytes, code: str, param: str | None) -> None:
    for end in (b"\n", b"", b"\r\n"):
        with pytest.raises(BadLine) as caught:
            read(jsonl(row("first"), b"", row("second")) + data + end, range(0, 400, 7))
        wrong = caught.value
        assert (wrong.line, wrong.code, wrong.param) == (4, code, param)
        assert str(wrong).startswith("Line 4: ")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"a": "h\xe4"}', "Line 2: It is not UTF-8. Save the file as UTF-8."),
        (b"{}{}", "Line 2: It is not valid JSON: unexpected content after document (column 3). Write one request"),
    ],
)
def test_a_line_that_is_no_json_is_numbered_once(data: bytes, says: str) -> None:
    with pytest.raises(BadLine) as caught:
        read(jsonl(row()) + data)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n\t"])
def test_empty_file(data: bytes) -> None:
    with pytest.raises(BadLine, match="empty") as caught:
        read(data)
    assert (caught.value.line, caught.value.code) == (0, "empty_file")


@pytest.mark.parametrize("begin", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_byte_order_marks_are_told_apart(begin: bytes) -> None:
    with pytest.raises(BadLine, match=r"UTF-8 without BOM|as UTF-8") as caught:
        read(begin + jsonl(row()))
    assert (caught.value.line, caught.value.code) == (1, "invalid_encoding")


def test_count_and_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 3)
    three = jsonl(row("a"), row("b"), row("c"))
    assert read(three).count == 3
    with pytest.raises(BadLine, match="3 requests") as caught:
        read(three + jsonl(row("d")))
    assert (caught.value.line, caught.value.code) == (4, "too_many_tasks")
    monkeypatch.setattr(module, "MOST_BYTES", len(three))
    assert read(three.rstrip()).count == read(three).count == 3
    with pytest.raises(BadLine, match="The file is larger") as caught:
        read(three + b"\n\n")
    assert (caught.value.line, caught.value.status) == (0, 413)


def test_empty_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_EMPTY", 3)
    assert read(b"\n" + jsonl(row("a")) + b"\n\r\n" + jsonl(row("b"))).count == 2
    with pytest.raises(BadLine, match="more than 3 empty lines"):
        read(jsonl(row("a")) + b"\n" * 4)


def test_long_line_is_refused_before_its_end_comes() -> None:
    reader = LineReader(lambda text: text)
    reader.feed(jsonl(row()))
    for _ in range(4):
        reader.feed(b"x" * 1_000_000)
    with pytest.raises(BadLine, match="4,194,304 bytes") as caught:
        reader.feed(b"x" * 1_000_000)
    assert (caught.value.line, caught.value.code, caught.value.status) == (2, "line_too_large", 413)
    fits = orjson.dumps(row("b"))
    fits = fits[:-1] + b" " * (module.MOST_LINE - len(fits) - 1) + b"}"
    assert [s.lines for s in read(jsonl(row("a"), fits, row("c"))).stretches] == [1, 1, 1]


def test_what_is_known_of_a_good_file() -> None:
    data = jsonl(row("a"), row("b", url="/chat/completions"), row("é" * 300)) + b"\r\n" + orjson.dumps(row("d"))
    reader = read(data)
    assert (reader.count, reader.alias, reader.alias_line, reader.url) == (4, "gpt-4o", 1, "/chat/completions")
    assert (reader.tokens, reader.nameless_line) == (4 * 5, 0)
    nameless = read(jsonl(row("a"), row("b", body={"messages": []})))
    assert (nameless.alias, nameless.nameless_line) == ("gpt-4o", 2)


@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=40), cuts=st.lists(st.integers(0), max_size=20),
       blanks=st.lists(st.sampled_from([b"", b"\r", b"  "]), max_size=5), last=st.booleans())  # fmt: skip
def test_chunks_hold_every_line_once_and_in_order(
    sizes: list[int], cuts: list[int], blanks: list[bytes], *, last: bool
) -> None:
    rows = [orjson.dumps(row(f"{n}", body=body(user="x" * size))) for n, size in enumerate(sizes)]
    data = b"\n".join([line for pair in zip(rows, [*blanks, *[None] * 40], strict=False) for line in pair
                       if line is not None] + ([b""] if last else []))  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_LINES", 3)
        patch.setattr(module, "CHUNK_BYTES", 500)
        reader = read(data, cuts)
    assert read_index(reader.index()) == reader.stretches
    found = list[bytes]()
    for number, stretch in enumerate(reader.stretches):
        inside = lines_of(data[stretch.start : stretch.start + stretch.length])
        assert (stretch.number, stretch.first_line, stretch.lines) == (number, len(found), len(inside))
        assert 1 <= len(inside) <= 3
        assert len(inside) == 1 or stretch.length <= 500
        found += inside
    assert found == rows
    assert reader.count == len(rows)


words = st.sampled_from([*sorted(ID_FIELDS), "id", "role", "content", "name", "type", "function", "parameters", "model",
                         "messages", "tools", "response_format", "json_schema", "audio", "input", "user", "stop"])  # fmt: skip
values = st.recursive(
    st.sampled_from(["file-1", "user", "function", 1, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.dictionaries(words, values, max_size=4), st.sampled_from(["chat", "messages", "completions", "responses"]))
@example({"id": ["file-1"]}, "chat")
def test_no_id_is_overlooked(given_body: Json, shape: Any) -> None:
    found = list[str]()

    def note(public_id: str) -> str:
        found.append(public_id)
        return public_id

    open_line_ids(given_body, shape, note)
    assert not found or may_hold_ids(orjson.dumps(row(body=given_body)), given_body, shape)


def test_ids_are_opened_where_they_stand_and_escaped_names_too() -> None:
    opened = list[str]()
    ids = {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}
    escaped = orjson.dumps(row("b", body={"messages": [{"role": "assistant", "audio": {"id": "audio-2"}}]}))
    read(jsonl(row("a", body=ids), escaped.replace(b'"audio"', rb'"\u0061udio"')), opened=opened)
    assert opened == ["file-1", "audio-2"]
    opened.clear()
    read(jsonl(row("a", url="/v1/responses", body={"input": "x", "previous_response_id": "resp_1"})), opened=opened)
    assert opened == ["resp_1"]
    plain = {"messages": [{"role": "user", "content": 'no "file_id": "file-1" here'}], "response_format": {"type": "x"}}
    opened.clear()
    read(jsonl(row("a", body=plain)), opened=opened)
    assert opened == []


@settings(max_examples=200)
@given(st.dictionaries(words, values, max_size=4), st.lists(st.text(max_size=9), max_size=3))
def test_tokens_are_those_of_a_call(given_body: Json, texts: list[str]) -> None:
    messages = {"messages": [{"role": "user", "content": text} for text in texts], "temperature": 1}
    for each in (given_body, messages, messages | given_body):
        assert plain_tokens(each) in (-1, estimate_input(each))
    assert plain_tokens(messages) == estimate_input(messages)
