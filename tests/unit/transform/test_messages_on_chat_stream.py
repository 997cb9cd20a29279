"""Chunks as Anthropic's events: recorded streams, calls that interleave, and that a stream says what an answer says."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transform.messages_on_chat import Events, answer
from tests.unit.given import sample
from tests.unit.transform.dialect_types import Json, message_of, sse_events

THINKS: Json = {"thinking": {"type": "adaptive"}}


def through(chunks: list[Json], body: Json | None = None) -> list[Json]:
    stream = Events(body or {})
    return [event for chunk in chunks for event in stream.feed(chunk)] + stream.end()


def chunk(delta: Json | None, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "finish_reason": finish, **({} if delta is None else {"delta": delta})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "gpt-x",
        "choices": [choice],
        **more,
    }


USAGE: Json = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
}
COUNTED: Json = {**chunk(None), "choices": [], "usage": USAGE}
FIRST = chunk({"role": "assistant", "content": ""})


def call(index: int, arguments: str, name: str | None = None) -> Json:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    head = {"id": f"call_{index}", "type": "function"} if name else {}
    return {"index": index, **head, "function": function}


def test_the_events_of_a_plain_answer() -> None:
    events = through([FIRST, chunk({"content": "He"}), chunk({"content": "llo"}), chunk({}, "stop"), COUNTED])
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["id"] == "msg_1"
    assert events[0]["message"]["usage"]["input_tokens"] == 0
    assert events[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {
            "input_tokens": 6,
            "output_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "server_tool_use": None,
        },
    }
    told = message_of(events)
    assert told["content"][0]["text"] == "Hello"
    assert told["usage"]["input_tokens"] == 6


@pytest.mark.parametrize("name", ["az-chat-stream", "foundry-chat-stream"])
def test_recorded_streams(name: str) -> None:
    chunks = [orjson.loads(line[5:]) for line in sample(f"{name}.body.sse").split(b"\n") if line.startswith(b"data: {")]
    told = message_of(through(chunks))
    whole = "".join(
        (choice.get("delta") or {}).get("content") or ""
        for c in chunks
        for choice in c["choices"]
        if isinstance(choice, dict)
    )
    assert told["content"][0]["text"] == whole
    assert whole
    assert told["stop_reason"] in ("end_turn", "max_tokens")


def test_the_recorded_helper_reads_events() -> None:
    assert sse_events(b'event: x\ndata: {"a": 1}\n\n') == [{"a": 1}]


def test_the_sdk_reads_the_stream() -> None:
    chunks = [
        FIRST,
        chunk({"content": "Hello"}),
        chunk({"tool_calls": [call(0, '{"a":1}', "f")]}),
        chunk({}, "tool_calls"),
        COUNTED,
    ]
    wire = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), orjson.dumps(e)) for e in through(chunks))
    answer = httpx2.Response(200, content=wire, headers={"content-type": "text/event-stream"})
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))
    sdk = anthropic.Anthropic(api_key="k", base_url="http://gateway", max_retries=0, http_client=http)
    with sdk.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream:
        assert "".join(stream.text_stream) == "Hello"
        final = stream.get_final_message()
    sdk.close()
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert final.stop_reason == "tool_use"
    assert final.usage.input_tokens == 6


def test_calls_one_after_the_other() -> None:
    events = through(
        [
            FIRST,
            chunk({"content": "so"}),
            chunk({"tool_calls": [call(0, "", "f")]}),
            chunk({"tool_calls": [call(0, '{"a"')]}),
            chunk({"tool_calls": [call(0, ":1}")]}),
            chunk({"tool_calls": [call(1, "{}", "g")]}),
            chunk({}, "tool_calls"),
            COUNTED,
        ]
    )
    told = message_of(events)
    assert told["content"][1:] == [
        {"type": "tool_use", "id": "call_0", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_1", "name": "g", "input": {}},
    ]
    assert told["stop_reason"] == "tool_use"


def test_the_first_call_is_passed_on_as_it_comes() -> None:
    stream = Events({})
    stream.feed(FIRST)
    stream.feed(chunk({"tool_calls": [call(0, "", "f")]}))
    assert stream.feed(chunk({"tool_calls": [call(0, '{"a"')]}))[0]["delta"]["partial_json"] == '{"a"'


def test_calls_that_interleave_become_blocks_in_order() -> None:
    pieces = [
        call(0, '{"a"', "f"),
        call(1, '{"b"', "g"),
        call(0, ":1"),
        call(1, ":2"),
        call(2, "{", "h"),
        call(0, "}"),
        call(2, "}"),
        call(1, "}"),
    ]
    told = message_of(
        through([FIRST, *(chunk({"tool_calls": [piece]}) for piece in pieces), chunk({}, "tool_calls"), COUNTED])
    )
    assert [(b["name"], b["input"]) for b in told["content"]] == [("f", {"a": 1}), ("g", {"b": 2}), ("h", {})]


def test_text_after_a_call_waits_for_its_end() -> None:
    chunks = [
        FIRST,
        chunk({"tool_calls": [call(0, '{"a"', "f")]}),
        chunk({"content": "by the way"}),
        chunk({"tool_calls": [call(0, ":1}")]}),
    ]
    told = message_of(through([*chunks, chunk({}, "tool_calls"), COUNTED]))
    assert [block["type"] for block in told["content"]] == ["tool_use", "text"]
    assert told["content"][0]["input"] == {"a": 1}


def test_a_name_that_comes_late_is_waited_for() -> None:
    chunks = [
        FIRST,
        chunk({"tool_calls": [call(0, "{")]}),
        chunk({"tool_calls": [call(0, "}", "f")]}),
        chunk({}, "tool_calls"),
    ]
    assert message_of(through(chunks))["content"] == [{"type": "tool_use", "id": "call_0", "name": "f", "input": {}}]


def test_a_call_does_not_overtake_one_whose_name_is_late() -> None:
    pieces = [call(0, "{"), call(1, "{}", "g"), call(0, "}", "f")]
    told = message_of(through([FIRST, *(chunk({"tool_calls": [piece]}) for piece in pieces), chunk({}, "tool_calls")]))
    assert [block["name"] for block in told["content"]] == ["f", "g"]


def test_thought_is_shown_to_those_who_asked() -> None:
    chunks = [
        FIRST,
        chunk({"reasoning_content": "h"}),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "so"}),
        chunk({}, "stop"),
    ]
    told = message_of(through(chunks, THINKS))
    assert told["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    assert told["content"][1]["text"] == "so"
    assert [block["type"] for block in message_of(through(chunks))["content"]] == ["text"]


def test_a_refusal_is_text_and_the_reason() -> None:
    told = message_of(through([FIRST, chunk({"refusal": "No."}), chunk({}, "stop")]))
    assert told["content"][0]["text"] == "No."
    assert told["stop_reason"] == "refusal"


def test_odd_events_of_azure_do_no_harm() -> None:
    prompt = {**chunk(None), "id": "", "choices": [], "prompt_filter_results": []}
    filtered = chunk(None, content_filter_results={})
    events = through([prompt, FIRST, filtered, chunk({"content": "x"}), filtered, chunk({}, "stop"), filtered, COUNTED])
    assert events[0]["message"]["id"] == "msg_1"
    assert message_of(events)["content"][0]["text"] == "x"


def test_usage_beside_the_last_content_counts() -> None:
    assert message_of(through([FIRST, chunk({"content": "x"}, "length", usage=USAGE)]))["usage"]["output_tokens"] == 5


def test_the_end_comes_once() -> None:
    stream = Events({})
    stream.feed(FIRST)
    assert stream.end()[-1] == {"type": "message_stop"}
    assert stream.end() == []


def test_an_empty_stream_is_an_empty_message() -> None:
    assert message_of(through([COUNTED]))["content"] == []


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
CALLS = st.dictionaries(TEXTS, st.integers(0, 9) | TEXTS, max_size=3).map(lambda given: orjson.dumps(given).decode())


@given(
    st.data(),
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.lists(CALLS, max_size=4),
    st.sampled_from(["stop", "length", "tool_calls"]),
)
def test_a_stream_says_what_the_whole_answer_says(
    data: st.DataObject, thought: str | None, text: str | None, calls: list[str], finish: str
) -> None:
    chunks = [FIRST]
    for name, said in (("reasoning_content", thought), ("content", text)):
        at = data.draw(st.integers(0, len(said))) if said else 0
        chunks += [chunk({name: piece}) for piece in (said[:at], said[at:])] if said else []
    pieces = [
        [call(i, a[:1], "f"), *(call(i, a[1 + n : 3 + n]) for n in range(0, len(a), 2))] for i, a in enumerate(calls)
    ]
    while any(pieces):  # each call's pieces in order, the calls among each other in any
        some = data.draw(st.sampled_from([one for one in pieces if one]))
        chunks.append(chunk({"tool_calls": [some.pop(0)]}))
    told = message_of(through([*chunks, chunk({}, finish), COUNTED], THINKS))
    whole_calls = [
        {"id": f"call_{i}", "type": "function", "function": {"name": "f", "arguments": a}} for i, a in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text, "reasoning_content": thought, "tool_calls": whole_calls}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    whole = answer({"id": "chatcmpl-1", "model": "gpt-x", "choices": [choice], "usage": USAGE}, THINKS)
    by_id = sorted(told["content"], key=lambda block: block.get("id", ""))
    assert [known_of(block) for block in by_id] == [known_of(block) for block in whole["content"]]
    assert {name: told[name] for name in ("id", "model", "stop_reason", "usage")} == {
        name: whole[name] for name in ("id", "model", "stop_reason", "usage")
    }


def known_of(block: Json) -> Json:
    return {name: value for name, value in block.items() if value is not None}
