"""Streams that are not plain chat: whole events however the network cut the bytes, ends, errors and usage."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import stream_cut
from shared.transform.dialects import DIALECTS
from shared.transform.stream import EventStream
from shared.types import Usage
from tests.unit.given import deployment
from tests.unit.transform.calls import Json, read, wire

USAGE = {"input_tokens": 3, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}
RESPONSE = {"id": "resp_1", "status": "in_progress", "model": "gpt-4o-2024-11-20"}
CREATED: Json = {"type": "response.created", "response": RESPONSE, "sequence_number": 0}
DELTAS: list[Json] = [
    {"type": "response.output_text.delta", "delta": text, "sequence_number": number}
    for number, text in enumerate(("Grüße ", "— \u2028 ", "end"), 1)
]
COMPLETED: Json = {
    "type": "response.completed", "response": {**RESPONSE, "status": "completed", "usage": USAGE}, "sequence_number": 4,
}  # fmt: skip
ALL = [CREATED, *DELTAS, COMPLETED]
TEXT: list[Json] = [
    {"id": "cmpl-1", "choices": [{"text": "ab", "index": 0, "finish_reason": None}], "usage": None},
    {"id": "cmpl-1", "choices": [{"text": "", "index": 0, "finish_reason": "stop"}], "usage": None},
    {"id": "cmpl-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]
DONE = b"data: [DONE]\n\n"


def no_change(_: Json) -> None:
    return None


def stream(shape: str = "responses", body: Json | None = None, *translators: Any, **options: Any) -> EventStream:
    dialect = DIALECTS[shape]
    return EventStream(dialect, dialect, translators, body or {}, deployment(name="dep-1"), no_change, **options)


@given(cuts=st.lists(st.integers(0, 2_000), max_size=8), end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
@settings(max_examples=60, deadline=None)
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int], end: bytes) -> None:
    data = wire(*ALL).replace(b"\n", end)
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    subject = stream()
    out = b"".join(subject.feed(data[a:b]) for a, b in itertools.pairwise(places)) + subject.end()
    assert read(out) == ALL
    assert (subject.done, subject.ended, subject.error, subject.told) == (True, True, None, None)
    assert subject.usage_or_estimate() == Usage(3, 2, reasoning_tokens=1)
    assert subject.model == "gpt-4o-2024-11-20"
    assert subject.said == {"id": "resp_1", "status": "completed", "usage": USAGE}


def test_framing_is_the_dialects() -> None:
    assert stream().feed(wire(CREATED)).startswith(b"event: response.created\ndata: {")
    assert stream("completions").feed(wire(TEXT[0])).startswith(b"data: {")


def test_nothing_follows_the_last_event() -> None:
    subject = stream()
    assert len(read(subject.feed(wire(*ALL, CREATED)))) == len(ALL)
    assert (subject.feed(wire(CREATED)), subject.end()) == (b"", b"")


def test_responses_know_no_done() -> None:
    """A [DONE] that some hosts send is no event of this language, and ends nothing."""
    subject = stream()
    assert read(subject.feed(wire(CREATED, DONE))) == [CREATED]
    assert not subject.done
    assert subject.end() == b""
    assert not subject.ended


def test_completions_end_in_done_and_show_usage_when_asked() -> None:
    quiet = stream("completions")
    silent = [{k: v for k, v in event.items() if k != "usage"} for event in TEXT[:2]]
    assert read(quiet.feed(wire(*TEXT, DONE))) == [*silent, "[DONE]"]
    told = stream("completions", {"stream_options": {"include_usage": True}})
    assert read(told.feed(wire(*TEXT, DONE))) == [*TEXT, "[DONE]"]
    assert quiet.usage_or_estimate() == told.usage_or_estimate() == Usage(3, 2)


@pytest.mark.parametrize("rest", [b"data: [DONE]", b"data:[DONE]\n", b"data: [DONE]\n"])
def test_done_without_its_blank_line(rest: bytes) -> None:
    subject = stream("completions")
    out = subject.feed(wire(*TEXT[:2], rest)) + subject.end()
    assert read(out)[-1] == "[DONE]"
    assert subject.done


def test_finish_reason_is_an_end_when_the_body_ends_there() -> None:
    subject = stream("completions")
    subject.feed(wire(*TEXT[:2]))
    assert (subject.done, subject.ended) == (False, True)
    assert subject.end() == DONE


@pytest.mark.parametrize("shape", ["responses", "completions", "messages"])
def test_cut_stream_has_not_ended(shape: str) -> None:
    subject = stream(shape)
    subject.feed(wire(CREATED, DELTAS[0]) if shape != "completions" else wire(TEXT[0]))
    assert (subject.end(), subject.ended, subject.error) == (b"", False, None)
    (event,) = read(subject.error_event(stream_cut()))
    assert (event.get("error") or event)["message"]
    if shape == "responses":
        assert (event["type"], event["sequence_number"]) == ("error", 2)


ERRORS: list[tuple[str, Json, int, str]] = [
    ("responses", {"type": "error", "code": "rate_limit_exceeded", "message": "m dep-1"}, 429, "rate_limit_exceeded"),
    ("responses", {"type": "error", "code": None, "message": "m"}, 500, "server_error"),
    ("responses", {"type": "error", "error": {"code": "429", "message": "m"}}, 429, "rate_limit_exceeded"),
    ("completions", {"error": {"code": "content_filter", "message": "m dep-1"}}, 400, "content_filter"),
    ("messages", {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}, 429, "rate_limit_exceeded"),
]


@pytest.mark.parametrize(("shape", "event", "status", "code"), ERRORS)
def test_error_event_is_an_error(shape: str, event: Json, status: int, code: str) -> None:
    subject = stream(shape)
    assert read(subject.feed(wire(CREATED, event, CREATED))) == [CREATED]
    assert subject.error is not None
    assert (subject.error.status, subject.error.code) == (status, code)
    assert "dep-1" not in subject.error.message
    assert subject.end() == b""


def test_failed_response_is_told_in_its_own_language_and_an_error_in_any_other() -> None:
    failed = {"type": "response.failed", "response": {**RESPONSE, "error": {"code": "rate_limit_exceeded"}}}
    own = stream()
    assert read(own.feed(wire(CREATED, failed))) == [CREATED, failed]
    assert own.told is not None
    assert (own.told.status, own.done, own.error) == (429, True, None)
    other = stream("responses", {}, Doubled())
    assert read(other.feed(wire(failed))) == []
    assert other.error is not None
    assert other.error.status == 429


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: [1]\n\n", b"data: null\n\n", b'data: "x"\n\n'])
def test_what_is_no_event_ends_the_stream(data: bytes) -> None:
    subject = stream()
    assert read(subject.feed(wire(CREATED, data, COMPLETED))) == [CREATED]
    assert subject.error is not None
    assert (subject.error.status, subject.done) == (502, False)


class Doubled:
    """A translator that says everything twice and owes a last word."""

    def feed(self, event: Json) -> list[Json]:
        return [event, event]

    def end(self) -> list[Json]:
        return [{"type": "owed"}]


def test_translators_follow_each_other() -> None:
    subject = stream("responses", {}, Doubled(), Doubled())
    events = read(subject.feed(wire(CREATED, COMPLETED)))
    assert events == [CREATED] * 4 + [COMPLETED] * 4 + [{"type": "owed"}] * 3
    assert subject.usage_or_estimate().output_tokens == 2


def test_usage_is_estimated_when_none_has_come() -> None:
    subject = stream("responses", {"input": "12345678"})
    subject.feed(wire(CREATED, *DELTAS, {"type": "response.output_text.delta", "delta": "x" * 40}))
    assert subject.usage_or_estimate() == Usage(2, 14, estimated=True)  # by length
    subject = stream("responses")
    subject.feed(wire(*[{**DELTAS[0], "delta": "a"}] * 9))
    assert subject.usage_or_estimate() == Usage(0, 9, estimated=True)  # by events


def test_what_is_told_again_costs_nothing_unless_it_is_owed() -> None:
    subject = stream("responses", {}, kept=True)
    subject.feed(wire(*ALL))
    assert subject.usage_or_estimate() == Usage()
    subject.charge(Usage(3, 2))
    assert subject.usage_or_estimate() == Usage(3, 2)


@pytest.mark.parametrize(
    ("event", "tokens"),
    [
        ({"choices": [{"delta": {"content": "x" * 8}}]}, 2),
        ({"choices": [{"text": "x" * 8}, None]}, 2),
        ({"type": "content_block_delta", "delta": {"partial_json": "x" * 8}}, 2),
        ({"type": "content_block_delta", "delta": {"thinking": "x" * 8, "signature": "y" * 80}}, 2),
        ({"type": "ping"}, 0),
        ({"choices": "x", "delta": 5}, 0),
    ],
)
def test_text_is_found_in_every_language(event: Json, tokens: int) -> None:
    subject = stream("messages")
    subject.feed(wire(event))
    assert subject.usage_or_estimate().output_tokens == tokens


def test_claude_says_its_usage_in_parts() -> None:
    subject = stream("messages")
    start = {"type": "message_start", "message": {"model": "claude-x", "usage": {"input_tokens": 5, "output_tokens": 1,
             "cache_read_input_tokens": 4}}}  # fmt: skip
    delta = {"type": "message_delta", "delta": {}, "usage": {"input_tokens": None, "output_tokens": 9}}
    subject.feed(wire(start, delta, {"type": "message_stop"}))
    assert subject.done
    assert subject.usage_or_estimate() == Usage(9, 9, cached_input_tokens=4)


CLAUDE_BEGINS: Json = {
    "type": "message_start",
    "message": {
        "model": "claude-x",
        "usage": {
            "input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "service_tier": "priority",
        },
    },
}  # fmt: skip


def test_what_claude_says_at_the_beginning_holds_to_the_end() -> None:
    """message_delta repeats some figures as totals, and neither the tier nor how long the cache is kept."""
    subject = stream("messages")
    subject.feed(wire(CLAUDE_BEGINS))
    figures = {"input_tokens": 5, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 4, "output_tokens": 9}
    thought = {"output_tokens_details": {"thinking_tokens": 6}}
    subject.feed(wire({"type": "message_delta", "delta": {}, "usage": figures | thought}, {"type": "message_stop"}))
    assert subject.usage_or_estimate() == Usage(
        39, 9, cached_input_tokens=4, reasoning_tokens=6, cache_write_tokens=30, cache_write_1h_tokens=20,
        tier="priority",
    )  # fmt: skip


def test_claudes_stream_that_is_left_costs_what_was_written() -> None:
    """Its first event says 1 output token, whatever follows."""
    subject = stream("messages")
    deltas = [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x" * 40}}] * 3
    subject.feed(wire(CLAUDE_BEGINS, *deltas))
    found = subject.usage_or_estimate()
    assert (found.input_tokens, found.output_tokens, found.estimated, found.tier) == (39, 30, True, "priority")
    begun = stream("messages")
    begun.feed(wire(CLAUDE_BEGINS))
    assert (begun.usage_or_estimate().output_tokens, begun.usage_or_estimate().estimated) == (1, True)


@pytest.mark.parametrize(
    ("begun", "ended", "tier"),
    [
        ("priority", "default", "default"), ("auto", "priority", "priority"), ("flex", "flex", "flex"),
        ("auto", "auto", ""), (None, None, ""), ("flex", None, "flex"), (["flex"], {"a": 1}, ""),
    ],
)  # fmt: skip
def test_response_tells_its_tier_when_it_ends(begun: Any, ended: Any, tier: str) -> None:
    subject = stream("responses")
    subject.feed(wire({**CREATED, "response": {**RESPONSE, "service_tier": begun}}, *DELTAS))
    assert subject.usage_or_estimate().estimated
    subject.feed(wire({**COMPLETED, "response": {**COMPLETED["response"], "service_tier": ended}}))
    assert subject.usage_or_estimate() == Usage(3, 2, reasoning_tokens=1, tier=tier)
    assert subject.said["service_tier"] == ended
