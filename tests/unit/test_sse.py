"""Events come out the same however the bytes were cut and whatever ends the lines."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sse import DONE, KEEP_ALIVE, EventTooLarge, Splitter
from tests.unit.given import sample

ENDS = [b"\n", b"\r\n", b"\r"]
TEXT = (
    ': comment\n\nevent: x\ndata: {"a":"zażółć 日本 🙂"}\n\ndata:no blank\n\ndata: one\ndata:  two\nid: 7\ndata:three\n\n'
    "retry: 10\n\ndata: [DONE]\n\n"
).encode()
EVENTS = ['{"a":"zażółć 日本 🙂"}'.encode(), b"no blank", b"one\n two\nthree", b"[DONE]"]


def split(*chunks: bytes) -> list[bytes]:
    splitter = Splitter()
    return [event for chunk in chunks for event in splitter.feed(chunk)]


@pytest.mark.parametrize("end", ENDS)
def test_events_are_the_same_cut_at_every_byte(end: bytes) -> None:
    text = TEXT.replace(b"\n", end)
    assert [split(text[:at], text[at:]) for at in range(len(text) + 1)] == [EVENTS] * (len(text) + 1)
    assert split(*(text[at : at + 1] for at in range(len(text)))) == EVENTS


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("name", "count"), [("az-chat-stream", 26), ("foundry-chat-stream", 11), ("az-v1-responses-stream", 11)]
)
def test_recorded_stream_is_the_same_cut_at_every_byte(name: str, count: int, end: bytes) -> None:
    plain = sample(f"{name}.body.sse")
    expect, text = split(plain), plain.replace(b"\n", end)
    assert len(expect) == count
    assert all(split(text[:at], text[at:]) == expect for at in range(len(text) + 1))
    assert split(*(text[at : at + 1] for at in range(len(text)))) == expect


@given(st.lists(st.integers(0, len(TEXT) * 2)), st.sampled_from(ENDS))
def test_events_are_the_same_in_random_pieces(cuts: list[int], end: bytes) -> None:
    text = TEXT.replace(b"\n", end)
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    assert split(*(text[a:b] for a, b in pairwise(edges))) == EVENTS


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1)))
def test_any_text_comes_through(texts: list[str]) -> None:
    assert split(b"".join(b"data: " + text.encode() + b"\n\n" for text in texts)) == [t.encode() for t in texts]


class Odd(NamedTuple):
    id: str
    given: bytes
    expect: list[bytes]
    rest: bytes = b""


@pytest.mark.parametrize(
    "case",
    [
        Odd("keep-alive", KEEP_ALIVE * 3, []),
        Odd("done", DONE, [b"[DONE]"]),
        Odd("empty data is no event", b"data:\n\ndata: \n\n", []),
        Odd("blank lines between", b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        Odd("one blank only", b"data:   a\n\n", [b"  a"]),
        Odd("other fields", b"event: ping\n\nid: 1\n\n", []),
        Odd("no such field", b"database: x\n\n data: y\n\n", []),
        Odd("mixed ends", b"data: a\r\n\ndata: b\r\r\ndata: c\n\r\n", [b"a", b"b", b"c"]),
        Odd("unfinished", b"data: a\n\ndata: b\n", [b"a"], b"data: b\n"),
        Odd("nothing", b"", []),
    ],
    ids=lambda case: case.id,
)
def test_odd_stream_is_read_as_the_standard_says(case: Odd) -> None:
    splitter = Splitter()
    assert splitter.feed(case.given) == case.expect
    assert splitter.rest() == case.rest


def test_carriage_return_ends_the_last_event_at_once() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: [DONE]\r\r") == [b"[DONE]"]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\n") == []
    assert splitter.rest() == b""


def test_large_event_in_small_pieces_takes_linear_time() -> None:
    splitter, piece = Splitter(), b"x" * 8192
    began = time.perf_counter()
    assert [splitter.feed(b"data: "), *(splitter.feed(piece) for _ in range(2000))] == [[]] * 2001
    assert splitter.feed(b"\n\n") == [piece * 2000]
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize("end", ENDS)
def test_event_without_end_is_bounded(end: bytes) -> None:
    splitter = Splitter(limit=100)
    assert splitter.feed(b"data: " + b"x" * 90 + end + end) == [b"x" * 90]
    assert [splitter.feed(b"data: xxx" + end) for _ in range(10)] == [[]] * 10
    with pytest.raises(EventTooLarge, match="larger than 100 bytes"):
        splitter.feed(b"d")
