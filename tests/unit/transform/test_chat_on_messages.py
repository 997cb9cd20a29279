"""Chat in front of Claude: each parameter, each kind of message, each answer; the SDKs' own types are the judges."""

from __future__ import annotations

import copy
import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from shared.errors import ApiError
from shared.transform import messages_on_chat
from shared.transform.chat_on_messages import DEFAULT_MAX_TOKENS, answer, refusals, request
from shared.transform.chat_on_messages_thinking import thinks_by_budget
from tests.unit.transform.dialect_types import Json, is_chat, is_messages_request

USER: Json = {"role": "user", "content": "Hi"}
NEW, OLD = "claude-opus-5", "claude-haiku-4-5"


def chat(*messages: Json, **more: Any) -> Json:
    return {"model": "alias", "messages": list(messages or (USER,)), **more}


def sent(*messages: Json, model: str = NEW, **more: Any) -> Json:
    body = chat(*messages, **more)
    before = copy.deepcopy(body)
    out = is_messages_request(request(body, model))
    assert body == before, "the client's body is not changed"
    return out


def refused(body: Json, model: str = NEW) -> ApiError:
    with pytest.raises(ApiError) as caught:
        request(body, model)
    assert caught.value.status == 400
    return caught.value


def turns(*messages: Json) -> list[Json]:
    return sent(*messages)["messages"]


def user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def test_the_least_request() -> None:
    assert sent() == {"model": "alias", "max_tokens": DEFAULT_MAX_TOKENS, "messages": [user(text("Hi"))]}


class Param(NamedTuple):
    given: Json
    expect: Json


TOOL: Json = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {}},
        "strict": True,
    },
}
OTHER: Json = {"type": "function", "function": {"name": "g"}}
TOOL_SENT: Json = {
    "name": "f",
    "description": "d",
    "input_schema": {"type": "object", "properties": {}},
    "strict": True,
}
OTHER_SENT: Json = {"name": "g", "input_schema": {"type": "object", "properties": {}}}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
ALLOWED: Json = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}}

PARAMS: dict[str, Param] = {
    "max_tokens": Param({"max_tokens": 7}, {"max_tokens": 7}),
    "max_completion_tokens wins": Param({"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}),
    "temperature": Param({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
    "temperature 0": Param({"temperature": 0}, {"temperature": 0}),
    "temperature 1 is the default": Param({"temperature": 1, "top_p": 1.0}, {}),
    "stop": Param({"stop": "END"}, {"stop_sequences": ["END"]}),
    "stops": Param({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
    "no stops": Param({"stop": []}, {}),
    "user": Param({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}),
    "safety_identifier": Param({"user": "u-1", "safety_identifier": "s"}, {"metadata": {"user_id": "s"}}),
    "stream": Param({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    "service_tier auto": Param({"service_tier": "auto"}, {}),
    "service_tier default": Param({"service_tier": "default"}, {"service_tier": "standard_only"}),
    "text": Param({"response_format": {"type": "text"}}, {}),
    "schema": Param(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "tools": Param({"tools": [TOOL, OTHER]}, {"tools": [TOOL_SENT, OTHER_SENT]}),
    "tools, auto": Param({"tools": [OTHER], "tool_choice": "auto"}, {"tools": [OTHER_SENT], "tool_choice": {"type": "auto"}}),
    "tools, none": Param({"tools": [OTHER], "tool_choice": "none"}, {"tools": [OTHER_SENT], "tool_choice": {"type": "none"}}),
    "tools, required": Param(
        {"tools": [OTHER], "tool_choice": "required"}, {"tools": [OTHER_SENT], "tool_choice": {"type": "any"}}
    ),
    "tools, named": Param({"tools": [OTHER], "tool_choice": OTHER}, {"tools": [OTHER_SENT], "tool_choice": {"type": "tool", "name": "g"}}),
    "tools, some allowed": Param(
        {"tools": [TOOL, OTHER], "tool_choice": ALLOWED}, {"tools": [OTHER_SENT], "tool_choice": {"type": "any"}}
    ),
    "one call at a time": Param(
        {"tools": [OTHER], "parallel_tool_calls": False},
        {"tools": [OTHER_SENT], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    "one call at a time, forced": Param(
        {"tools": [OTHER], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [OTHER_SENT], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    "no call, one at a time": Param(
        {"tools": [OTHER], "tool_choice": "none", "parallel_tool_calls": False},
        {"tools": [OTHER_SENT], "tool_choice": {"type": "none"}},
    ),
    "many calls at a time": Param({"tools": [OTHER], "parallel_tool_calls": True}, {"tools": [OTHER_SENT]}),
    "no tools to choose from": Param({"tools": [], "tool_choice": "auto", "parallel_tool_calls": False}, {}),
    "cached tool": Param(
        {"tools": [{**OTHER, "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{**OTHER_SENT, "cache_control": {"type": "ephemeral"}}]},
    ),
    "Anthropic's own": Param(
        {"top_k": 5, "cache_control": {"type": "ephemeral"}}, {"top_k": 5, "cache_control": {"type": "ephemeral"}}
    ),
    "hints": Param({"metadata": {"a": "b"}, "prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}}, {}),
    "nothing asked": Param(
        {
            "n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0, "modalities": ["text"],
            "store": False, "verbosity": "medium", "seed": None, "audio": None, "functions": [],
        },
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMS)
def test_parameters(name: str) -> None:
    row = PARAMS[name]
    out = sent(**row.given)
    assert {key: value for key, value in out.items() if key not in ("model", "messages")} == {
        "max_tokens": DEFAULT_MAX_TOKENS,
        **row.expect,
    }


REFUSED: dict[str, tuple[Json, str]] = {
    "penalty": ({"presence_penalty": 0.5}, "presence_penalty"),
    "frequency": ({"frequency_penalty": -1}, "frequency_penalty"),
    "bias": ({"logit_bias": {"1": 2}}, "logit_bias"),
    "logprobs": ({"logprobs": True}, "logprobs"),
    "top_logprobs": ({"top_logprobs": 2}, "top_logprobs"),
    "seed": ({"seed": 0}, "seed"),
    "n": ({"n": 2}, "n"),
    "prediction": ({"prediction": {"type": "content", "content": ""}}, "prediction"),
    "audio": ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    "modalities": ({"modalities": ["text", "audio"]}, "modalities"),
    "store": ({"store": True}, "store"),
    "verbosity": ({"verbosity": "low"}, "verbosity"),
    "functions": ({"functions": [{"name": "f"}]}, "functions"),
    "function_call": ({"function_call": "auto"}, "function_call"),
    "web": ({"web_search_options": {}}, "web_search_options"),
    "moderation": ({"moderation": {"model": "m"}}, "moderation"),
    "unknown": ({"mystery": 1}, "mystery"),
    "tier": ({"service_tier": "flex"}, "service_tier"),
    "json_object": ({"response_format": {"type": "json_object"}}, "response_format"),
    "schema without schema": ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, "response_format.json_schema.schema"),
    "hot": ({"temperature": 1.5}, "temperature"),
    "temperature of text": ({"temperature": "hot"}, "temperature"),
    "top_p": ({"top_p": 2}, "top_p"),
    "white stop": ({"stop": ["\n\n"]}, "stop"),
    "stop of numbers": ({"stop": [1]}, "stop"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "tokens of text": ({"max_completion_tokens": "5"}, "max_completion_tokens"),
    "custom tool": ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
    "tool without name": ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    "tools of text": ({"tools": "f"}, "tools"),
    "choice without tools": ({"tool_choice": "required"}, "tool_choice"),
    "unknown choice": ({"tools": [OTHER], "tool_choice": "some"}, "tool_choice"),
    "custom choice": ({"tools": [OTHER], "tool_choice": {"type": "custom", "custom": {"name": "g"}}}, "tool_choice.type"),
    "allowed, no such tool": ({"tools": [TOOL], "tool_choice": ALLOWED}, "tool_choice.allowed_tools.tools"),
    "effort": ({"reasoning_effort": "huge"}, "reasoning_effort"),
    "effort and thinking": ({"reasoning_effort": "low", "thinking": {"type": "adaptive"}}, "reasoning_effort"),
    "thinking of text": ({"thinking": "deep"}, "thinking"),
    "thinking, warm": ({"reasoning_effort": "low", "temperature": 0.2}, "temperature"),
    "thinking, narrow": ({"reasoning_effort": "low", "top_p": 0.5}, "top_p"),
    "thinking, top_k": ({"thinking": {"type": "adaptive"}, "top_k": 3}, "top_k"),
    "user": ({"user": 1}, "user"),
    "messages": ({"messages": "Hi"}, "messages"),
    "no messages": ({"messages": []}, "messages"),
    "system only": ({"messages": [{"role": "system", "content": "s"}]}, "messages"),
    "message of text": ({"messages": ["Hi"]}, "messages[0]"),
    "role": ({"messages": [{"role": "critic", "content": ""}]}, "messages[0].role"),
    "function role": ({"messages": [{"role": "function", "name": "f", "content": ""}]}, "messages[0].role"),
    "content of numbers": ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    "audio part": ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "messages[0].content[0].type"),
    "image in system": ({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
    "bmp": ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AA"}}]}]}, "messages[0].content[0].image_url.url"),
    "address of a file": ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}]}, "messages[0].content[0].image_url.url"),
    "file id": ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}, "messages[0].content[0].file.file_id"),
    "file of words": ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}}]}]}, "messages[0].content[0].file.file_data"),
    "bad arguments": ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}]}, "messages[1].tool_calls[0].function.arguments"),
    "arguments, a list": ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "[]"}}]}]}, "messages[1].tool_calls[0].function.arguments"),
    "custom call": ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]}, "messages[1].tool_calls[0].type"),
    "call without id": ({"messages": [USER, {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}]}, "messages[1].tool_calls[0].id"),
    "old call": ({"messages": [USER, {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]}, "messages[1].function_call"),
    "result without id": ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_its_parameter(name: str) -> None:
    given, param = REFUSED[name]
    error = refused(chat(**given))
    assert error.param == param
    assert param in error.message


@pytest.mark.parametrize("name", sorted(CompletionCreateParamsStreaming.__annotations__))
def test_every_parameter_of_chat_is_documented(name: str) -> None:
    page = (
        (Path(__file__).parents[3] / "docs" / "translation-claude.md")
        .read_text("utf-8")
        .partition("## Messages → chat")[0]
    )
    assert name in ("messages", "model", "stream") or re.search(rf"`{name}\b", page)


def test_refusals_lists_all_that_a_configuration_may_drop() -> None:
    body = chat(seed=1, n=2, temperature=0.5, logprobs=False)
    assert [name for name, _ in refusals(body)] == ["seed", "n"]
    sent(**{name: value for name, value in body.items() if name not in ("seed", "n", "messages")})


CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
USE: Json = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "call_1", "content": "7"}
PDF = "data:application/pdf;base64,JVBERi0="


def test_system_messages_stand_together_in_order() -> None:
    out = sent(
        {"role": "developer", "content": "one"},
        USER,
        {"role": "system", "content": [{"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": ""},
    )
    assert out["system"] == [text("one"), text("two", cache_control={"type": "ephemeral"})]
    assert out["messages"] == [user(text("Hi"))]


def test_parts_of_a_user_message() -> None:
    mark = {"type": "ephemeral"}
    parts: list[Json] = [
        {"type": "text", "text": "look", "cache_control": mark},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}, "cache_control": mark},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        {"type": "file", "file": {"filename": "b.PDF", "file_data": "JVBERi0="}},
        {"type": "text", "text": ""},
    ]
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert turns({"role": "user", "content": parts}) == [
        user(
            text("look", cache_control=mark),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "cache_control": mark},
            {"type": "document", "source": pdf, "title": "a.pdf"},
            {"type": "document", "source": pdf, "title": "b.PDF"},
        )
    ]


def test_tool_calls_and_their_results_become_one_turn_each() -> None:
    second = {"id": "call.2", "type": "function", "function": {"name": "f", "arguments": ""}}
    said = turns(
        USER,
        {"role": "assistant", "content": "calling", "tool_calls": [CALL, second]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7"},
        {"role": "tool", "tool_call_id": "call.2", "content": [{"type": "text", "text": "8"}]},
        {"role": "user", "content": "and now?"},
    )
    assert said == [
        user(text("Hi")),
        {
            "role": "assistant",
            "content": [text("calling"), USE, {"type": "tool_use", "id": "call-2e-2", "name": "f", "input": {}}],
        },
        user(RESULT, {"type": "tool_result", "tool_use_id": "call-2e-2", "content": [text("8")]}, text("and now?")),
    ]


def test_results_open_the_turn_wherever_they_stood() -> None:
    said = turns(
        USER,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "call_1", "content": "7"},
    )
    assert said[-1] == user(RESULT, text("wait"))


def test_turns_of_one_role_are_merged_and_empty_ones_left_out() -> None:
    said = turns(
        USER,
        {"role": "user", "content": "you"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "there?"},
    )
    assert said == [user(text("Hi"), text("you"), text("there?"))]


def test_an_empty_result_is_a_result() -> None:
    said = turns(
        USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call_1", "content": ""}
    )
    assert said[-1] == user({"type": "tool_result", "tool_use_id": "call_1"})


def test_a_mark_on_a_message_marks_its_end() -> None:
    mark = {"type": "ephemeral"}
    said = turns({"role": "user", "content": [text("a"), text("b")], "cache_control": mark})
    assert said == [user(text("a"), text("b", cache_control=mark))]


def test_thought_goes_back_with_its_signature_only() -> None:
    thoughts: list[Json] = [
        {"index": 0, "type": "thinking", "thinking": "hm", "signature": "sig"},
        {"index": 1, "type": "redacted_thinking", "data": "xx"},
        {"type": "thinking", "thinking": "unsigned"},
    ]
    said = turns(
        USER, {"role": "assistant", "content": "so", "reasoning_content": "hm", "thinking_blocks": thoughts}, USER
    )
    assert said[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xx"},
        text("so"),
    ]


def test_a_refusal_of_before_is_what_the_assistant_said() -> None:
    assert turns(USER, {"role": "assistant", "content": None, "refusal": "No."}, USER)[1]["content"] == [text("No.")]


GENERATIONS = {
    "claude-opus-5": False, "claude-opus-4-8": False, "claude-sonnet-4-6": False, "claude-sonnet-5-5": False, "claude-haiku-5-5": False,
    "claude-fable-5-1": False, "claude-mythos-preview": False, "claude": False, "my-deployment": False, "Claude Opus 4.6": False,
    "claude-haiku-4-5": True, "claude-haiku-4-5-20251001": True, "claude-opus-4-5": True, "claude-sonnet-4-20250514": True,
    "claude-opus-4-1": True, "claude-3-7-sonnet-20250219": True, "claude-3-5-haiku": True, "Claude-Sonnet-4.5": True,
}  # fmt: skip


@pytest.mark.parametrize("model", GENERATIONS)
def test_which_models_think_by_budget(model: str) -> None:
    assert thinks_by_budget(model) is GENERATIONS[model]


class Effort(NamedTuple):
    model: str
    given: Json
    thinking: Json | None
    effort: str | None = None


def budget(tokens: int) -> Json:
    return {"type": "enabled", "budget_tokens": tokens}


EFFORTS = [
    Effort(NEW, {}, None),
    Effort(NEW, {"reasoning_effort": "none"}, {"type": "disabled"}),
    Effort(NEW, {"reasoning_effort": "minimal"}, {"type": "disabled"}),
    Effort(NEW, {"reasoning_effort": "low"}, {"type": "adaptive"}, "low"),
    Effort(NEW, {"reasoning_effort": "max"}, {"type": "adaptive"}, "max"),
    Effort(NEW, {"reasoning_effort": "high", "temperature": 1, "top_p": 0.97}, {"type": "adaptive"}, "high"),
    Effort(
        NEW, {"reasoning_effort": "high", "tools": [OTHER], "tool_choice": "required"}, {"type": "adaptive"}, "high"
    ),
    Effort(
        NEW, {"thinking": {"type": "adaptive", "display": "summarized"}}, {"type": "adaptive", "display": "summarized"}
    ),
    Effort(OLD, {"reasoning_effort": "none"}, {"type": "disabled"}),
    Effort(OLD, {"reasoning_effort": "low"}, budget(2048)),
    Effort(OLD, {"reasoning_effort": "medium"}, budget(8192)),
    Effort(OLD, {"reasoning_effort": "high"}, budget(16000)),
    Effort(OLD, {"reasoning_effort": "high", "max_tokens": 60_000}, budget(16384)),
    Effort(OLD, {"reasoning_effort": "max", "max_tokens": 64_000}, budget(32000)),
    Effort(OLD, {"reasoning_effort": "high", "max_tokens": 4000}, budget(2000)),
    Effort(OLD, {"reasoning_effort": "low", "max_tokens": 2047}, None),
    Effort(OLD, {"thinking": budget(5000)}, budget(5000)),
]


@pytest.mark.parametrize("row", EFFORTS, ids=lambda row: f"{row.model} {row.given}")
def test_effort(row: Effort) -> None:
    out = sent(model=row.model, **row.given)
    assert out.get("thinking") == row.thinking
    assert out.get("output_config", {}).get("effort") == row.effort
    if row.thinking and row.thinking["type"] == "enabled":
        assert 1024 <= row.thinking["budget_tokens"] < out["max_tokens"]


def test_effort_and_schema_share_one_field() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    out = sent(response_format=form, reasoning_effort="low")
    assert out["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}


def test_a_budget_and_a_forced_call_exclude_each_other() -> None:
    body = chat(reasoning_effort="low", tools=[OTHER], tool_choice="required")
    assert refused(body, OLD).param == "tool_choice"


def test_amid_calls_without_thought_an_older_model_goes_on_without() -> None:
    amid = [
        USER,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7"},
    ]
    assert "thinking" not in sent(*amid, model=OLD, reasoning_effort="low")
    assert sent(*amid, model=NEW, reasoning_effort="low")["thinking"] == {"type": "adaptive"}
    amid[1] = {**amid[1], "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}
    assert sent(*amid, model=OLD, reasoning_effort="low")["thinking"] == budget(2048)


def message(*blocks: Json, stop: str = "end_turn", **more: Any) -> Json:
    usage = {"input_tokens": 3, "output_tokens": 5}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": list(blocks), "stop_reason": stop,
        "stop_sequence": None, "usage": usage, **more,
    }  # fmt: skip


def answered(*blocks: Json, stop: str = "end_turn", **more: Any) -> Json:
    return is_chat(answer(message(*blocks, stop=stop, **more), {}))


def test_a_plain_answer() -> None:
    assert answered(text("Hello"), text(" there")) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "claude-x",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 5,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "cache_creation_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_calls_and_thought() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    hidden = {"type": "redacted_thinking", "data": "xx"}
    choice = answered(thought, hidden, USE, stop="tool_use")["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [{**CALL, "function": {"name": "f", "arguments": '{"a":1}'}}],
        "reasoning_content": "hm",
        "thinking_blocks": [thought, hidden],
    }


STOPS = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter",
    "pause_turn": "stop", "model_context_window_exceeded": "length", "something_new": "stop",
}  # fmt: skip


@pytest.mark.parametrize("stop", STOPS)
def test_reasons_to_stop(stop: str) -> None:
    assert answered(text("x"), stop=stop)["choices"][0]["finish_reason"] == STOPS[stop]


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    choice = answered(stop="refusal", stop_details=details)["choices"][0]
    assert choice["message"]["refusal"] == "Not this."
    assert choice["message"]["content"] == ""


def test_cached_tokens_are_part_of_the_prompt() -> None:
    usage = {
        "input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 4},
    }  # fmt: skip
    assert answered(text("x"), usage=usage)["usage"] == {
        "prompt_tokens": 33,
        "completion_tokens": 5,
        "total_tokens": 38,
        "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 20, "cache_creation_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }


@pytest.mark.parametrize(
    "bad", [{}, {"type": "message"}, {"type": "error"}, {"object": "chat.completion", "choices": []}]
)
def test_what_is_no_message_is_a_bad_answer(bad: Json) -> None:
    with pytest.raises(ApiError) as caught:
        answer(bad, {})
    assert caught.value.status == 502


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=4,
)
NAMES = st.from_regex(r"\A[a-z_]{1,8}\Z")


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """Chat as both dialects can say it in one way only."""
    messages: list[Json] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(WORDS)})
    messages.append({"role": "user", "content": draw(WORDS)})
    for turn in range(draw(st.integers(0, 3))):
        ids = [f"call_{turn}_{i}" for i in range(draw(st.integers(0, 3)))]
        said: Json = {"role": "assistant", "content": draw(WORDS if not ids else st.none() | WORDS)}
        if ids:
            said["tool_calls"] = [
                {
                    "id": i,
                    "type": "function",
                    "function": {
                        "name": draw(NAMES),
                        "arguments": orjson.dumps(draw(st.dictionaries(WORDS, VALUES, max_size=3))).decode(),
                    },
                }
                for i in ids
            ]
        messages.append(said)
        messages += [{"role": "tool", "tool_call_id": i, "content": draw(WORDS)} for i in ids]
        if not ids or draw(st.booleans()):
            messages.append({"role": "user", "content": draw(WORDS)})
    return messages


@given(conversations())
def test_a_conversation_comes_back_as_it_went(messages: list[Json]) -> None:
    there = is_messages_request(request({"model": "m", "messages": messages}))
    back = messages_on_chat.request(there)
    assert back["messages"] == messages
    roles = [turn["role"] for turn in there["messages"]]
    assert all(one != other for one, other in itertools.pairwise(roles))
