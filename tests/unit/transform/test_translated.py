"""From one language to another and back: the way, the bodies, the answers. What each translator says has tests of its own."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from shared.endpoints import Shape
from shared.errors import ApiError
from shared.transform import answers
from shared.transform.dialects import DIALECTS
from shared.transform.translated import TRANSLATORS, TranslatedExchange, way
from shared.types import Usage
from tests.unit.given import deployment
from tests.unit.transform.calls import Json, asked, read, sent, wire

MESSAGES: Json = {"messages": [{"role": "user", "content": "12345678"}]}
CHAT: Json = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "dep-1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "12345678"}}],
}  # fmt: skip
RESPONSE: Json = {
    "id": "resp_1", "object": "response", "created_at": 5, "status": "completed", "model": "dep-1", "error": None,
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "12345678"}]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("client", "serves", "steps"),
    [
        ("chat", ["responses"], ["chat", "responses"]),
        ("chat", ["messages", "count"], ["chat", "messages"]),
        ("responses", ["chat"], ["responses", "chat"]),
        ("responses", ["messages"], ["responses", "chat", "messages"]),
        ("messages", ["chat", "responses"], ["messages", "chat"]),
        ("messages", ["responses"], ["messages", "chat", "responses"]),
        ("completions", ["responses"], ["completions", "chat", "responses"]),
        ("completions", ["messages"], ["completions", "chat", "messages"]),
    ],
)
def test_way_goes_by_chat(client: Shape, serves: list[Shape], steps: list[Shape]) -> None:
    assert way(client, frozenset(serves)) == steps
    assert all(pair in TRANSLATORS for pair in itertools.pairwise(steps))
    assert {DIALECTS[step].shape for step in steps} == set(steps)


def test_no_way_leads_from_what_is_no_language() -> None:
    with pytest.raises(LookupError):
        way("chat", frozenset({"embeddings"}))
    assert not answers(asked("embeddings").endpoint, frozenset({"chat"}))
    assert not answers(asked("responses_compact").endpoint, frozenset({"chat"}))


def plan(endpoint: str, body: Json, serves: Shape, **options: Any) -> TranslatedExchange:
    known: Any = {"name": "gpt-5-codex", "serves": [serves], **options}
    return TranslatedExchange(asked(endpoint, body, deployment(**known)))


def asking(endpoint: str, body: Json, serves: Shape, **options: Any) -> tuple[TranslatedExchange, Any]:
    before = orjson.dumps(body)
    made = plan(endpoint, body, serves, **options)
    (part,) = made.parts(ask_usage=True)
    assert orjson.dumps(body) == before
    assert part.operation == DIALECTS[serves].operation
    return made, sent(part)


def test_request_of_chat_on_responses() -> None:
    made, body = asking("chat_completions", {**MESSAGES, "model": "alias", "stream": True}, "responses")
    assert (body["model"], body["stream"], body["store"]) == ("gpt-5-codex", True, False)
    assert "messages" not in body
    assert (made.stored, made.headers, made.local()) == (True, (), None)


def test_request_of_responses_on_chat_keeps_the_rules_of_chat() -> None:
    family: Any = {"family": "o_series", "name": "o3-mini"}
    body: Json = {"input": "hi", "max_output_tokens": 9, "stream": True}
    made, out = asking("responses_create", body, "chat", **family)
    assert (out["max_completion_tokens"], out["stream_options"], made.stored) == (9, {"include_usage": True}, False)
    (part,) = plan("responses_create", body, "chat", **family).parts(ask_usage=False)
    assert "stream_options" not in sent(part)
    with pytest.raises(ApiError) as refused:
        plan("responses_create", {"input": "hi", "temperature": 0.5}, "chat", **family).parts(ask_usage=True)
    assert (refused.value.status, refused.value.param) == (400, "temperature")


def test_request_to_claude_says_its_version() -> None:
    made, body = asking("chat_completions", {**MESSAGES, "max_tokens": 5}, "messages", name="claude-sonnet-4-5")
    assert dict(made.headers)["anthropic-version"] == "2023-06-01"
    assert (body["model"], body["max_tokens"]) == ("claude-sonnet-4-5", 5)


def test_parameters_that_cannot_be_said_are_dropped_where_configured() -> None:
    odd: Json = {**MESSAGES, "seed": 1, "stop": ["x"], "logit_bias": {"1": 1}}
    _, body = asking("chat_completions", odd, "responses", drop_params=True)
    assert not {"seed", "stop", "logit_bias"} & body.keys()
    for options in ({}, {"drop_params": True}):
        with pytest.raises(ApiError) as refused:
            plan("chat_completions", {**odd, "n": 2}, "responses", **options).parts(ask_usage=True)
        assert refused.value.param in ("n", "stop")
    deep: Json = {"input": "x", "reasoning": {"mode": "pro", "effort": "low"}}
    with pytest.raises(ApiError) as refused:  # a part of a parameter is never dropped
        plan("responses_create", deep, "chat", drop_params=True).parts(ask_usage=True)
    assert refused.value.param == "reasoning.mode"


def test_answer_in_the_clients_language() -> None:
    made, _ = asking("chat_completions", MESSAGES, "responses")
    answer = made.answer()
    out = orjson.loads(answer.read(orjson.dumps({**RESPONSE, "usage": {"input_tokens": 3, "output_tokens": 2}})))
    assert (out["object"], out["model"], out["created"]) == ("chat.completion", "alias", 5)
    assert out["choices"][0]["message"]["content"] == "12345678"
    assert (answer.usage_or_estimate(), answer.model, answer.ended) == (Usage(3, 2), "dep-1", True)


def test_answer_of_responses_on_chat_has_sealed_ids_and_a_time() -> None:
    made, _ = asking("responses_create", {"input": "12345678"}, "chat")
    answer = made.answer()
    out = orjson.loads(answer.read(orjson.dumps(CHAT)))
    assert (out["object"], out["model"], out["created_at"]) == ("response", "alias", 7)
    assert (out["id"][:7], out["output"][0]["id"][:7]) == ("sealed-", "sealed-")
    assert answer.usage_or_estimate() == Usage(2, 2, estimated=True)


@pytest.mark.parametrize(
    ("error", "status"),
    [({"code": "rate_limit_exceeded", "message": "m"}, 429), ({"code": "server_error"}, 500), (None, 500)],
)
def test_answer_that_failed_is_an_error(error: Any, status: int) -> None:
    made, _ = asking("chat_completions", MESSAGES, "responses")
    answer = made.answer()
    with pytest.raises(ApiError) as failed:
        answer.read(orjson.dumps({**RESPONSE, "status": "failed", "output": [], "error": error}))
    assert (failed.value.status, answer.ended) == (status, False)


def test_stream_of_responses_on_chat() -> None:
    made, _ = asking("responses_create", {"input": "hi", "stream": True}, "chat")
    stream = made.stream()
    head: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "dep-1"}
    said = [{**head, "choices": [{"index": 0, "delta": {"content": "hey"}, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**head, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]  # fmt: skip
    events = read(stream.feed(wire(*said, b"data: [DONE]\n\n")))
    assert [events[0]["type"], events[-1]["type"]] == ["response.created", "response.completed"]
    assert {e["response"]["created_at"] for e in events if "response" in e} == {7}
    assert {e["response"]["id"][:7] for e in events if "response" in e} == {"sealed-"}
    assert (stream.done, stream.usage_or_estimate()) == (True, Usage(3, 2))


def test_stream_of_chat_on_responses_hides_usage_unless_asked() -> None:
    ended: Json = {
        "type": "response.completed",
        "response": {**RESPONSE, "usage": {"input_tokens": 3, "output_tokens": 2}},
    }
    for options, shown in (({}, False), ({"stream_options": {"include_usage": True}}, True)):
        made, _ = asking("chat_completions", {**MESSAGES, "stream": True, **options}, "responses")
        stream = made.stream()
        events = read(stream.feed(wire({"type": "response.created", "response": RESPONSE}, ended)))
        assert events[-1] == "[DONE]"
        assert any(e.get("usage") for e in events[:-1]) is shown
        assert stream.usage_or_estimate() == Usage(3, 2)


CLAUDE: Json = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "dep-1", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "12345678"}],
}  # fmt: skip
TIERS: list[tuple[str, Json, Shape, Json, Usage]] = [
    ("chat_completions", MESSAGES, "responses",
     {**RESPONSE, "service_tier": "flex", "usage": {"input_tokens": 3, "output_tokens": 2}}, Usage(3, 2, tier="flex")),
    ("chat_completions", MESSAGES, "responses", {**RESPONSE, "service_tier": "flex"},
     Usage(6, 2, tier="flex", estimated=True)),
    ("responses_create", {"input": "12345678"}, "chat",
     {**CHAT, "service_tier": "priority", "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
     Usage(3, 2, tier="priority")),
    ("messages", {**MESSAGES, "max_tokens": 9}, "chat",
     {**CHAT, "service_tier": "default", "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
     Usage(3, 2, tier="default")),
    ("messages", {**MESSAGES, "max_tokens": 9}, "responses",
     {**RESPONSE, "service_tier": "priority", "usage": {"input_tokens": 3, "output_tokens": 2}},
     Usage(3, 2, tier="priority")),
    ("completions", {"prompt": "12345678"}, "chat",
     {**CHAT, "service_tier": "default", "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
     Usage(3, 2, tier="default")),
    ("chat_completions", {**MESSAGES, "max_tokens": 9}, "messages",
     {**CLAUDE, "usage": {"input_tokens": 3, "output_tokens": 2, "service_tier": "priority",
                          "cache_creation_input_tokens": 8, "cache_creation": {"ephemeral_1h_input_tokens": 8}}},
     Usage(11, 2, cache_write_tokens=8, cache_write_1h_tokens=8, tier="priority")),
    ("responses_create", {"input": "12345678", "max_output_tokens": 9}, "messages",
     {**CLAUDE, "usage": {"input_tokens": 3, "output_tokens": 2, "service_tier": "standard"}},
     Usage(3, 2, tier="standard")),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "body", "serves", "told", "expect"), TIERS)
def test_what_the_upstream_says_is_what_counts(
    endpoint: str, body: Json, serves: Shape, told: Json, expect: Usage
) -> None:
    name = "claude-sonnet-4-5" if serves == "messages" else "gpt-5-codex"
    made, _ = asking(endpoint, body | {"service_tier": "auto"}, serves, name=name)
    answer = made.answer()
    answer.read(orjson.dumps(told))
    assert answer.usage_or_estimate() == expect


def test_tier_of_a_translated_stream_is_the_upstreams() -> None:
    ended = {"type": "response.completed", "response": {**RESPONSE, "service_tier": "default",
             "usage": {"input_tokens": 3, "output_tokens": 2}}}  # fmt: skip
    made, _ = asking("chat_completions", {**MESSAGES, "stream": True, "service_tier": "priority"}, "responses")
    stream = made.stream()
    stream.feed(wire({"type": "response.created", "response": {**RESPONSE, "service_tier": "priority"}}, ended))
    assert stream.usage_or_estimate() == Usage(3, 2, tier="default")
    made, _ = asking("responses_create", {"input": "hi", "stream": True, "service_tier": "priority"}, "chat")
    stream = made.stream()
    head: Json = {"id": "c-1", "object": "chat.completion.chunk", "model": "dep-1", "service_tier": "default"}
    stream.feed(wire({**head, "choices": [{"index": 0, "delta": {"content": "hey"}, "finish_reason": "stop"}]},
                     {**head, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}))  # fmt: skip
    assert stream.usage_or_estimate() == Usage(3, 2, tier="default")
