"""A Responses request told to chat completions, and what cannot be told them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ApiError
from shared.transform import chat_on_responses, responses_on_chat
from tests.unit.transform.dialect_types import is_chat_request

type Json = dict[str, Any]

SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
IMAGE = "data:image/png;base64,AAAA"
FUNCTION: Json = {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}
CALL: Json = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
CUSTOM: Json = {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "x"}
CHAT_CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHAT_CUSTOM: Json = {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "x"}}


def translated(input: Any = "hi", **fields: Any) -> Json:
    body = {"model": "alias", "input": input, **fields}
    before = copy.deepcopy(body)
    out = responses_on_chat.request(body)
    assert body == before
    return out


def refusal(input: Any = "hi", **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        translated(input, **fields)
    assert caught.value.status == 400
    assert str(caught.value.param) in caught.value.message
    return caught.value


def test_request_of_a_string() -> None:
    assert is_chat_request(translated()) == {"model": "alias", "messages": [{"role": "user", "content": "hi"}]}


def test_request_puts_instructions_first() -> None:
    history = [{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}]
    out = is_chat_request(translated(history, instructions="i"))
    assert out["messages"] == [{"role": "system", "content": "i"}, *history]


class Field(NamedTuple):
    id: str
    given: Json
    expect: Json


NESTED: Json = {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}
FIELDS = [
    Field("same-name", {"temperature": 0.5, "top_p": 0.9, "user": "u", "service_tier": "flex", "prompt_cache_key": "k"},
          {"temperature": 0.5, "top_p": 0.9, "user": "u", "service_tier": "flex", "prompt_cache_key": "k"}),
    Field("hints-are-dropped", {"store": True, "metadata": {"a": "b"}, "truncation": "auto", "max_tool_calls": 3}, {}),
    Field("encrypted-reasoning-has-nothing-to-add-to", {"include": ["reasoning.encrypted_content"]}, {}),
    Field("stream", {"stream": True, "stream_options": {"include_obfuscation": False}},
          {"stream": True, "stream_options": {"include_obfuscation": False}}),
    Field("max-output-tokens", {"max_output_tokens": 20}, {"max_completion_tokens": 20}),
    Field("effort", {"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    Field("reasoning-without-effort", {"reasoning": {"summary": "auto", "mode": "standard"}}, {}),
    Field("verbosity", {"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
    Field("json-object", {"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    Field("json-schema", {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
          {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}}),
    Field("logprobs", {"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
    Field("top-logprobs", {"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    Field("no-logprobs", {"top_logprobs": 0}, {}),
    Field("function", {"tools": [FUNCTION]}, {"tools": [NESTED]}),
    Field("function-in-chats-form", {"tools": [NESTED]}, {"tools": [NESTED]}),
    Field("function-plain", {"tools": [{"type": "function", "name": "f", "parameters": None, "strict": None}]},
          {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    Field("custom-tool", {"tools": [{"type": "custom", "name": "c", "description": "d", "format": {"type": "grammar",
          "syntax": "lark", "definition": "start: A"}}]}, {"tools": [{"type": "custom", "custom": {"name": "c",
          "description": "d", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}}}]}),
    Field("custom-tool-plain", {"tools": [{"type": "custom", "name": "c"}]},
          {"tools": [{"type": "custom", "custom": {"name": "c"}}]}),
    Field("choice-word", {"tools": [FUNCTION], "tool_choice": "required"}, {"tools": [NESTED], "tool_choice": "required"}),
    Field("choice-function", {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}},
          {"tools": [NESTED], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
    Field("choice-custom", {"tools": [FUNCTION], "tool_choice": {"type": "custom", "name": "c"}},
          {"tools": [NESTED], "tool_choice": {"type": "custom", "custom": {"name": "c"}}}),
    Field("choice-allowed", {"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "mode": "required",
          "tools": [{"type": "function", "name": "f"}]}}, {"tools": [NESTED], "tool_choice": {"type": "allowed_tools",
          "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}}),
    Field("parallel", {"tools": [FUNCTION], "parallel_tool_calls": False},
          {"tools": [NESTED], "parallel_tool_calls": False}),
    Field("choices-without-tools", {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
]  # fmt: skip


@pytest.mark.parametrize("case", FIELDS, ids=lambda case: case.id)
def test_request_field(case: Field) -> None:
    out = is_chat_request(translated(**case.given))
    assert out == {**translated(), **case.expect}


def test_request_passes_unknown_fields_for_the_upstream_to_judge() -> None:
    assert translated(new_parameter=[1])["new_parameter"] == [1]


VALUES: Json = {"background": True, "previous_response_id": "resp_1"}


@pytest.mark.parametrize("name", sorted(responses_on_chat.REFUSED))
def test_request_refuses(name: str) -> None:
    error = refusal(**{name: VALUES.get(name, {"id": "x"})})
    assert (error.param, error.code) == (name, "unsupported_parameter")
    assert "chat completions" in error.message


@pytest.mark.parametrize("name", sorted(responses_on_chat.FOREIGN))
def test_request_refuses_parameters_of_chat(name: str) -> None:
    error = refusal(**{name: 1})
    assert error.param == name
    assert responses_on_chat.FOREIGN[name] in error.message


@pytest.mark.parametrize(
    "name", sorted({*responses_on_chat.REFUSED, *responses_on_chat.FOREIGN, *responses_on_chat.DROPPED})
)
def test_request_leaves_out_null(name: str) -> None:
    assert translated(**{name: None}) == translated()


def test_request_leaves_out_what_changes_nothing() -> None:
    assert translated(background=False, context_management=[], store=False) == translated()


BUILT_IN = (
    "web_search web_search_preview file_search code_interpreter mcp computer_use_preview image_generation local_shell "
    "shell apply_patch tool_search namespace"
).split()


@pytest.mark.parametrize("kind", BUILT_IN)
def test_request_refuses_built_in_tools_by_name(kind: str) -> None:
    error = refusal(tools=[FUNCTION, {"type": kind}])
    assert error.param == "tools[1].type"
    assert kind in error.message
    assert kind in refusal(tools=[FUNCTION], tool_choice={"type": kind}).message


WRONG = [
    ("tools", {"tools": {"a": 1}}),
    ("tools[0].type", {"tools": ["f"]}),
    ("tools[0].defer_loading", {"tools": [{**FUNCTION, "defer_loading": True}]}),
    ("tools[0].allowed_callers", {"tools": [{**FUNCTION, "allowed_callers": ["programmatic"]}]}),
    ("tool_choice", {"tool_choice": "required"}),
    ("tool_choice", {"tools": [FUNCTION], "tool_choice": 1}),
    ("include", {"include": "x"}),
    ("include[1]", {"include": ["reasoning.encrypted_content", "file_search_call.results"]}),
    ("reasoning", {"reasoning": "low"}),
    ("reasoning.mode", {"reasoning": {"mode": "pro"}}),
    ("text", {"text": "x"}),
    ("text.format", {"text": {"format": "json"}}),
    ("instructions", {"instructions": [{"role": "system", "content": "s"}]}),
]


@pytest.mark.parametrize(("param", "fields"), WRONG)
def test_request_names_what_is_wrong(param: str, fields: Json) -> None:
    assert refusal(**fields).param == param


class Said(NamedTuple):
    id: str
    given: list[Json]
    expect: list[Json]


def user(*parts: Json) -> list[Json]:
    return [{"role": "user", "content": list(parts)}]


OUTPUT_TEXT: Json = {"type": "output_text", "text": "a", "annotations": [], "logprobs": []}
OUTPUT: Json = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [OUTPUT_TEXT]}
REASONING: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
ITEMS = [
    Said("text-part", user({"type": "input_text", "text": "a"}), [{"role": "user", "content": "a"}]),
    Said("image", user({"type": "input_image", "image_url": IMAGE, "detail": "low"}),
         user({"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}})),
    Said("image-without-detail", user({"type": "input_image", "image_url": IMAGE}),
         user({"type": "image_url", "image_url": {"url": IMAGE}})),
    Said("file", user({"type": "input_file", "file_data": IMAGE, "filename": "a.pdf", "file_id": None}),
         user({"type": "file", "file": {"file_data": IMAGE, "filename": "a.pdf"}})),
    Said("audio", user({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}),
         user({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})),
    Said("cache-breakpoint", user({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}),
         user({"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}})),
    Said("typed-message", [{"type": "message", "role": "user", "content": "a"}], [{"role": "user", "content": "a"}]),
    Said("output-message", [OUTPUT], [{"role": "assistant", "content": "a"}]),
    Said("assistant-string", [{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "a"}]),
    Said("refusal", [{**OUTPUT, "content": [{"type": "refusal", "refusal": "no"}]}],
         [{"role": "assistant", "content": None, "refusal": "no"}]),
    Said("text-and-refusal", [{**OUTPUT, "content": [OUTPUT_TEXT, {"type": "refusal", "refusal": "no"}]}],
         [{"role": "assistant", "content": "a", "refusal": "no"}]),
    Said("nothing-said", [{**OUTPUT, "content": []}], [{"role": "assistant", "content": ""}]),
    Said("reasoning-is-dropped", [REASONING, OUTPUT, REASONING, CALL],
         [{"role": "assistant", "content": "a", "tool_calls": [CHAT_CALL]}]),
    Said("calls-together", [CALL, CUSTOM], [{"role": "assistant", "content": None, "tool_calls": [CHAT_CALL, CHAT_CUSTOM]}]),
    Said("call-and-result", [CALL, {"type": "function_call_output", "call_id": "call_1", "output": "r"}, OUTPUT],
         [{"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]},
          {"role": "tool", "tool_call_id": "call_1", "content": "r"}, {"role": "assistant", "content": "a"}]),
    Said("custom-result", [CUSTOM, {"type": "custom_tool_call_output", "call_id": "call_2", "output": "r"}],
         [{"role": "assistant", "content": None, "tool_calls": [CHAT_CUSTOM]},
          {"role": "tool", "tool_call_id": "call_2", "content": "r"}]),
    Said("result-of-parts", [{"type": "function_call_output", "call_id": "call_1", "output": [
          {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}],
         [{"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
    Said("result-of-nothing", [{"type": "function_call_output", "call_id": "call_1", "output": []}],
         [{"role": "tool", "tool_call_id": "call_1", "content": ""}]),
]  # fmt: skip


@pytest.mark.parametrize("case", ITEMS, ids=lambda case: case.id)
def test_request_items(case: Said) -> None:
    assert is_chat_request(translated(case.given))["messages"] == case.expect


UNSPEAKABLE = [
    ("input", None),
    ("input", []),
    ("input", [REASONING]),
    ("input[0]", ["hi"]),
    ("input[0]", [{"type": "item_reference", "id": "msg_1"}]),
    ("input[1]", [OUTPUT, {"id": "msg_1"}]),
    ("input[0].role", [{"type": "message", "role": "tool", "content": "x"}]),
    ("input[0].content", [{"role": "user", "content": 1}]),
    ("input[0].content", [{"role": "assistant", "content": [1]}]),
    ("input[0].content[0].type", user({"type": "video"})),
    ("input[0].content[0].type", [{"role": "assistant", "content": [{"type": "input_image"}]}]),
    ("input[0].content[0].file_id", user({"type": "input_image", "file_id": "file_1"})),
    ("input[0].content[0].file_url", user({"type": "input_file", "file_url": "https://a"})),
    ("input[0].call_id", [{"type": "function_call", "name": "f", "arguments": ""}]),
    ("input[0].call_id", [{"type": "function_call_output", "output": ""}]),
    ("input[0].output", [{"type": "function_call_output", "call_id": "c", "output": 1}]),
    ("input[0].output[0].type",
     [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": IMAGE}]}]),
    *[("input[0].type", [{"type": kind, "id": "x"}]) for kind in (
        "web_search_call", "file_search_call", "computer_call", "computer_call_output", "code_interpreter_call",
        "image_generation_call", "mcp_call", "mcp_list_tools", "mcp_approval_response", "local_shell_call", "compaction",
        "additional_tools")],
]  # fmt: skip


@pytest.mark.parametrize(("param", "given"), UNSPEAKABLE)
def test_request_refuses_items_by_their_place(param: str, given: Any) -> None:
    assert refusal(given).param == param


NAMES = st.sampled_from("type role content call_id output id format name tools function message image_url".split())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 1) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)
FIELD = st.sampled_from(
    "tools tool_choice text reasoning include stream_options top_logprobs instructions input".split()
)


@given(ANYTHING, FIELD, ANYTHING)
def test_request_never_fails_but_with_a_clear_error(items: Any, name: str, value: Any) -> None:
    error: ApiError | None = None
    try:
        assert translated(**{"input": items, name: value})["messages"]
    except ApiError as caught:
        error = caught
    assert error is None or error.param is not None


PAGE = Path(__file__).parents[3] / "docs" / "translation-responses.md"


def test_the_page_names_every_parameter_that_is_refused_or_dropped() -> None:
    forward, _, back = PAGE.read_text("utf-8").partition("## Responses client")
    named = [(forward, name) for name in chat_on_responses.REFUSED]
    named += [(back, name) for name in (*responses_on_chat.REFUSED, *responses_on_chat.DROPPED)]
    assert [name for text, name in named if f"`{name}`" not in text] == []
