"""Chat in front of an instruct deployment: what passes, what is refused, and both forms of the answer."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ApiError
from shared.transform.chat_on_completions import Events, answer, request
from tests.unit.transform.dialect_types import Json, chat_of, is_chat

HELLO: list[Json] = [{"role": "user", "content": "Hello"}]


def ask(messages: Any = None, **more: Any) -> Json:
    return {"model": "alias", "messages": HELLO if messages is None else messages, **more}


PASSING: Json = {
    "n": 2, "stop": ["x"], "temperature": 0, "top_p": 0.5, "presence_penalty": 1, "frequency_penalty": 1, "seed": 4,
    "logit_bias": {"50256": -100}, "user": "u", "max_tokens": 5, "unknown": {"a": 1},
}  # fmt: skip


def test_what_both_know_passes() -> None:
    body = ask(**PASSING, tools=[], tool_choice="auto", logprobs=False, response_format={"type": "text"})
    before = copy.deepcopy(body)
    assert request(body) == {"model": "alias", "prompt": "Hello", **PASSING}
    assert body == before


def test_the_newer_name_of_the_limit_is_the_older_one() -> None:
    assert request(ask(max_completion_tokens=7)) == {"model": "alias", "prompt": "Hello", "max_tokens": 7}


def test_a_stream_reports_its_usage() -> None:
    assert request(ask(stream=True))["stream_options"] == {"include_usage": True}


PROMPTS: list[tuple[list[Json], str]] = [
    ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "ab"),
    ([{"role": "system", "content": "Be brief."}, *HELLO], "System: Be brief.\n\nUser: Hello\n\nAssistant:"),
    (
        [*HELLO, {"role": "assistant", "content": "Hi", "tool_calls": None}, {"role": "user", "content": "Bye"}],
        "User: Hello\n\nAssistant: Hi\n\nUser: Bye\n\nAssistant:",
    ),
]


@pytest.mark.parametrize(("messages", "prompt"), PROMPTS)
def test_messages_become_one_prompt(messages: list[Json], prompt: str) -> None:
    assert request(ask(messages))["prompt"] == prompt


REFUSED: list[tuple[Json, str]] = [
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"logprobs": True}, "logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, "messages[0]"),
    ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "c"}]}]}, "messages[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
        "messages[0].content",
    ),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
]


@pytest.mark.parametrize(("given", "param"), REFUSED)
def test_what_is_refused_names_its_parameter(given: Json, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        request({**ask(), **given})
    assert (caught.value.status, caught.value.param) == (400, param)


HEAD: Json = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
USAGE: Json = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def test_an_answer() -> None:
    filtered = {"hate": {"filtered": False, "severity": "safe"}}
    choice = {"index": 0, "text": "Hi", "logprobs": None, "finish_reason": "length", "content_filter_results": filtered}
    out = is_chat(answer({**HEAD, "choices": [choice], "usage": USAGE}, {}))
    assert (out["id"], out["object"], out["usage"]) == ("chatcmpl-1", "chat.completion", USAGE)
    assert out["choices"][0]["message"] == {"role": "assistant", "content": "Hi", "refusal": None}
    assert out["choices"][0]["finish_reason"] == "length"
    assert out["choices"][0]["content_filter_results"] == filtered


def test_what_is_no_completion_is_a_bad_answer() -> None:
    with pytest.raises(ApiError) as caught:
        answer({"choices": None}, {})
    assert caught.value.status == 502


def through(chunks: list[Json]) -> list[Json]:
    stream = Events({})
    return [event for chunk in chunks for event in stream.feed(chunk)] + stream.end()


def test_the_verdict_on_the_prompt_comes_with_the_first_text() -> None:
    first = {
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [],
        "prompt_filter_results": [{"prompt_index": 0}],
    }
    text = {**HEAD, "choices": [{"index": 0, "text": "a", "logprobs": None, "finish_reason": None}]}
    usage = {**HEAD, "choices": [], "usage": USAGE}
    told, counted = through([first, text, usage])
    assert told["prompt_filter_results"] == [{"prompt_index": 0}]
    assert told["choices"][0]["delta"] == {"role": "assistant", "content": "a"}
    assert (counted["choices"], counted["usage"]) == ([], USAGE)


@given(st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_a_stream_says_what_the_whole_answer_says(pieces: list[str]) -> None:
    chunks: list[Json] = [{**HEAD, "choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in pieces]
    chunks.append({**HEAD, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    streamed = chat_of(through(chunks))
    choice = {"index": 0, "text": "".join(pieces), "finish_reason": "stop"}
    whole = answer({**HEAD, "choices": [choice]}, {})["choices"][0]
    assert streamed["message"] == {"role": "assistant", "content": whole["message"]["content"]}
    assert streamed["finish_reason"] == whole["finish_reason"]
