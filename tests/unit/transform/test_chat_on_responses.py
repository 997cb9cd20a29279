"""A chat request told to the Responses API, and what cannot be told it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ApiError
from shared.transform import chat_on_responses, responses_on_chat
from tests.unit.transform.dialect_types import is_chat_request
from tests.unit.transform.responses_types import is_responses_request

type Json = dict[str, Any]

USER: Json = {"role": "user", "content": "hi"}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
IMAGE = "data:image/png;base64,AAAA"
CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CUSTOM: Json = {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "x"}}
FUNCTION: Json = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}


def translated(messages: list[Json] | None = None, **fields: Any) -> Json:
    body = {"model": "alias", "messages": [USER] if messages is None else messages, **fields}
    before = copy.deepcopy(body)
    out = chat_on_responses.request(body)
    assert body == before
    return out


def refusal(messages: Any = None, **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        translated(messages, **fields)
    assert caught.value.status == 400
    assert str(caught.value.param) in caught.value.message
    return caught.value


def test_request_of_one_message_stores_nothing() -> None:
    out = is_responses_request(translated())
    expect: Json = {"type": "message", "role": "user", "content": "hi"}
    assert out == {"model": "alias", "input": [expect], "store": False}


class Field(NamedTuple):
    id: str
    given: Json
    expect: Json


FIELDS = [
    Field("same-name", {"temperature": 0.5, "top_p": 0.9, "user": "u", "metadata": {"a": "b"}},
          {"temperature": 0.5, "top_p": 0.9, "user": "u", "metadata": {"a": "b"}}),
    Field("same-name-hints", {"service_tier": "flex", "safety_identifier": "s", "prompt_cache_key": "k"},
          {"service_tier": "flex", "safety_identifier": "s", "prompt_cache_key": "k"}),
    Field("store", {"store": True}, {"store": True}),
    Field("stream", {"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    Field("obfuscation", {"stream": True, "stream_options": {"include_obfuscation": False}},
          {"stream": True, "stream_options": {"include_obfuscation": False}}),
    Field("max-tokens", {"max_tokens": 100}, {"max_output_tokens": 100}),
    Field("max-completion-tokens-wins", {"max_tokens": 100, "max_completion_tokens": 50}, {"max_output_tokens": 50}),
    Field("max-tokens-below-the-least", {"max_tokens": 1}, {"max_output_tokens": 16}),
    Field("max-tokens-of-none-is-the-upstreams-to-judge", {"max_tokens": 0}, {"max_output_tokens": 0}),
    Field("effort", {"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    Field("effort-and-summary", {"reasoning_effort": {"effort": "low", "summary": "auto"}},
          {"reasoning": {"effort": "low", "summary": "auto"}}),
    Field("reasoning-in-its-own-form", {"reasoning": {"summary": "auto"}, "reasoning_effort": "low"},
          {"reasoning": {"effort": "low", "summary": "auto"}}),
    Field("verbosity", {"verbosity": "low"}, {"text": {"verbosity": "low"}}),
    Field("json-object", {"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
    Field("json-schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA,
          "strict": True}}}, {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}}),
    Field("format-and-verbosity", {"response_format": {"type": "text"}, "verbosity": "high"},
          {"text": {"format": {"type": "text"}, "verbosity": "high"}}),
    Field("logprobs", {"logprobs": True, "top_logprobs": 3},
          {"include": ["message.output_text.logprobs"], "top_logprobs": 3}),
    Field("logprobs-off", {"logprobs": False, "top_logprobs": 0}, {}),
    Field("logprobs-besides-include", {"logprobs": True, "include": ["reasoning.encrypted_content"]},
          {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}),
    Field("parallel", {"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    Field("function", {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA,
          "strict": True}}]}, {"tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA,
          "strict": True}]}),
    Field("function-with-chats-defaults", {"tools": [{"type": "function", "function": {"name": "f"}}]},
          {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}},
           "strict": False}]}),
    Field("custom-tool", {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar",
          "grammar": {"syntax": "lark", "definition": "start: A"}}}}]}, {"tools": [{"type": "custom", "name": "c",
          "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}}]}),
    Field("custom-tool-of-text", {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]},
          {"tools": [{"type": "custom", "name": "c", "format": {"type": "text"}}]}),
    Field("choice-word", {"tool_choice": "required"}, {"tool_choice": "required"}),
    Field("choice-function", {"tool_choice": {"type": "function", "function": {"name": "f"}}},
          {"tool_choice": {"type": "function", "name": "f"}}),
    Field("choice-custom", {"tool_choice": {"type": "custom", "custom": {"name": "c"}}},
          {"tool_choice": {"type": "custom", "name": "c"}}),
    Field("choice-allowed", {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
          {"type": "function", "function": {"name": "f"}}]}}}, {"tool_choice": {"type": "allowed_tools",
          "mode": "auto", "tools": [{"type": "function", "name": "f"}]}}),
    Field("web-search", {"web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate",
          "approximate": {"country": "FR"}}}}, {"tools": [{"type": "web_search", "search_context_size": "low",
          "user_location": {"type": "approximate", "country": "FR"}}]}),
    Field("web-search-plain", {"web_search_options": {}}, {"tools": [{"type": "web_search"}]}),
]  # fmt: skip


@pytest.mark.parametrize("case", FIELDS, ids=lambda case: case.id)
def test_request_field(case: Field) -> None:
    out = is_responses_request(translated(**case.given))
    assert out == {**translated(), **case.expect}


def test_request_passes_unknown_fields_for_the_upstream_to_judge() -> None:
    assert translated(truncation="auto", new_parameter=[1])["new_parameter"] == [1]


@pytest.mark.parametrize("name", sorted(chat_on_responses.REFUSED))
def test_request_refuses(name: str) -> None:
    value: Any = {"n": 2, "stop": ["x"], "seed": 0, "background": True}.get(name, {"a": 1})
    error = refusal(**{name: value})
    assert (error.param, error.code) == (name, "unsupported_parameter")
    assert "Responses API" in error.message


@pytest.mark.parametrize("name", sorted(chat_on_responses.REFUSED))
def test_request_leaves_out_null(name: str) -> None:
    assert translated(**{name: None}) == translated()


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in chat_on_responses.NO_OPS.items() for value in values]
)
def test_request_leaves_out_what_changes_nothing(name: str, value: Any) -> None:
    assert translated(**{name: value}) == translated()


WRONG = [
    ("tools", {"tools": {}}),
    ("tools[0]", {"tools": [{"type": "web_search"}]}),
    ("tools[0]", {"tools": [{"type": "function", "name": "flat"}]}),
    ("tools[1]", {"tools": [FUNCTION, 1]}),
    ("tool_choice", {"tool_choice": {"type": "file_search"}}),
    ("tool_choice", {"tool_choice": 1}),
    ("response_format", {"response_format": "json"}),
    ("response_format.json_schema", {"response_format": {"type": "json_schema"}}),
    ("top_logprobs", {"top_logprobs": 2}),
    ("include", {"include": "x"}),
    ("web_search_options", {"web_search_options": True}),
]


@pytest.mark.parametrize(("param", "fields"), WRONG)
def test_request_names_what_is_wrong(param: str, fields: Json) -> None:
    assert refusal(**fields).param == param


class Said(NamedTuple):
    id: str
    given: Json
    expect: list[Json]


MESSAGES = [
    Said("system", {"role": "system", "content": "s"}, [{"type": "message", "role": "system", "content": "s"}]),
    Said("developer", {"role": "developer", "content": [{"type": "text", "text": "d"}]},
         [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "d"}]}]),
    Said("name-is-a-hint", {**USER, "name": "Ada"}, [{"type": "message", "role": "user", "content": "hi"}]),
    Said("image", {"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}}]},
         [{"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": IMAGE, "detail": "low"}]}]),
    Said("image-as-a-string", {"role": "user", "content": [{"type": "image_url", "image_url": IMAGE}]},
         [{"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": IMAGE, "detail": "auto"}]}]),
    Said("file", {"role": "user", "content": [{"type": "file", "file": {"file_data": IMAGE, "filename": "a.pdf"}}]},
         [{"type": "message", "role": "user", "content": [{"type": "input_file", "file_data": IMAGE, "filename": "a.pdf"}]}]),
    Said("cache-breakpoint", {"role": "user", "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint":
         {"mode": "explicit"}, "cache_control": {"type": "ephemeral"}}]}, [{"type": "message", "role": "user",
         "content": [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]}]),
    Said("assistant", {"role": "assistant", "content": "a", "reasoning_content": "r", "annotations": []},
         [{"type": "message", "role": "assistant", "content": "a"}]),
    Said("calls", {"role": "assistant", "content": None, "tool_calls": [CALL, CUSTOM]},
         [{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
          {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "x"}]),
    Said("text-and-call", {"role": "assistant", "content": "a", "tool_calls": [CALL]},
         [{"type": "message", "role": "assistant", "content": "a"},
          {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}]),
    Said("nothing-said", {"role": "assistant", "content": ""}, [{"type": "message", "role": "assistant", "content": ""}]),
    Said("result", {"role": "tool", "tool_call_id": "call_1", "content": "r"},
         [{"type": "function_call_output", "call_id": "call_1", "output": "r"}]),
    Said("result-of-one-part", {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "r"}]},
         [{"type": "function_call_output", "call_id": "call_1", "output": "r"}]),
    Said("result-of-parts", {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "r"},
         {"type": "image_url", "image_url": {"url": IMAGE}}]}, [{"type": "function_call_output", "call_id": "call_1",
         "output": [{"type": "input_text", "text": "r"},
                    {"type": "input_image", "image_url": IMAGE, "detail": "auto"}]}]),
]  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.id)
def test_request_message(case: Said) -> None:
    assert is_responses_request(translated([case.given]))["input"] == case.expect


def test_request_keeps_refusals_and_parts_of_an_assistant() -> None:
    """The SDK's types demand an id of such a message, which a chat has not; the API does without."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    found = translated([{"role": "assistant", "content": parts, "refusal": "no"}])["input"][0]["content"]
    assert found == [*({**part, "type": "output_text"} for part in parts), {"type": "refusal", "refusal": "no"}]
    given = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    assert translated([given])["input"][0]["content"] == [{"type": "refusal", "refusal": "no"}]


def test_request_says_text_before_a_refusal() -> None:
    parts = translated([{"role": "assistant", "content": "a", "refusal": "no"}])["input"][0]["content"]
    assert parts == [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]


def test_request_gives_results_of_custom_tools_their_own_type() -> None:
    history = [USER, {"role": "assistant", "tool_calls": [CUSTOM, CALL]}]
    results = [{"role": "tool", "tool_call_id": f"call_{n}", "content": "r"} for n in (1, 2)]
    kinds = [item["type"] for item in is_responses_request(translated([*history, *results]))["input"][-2:]]
    assert kinds == ["function_call_output", "custom_tool_call_output"]


UNSPEAKABLE = [
    ("messages", "hi"),
    ("messages[0].role", [{"role": "narrator", "content": "x"}]),
    ("messages[0].role", [{"role": "function", "name": "f", "content": "x"}]),
    ("messages[0].role", ["hi"]),
    ("messages[0].content", [{"role": "user", "content": None}]),
    ("messages[0].content", [{"role": "assistant", "content": 1}]),
    ("messages[1].content[0]", [USER, {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
    ("messages[0].content[1].type", [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "video"}]}]),
    ("messages[0].content[0].image_url", [{"role": "user", "content": [{"type": "image_url"}]}]),
    ("messages[0].content[0].file", [{"role": "user", "content": [{"type": "file", "file": "x"}]}]),
    ("messages[0].content[0].type", [{"role": "assistant", "content": [{"type": "image_url"}]}]),
    ("messages[0].audio", [{"role": "assistant", "audio": {"id": "a"}}]),
    ("messages[0].function_call", [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]),
    ("messages[0].tool_calls", [{"role": "assistant", "tool_calls": {"a": 1}}]),
    ("messages[0].tool_calls[0]", [{"role": "assistant", "tool_calls": [{"id": "a", "type": "other"}]}]),
    ("messages[0].tool_call_id", [{"role": "tool", "content": "x"}]),
]


@pytest.mark.parametrize(("param", "messages"), UNSPEAKABLE)
def test_request_refuses_messages_by_their_place(param: str, messages: Any) -> None:
    assert refusal(messages).param == param


NAMES = st.sampled_from("type role content tool_calls text function custom image_url file allowed_tools tools".split())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 1) | NAMES | st.just("user") | st.just("assistant"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)
FIELD = st.sampled_from(
    "tools tool_choice response_format text reasoning_effort reasoning include logprobs stream_options stop".split()
)


@given(ANYTHING, FIELD, ANYTHING)
def test_request_never_fails_but_with_a_clear_error(messages: Any, name: str, value: Any) -> None:
    error: ApiError | None = None
    try:
        assert "input" in chat_on_responses.request({"messages": messages, "logprobs": True, name: value})
    except ApiError as caught:
        error = caught
    assert error is None or error.param is not None


TEXT = st.text(max_size=8)
WORD = st.text("abc_", min_size=1, max_size=5)
TEXT_PART = st.builds(lambda text: {"type": "text", "text": text}, TEXT)
PARTS = st.one_of(
    TEXT_PART,
    st.builds(
        lambda url, detail: {"type": "image_url", "image_url": {"url": url, "detail": detail}},
        TEXT,
        st.sampled_from(["auto", "low", "high"]),
    ),
    st.builds(lambda name: {"type": "file", "file": {"file_data": "x", "filename": name}}, TEXT),
)
CALLS = st.one_of(
    st.builds(lambda n, a: {"type": "function", "function": {"name": n, "arguments": a}}, WORD, TEXT),
    st.builds(lambda n, i: {"type": "custom", "custom": {"name": n, "input": i}}, WORD, TEXT),
)


@st.composite
def chats(draw: st.DrawFn) -> list[Json]:
    """Messages in the one form that the way there and back has: a lone text is a string, a call follows no call."""
    messages: list[Json] = []
    ids = iter(range(1000))
    for _ in range(draw(st.integers(1, 5))):
        role = draw(st.sampled_from(["system", "developer", "user", "assistant", "calls"]))
        if role == "calls":
            calls = [{"id": f"call_{next(ids)}", **draw(CALLS)} for _ in range(draw(st.integers(1, 3)))]
            messages.append({"role": "user", "content": draw(TEXT)})
            messages.append({"role": "assistant", "content": draw(TEXT) or None, "tool_calls": calls})
            contents = st.one_of(TEXT, st.lists(TEXT_PART, min_size=2, max_size=3))
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(contents)} for call in calls]
        elif role == "assistant":
            messages.append(
                {"role": role, "content": draw(st.one_of(TEXT, st.lists(TEXT_PART, min_size=2, max_size=3)))}
            )
        else:
            parts = st.lists(PARTS, min_size=2, max_size=3)
            messages.append({"role": role, "content": draw(st.one_of(TEXT, parts) if role == "user" else TEXT)})
    return messages


@given(chats())
def test_messages_come_back_from_a_round_trip(messages: list[Json]) -> None:
    assert responses_on_chat.request(translated(messages))["messages"] == messages


ONE_WAY = frozenset(
    "same-name web-search web-search-plain effort-and-summary reasoning-in-its-own-form format-and-verbosity "
    "logprobs-besides-include".split()
)
"""What chat behind the Responses API has not, or leaves out because it changes nothing."""


@pytest.mark.parametrize("case", [case for case in FIELDS if case.id not in ONE_WAY], ids=lambda case: case.id)
def test_fields_come_back_from_a_round_trip(case: Field) -> None:
    tools: Json = {} if "tools" in case.given else {"tools": [FUNCTION]}
    first = translated(**tools, **case.given)
    again = is_chat_request(responses_on_chat.request(first))
    assert translated(**{k: v for k, v in again.items() if k != "messages"}) == {**first, "store": False}


def test_what_is_in_a_tool_or_a_file_decides_no_type() -> None:
    """`{"type": "custom", "custom": {"type": "file_search", …}}` is a custom tool, and no search in anybody's store."""
    tools = [{"type": kind, kind: {"type": "file_search", "name": "f"}} for kind in ("function", "custom")]
    file = {"type": "file", "file": {"type": "item_reference", "file_id": "x"}}
    body = chat_on_responses.request({"messages": [{"role": "user", "content": [file]}], "tools": tools})
    assert [tool["type"] for tool in body["tools"]] == ["function", "custom"]
    assert body["input"][0]["content"][0]["type"] == "input_file"
