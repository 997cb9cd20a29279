"""Claude's events as chunks: the recorded stream, each kind of event, and that a stream says what a whole answer says."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.transform.chat_on_messages import Events, answer
from tests.unit.given import sample
from tests.unit.transform.dialect_types import Json, chat_of, sse_events


def through(events: list[Json]) -> list[Json]:
    stream = Events({"model": "alias"})
    return [chunk for event in events for chunk in stream.feed(event)] + stream.end()


def deltas(chunks: list[Json]) -> list[Json]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def test_the_recorded_stream() -> None:
    chunks = through(sse_events(sample("anthropic-basic-stream.body.sse")))
    assert deltas(chunks) == [
        {"role": "assistant", "content": ""},
        {"content": "Hello"},
        {"content": " there"},
        {"content": "!"},
        {},
    ]
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]] == [None] * 4 + ["stop"]
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-4QpJur2dWWDjF6C758FbBw5vm12BaVipnK"}
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 11
    assert chunks[-1]["usage"]["completion_tokens"] == 6
    assert chat_of(chunks)["message"]["content"] == "Hello there!"


START: Json = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-x", "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 2, "output_tokens": 1},
    },
}  # fmt: skip
STOP: Json = {"type": "message_stop"}


def ending(stop: str, usage: Json | None = None, **more: Any) -> Json:
    delta = {"stop_reason": stop, "stop_sequence": None, **more}
    return {"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 6}}


def block(index: int, begun: Json, *said: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": begun},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in said),
        {"type": "content_block_stop", "index": index},
    ]


def tool(index: int, *pieces: str, given: Json | None = None) -> list[Json]:
    begun = {"type": "tool_use", "id": f"toolu_{index}", "name": "f", "input": given or {}}
    return block(index, begun, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def test_arguments_come_as_they_are_written() -> None:
    chunks = through(
        [START, *tool(0, "", '{"a"', ": 1}"), *tool(1), *tool(2, given={"b": 2}), ending("tool_use"), STOP]
    )
    assert deltas(chunks)[1:] == [
        {"tool_calls": [{"index": 0, "id": "toolu_0", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
        {"tool_calls": [{"index": 1, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 2, "id": "toolu_2", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 2, "function": {"arguments": '{"b":2}'}}]},
        {},
    ]
    assert chat_of(chunks)["finish_reason"] == "tool_calls"


def test_thought_can_be_sent_back() -> None:
    events = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "sig"},
    ) + block(1, {"type": "redacted_thinking", "data": "xx"})
    told = chat_of(through([START, *events, ending("end_turn"), STOP]))["message"]
    assert told["reasoning_content"] == "hm"
    assert told["thinking_blocks"] == [
        {"index": 0, "type": "thinking", "thinking": "hm", "signature": "sig"},
        {"index": 1, "type": "redacted_thinking", "data": "xx"},
    ]


def test_figures_are_totals_of_which_the_last_counts() -> None:
    late = {"input_tokens": None, "cache_read_input_tokens": 9, "output_tokens": 40}
    usage = chat_of(through([START, ending("end_turn", late), STOP]))["usage"]
    assert usage["prompt_tokens"] == 3 + 9 + 2
    assert usage["completion_tokens"] == 40
    assert usage["prompt_tokens_details"]["cached_tokens"] == 9
    assert usage["prompt_tokens_details"]["cache_creation_tokens"] == 2


def test_a_refusal_says_why() -> None:
    told = chat_of(
        through([START, ending("refusal", stop_details={"type": "refusal", "explanation": "Not this."}), STOP])
    )
    assert told["message"]["refusal"] == "Not this."
    assert told["finish_reason"] == "content_filter"


def test_what_is_not_known_is_passed_over() -> None:
    odd: list[Json] = [
        {"type": "ping"},
        {"type": "brand_new"},
        {},
        *block(
            0, {"type": "server_tool_use", "id": "s", "name": "n"}, {"type": "input_json_delta", "partial_json": "{}"}
        ),
        {"type": "content_block_delta", "index": 9, "delta": {"type": "citations_delta"}},
        {"type": "content_block_delta"},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}},
    ]
    assert deltas(through([START, *odd, ending("end_turn"), STOP])) == [{"role": "assistant", "content": ""}, {}]


def test_usage_is_told_once_also_without_message_stop() -> None:
    stream = Events({})
    stream.feed(START)
    stream.feed(ending("end_turn"))
    assert len(stream.end()) == 1
    assert stream.end() == []
    assert stream.feed(STOP) == []


def test_nothing_is_owed_before_the_first_event() -> None:
    assert Events({}).end() == []


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
BLOCKS = st.one_of(
    TEXTS.map(lambda said: {"type": "text", "text": said}),
    st.dictionaries(TEXTS, st.integers(0, 9) | TEXTS, max_size=3).map(
        lambda given: {"type": "tool_use", "id": "toolu_1", "name": "f", "input": given}
    ),
    st.tuples(TEXTS, TEXTS).map(lambda both: {"type": "thinking", "thinking": both[0], "signature": both[1]}),
    TEXTS.map(lambda data: {"type": "redacted_thinking", "data": data}),
)


def cut(data: st.DataObject, said: str) -> list[str]:
    at = data.draw(st.integers(0, len(said)))
    return [said[:at], said[at:]]


def streamed(data: st.DataObject, index: int, whole: Json) -> list[Json]:
    match whole["type"]:
        case "text":
            pieces = cut(data, whole["text"])
            return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": p} for p in pieces))
        case "tool_use":
            pieces = cut(data, orjson.dumps(whole["input"]).decode()) if whole["input"] else []
            said = ({"type": "input_json_delta", "partial_json": p} for p in pieces)
            return block(index, {**whole, "input": {}}, *said)
        case "thinking":
            said = [{"type": "thinking_delta", "thinking": p} for p in cut(data, whole["thinking"])]
            end = {"type": "signature_delta", "signature": whole["signature"]}
            return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *said, end)
        case _:
            return block(index, whole)


@given(st.data(), st.lists(BLOCKS, max_size=5))
def test_a_stream_says_what_the_whole_answer_says(data: st.DataObject, blocks: list[Json]) -> None:
    events = [event for index, whole in enumerate(blocks) for event in streamed(data, index, whole)]
    told = chat_of(through([START, *events, ending("end_turn"), STOP]))
    usage = {**START["message"]["usage"], "output_tokens": 6}
    whole = answer({**START["message"], "content": blocks, "stop_reason": "end_turn", "usage": usage}, {})
    expected: Json = whole["choices"][0]["message"]
    assert told["usage"] == whole["usage"]
    assert told["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert told["message"]["content"] == (expected["content"] or "")
    for name in ("tool_calls", "thinking_blocks"):
        without = [{k: v for k, v in entry.items() if k != "index"} for entry in told["message"].get(name, [])]
        assert without == expected.get(name, [])
    assert told["message"].get("reasoning_content") == expected.get("reasoning_content")
