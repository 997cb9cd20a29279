"""What chat completions answer, whole and streamed, as a client of the Responses API sees it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ApiError
from shared.transform.responses_on_chat import Events, answer
from tests.unit.given import sample
from tests.unit.transform.dialect_types import sse_events
from tests.unit.transform.responses_types import is_response, response_of

type Json = dict[str, Any]

BODY: Json = {"model": "alias", "input": "hi"}
USAGE: Json = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
LOGPROB: Json = {
    "token": "a",
    "bytes": [97],
    "logprob": -0.5,
    "top_logprobs": [{"token": "a", "bytes": None, "logprob": -0.5}],
}
VERDICT: Json = {"hate": {"filtered": False, "severity": "safe"}}


def call(name: str = "f", arguments: str = "{}", id: str = "call_1") -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


CUSTOM: Json = {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "xyz"}}


def chat(finish: str = "stop", usage: Any = USAGE, logprobs: Any = None, **message: Any) -> Json:
    choice = {"index": 0, "finish_reason": finish, "logprobs": logprobs, "message": {"role": "assistant", **message}}
    return {"id": "chatcmpl-0a1b", "object": "chat.completion", "created": 1787150105, "model": "gpt-4.1-mini",
            "choices": [choice], **({} if usage is None else {"usage": usage})}  # fmt: skip


def translated(given: Json, **body: Any) -> Json:
    before = copy.deepcopy(given)
    out = is_response(answer(given, {**BODY, **body}))
    assert given == before
    return out


def test_answer_envelope() -> None:
    out = translated(chat(content="hi"))
    assert {k: v for k, v in out.items() if k != "output"} == {
        "id": "resp_0a1b", "object": "response", "created_at": 1787150105, "status": "completed", "background": False,
        "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None,
        "temperature": None, "top_p": None, "max_tool_calls": None, "prompt_cache_key": None,
        "safety_identifier": None, "model": "gpt-4.1-mini", "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "service_tier": "default", "store": False,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0,
        "truncation": "disabled", "metadata": {},
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
                  "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15},
    }  # fmt: skip


def test_answer_repeats_what_was_asked() -> None:
    choice = {"type": "function", "name": "f"}
    asked: Json = {"instructions": "i", "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 99, "metadata": {"a": "b"},
                   "parallel_tool_calls": False, "tool_choice": choice, "reasoning": {"effort": "low", "summary": "auto"},
                   "text": {"verbosity": "low", "format": {"type": "json_object"}}, "user": "u"}  # fmt: skip
    out = translated(chat(content="hi"), **asked)
    assert {name: out[name] for name in asked} == asked


def test_answer_says_that_nothing_is_stored() -> None:
    assert translated(chat(content="hi"), store=True)["store"] is False


def test_answer_repeats_tools_as_they_are_in_force() -> None:
    flat: Json = {"type": "function", "name": "f", "parameters": {}, "strict": True}
    nested = {"type": "function", "function": {"name": "g", "description": "d"}}
    custom = {"type": "custom", "name": "c", "format": {"type": "text"}}
    assert translated(chat(content="hi"), tools=[flat, nested, custom])["tools"] == [
        flat,
        {"type": "function", "name": "g", "description": "d", "parameters": None, "strict": False},
        custom,
    ]


def test_answer_without_usage_invents_none() -> None:
    assert "usage" not in translated(chat(content="hi", usage=None))
    assert "usage" not in streamed(chunks_of(chat(content="hi", usage=None)))


def test_answer_usage_always_has_its_details() -> None:
    out = translated(chat(content="hi", usage={"prompt_tokens": 3, "completion_tokens": 4}))
    assert out["usage"] == {
        "input_tokens": 3, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7,
    }  # fmt: skip


class Row(NamedTuple):
    id: str
    message: Json
    expect: list[Json]


def text(said: str, **fields: Any) -> Json:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": [], **fields}


def message(*parts: Json, place: int = 0, status: str = "completed") -> Json:
    return {"type": "message", "id": f"msg_0a1b_{place}", "role": "assistant", "status": status, "content": list(parts)}


def called(place: int = 0, status: str = "completed") -> Json:
    return {"type": "function_call", "id": f"fc_0a1b_{place}", "call_id": "call_1", "name": "f", "arguments": "{}",
            "status": status}  # fmt: skip


THOUGHT: Json = {"type": "reasoning", "id": "rs_0a1b_0", "summary": [{"type": "summary_text", "text": "hm"}]}
ROWS = [
    Row("text", {"content": "hi", "refusal": None}, [message(text("hi"))]),
    Row("refusal", {"content": None, "refusal": "no"}, [message({"type": "refusal", "refusal": "no"})]),
    Row("both", {"content": "a", "refusal": "no"}, [message(text("a"), {"type": "refusal", "refusal": "no"})]),
    Row("nothing", {"content": ""}, []),
    Row("call", {"content": None, "tool_calls": [call()]}, [called()]),
    Row("text-and-call", {"content": "a", "tool_calls": [call()]}, [message(text("a")), called(1)]),
    Row("custom-call", {"content": None, "tool_calls": [CUSTOM]}, [{"type": "custom_tool_call", "id": "ctc_0a1b_0",
        "call_id": "call_2", "name": "c", "input": "xyz"}]),
    Row("reasoning", {"content": "a", "reasoning_content": "hm"}, [THOUGHT, message(text("a"), place=1)]),
    Row("reasoning-by-its-other-name", {"content": "a", "reasoning": "hm"}, [THOUGHT, message(text("a"), place=1)]),
    Row("citation", {"content": "a", "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a",
        "title": "A", "start_index": 0, "end_index": 1}}]}, [message(text("a", annotations=[{"type": "url_citation",
        "url": "https://a", "title": "A", "start_index": 0, "end_index": 1}]))]),
]  # fmt: skip


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.id)
def test_answer_output(case: Row) -> None:
    assert translated(chat(**case.message))["output"] == case.expect
    assert streamed(chunks_of(chat(**case.message)))["output"] == case.expect


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_answer_that_is_incomplete(finish: str, reason: str) -> None:
    for said, output in (
        ({"content": "a"}, [message(text("a"), status="incomplete")]),
        ({"content": "a", "tool_calls": [call()]}, [message(text("a")), called(1, "incomplete")]),
    ):
        for out in (translated(chat(finish, **said)), streamed(chunks_of(chat(finish, **said)))):
            assert (out["status"], out["incomplete_details"], out["output"]) == (
                "incomplete",
                {"reason": reason},
                output,
            )


def test_answer_logprobs() -> None:
    given = chat(content="a", logprobs={"content": [LOGPROB], "refusal": None})
    expect = [{**LOGPROB, "top_logprobs": [{"token": "a", "bytes": [], "logprob": -0.5}]}]
    assert translated(given)["output"][0]["content"][0]["logprobs"] == expect
    assert streamed(chunks_of(given))["output"][0]["content"][0]["logprobs"] == expect


@pytest.mark.parametrize("given", [{}, {"choices": []}, {"choices": None}, {"choices": ["x"]}])
def test_answer_without_a_choice_is_an_error(given: Json) -> None:
    with pytest.raises(ApiError) as caught:
        answer(given, BODY)
    assert caught.value.status == 502


def test_answer_calls_without_ids_get_some() -> None:
    calls = [{"type": "function", "function": {"name": "f", "arguments": ""}} for _ in range(2)]
    output = translated(chat(content=None, tool_calls=calls))["output"]
    assert [item["call_id"] for item in output] == ["call_0a1b_0", "call_0a1b_1"]


@pytest.mark.parametrize("name", ["az-chat", "az-chat-gpt5-reasoning"])
def test_answer_recorded(name: str) -> None:
    given = orjson.loads(sample(f"{name}.body.json"))
    out = translated(given)
    assert out["output"][0]["content"][0]["text"] == given["choices"][0]["message"]["content"]
    assert out["usage"]["total_tokens"] == given["usage"]["total_tokens"]
    assert out["id"] == given["id"].replace("chatcmpl-", "resp_")
    assert [(f["source_type"], f["blocked"]) for f in out["content_filters"]] == [
        ("prompt", False),
        ("completion", False),
    ]


def chunk(*choices: Json, **fields: Any) -> Json:
    return {"id": "chatcmpl-0a1b", "object": "chat.completion.chunk", "created": 1787150105, "model": "gpt-4.1-mini",
            "choices": list(choices), **fields}  # fmt: skip


def delta(finish: str | None = None, logprobs: Any = None, **fields: Any) -> Json:
    return chunk({"index": 0, "delta": fields, "finish_reason": finish, "logprobs": logprobs})


def chunks_of(whole: Json, cut: int = 2, interleaved: bool = False) -> list[Json]:
    """The chunks that a chat upstream sends for an answer; with its calls one after the other or all at once."""
    choice = whole["choices"][0]
    given = choice["message"]
    out = [delta(role="assistant", content="")]
    for name in ("reasoning_content", "reasoning", "content", "refusal"):
        said = given.get(name) or ""
        for start in range(0, len(said), cut):
            logprobs = choice["logprobs"] if name == "content" and start == 0 else None
            out.append(delta(None, logprobs, **{name: said[start : start + cut]}))
    if given.get("annotations"):
        out.append(delta(annotations=given["annotations"]))
    rows = [pieces(index, item, cut) for index, item in enumerate(given.get("tool_calls") or [])]
    ordered = [piece for row in rows for piece in row]
    if interleaved:
        most = max([len(row) for row in rows], default=0)
        ordered = [row[n] for n in range(most) for row in rows if n < len(row)]
    out += [delta(tool_calls=[piece]) for piece in ordered]
    out.append(delta(choice["finish_reason"]))
    return [*out, *([chunk(usage=whole["usage"])] if "usage" in whole else [])]


def pieces(index: int, item: Json, cut: int) -> list[Json]:
    kind = item["type"]
    field = "arguments" if kind == "function" else "input"
    said = item[kind][field]
    first = {"index": index, "id": item["id"], "type": kind, kind: {"name": item[kind]["name"], field: ""}}
    return [first, *({"index": index, kind: {field: said[n : n + cut]}} for n in range(0, len(said), cut))]


def events(chunks: list[Json], **body: Any) -> list[Json]:
    before = copy.deepcopy(chunks)
    stream = Events({**BODY, **body})
    kept: list[Json] = []
    seen: list[Json] = []
    for sent in [*chunks, None]:
        kept += stream.end() if sent is None else stream.feed(sent)
        seen += copy.deepcopy(kept[len(seen) :])
    assert chunks == before
    assert kept == seen, "an event that has been sent must not change afterwards"
    return kept


def streamed(chunks: list[Json], **body: Any) -> Json:
    return response_of(events(chunks, **body))


SHORT = st.text("ab é{}", max_size=6)
CALLS = st.lists(st.builds(call, st.just("f"), SHORT) | st.just(CUSTOM), max_size=3)


@given(SHORT, SHORT, SHORT, CALLS, st.integers(1, 4), st.booleans(), st.sampled_from(["stop", "length", "tool_calls"]))
def test_stream_says_what_the_whole_answer_says(
    thought: str, said: str, refused: str, calls: list[Json], cut: int, interleaved: bool, finish: str
) -> None:
    numbered = [{**item, "id": f"call_{n}"} for n, item in enumerate(calls)]
    given = chat(finish, content=said, refusal=refused, reasoning_content=thought, tool_calls=numbered)
    assert streamed(chunks_of(given, cut, interleaved), instructions="i") == translated(given, instructions="i")


def test_stream_of_text_in_full() -> None:
    found = events(chunks_of(chat(content="hey")))
    assert [event["type"].removeprefix("response.") for event in found] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert found[0]["response"]["status"] == "in_progress"
    assert found[2]["item"] == message(status="in_progress")
    assert found[3]["part"] == text("")
    assert found[-1]["response"]["usage"]["total_tokens"] == 15


def test_stream_of_reasoning_and_calls_in_full() -> None:
    found = events(
        chunks_of(chat("tool_calls", reasoning_content="hm", content=None, tool_calls=[call(arguments="{}")]))
    )
    assert [event["type"].removeprefix("response.") for event in found][2:] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip


def test_stream_of_interleaved_calls_keeps_them_apart() -> None:
    given = chat("tool_calls", content=None, tool_calls=[call("f", '{"a":1}', "x"), call("g", '{"b":22}', "y")])
    output = streamed(chunks_of(given, 3, interleaved=True))["output"]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output] == [
        ("x", "f", '{"a":1}'),
        ("y", "g", '{"b":22}'),
    ]


def test_stream_call_whose_name_comes_late_is_held() -> None:
    late = [{"index": 0, "id": "x", "type": "function", "function": {"arguments": "{"}},
            {"index": 0, "function": {"name": "f", "arguments": "}"}}]  # fmt: skip
    output = streamed([delta(tool_calls=[piece]) for piece in late])["output"]
    assert (output[0]["name"], output[0]["arguments"]) == ("f", "{}")


def test_stream_calls_are_done_in_the_order_of_the_output() -> None:
    sent = [{"index": 0, "id": "x", "function": {"arguments": "{"}}, {"index": 1, "id": "y", "function": {"name": "g"}},
            {"index": 0, "function": {"name": "f", "arguments": "}"}}]  # fmt: skip
    found = events([delta(tool_calls=[piece]) for piece in sent])
    assert [e["item"]["call_id"] for e in found if e["type"] == "response.output_item.done"] == ["y", "x"]


def test_stream_events_may_be_changed_by_whoever_sends_them() -> None:
    """Ids are sealed in place on the way to the client: what is kept for the last event must not be sealed twice."""
    stream = Events(BODY)
    for sent in chunks_of(chat(content="a", tool_calls=[call()])):
        for event in stream.feed(sent):
            event.get("item", {}).update(id="sealed")
    ended = stream.end()
    for event in ended[:-1]:
        event.get("item", {}).update(id="sealed")
    assert [item["id"] for item in ended[-1]["response"]["output"]] == ["msg_0a1b_0", "fc_0a1b_1"]


def test_stream_keeps_the_identity_that_it_began_with() -> None:
    other = {**delta("stop", content="b"), "id": "chatcmpl-other", "created": 1}
    found = streamed([{**delta(content="a"), "service_tier": "flex"}, other])
    assert (found["id"], found["created_at"], found["service_tier"]) == ("resp_0a1b", 1787150105, "flex")


def test_stream_call_without_a_name_is_not_lost() -> None:
    output = streamed([delta(tool_calls=[{"index": 0, "id": "x", "function": {"arguments": "{}"}}])])["output"]
    assert (output[0]["name"], output[0]["arguments"]) == ("", "{}")


def test_stream_calls_without_an_index_are_told_by_their_ids() -> None:
    sent = [{"id": "x", "function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}},
            {"id": "y", "function": {"name": "g", "arguments": "[]"}}]  # fmt: skip
    output = streamed([delta(tool_calls=[piece]) for piece in sent])["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [("x", "{}"), ("y", "[]")]


def test_stream_text_after_a_call_is_a_message_of_its_own() -> None:
    sent = [delta(content="a"), delta(tool_calls=[{"index": 0, **call()}]), delta("tool_calls", content="b")]
    kinds = [item["type"] for item in streamed(sent)["output"]]
    assert kinds == ["message", "function_call", "message"]


def test_stream_begins_with_the_first_choice_and_its_id() -> None:
    """Azure's first chunk has neither choices nor id; filter chunks come with an empty id and without a delta."""
    first = {"id": "", "created": 0, "model": "", "object": "", "choices": [],
             "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": VERDICT}]}  # fmt: skip
    hit = {"hate": {"filtered": True, "severity": "high"}}
    late = [
        {"id": "", "created": 0, "choices": [{"index": 0, "content_filter_results": verdict}]}
        for verdict in (hit, VERDICT)
    ]
    stream = Events(BODY)
    assert stream.feed(first) == []
    found = streamed([first, delta(content="a"), *late, delta("content_filter")])
    assert found["id"] == "resp_0a1b"
    assert [(f["source_type"], f["blocked"]) for f in found["content_filters"]] == [
        ("prompt", False),
        ("completion", True),
    ]


def test_stream_ignores_other_choices() -> None:
    other = chunk({"index": 1, "delta": {"content": "x"}, "finish_reason": "length"})
    assert streamed([delta(content="a"), other, delta("stop")])["output"] == [message(text("a"))]


def test_stream_keeps_obfuscation_on_deltas() -> None:
    found = events([{**delta(content="a"), "obfuscation": "xyz"}, {**delta("stop"), "obfuscation": "uvw"}])
    assert [(e["type"], e["obfuscation"]) for e in found if "obfuscation" in e] == [
        ("response.output_text.delta", "xyz")
    ]


def test_stream_without_anything_is_still_a_response() -> None:
    assert streamed([])["output"] == []


@pytest.mark.parametrize(("name", "said"), [("az-chat-stream", "Why did"), ("foundry-chat-stream", "1, 2, 3.")])
def test_stream_recorded(name: str, said: str) -> None:
    sent = [event for event in sse_events(sample(f"{name}.body.sse").replace(b"data: [DONE]", b""))]
    found = streamed(sent)
    assert found["status"] == "completed"
    assert found["output"][0]["content"][0]["text"].startswith(said)
    assert found["created_at"] > 1_700_000_000
    usage: Any = next((event["usage"] for event in sent if event.get("usage")), None)
    assert found.get("usage", {}).get("output_tokens") == (usage or {}).get("completion_tokens")
