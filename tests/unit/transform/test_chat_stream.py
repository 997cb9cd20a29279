"""The stream rules, and that they hold however the network cut the bytes."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.transform.chat import ChatStream
from shared.types import Usage
from tests.unit.given import deployment, sample

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "12345678"}], "stream": True}
ASKED: dict[str, Any] = {**BODY, "stream_options": {"include_usage": True}}
ENDS = [b"\n", b"\r\n", b"\r"]
DONE = "[DONE]"


def stream(body: dict[str, Any] = BODY) -> ChatStream:
    return ChatStream(body, deployment(name="dep-1"))


def events(out: bytes) -> list[Any]:
    """What a client reads; also proves that only whole events were sent."""
    assert out == b"" or out.endswith(b"\n\n")
    return [
        DONE if block == b"data: [DONE]" else orjson.loads(block.removeprefix(b"data: "))
        for block in out.split(b"\n\n")
        if block
    ]


def wire(*sent: Any) -> bytes:
    return b"".join(b"data: " + (b"[DONE]" if e == DONE else orjson.dumps(e)) + b"\n\n" for e in sent)


def through(*sent: Any, body: dict[str, Any] = BODY) -> tuple[ChatStream, list[Any]]:
    read = stream(body)
    return read, events(read.feed(wire(*sent)))


HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o-2024-11-20"}
SEEN = {**HEAD, "model": "alias"}
EMPTY_HEAD = {"id": "", "object": "", "created": 0, "model": ""}
FILTER = {"hate": {"filtered": False, "severity": "safe"}}
PROMPT = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTER}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def choice(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {"index": 0, "delta": delta, "finish_reason": finish, **more}


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [choice(content, finish)], **more}


def seen(content: str | None = None, finish: str | None = None, /, **more: Any) -> dict[str, Any]:
    return {**SEEN, "choices": [choice(content, finish)], **more}


FIRST = {**EMPTY_HEAD, "choices": [], **PROMPT}
ASYNC = {
    "index": 0,
    "content_filter_results": FILTER,
    "content_filter_offsets": {"check_offset": 44},
    "finish_reason": None,
}


ASYNC_SEEN = {**SEEN, "choices": [{**ASYNC, "delta": {}}]}


class Rule(NamedTuple):
    id: str
    sent: list[Any]
    expect: list[Any]
    body: dict[str, Any] = BODY
    usage: Usage | None = None
    ended: bool = True


USED = Usage(3, 2)
RULES = [
    Rule("model is the alias", [chunk("a"), chunk(None, "stop"), DONE], [seen("a"), seen(None, "stop"), DONE]),
    Rule(
        "an empty first event is merged into the next",
        [FIRST, chunk("a"), chunk(None, "stop"), DONE],
        [seen("a", **PROMPT), seen(None, "stop"), DONE],
    ),
    Rule(
        "null choices are no choices",
        [{**FIRST, "choices": None}, chunk("a", "stop"), DONE],
        [seen("a", "stop", **PROMPT), DONE],
    ),
    Rule("an event without choices at all", [{**HEAD, "x": 1}, chunk("a", "stop"), DONE], [seen("a", "stop", x=1), DONE]),
    Rule(
        "padding of an event without choices is not kept",
        [{**HEAD, "choices": [], "obfuscation": "xxx", "system_fingerprint": "f"}, chunk("a", "stop"), DONE],
        [seen("a", "stop"), DONE],
    ),
    Rule(
        "an event of the asynchronous filter gets a delta and the head of the stream",
        [chunk("a"), {**EMPTY_HEAD, "choices": [ASYNC]}, chunk(None, "stop"), DONE],
        [seen("a"), ASYNC_SEEN, seen(None, "stop"), DONE],
    ),
    Rule(
        "an event of the asynchronous filter after the end keeps its data",
        [chunk("a", "stop"), {**EMPTY_HEAD, "choices": [ASYNC]}, DONE],
        [seen("a", "stop"), ASYNC_SEEN, DONE],
    ),
    Rule(
        "an event of the asynchronous filter may say that the answer was stopped",
        [chunk("a"), {**EMPTY_HEAD, "choices": [{"index": 0, "finish_reason": "content_filter"}]}, DONE],
        [seen("a"), {**SEEN, "choices": [{"index": 0, "finish_reason": "content_filter", "delta": {}}]}, DONE],
    ),
    Rule(
        "a filter event without finish_reason gets one",
        [{**EMPTY_HEAD, "choices": [{"index": 0}]}, chunk("a", "stop"), DONE],
        [
            {**EMPTY_HEAD, "object": "chat.completion.chunk", "model": "alias", "choices": [choice()]},
            seen("a", "stop"),
            DONE,
        ],
    ),
    Rule(
        "usage is taken out when it was not asked for",
        [chunk("a", "stop"), {**HEAD, "choices": [], "usage": USAGE}, DONE],
        [seen("a", "stop"), DONE],
        usage=USED,
    ),
    Rule(
        "usage is sent when it was asked for",
        [chunk("a", "stop"), {**HEAD, "choices": [], "usage": USAGE}, DONE],
        [seen("a", "stop"), {**SEEN, "choices": [], "usage": USAGE}, DONE],
        ASKED,
        USED,
    ),
    Rule(
        "usage beside content is recorded and taken out",
        [chunk("a", "stop", usage=USAGE), DONE],
        [seen("a", "stop"), DONE],
        usage=USED,
    ),
    Rule(
        "usage beside content stays when it was asked for",
        [chunk("a", "stop", usage=USAGE), DONE],
        [seen("a", "stop", usage=USAGE), DONE],
        ASKED,
        USED,
    ),
    Rule(
        "the last of several usages counts",
        [chunk("a", usage={"prompt_tokens": 3, "completion_tokens": 1}), chunk("b", "stop", usage=USAGE), DONE],
        [seen("a"), seen("b", "stop"), DONE],
        usage=USED,
    ),
    Rule("null usage is removed", [chunk("a", "stop", usage=None), DONE], [seen("a", "stop"), DONE]),
    Rule("null usage stays when asked", [chunk("a", "stop", usage=None), DONE], [seen("a", "stop", usage=None), DONE], ASKED),
    Rule(
        "filter results may come with the usage",
        [chunk("a", "stop"), {**HEAD, "choices": [], "usage": USAGE, **PROMPT}, DONE],
        [seen("a", "stop"), {**SEEN, "choices": [choice()], **PROMPT}, DONE],
        usage=USED,
    ),
    Rule(
        "what is held goes out with the usage",
        [chunk("a", "stop"), FIRST, {**HEAD, "choices": [], "usage": USAGE}, DONE],
        [seen("a", "stop"), {**SEEN, "choices": [], "usage": USAGE, **PROMPT}, DONE],
        ASKED,
        USED,
    ),
    Rule(
        "what is held is released at the end",
        [chunk("a", "stop"), FIRST, DONE],
        [seen("a", "stop"), {**SEEN, "choices": [choice()], **PROMPT}, DONE],
    ),
    Rule("nothing follows [DONE]", [chunk("a", "stop"), DONE, chunk("b"), DONE], [seen("a", "stop"), DONE]),
    Rule("a clean end without [DONE]", [chunk("a"), chunk(None, "stop")], [seen("a"), seen(None, "stop")]),
    Rule("a cut", [chunk("a"), chunk("b")], [seen("a"), seen("b")], ended=False),
    Rule("nothing at all", [], [], ended=False),
    Rule("only the first event", [FIRST], [], ended=False),
    Rule("[DONE] alone", [DONE], [DONE]),
    Rule(
        "odd choices are left alone",
        [{**HEAD, "choices": ["x", {"index": 0, "delta": "y"}]}, chunk(None, "stop"), DONE],
        [{**SEEN, "choices": ["x", choice()]}, seen(None, "stop"), DONE],
    ),
    Rule(
        "every field that is not ours passes",
        [chunk("a", "stop", obfuscation="xx", service_tier="default", new={"a": 1}), DONE],
        [seen("a", "stop", obfuscation="xx", service_tier="default", new={"a": 1}), DONE],
    ),
    Rule(
        "an error field beside choices is data",
        [chunk("a", "stop", error=None), DONE],
        [seen("a", "stop", error=None), DONE],
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_stream_rule_holds(rule: Rule) -> None:
    read, found = through(*rule.sent, body=rule.body)
    assert found == rule.expect
    assert (read.usage, read.ended, read.error) == (rule.usage, rule.ended, None)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_stream_rule_holds_byte_by_byte(rule: Rule) -> None:
    read, data = stream(rule.body), wire(*rule.sent)
    assert events(b"".join(read.feed(data[at : at + 1]) for at in range(len(data)))) == rule.expect


def test_stream_learns_the_model_and_the_head_from_the_first_event_that_has_them() -> None:
    read, found = through(FIRST, chunk("a"), {**chunk("b"), "model": "other", "id": "c-2"}, DONE)
    assert read.model == "gpt-4o-2024-11-20"
    assert [e["id"] for e in found[:-1]] == ["c-1", "c-2"]


class Failure(NamedTuple):
    id: str
    event: bytes
    status: int
    code: str | None
    message: str


FAULT = "The model's deployment failed on this call. Retry in a moment."
INVALID = "sent an answer that is not valid"
FAILURES = [
    Failure("status as a code", b'{"error":{"code":"429","message":"Slow down"}}', 429, "rate_limit_exceeded", "Slow down"),
    Failure("status as a number", b'{"error":{"code":503,"message":"Busy"}}', 503, "service_unavailable", "Busy"),
    Failure("sign-in", b'{"error":{"code":401,"message":"secret"}}', 502, "upstream_auth_failed", "could not sign in"),
    Failure("no status", b'{"error":{"code":"999","message":"x"}}', 500, "server_error", "x"),
    Failure("filter", b'{"error":{"code":"content_filter","message":"no"}}', 400, "content_filter", "no"),
    Failure("length", b'{"error":{"code":"context_length_exceeded","message":"l"}}', 400, "context_length_exceeded", "l"),
    Failure("rate", b'{"error":{"code":"rate_limit_exceeded","message":"r"}}', 429, "rate_limit_exceeded", "r"),
    Failure("name", b'{"error":{"code":"x","message":"dep-1 is down"}}', 500, "x", "alias is down"),
    Failure("text", b'{"error":"out of order"}', 500, "server_error", "out of order"),
    Failure("no code", b'{"error":{"message":""},"choices":[]}', 500, "server_error", FAULT),
    Failure("malformed", b'{"choices":', 502, "upstream_bad_response", INVALID),
    Failure("html", b"<html>", 502, "upstream_bad_response", INVALID),
    Failure("list", b"[]", 502, "upstream_bad_response", INVALID),
    Failure("number", b"5", 502, "upstream_bad_response", INVALID),
    Failure("odd choices", b'{"id":"c-1","choices":5}', 502, "upstream_bad_response", INVALID),
    Failure("not UTF-8", b'{"a":"\xff"}', 502, "upstream_bad_response", INVALID),
]  # fmt: skip


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.id)
def test_stream_error_ends_it_after_what_came_before(case: Failure) -> None:
    read = stream()
    data = wire(chunk("a")) + b"data: " + case.event + b"\n\n" + wire(chunk("b"), DONE)
    assert events(read.feed(data)) == [seen("a")]
    assert read.error is not None
    assert (read.error.status, read.error.code) == (case.status, case.code)
    assert case.message in read.error.message
    assert not read.ended
    assert read.feed(wire(chunk("c"), DONE)) == b""


def test_stream_that_is_no_event_stream_is_an_error() -> None:
    read = stream()
    assert b"".join(read.feed(b"x" * (1 << 20)) for _ in range(33)) == b""
    assert read.error is not None
    assert read.error.code == "upstream_bad_response"


class Rest(NamedTuple):
    tail: bytes
    ended: bool


@pytest.mark.parametrize(
    "case",
    [Rest(b"", True), Rest(b"\n", True), Rest(b" \n", True), Rest(b"data: {", False), Rest(b"data: [DON", False)],
    ids=lambda case: repr(case.tail),
)
def test_stream_that_finished_has_ended_unless_it_stops_within_an_event(case: Rest) -> None:
    read = stream()
    read.feed(wire(chunk("a", "stop")) + case.tail)
    assert read.ended is case.ended


@pytest.mark.parametrize(
    ("told", "expect"),
    [
        (["default", "default", "default"], "default"),
        ([None, None, "priority"], "priority"),
        (["priority", "default", "default"], "default"),  # it was asked for, and something else was served
        (["priority", None, None], "priority"),
        (["auto", "auto", "auto"], ""),
        ([["flex"], 5, {}], ""),
        ([None, None, None], ""),
    ],
)
@pytest.mark.parametrize("usage_at", [1, 2], ids=["usage last but one", "usage last"])
def test_stream_tells_by_which_tier_it_was_served(told: list[Any], expect: str, usage_at: int) -> None:
    sent: list[dict[str, Any]] = [chunk("a"), chunk("", "stop"), {**HEAD, "choices": []}]
    sent[usage_at]["usage"] = USAGE
    for event, tier in zip(sent, told, strict=True):
        event["service_tier"] = tier
    read, _ = through(*sent, DONE)
    assert read.usage_or_estimate().tier == expect
    assert read.usage_or_estimate().output_tokens == USAGE["completion_tokens"]
    cut, _ = through(sent[0])  # the gateway's own count, by what was told until then
    assert cut.usage_or_estimate().estimated
    assert cut.usage_or_estimate().tier == (told[0] if told[0] in ("default", "priority") else "")


class Count(NamedTuple):
    id: str
    deltas: list[dict[str, Any]]
    output: int


@pytest.mark.parametrize(
    "case",
    [
        Count("one token an event", [{"content": "a"}] * 5, 5),
        Count("by length where that is more", [{"content": "x" * 40}], 10),
        Count("role and empty text are nothing", [{"role": "assistant", "content": ""}, {}], 0),
        Count("tool calls", [{"tool_calls": [{"index": 0}]}] * 3, 3),
        Count("refusals", [{"refusal": "x" * 9}], 3),
    ],
    ids=lambda case: case.id,
)
def test_stream_without_usage_is_estimated(case: Count) -> None:
    read, _ = through(*({**HEAD, "choices": [{"index": 0, "delta": delta}]} for delta in case.deltas))
    assert read.usage_or_estimate() == Usage(input_tokens=6, output_tokens=case.output, estimated=True)


def test_stream_with_usage_is_not_estimated() -> None:
    read, _ = through(chunk("a" * 400, usage=USAGE), DONE)
    assert read.usage_or_estimate() == USED


def test_recorded_azure_stream_keeps_the_text_and_the_filter_results() -> None:
    read = stream()
    found = events(read.feed(sample("az-chat-stream.body.sse")))
    chunks = found[:-1]
    assert found[-1] == DONE
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
    assert (text[:17], text[-1], len(chunks)) == ("Why did the devel", "!", 24)
    assert "prompt_filter_results" in chunks[0]
    assert {c["model"] for c in chunks} == {"alias"}
    assert {c["id"] for c in chunks} == {"chatcmpl-DPTBaSsimU1JbOyrWiQNkSSfOPQE7"}
    assert (read.model, read.ended, read.usage) == ("gpt-4.1-mini-2025-04-14", True, None)


@pytest.mark.parametrize(("body", "count"), [(BODY, 10), (ASKED, 11)])
def test_recorded_foundry_stream_counts_its_usage(body: dict[str, Any], count: int) -> None:
    read = stream(body)
    found = events(read.feed(sample("foundry-chat-stream.body.sse")))
    assert (len(found), found[-1]) == (count, DONE)
    assert read.usage_or_estimate() == Usage(7, 8, cached_input_tokens=7, tier="default")


SYNTHETIC = wire(
    FIRST, chunk("zażółć "), chunk("日本 🙂"), {**EMPTY_HEAD, "choices": [ASYNC]}, chunk("\u2028\r\n", "stop"),
    {**HEAD, "choices": [], "usage": USAGE}, DONE,
)  # fmt: skip


def in_pieces(data: bytes, edges: Iterable[int], body: dict[str, Any]) -> bytes:
    read, at, out = stream(body), 0, b""
    for edge in [*edges, len(data)]:
        out += read.feed(data[at:edge])
        at = edge
    return out


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("body", [BODY, ASKED], ids=["plain", "asked"])
def test_synthetic_stream_is_the_same_cut_at_every_byte(body: dict[str, Any], end: bytes) -> None:
    expect, data = stream(body).feed(SYNTHETIC), SYNTHETIC.replace(b"\n", end)
    assert all(in_pieces(data, [at], body) == expect for at in range(len(data)))
    assert in_pieces(data, range(len(data)), body) == expect


@pytest.mark.parametrize(("end", "step"), [(b"\n", 5), (b"\r\n", 17), (b"\r", 17)])
def test_recorded_stream_is_the_same_in_single_bytes_and_in_two_pieces(end: bytes, step: int) -> None:
    plain = sample("az-chat-stream.body.sse")
    expect, data = stream().feed(plain), plain.replace(b"\n", end)
    assert in_pieces(data, range(len(data)), BODY) == expect
    assert all(in_pieces(data, [at], BODY) == expect for at in range(0, len(data), step))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(SYNTHETIC))), st.sampled_from(ENDS))
def test_stream_is_the_same_in_random_pieces(cuts: list[int], end: bytes) -> None:
    data = SYNTHETIC.replace(b"\n", end)
    assert in_pieces(data, sorted(cuts), ASKED) == stream(ASKED).feed(SYNTHETIC)


def test_stream_of_any_length_needs_the_same_memory() -> None:
    read, data = stream(), wire({"id": "c-1", "choices": [choice("text")]}) * 100
    for _ in range(10):
        read.feed(data)
    grown: list[int] = []
    for _ in range(3):  # whatever else runs in the process (Azurite's and the fake's threads) is measured, too
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(350):
            read.feed(data)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        grown.append(after - before)
    assert min(grown) < 2_000


def test_what_is_held_is_sent_at_a_clean_end_without_done() -> None:
    stream = ChatStream({}, deployment())
    head = b'"id":"c","object":"chat.completion.chunk","created":1,"model":"m"'
    sent = stream.feed(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],' + head + b"}\n\n")
    sent += stream.feed(b'data: {"choices":[],"prompt_filter_results":[1],' + head + b"}\n\n")
    assert b"prompt_filter_results" not in sent
    assert b'"prompt_filter_results":[1]' in stream.end()
    assert stream.ended


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n"])
def test_done_without_its_blank_line_is_an_end(last: bytes) -> None:
    stream = ChatStream({}, deployment())
    assert stream.feed(last) == b""
    assert stream.end() == b"data: [DONE]\n\n"
    assert stream.ended


def test_nothing_is_added_to_a_stream_that_was_cut() -> None:
    stream = ChatStream({}, deployment())
    stream.feed(b'data: {"choices":[],"prompt_filter_results":[1]}\n\ndata: {"choi')
    assert stream.end() == b""
    assert not stream.ended
