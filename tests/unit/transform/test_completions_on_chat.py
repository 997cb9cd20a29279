"""Legacy completions in front of chat: what passes, what is refused, and both forms of the answer."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ApiError
from shared.transform.completions_on_chat import Events, answer, refusals, request
from tests.unit.given import sample
from tests.unit.transform.dialect_types import Json, is_chat_request, is_text


def ask(**more: Any) -> Json:
    return {"model": "alias", "prompt": "Say this", **more}


PASSING: Json = {
    "n": 2, "stop": ["x"], "max_tokens": 5, "temperature": 0, "top_p": 0.5, "presence_penalty": 1, "frequency_penalty": 1, "seed": 4,
    "logit_bias": {"50256": -100}, "user": "u", "stream": True, "stream_options": {"include_usage": True},
}  # fmt: skip


def test_what_both_know_passes() -> None:
    body = ask(**PASSING)
    before = copy.deepcopy(body)
    out = is_chat_request(request(body))
    assert out == {"model": "alias", "messages": [{"role": "user", "content": "Say this"}], **PASSING}
    assert body == before


NO_OPS: list[Json] = [
    {"suffix": None, "echo": False, "best_of": 1, "logprobs": None},
    {"suffix": ""},
    {"n": 3, "best_of": 3},
    {"prompt": ["Say this"]},
]


@pytest.mark.parametrize("given", NO_OPS)
def test_what_asks_for_nothing_is_left_out(given: Json) -> None:
    out = request(ask(**given))
    assert set(out) <= {"model", "messages", "n"}
    assert out["messages"] == [{"role": "user", "content": "Say this"}]


REFUSED: list[tuple[Json, str, str]] = [
    ({"suffix": "end"}, "suffix", "instruct"),
    ({"echo": True}, "echo", "instruct"),
    ({"best_of": 2}, "best_of", "instruct"),
    ({"best_of": 3, "n": 2}, "best_of", "instruct"),
    ({"logprobs": 0}, "logprobs", "instruct"),
    ({"logprobs": 5}, "logprobs", "instruct"),
    ({"messages": []}, "messages", ""),
    ({"prompt": ["a", "b"]}, "prompt", "one call for each prompt"),
    ({"prompt": [1, 2]}, "prompt", "token ids"),
    ({"prompt": [[1, 2], [3]]}, "prompt", "token ids"),
    ({"prompt": []}, "prompt", "a string"),
    ({"prompt": None}, "prompt", "Missing"),
    ({"prompt": 5}, "prompt", "a string"),
]


@pytest.mark.parametrize(("given", "param", "words"), REFUSED)
def test_what_is_refused_names_its_parameter_and_the_remedy(given: Json, param: str, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        request(ask(**given))
    assert caught.value.status == 400
    assert caught.value.param == param
    assert words in caught.value.message


def test_refusals_lists_all_that_a_configuration_may_drop() -> None:
    assert [name for name, _ in refusals(ask(echo=True, logprobs=1))] == ["echo", "logprobs"]


def test_a_recorded_answer() -> None:
    chat: Json = orjson.loads(sample("az-chat.body.json"))
    out = is_text(answer(chat, {}))
    assert out["object"] == "text_completion"
    assert out["id"] == "cmpl-" + chat["id"].removeprefix("chatcmpl-")
    assert out["usage"] == chat["usage"]
    assert out["choices"][0]["text"] == chat["choices"][0]["message"]["content"]
    assert out["choices"][0]["finish_reason"] == "stop"
    assert out["choices"][0]["content_filter_results"] == chat["choices"][0]["content_filter_results"]
    assert "message" not in out["choices"][0]


def test_several_choices_and_odd_ones() -> None:
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "length"},
        {
            "index": 1,
            "message": {"role": "assistant", "content": None, "refusal": "No."},
            "finish_reason": "tool_calls",
        },
    ]
    out = is_text(answer({"id": "chatcmpl-1", "created": 1, "model": "m", "choices": choices}, {}))
    assert [(c["index"], c["text"], c["finish_reason"]) for c in out["choices"]] == [
        (0, "a", "length"),
        (1, "No.", "stop"),
    ]


@pytest.mark.parametrize("bad", [{}, {"choices": None}])
def test_what_is_no_completion_is_a_bad_answer(bad: Json) -> None:
    with pytest.raises(ApiError) as caught:
        answer(bad, {})
    assert caught.value.status == 502


def through(chunks: list[Json]) -> list[Json]:
    stream = Events({})
    return [event for chunk in chunks for event in stream.feed(chunk)] + stream.end()


@pytest.mark.parametrize("name", ["az-chat-stream", "foundry-chat-stream"])
def test_recorded_streams(name: str) -> None:
    chunks = [orjson.loads(line[5:]) for line in sample(f"{name}.body.sse").split(b"\n") if line.startswith(b"data: {")]
    events = through(chunks)
    for event in events:
        assert event["object"] == "text_completion"
        assert event["choices"] or event.get("usage")
        assert "delta" not in orjson.dumps(event).decode()
    said = "".join(choice["text"] for event in events for choice in event["choices"])
    assert said == "".join(
        c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"] and "delta" in c["choices"][0]
    )
    assert [c["finish_reason"] for event in events for c in event["choices"] if c["finish_reason"]] in (
        ["stop"],
        ["length"],
    )


def test_the_verdict_on_the_prompt_comes_with_the_first_text() -> None:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    first = {**head, "id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    role = {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    text = {**head, "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    usage = {**head, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    events = through([first, role, text, usage])
    assert len(events) == 2
    assert events[0]["prompt_filter_results"] == [{"prompt_index": 0}]
    assert events[0]["choices"] == [{"index": 0, "text": "a", "logprobs": None, "finish_reason": None}]
    assert events[1]["choices"] == []
    assert events[1]["usage"] == usage["usage"]


def test_a_verdict_without_text_is_told() -> None:
    choice = {"index": 0, "finish_reason": None, "content_filter_offsets": {"check_offset": 44}}
    events = through([{"id": "c", "created": 1, "model": "m", "choices": [choice]}])
    assert events[0]["choices"] == [{**choice, "text": "", "logprobs": None}]


@given(st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_a_stream_says_what_the_whole_answer_says(pieces: list[str]) -> None:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks: list[Json] = [
        {**head, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    told = [choice for event in through(chunks) for choice in event["choices"]]
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(pieces)}, "finish_reason": "stop"}
    whole = answer({**head, "choices": [choice]}, {})["choices"][0]
    assert "".join(c["text"] for c in told) == whole["text"]
    assert told[-1]["finish_reason"] == whole["finish_reason"]
