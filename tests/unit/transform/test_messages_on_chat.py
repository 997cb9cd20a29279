"""An Anthropic client in front of chat: each parameter, each kind of block, each answer; the SDKs' types are the judges."""

from __future__ import annotations

import copy
import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming

from shared.errors import ApiError
from shared.transform.messages_on_chat import answer, estimate_tokens, is_strict, refusals, request
from tests.unit.transform.dialect_types import Json, is_chat_request, is_message

USER: Json = {"role": "user", "content": "Hi"}


def ask(*messages: Json, **more: Any) -> Json:
    return {"model": "alias", "max_tokens": 100, "messages": list(messages or (USER,)), **more}


def sent(*messages: Json, **more: Any) -> Json:
    body = ask(*messages, **more)
    before = copy.deepcopy(body)
    out = is_chat_request(request(body))
    assert body == before, "the client's body is not changed"
    return out


def refused(body: Json) -> ApiError:
    with pytest.raises(ApiError) as caught:
        request(body)
    assert caught.value.status == 400
    return caught.value


def said(*messages: Json, **more: Any) -> list[Json]:
    return sent(*messages, **more)["messages"]


def by_user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def told(words: str) -> Json:
    """A text of an answer: the specification demands the field, which no chat model fills (2026-01)."""
    return text(words, citations=None)


def test_the_least_request() -> None:
    assert sent() == {"model": "alias", "max_completion_tokens": 100, "messages": [USER]}


class Param(NamedTuple):
    given: Json
    expect: Json


OPEN: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED: Json = {**OPEN, "required": ["a"], "additionalProperties": False}
TOOL: Json = {"name": "f", "description": "d", "input_schema": OPEN, "cache_control": {"type": "ephemeral"}}
TOOL_SENT: Json = {"type": "function", "function": {"name": "f", "description": "d", "parameters": OPEN}}
STRICT: Json = {"type": "custom", "name": "g", "input_schema": CLOSED, "strict": True}
STRICT_SENT: Json = {"type": "function", "function": {"name": "g", "parameters": CLOSED, "strict": True}}
LONG = "user_" + "a" * 64 + "_session_1"


def form(schema: Json, strict: bool) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


PARAMS: dict[str, Param] = {
    "sampling": Param({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
    "stops": Param({"stop_sequences": ["a", "b", "c", "d"]}, {"stop": ["a", "b", "c", "d"]}),
    "no stops": Param({"stop_sequences": []}, {}),
    "stream": Param({"stream": True}, {"stream": True}),
    "tools": Param({"tools": [TOOL, STRICT]}, {"tools": [TOOL_SENT, STRICT_SENT]}),
    "strict, but open": Param({"tools": [{**TOOL, "strict": True}]}, {"tools": [TOOL_SENT]}),
    "auto": Param({"tools": [TOOL], "tool_choice": {"type": "auto"}}, {"tools": [TOOL_SENT], "tool_choice": "auto"}),
    "any": Param({"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tools": [TOOL_SENT], "tool_choice": "required"}),
    "none": Param({"tools": [TOOL], "tool_choice": {"type": "none"}}, {"tools": [TOOL_SENT], "tool_choice": "none"}),
    "named": Param(
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}},
        {"tools": [TOOL_SENT], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    "one at a time": Param(
        {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"tools": [TOOL_SENT], "tool_choice": "auto", "parallel_tool_calls": False},
    ),
    "choice without tools": Param({"tool_choice": {"type": "auto"}}, {}),
    "user": Param({"metadata": {"user_id": "u-1"}}, {"user": "u-1"}),
    "long user": Param({"metadata": {"user_id": LONG}}, {"user": hashlib.sha256(LONG.encode()).hexdigest()}),
    "no user": Param({"metadata": {}}, {}),
    "tier": Param({"service_tier": "standard_only"}, {"service_tier": "default"}),
    "tier auto": Param({"service_tier": "auto"}, {"service_tier": "auto"}),
    "no thinking": Param({"thinking": {"type": "disabled"}}, {}),
    "little thinking": Param({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning_effort": "low"}),
    "some thinking": Param({"thinking": {"type": "enabled", "budget_tokens": 4096}}, {"reasoning_effort": "medium"}),
    "much thinking": Param({"thinking": {"type": "enabled", "budget_tokens": 16384}}, {"reasoning_effort": "high"}),
    "adaptive": Param({"thinking": {"type": "adaptive"}}, {"reasoning_effort": "medium"}),
    "adaptive, effort": Param({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, {"reasoning_effort": "xhigh"}),
    "effort before budget": Param({"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "high"}}, {"reasoning_effort": "high"}),
    "effort alone": Param({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
    "effort, no thinking": Param({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, {}),
    "schema": Param({"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}}, {"response_format": form(CLOSED, True)}),
    "open schema": Param({"output_config": {"format": {"type": "json_schema", "schema": OPEN}}}, {"response_format": form(OPEN, False)}),
    "schema, older spelling": Param({"output_format": {"type": "json_schema", "schema": CLOSED}}, {"response_format": form(CLOSED, True)}),
    "hints": Param({"cache_control": {"type": "ephemeral"}, "diagnostics": {"previous_message_id": "m"}}, {}),
    "nothing asked": Param({"top_k": None, "mcp_servers": [], "speed": "standard", "container": None}, {}),
    "thought is cleared anyway": Param({"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}, {}),
    "no edits": Param({"context_management": {"edits": []}}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMS)
def test_parameters(name: str) -> None:
    row = PARAMS[name]
    out = sent(**row.given)
    rest = {key: value for key, value in out.items() if key not in ("model", "messages", "max_completion_tokens")}
    assert rest == row.expect


def image(**source: Any) -> Json:
    return {"type": "image", "source": source}


def document(source: Json, **more: Any) -> Json:
    return {"type": "document", "source": source, **more}


REFUSED: dict[str, tuple[Json, str]] = {
    "top_k": ({"top_k": 5}, "top_k"),
    "container": ({"container": "c"}, "container"),
    "mcp": ({"mcp_servers": [{"name": "m"}]}, "mcp_servers"),
    "geo": ({"inference_geo": "eu"}, "inference_geo"),
    "fast": ({"speed": "fast"}, "speed"),
    "context": ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management"),
    "context of text": ({"context_management": "all"}, "context_management"),
    "unknown": ({"mystery": 1}, "mystery"),
    "tier": ({"service_tier": "priority"}, "service_tier"),
    "odd tier": ({"service_tier": ["auto"]}, "service_tier"),
    "stops": ({"stop_sequences": list("abcde")}, "stop_sequences"),
    "stop of text": ({"stop_sequences": "a"}, "stop_sequences"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "web search": ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    "bash": ({"tools": [TOOL, {"type": "bash_20250124", "name": "bash"}]}, "tools[1].type"),
    "computer": ({"tools": [{"type": "computer_20250124", "name": "computer"}]}, "tools[0].type"),
    "tool without schema": ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    "tool choice": ({"tools": [TOOL], "tool_choice": {"type": "some"}}, "tool_choice.type"),
    "tool choice of text": ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice"),
    "thinking": ({"thinking": {"type": "deep"}}, "thinking.type"),
    "budget": ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    "effort": ({"output_config": {"effort": "huge"}}, "output_config.effort"),
    "format": ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type"),
    "metadata": ({"metadata": "u"}, "metadata"),
    "no messages": ({"messages": []}, "messages"),
    "messages of text": ({"messages": "Hi"}, "messages"),
    "role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    "prefill": ({"messages": [USER, {"role": "assistant", "content": "The answer is"}]}, "messages"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content"),
    "image in system": ({"system": [image(type="url", url="https://x")]}, "system[0].type"),
    "image by id": ({"messages": [by_user(image(type="file", file_id="f"))]}, "messages[0].content[0].source.type"),
    "document by address": ({"messages": [by_user(document({"type": "url", "url": "https://x"}))]}, "messages[0].content[0].source.type"),
    "citations": ({"messages": [by_user(document({"type": "text", "data": "x"}, citations={"enabled": True}))]}, "messages[0].content[0].citations"),
    "upload": ({"messages": [by_user({"type": "container_upload", "file_id": "f"})]}, "messages[0].content[0].type"),
    "server tool": ({"messages": [USER, {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]}, USER]}, "messages[1].content[0].type"),
    "result without id": ({"messages": [by_user({"type": "tool_result", "content": "x"})]}, "messages[0].content[0].tool_use_id"),
    "block of text": ({"messages": [by_user("x")]}, "messages[0].content[0]"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_its_parameter(name: str) -> None:
    given, param = REFUSED[name]
    error = refused(ask(**given))
    assert error.param == param
    assert param in error.message


@pytest.mark.parametrize("name", sorted(MessageCreateParamsStreaming.__annotations__))
def test_every_parameter_of_messages_is_documented(name: str) -> None:
    page = (
        (Path(__file__).parents[3] / "docs" / "translation-claude.md")
        .read_text("utf-8")
        .partition("## Messages → chat")[2]
    )
    assert name in ("messages", "model") or re.search(rf"`{name}\b", page)


def test_refusals_lists_all_that_a_configuration_may_drop() -> None:
    assert [name for name, _ in refusals(ask(top_k=5, container="c", temperature=1))] == ["top_k", "container"]


def test_system_is_one_text() -> None:
    blocks = [text("one", cache_control={"type": "ephemeral"}), text("two")]
    assert said(system=blocks) == [{"role": "system", "content": "one\ntwo"}, USER]
    assert said(system="one") == [{"role": "system", "content": "one"}, USER]
    assert said(system="") == said(system=[]) == [USER]


def test_system_amid_the_turns_stays_there() -> None:
    assert said(USER, {"role": "system", "content": "new rule"}, USER)[1] == {"role": "system", "content": "new rule"}


def test_images_and_documents() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    turn = by_user(
        text("look", cache_control={"type": "ephemeral"}),
        image(type="base64", media_type="image/png", data="AAAA"),
        image(type="url", url="https://x/y.png"),
        document(pdf, title="a.pdf", context="for you"),
        document({"type": "text", "media_type": "text/plain", "data": "words"}, title="b"),
        document({"type": "content", "content": [text("inner")]}),
        {"type": "search_result", "title": "t", "source": "s", "content": [text("found")]},
    )
    assert said(turn) == [
        by_user(
            text("look"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            text("for you"),
            {"type": "file", "file": file},
            text("b"),
            text("words"),
            text("inner"),
            text("t\ns\nfound"),
        )
    ]


USE: Json = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
CALL: Json = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def result(content: Any, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


def test_a_round_of_tools() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = said(
        USER,
        {"role": "assistant", "content": [thought, text("so "), text("then"), USE]},
        by_user(text("here"), result("7"), {"type": "tool_result", "tool_use_id": "toolu_2"}),
    )
    assert messages == [
        USER,
        {"role": "assistant", "content": "so then", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "7"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": ""},
        {"role": "user", "content": "here"},
    ]


def test_a_call_alone_has_no_content() -> None:
    assert said(USER, {"role": "assistant", "content": [USE]}, by_user(result("7")))[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [CALL],
    }


def test_a_result_that_failed_says_so_and_its_images_follow() -> None:
    seen = image(type="url", url="https://x/y.png")
    messages = said(
        USER, {"role": "assistant", "content": [USE]}, by_user(result([text("a"), seen, text("b")], is_error=True))
    )
    assert messages[2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "Error: a\nb"},
        by_user(
            text("From the result of the tool call toolu_1:"),
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        ),
    ]


def test_a_turn_of_nothing_but_thought_is_left_out() -> None:
    thought = {"type": "redacted_thinking", "data": "xx"}
    assert said(USER, {"role": "assistant", "content": [thought]}, USER) == [USER, USER]


STRICT_SCHEMAS: list[tuple[Any, bool]] = [
    (CLOSED, True),
    (OPEN, False),
    ({**CLOSED, "required": []}, False),
    ({"type": "object"}, False),
    ({"type": "string"}, True),
    ({"type": "array", "items": CLOSED}, True),
    ({"type": "array", "items": OPEN}, False),
    ({"anyOf": [CLOSED, OPEN]}, False),
    ({**CLOSED, "$defs": {"x": OPEN}}, False),
    ({"type": "object", "properties": {}, "additionalProperties": False}, True),
]


@pytest.mark.parametrize(("schema", "strict"), STRICT_SCHEMAS)
def test_what_strict_mode_takes(schema: Any, strict: bool) -> None:
    assert is_strict(schema) is strict


def test_counting_tokens() -> None:
    body: Json = {"model": "alias", "messages": [{"role": "user", "content": "x" * 400}]}
    base = estimate_tokens(body)
    assert 100 <= base <= 110
    assert estimate_tokens({**body, "system": "y" * 40}) == base + 4 + 10
    assert estimate_tokens({**body, "tools": [TOOL]}) > base
    calls = [*body["messages"], {"role": "assistant", "content": [{**USE, "input": {"a": "z" * 400}}]}]
    assert estimate_tokens({**body, "messages": calls}) > base + 100
    with pytest.raises(ApiError):
        estimate_tokens({**body, "top_k": 4})


def completion(message: Json, finish: str = "stop", **more: Any) -> Json:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": None, **message}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "gpt-x",
        "choices": [choice],
        "usage": usage,
        **more,
    }


def answered(message: Json, finish: str = "stop", body: Json | None = None, **more: Any) -> Json:
    return is_message(answer(completion(message, finish, **more), body or {}))


def test_a_plain_answer() -> None:
    assert answered({"content": "Hello"}) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "gpt-x",
        "content": [told("Hello")],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": None,
            "server_tool_use": None,
            "service_tier": "standard",
        },
    }


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ("priority", "priority"),
        ("default", "standard"),
        ("flex", "standard"),
        (None, "standard"),
        (["priority"], "standard"),
    ],
)
def test_tier_is_told_in_anthropics_words(told: Any, tier: str) -> None:
    assert answered({"content": "Hello"}, service_tier=told)["usage"]["service_tier"] == tier


def call(arguments: str, **more: Any) -> Json:
    return {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": arguments}, **more}


def test_calls() -> None:
    told = answered({"content": "", "tool_calls": [call('{"a":1}'), call("", id=None)]}, "tool_calls")
    assert told["content"] == [USE, {**USE, "id": "msg_1_1", "input": {}}]
    assert told["stop_reason"] == "tool_use"


REASONS: list[tuple[str, Json, str]] = [
    ("stop", {"content": "x"}, "end_turn"),
    ("length", {"content": "x"}, "max_tokens"),
    ("content_filter", {"content": "x"}, "refusal"),
    ("tool_calls", {"tool_calls": [call("{}")]}, "tool_use"),
    ("stop", {"tool_calls": [call("{}")]}, "tool_use"),
    ("stop", {"refusal": "No."}, "refusal"),
    ("brand_new", {"content": "x"}, "end_turn"),
]


@pytest.mark.parametrize(("finish", "message", "reason"), REASONS)
def test_reasons_to_stop(finish: str, message: Json, reason: str) -> None:
    assert answered(message, finish)["stop_reason"] == reason


def test_a_refusal_is_text() -> None:
    assert answered({"refusal": "No."})["content"] == [told("No.")]


def test_thought_is_shown_to_those_who_asked() -> None:
    message = {"content": "x", "reasoning_content": "hm"}
    thinking = {"type": "thinking", "thinking": "hm", "signature": ""}
    assert answered(message)["content"] == [told("x")]
    assert answered(message, body={"thinking": {"type": "disabled"}})["content"] == [told("x")]
    assert answered(message, body={"thinking": {"type": "adaptive"}})["content"] == [thinking, told("x")]


def test_cached_tokens_stand_beside_the_input() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "total_tokens": 109,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    told = answered({"content": "x"}, usage=usage)["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["cache_creation_input_tokens"]) == (10, 60, 30)
    assert told["output_tokens"] == 9
    assert told["output_tokens_details"] == {"thinking_tokens": 4}


def test_more_cached_than_sent_is_not_believed() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 161}}
    told = answered({"content": "x"}, usage=usage)["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"]) == (0, 7)


def test_arguments_that_were_cut_off_are_empty() -> None:
    told = answered({"tool_calls": [call('{"a": ')]}, "length")
    assert told["content"][0]["input"] == {}
    assert told["stop_reason"] == "max_tokens"


BAD = [
    {},
    {"choices": []},
    {"choices": [{}]},
    {"choices": [None]},
    completion({"tool_calls": [call('{"a": ')]}),
    completion({"tool_calls": [call("[]")]}),
]


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_completion_is_a_bad_answer(bad: Json) -> None:
    with pytest.raises(ApiError) as caught:
        answer(bad, {})
    assert caught.value.status == 502
