"""What the Responses API answers, whole and streamed, as a chat client sees it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from shared.errors import ApiError
from shared.transform.chat_on_responses import Events, answer
from tests.unit.given import sample
from tests.unit.transform.dialect_types import chat_of, is_chat, sse_events

type Json = dict[str, Any]

BODY: Json = {"model": "alias", "messages": [{"role": "user", "content": "hi"}]}
ASKED: Json = {**BODY, "logprobs": True}
USAGE: Json = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}
LOGPROB: Json = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": [{"token": "a", "logprob": -0.5}]}


def text(said: str, **fields: Any) -> Json:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": [], **fields}


def message(*parts: Json) -> Json:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(parts)}


def function(name: str = "f", arguments: str = "{}", call_id: str = "call_1") -> Json:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": arguments}


CUSTOM: Json = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "c", "input": "xyz"}


def reasoning(*summaries: str, thoughts: tuple[str, ...] = ()) -> Json:
    said = [{"type": "summary_text", "text": summary} for summary in summaries]
    return {"type": "reasoning", "id": "rs_1", "summary": said,
            "content": [{"type": "reasoning_text", "text": thought} for thought in thoughts]}  # fmt: skip


def response(*output: Json, **fields: Any) -> Json:
    return {"id": "resp_0a1b", "object": "response", "created_at": 1787150105.0, "status": "completed", "error": None,
            "model": "gpt-5-codex", "service_tier": "default", "output": list(output), "usage": USAGE, **fields}  # fmt: skip


def translated(given: Json, body: Json = BODY) -> Json:
    before = copy.deepcopy(given)
    out = is_chat(answer(given, body))
    assert given == before
    return out


def said(*output: Json, **fields: Any) -> Json:
    return translated(response(*output, **fields))["choices"][0]


def test_answer_envelope_and_usage() -> None:
    out = translated(response(message(text("hi"))))
    assert {k: v for k, v in out.items() if k != "choices"} == {
        "id": "chatcmpl-0a1b", "object": "chat.completion", "created": 1787150105, "model": "gpt-5-codex",
        "service_tier": "default",
        "usage": {
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        },
    }  # fmt: skip


def test_answer_without_usage_invents_none() -> None:
    assert "usage" not in translated(response(usage=None))


def test_answer_keeps_cache_writes() -> None:
    written = {**USAGE, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 7}}
    assert translated(response(usage=written))["usage"]["prompt_tokens_details"]["cache_write_tokens"] == 7


class Row(NamedTuple):
    id: str
    output: list[Json]
    expect: Json
    finish: str = "stop"


PLAIN: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
F_CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ROWS = [
    Row("text", [message(text("hi"))], {"content": "hi"}),
    Row("texts-are-joined", [message(text("a"), text("b")), message(text("c"))], {"content": "abc"}),
    Row("nothing-written", [reasoning()], {"content": ""}),
    Row("refusal", [message({"type": "refusal", "refusal": "no"})], {"refusal": "no"}),
    Row("call", [function()], {"tool_calls": [F_CALL]}, "tool_calls"),
    Row("text-and-call", [message(text("a")), function()], {"content": "a", "tool_calls": [F_CALL]}, "tool_calls"),
    Row("custom-call", [CUSTOM], {"tool_calls": [{"id": "call_2", "type": "custom",
        "custom": {"name": "c", "input": "xyz"}}]}, "tool_calls"),
    Row("summaries", [reasoning("one", "two"), reasoning("three"), message(text("a"))],
        {"content": "a", "reasoning_content": "one\n\ntwo\n\nthree"}),
    Row("open-reasoning", [reasoning(thoughts=("hm",)), message(text("a"))], {"content": "a", "reasoning_content": "hm"}),
    Row("built-in-tools-are-passed-over", [{"type": "web_search_call", "id": "ws", "status": "completed"},
        message(text("a"))], {"content": "a"}),
]  # fmt: skip


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.id)
def test_answer_output(case: Row) -> None:
    choice = said(*case.output)
    assert choice == {"index": 0, "message": {**PLAIN, **case.expect}, "logprobs": None, "finish_reason": case.finish}


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "length")]
)
def test_answer_that_is_incomplete(reason: str, finish: str) -> None:
    fields = {"status": "incomplete", "incomplete_details": {"reason": reason}}
    assert said(function(), **fields)["finish_reason"] == finish
    assert streamed([{"type": "response.incomplete", "response": response(**fields)}])["finish_reason"] == finish


def cited(start: int) -> Json:
    return {"type": "url_citation", "url": "https://a", "title": "A", "start_index": start, "end_index": start + 1}


def test_answer_citations_point_into_the_joined_text() -> None:
    other = {"type": "file_citation", "file_id": "file_1", "filename": "a", "index": 0}
    output = [message(text("abc", annotations=[cited(1), other])), message(text("def", annotations=[cited(1)]))]
    expect = [{"type": "url_citation", "url_citation": {"url": "https://a", "title": "A", "start_index": n,
               "end_index": n + 1}} for n in (1, 4)]  # fmt: skip
    assert said(*output)["message"]["annotations"] == expect
    assert streamed(events_of(response(*output)))["message"]["annotations"] == expect


def test_answer_logprobs_only_when_asked() -> None:
    given = response(message(text("a", logprobs=[LOGPROB])))
    expect = {**LOGPROB, "top_logprobs": [{"token": "a", "bytes": None, "logprob": -0.5}]}
    assert translated(given, ASKED)["choices"][0]["logprobs"] == {"content": [expect], "refusal": None}
    assert translated(given)["choices"][0]["logprobs"] is None
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks(events_of(given), ASKED) if "usage" not in chunk][1] == {
        "content": [expect], "refusal": None}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "status"), [("server_error", 502), ("rate_limit_exceeded", 429), ("content_filter", 400), (None, 502)]
)
def test_answer_that_failed_is_an_error(code: str | None, status: int) -> None:
    with pytest.raises(ApiError) as caught:
        answer(response(status="failed", error={"code": code, "message": "of dep-1 at res.openai.azure.com"}), BODY)
    assert (caught.value.status, caught.value.code) == (status, code or "server_error")
    assert "dep-1" not in caught.value.message


@pytest.mark.parametrize("name", ["az-v1-responses-text", "az-v1-responses-tool"])
def test_answer_recorded(name: str) -> None:
    given = orjson.loads(sample(f"{name}.body.json"))
    out = translated(given)
    choice = out["choices"][0]
    assert out["usage"]["total_tokens"] == given["usage"]["total_tokens"]
    assert out["prompt_filter_results"][0]["content_filter_results"]["jailbreak"]["detected"] is False
    assert choice["content_filter_results"]["hate"]["severity"] == "safe"
    if name.endswith("tool"):
        assert choice["finish_reason"] == "tool_calls"
        assert orjson.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])["latitude"] == "52.5200"
        assert out["usage"]["completion_tokens_details"]["reasoning_tokens"] == 64
    else:
        assert (choice["message"]["content"], choice["finish_reason"]) == ("Word", "stop")


def chunks(events: list[Json], body: Json = BODY) -> list[Json]:
    stream = Events(body)
    before = copy.deepcopy(events)
    out = [chunk for event in events for chunk in stream.feed(event)] + stream.end()
    assert events == before
    return out


def streamed(events: list[Json], body: Json = BODY) -> Json:
    out = chunks(events, body)
    assert out[0]["choices"][0]["delta"] == {"role": "assistant", "content": None, "refusal": None}
    return chat_of(out)


def events_of(given: Json, way: str = "deltas", cut: int = 2) -> list[Json]:
    """The events that an upstream sends for a response: in deltas, with whole parts, with whole items, or its end alone."""
    begun = {**given, "output": [], "usage": None, "status": "in_progress", "service_tier": "auto"}
    out: list[Json] = [{"type": "response.created", "response": begun}]
    for place, item in enumerate(given["output"] if way != "end" else []):
        empty = {"content": [], "summary": [], "arguments": "", "input": ""}
        out.append({"type": "response.output_item.added", "output_index": place,
                    "item": {k: empty.get(k, v) for k, v in item.items()}})  # fmt: skip
        for kind, where, name, whole, logprobs in texts(item):
            where = {**where, "output_index": place, "item_id": item["id"]}
            pieces = [whole[i : i + cut] for i in range(0, len(whole), cut)] if way == "deltas" else []
            for index, piece in enumerate(pieces):
                out.append(
                    {"type": f"response.{kind}.delta", **where, "delta": piece, "logprobs": [] if index else logprobs}
                )
            if way != "items":
                out.append({"type": f"response.{kind}.done", **where, name: whole, "logprobs": logprobs})
        out.append({"type": "response.output_item.done", "output_index": place, "item": item})
    return [*out, {"type": f"response.{given['status']}", "response": given}]


def texts(item: Json) -> list[tuple[str, Json, str, str, list[Json]]]:
    if item["type"] == "function_call":
        return [("function_call_arguments", {}, "arguments", item["arguments"], [])]
    if item["type"] == "custom_tool_call":
        return [("custom_tool_call_input", {}, "input", item["input"], [])]
    found: list[tuple[str, Json, str, str, list[Json]]] = []
    for index, part in enumerate(item.get("summary", [])):
        found.append(("reasoning_summary_text", {"summary_index": index}, "text", part["text"], []))
    kinds = {
        "output_text": ("output_text", "text"),
        "refusal": ("refusal", "refusal"),
        "reasoning_text": ("reasoning_text", "text"),
    }
    for index, part in enumerate(item.get("content", [])):
        kind, name = kinds[part["type"]]
        found.append((kind, {"content_index": index}, name, part[name], part.get("logprobs", [])))
    return found


SHORT = st.text("ab é{}", max_size=6)
ITEMS = st.one_of(
    st.builds(lambda texts: reasoning(*texts), st.lists(SHORT, max_size=2)),
    st.builds(lambda texts: message(*map(text, texts)), st.lists(SHORT, max_size=2)),
    st.builds(lambda said: message({"type": "refusal", "refusal": said}), SHORT),
    st.builds(function, st.just("f"), SHORT),
)


@given(st.lists(ITEMS, max_size=5), st.sampled_from(["deltas", "parts", "items", "end"]), st.integers(1, 4))
def test_stream_says_what_the_whole_answer_says(output: list[Json], way: str, cut: int) -> None:
    output = [{**item, "call_id": f"call_{n}"} if "call_id" in item else item for n, item in enumerate(output)]
    whole = answer(response(*output), BODY)
    found = streamed(events_of(response(*output), way, cut))
    found["message"]["tool_calls"] = [
        {k: v for k, v in call.items() if k != "index"} for call in found["message"].get("tool_calls", [])
    ]
    expect = {"annotations": [], "tool_calls": [], **whole["choices"][0]["message"]}
    assert {"annotations": [], **found["message"]} == expect
    assert (found["finish_reason"], found["usage"]) == (whole["choices"][0]["finish_reason"], whole["usage"])


def test_stream_ends_with_a_reason_and_then_usage() -> None:
    out = chunks(events_of(response(message(text("hello")))))
    assert [chunk["choices"][0]["delta"] for chunk in out[1:-1]] == [{"content": c} for c in ("he", "ll", "o")] + [{}]
    assert (out[-2]["choices"][0]["finish_reason"], out[-1]["choices"]) == ("stop", [])
    assert {chunk["id"] for chunk in out} == {"chatcmpl-0a1b"}
    assert {chunk["object"] for chunk in out} == {"chat.completion.chunk"}


def test_stream_names_a_call_once() -> None:
    out = chunks(events_of(response(function(arguments='{"a":1}'), function("g", "", "call_9")), cut=4))
    calls = [call for chunk in out[1:-1] for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert calls == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ":1}"}},
        {"index": 1, "id": "call_9", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]


@pytest.mark.parametrize("way", ["deltas", "parts", "items", "end"])
def test_stream_custom_call(way: str) -> None:
    out = chunks(events_of(response(CUSTOM), way))
    calls = [call for chunk in out[1:-1] for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert calls[0] == {"index": 0, "id": "call_2", "type": "custom", "custom": {"name": "c", "input": ""}}
    assert "".join(call["custom"]["input"] for call in calls) == "xyz"
    assert out[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("item", [message(text("hi")), function(arguments="")], ids=["text", "call"])
def test_stream_is_not_said_twice_by_an_end_that_counts_otherwise(item: Json) -> None:
    """The last event may leave out reasoning, so that what is left of the output has other places."""
    events = events_of(response(reasoning(), item))
    short = [*events[:-1], {"type": "response.completed", "response": response(item)}]
    assert chunks(short) == chunks(events)


def test_stream_logprobs_are_said_once() -> None:
    events = events_of(response(message(text("hello", logprobs=[LOGPROB]))))
    torn = [event for event in events if event.get("delta") not in ("ll", "o")]
    found = [chunk["choices"][0]["logprobs"] for chunk in chunks(torn, ASKED)[:-1]]
    assert [len(logprobs["content"]) for logprobs in found if logprobs] == [1]
    assert streamed(torn)["message"]["content"] == "hello"


def test_stream_passes_over_empty_deltas() -> None:
    plain = events_of(response(message(text("hi"))))
    empty = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "item_id": "msg_1",
        "delta": "",
    }
    assert chunks([*plain[:2], empty, *plain[2:]]) == chunks(plain)


def test_stream_passes_over_what_chat_has_not() -> None:
    plain = events_of(response(message(text("hi"))))
    others = [
        {"type": "response.web_search_call.searching", "item_id": "ws", "output_index": 0},
        {"type": "response.new"},
        {},
    ]
    assert chunks([*others, *plain[:3], *others, *plain[3:]]) == chunks(plain)


def test_stream_that_begins_without_its_first_event_still_names_its_role() -> None:
    assert streamed(events_of(response(message(text("hi"))))[1:])["message"]["content"] == "hi"


def test_stream_arguments_without_a_name_wait_for_the_finished_item() -> None:
    events = events_of(response(function(arguments="{1}")))
    found = streamed([event for event in events if event["type"] != "response.output_item.added"])
    assert found["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{1}"}


def test_stream_keeps_obfuscation() -> None:
    events = events_of(response(message(text("hi"))))
    events[2]["obfuscation"] = "xyz"
    assert [chunk.get("obfuscation") for chunk in chunks(events)].count("xyz") == 1


def test_stream_recorded() -> None:
    out = chunks(sse_events(sample("az-v1-responses-stream.body.sse")))
    found = chat_of(out)
    assert (found["message"]["content"], found["finish_reason"]) == ("4", "stop")
    assert found["usage"]["total_tokens"] > 0
    assert out[-2]["prompt_filter_results"][0]["content_filter_results"]["hate"]["severity"] == "safe"
    assert out[-2]["choices"][0]["content_filter_results"]["violence"]["filtered"] is False


def test_stream_accumulates_in_the_sdk() -> None:
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState(input_tools=omit, response_format=omit)
    output = [
        reasoning("why"),
        message(text("hello", annotations=[cited(0), cited(1)])),
        function(),
        function("g", "{}", "call_9"),
    ]
    for chunk in chunks(events_of(response(*output))):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    found = state.get_final_completion()
    assert found.choices[0].message.content == "hello"
    assert [call.function.name for call in found.choices[0].message.tool_calls or []] == ["f", "g"]
    assert len(found.choices[0].message.annotations or []) == 2
    assert found.usage is not None
