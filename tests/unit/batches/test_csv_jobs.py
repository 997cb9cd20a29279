"""Rows of a CSV become lines of a batch by a template, whatever pieces they arrive in; what is wrong has its line."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.batches.dropped.csv_jobs import CsvJobs
from shared.batches.dropped.template import Unreadable, read_template

TEMPLATE = json.dumps(
    {"body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say: {{text}}"}], "n": 1}}
).encode()  # fmt: skip


def jobs(template: bytes = TEMPLATE) -> CsvJobs:
    return CsvJobs(read_template("t.json", template), "t.json")


def run(data: bytes, template: bytes = TEMPLATE, size: int = 0) -> list[dict[str, Any]]:
    reader = jobs(template)
    size = size or len(data) or 1
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    lines = [line for piece in pieces for line in reader.feed(piece)]
    return [json.loads(line) for line in (*lines, *reader.end())]


def said(row: dict[str, Any]) -> str:
    return row["body"]["messages"][0]["content"]


def complaint(data: bytes, template: bytes = TEMPLATE) -> str:
    with pytest.raises(Unreadable) as refused:
        run(data, template)
    return str(refused.value)


def test_a_row_becomes_a_line() -> None:
    (line,) = run(b"text\nhello\n")
    assert line == {
        "custom_id": "row-1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say: hello"}], "n": 1},
    }


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@given(
    st.lists(st.tuples(CELLS, CELLS).filter(any), min_size=1, max_size=8), st.integers(1, 40), st.sampled_from(",;\t")
)
def test_whatever_a_csv_writer_writes_is_read_in_any_pieces(
    rows: list[tuple[str, str]], size: int, separator: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text"), *rows])
    template = b'{"custom_id": "{{id}}", "body": {"model": "m", "input": "{{ text }}", "of": "{{id}}/{{#}}"}}'
    lines = run(text.getvalue().encode(), template, size)
    assert [(line["custom_id"], line["body"]["input"]) for line in lines] == rows
    assert [line["body"]["of"] for line in lines] == [f"{row[0]}/{n}" for n, row in enumerate(rows, 1)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_forms_of_a_file(end: str, mark: bytes, last: str) -> None:
    data = mark + ("a;text" + end + "1;one" + end + ";" + end + end + '2;"t""wo' + end + '…"' + last).encode()
    assert list(map(said, run(data))) == ["Say: one", f'Say: t"wo{end}…']


def test_a_quote_in_the_middle_of_a_cell_is_a_letter() -> None:
    assert list(map(said, run(b'text,b\n5" pipe,1\nnext,2\n', size=7))) == ['Say: 5" pipe', "Say: next"]


def test_json_cells_are_values() -> None:
    template = b'{"body": {"model": "m", "max_tokens": "{{most:json}}", "stop": "{{stop:json}}"}}'
    first, second = run(b'most;stop\n5;"[""a"",1]"\n;null\n', template)
    assert first["body"] == {"model": "m", "max_tokens": 5, "stop": ["a", 1]}
    assert second["body"] == {"model": "m", "max_tokens": None, "stop": None}
    for wrong in (b"five", b"[" * 300 + b"]" * 300):
        assert 'Line 3: the cell of "most" holds \'' in complaint(b"most;stop\n1;2\n" + wrong + b";2\n", template)


def test_the_line_of_a_row_is_known() -> None:
    reader = jobs()
    rows = list(reader.feed(b'n,text\n\n1,"a\nb\nc"\n2,d\n'))
    assert len(rows) == 2
    assert (reader.line_of(1), reader.line_of(2), reader.line_of(3)) == (3, 6, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ("empty",)),
        (b"\xef\xbb\xbf", ("empty",)),
        (b"text\n", ("no rows",)),
        (b"texte,b\nx,y\n", ("Line 1", "no column 'text'", "'texte', 'b'", "t.json")),
        (b"text,text\nx,y\n", ("Line 1", "two columns", "'text'")),
        (b"text,b\nx,y\nz\n", ("Line 3", "1 cells", "header has 2")),
        (b"text,b\nx,y,z\n", ("Line 2", "3 cells", "header has 2")),
        (b'text,b\nx,y\n"z,1\nw,2\n', ("Line 3", "never closed")),
        (b'text,b\n"x"y,z\n', ("Line 2", "no row of a CSV")),
        (b"text,b\nx,y\n\xff\xfe,z\n", ("Line 3", "UTF-8")),
        ("text\nx\n".encode("utf-16"), ("UTF-16",)),
        (b"text\n" + b"x" * 140_000 + b"\n", ("Line 2", "131,072")),
    ],
)
def test_what_is_wrong_is_told_with_its_line(data: bytes, words: tuple[str, ...]) -> None:
    message = complaint(data)
    assert all(word in message for word in words), message


def test_a_row_is_never_cut_in_two() -> None:
    """Old line ends (a lone carriage return) are read, as long as all can be held until the end."""
    assert list(map(said, run(b"text\rone\rtwo", size=4))) == ["Say: one", "Say: two"]
    with pytest.raises(Unreadable, match=r"Line 1: .*line feed"):
        run(b"text\r" + b"x" * 1000 + b"\r" * (1 << 20), size=1 << 16)


def test_a_quote_that_is_never_closed_is_found_before_all_is_held() -> None:
    rows = b"".join(b"%d,x\n" % n for n in range(1000))

    def endless() -> None:
        reader = jobs()
        for piece in (b'n,text\n1,"x\n', *[rows] * 400):
            list(reader.feed(piece))

    with pytest.raises(Unreadable, match="Line 2:"):
        endless()


@pytest.mark.parametrize(
    ("template", "word"),
    [
        (b"{", "not JSON"),
        (b"[]", '"body"'),
        (b'{"messages": []}', '"body"'),
        (b'{"body": {}, "model": "m"}', '"model" beside'),
        (b'{"body": {"input": "a {{b:json}}"}}', "alone"),
        (b'{"body":' * 1000 + b"1" + b"}" * 1000, "levels deep"),
    ],
)
def test_what_is_wrong_with_a_template_is_told(template: bytes, word: str) -> None:
    with pytest.raises(Unreadable, match=word) as refused:
        read_template("t.json", template)
    assert "t.json" in str(refused.value)
