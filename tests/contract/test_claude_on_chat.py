"""The OpenAI SDK on Claude deployments: chat completions translated to Anthropic's messages and back.

Each test also looks at what was sent upstream, and at the usage record.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import picture
from tests.support.leaks import assert_nothing_leaks
from tests.support.stack import Key, Stack, ask, last_upstream, upstream_calls

ALIASES = ["claude", "claude-ai", "claude-new", "claude-named", "claude-entra"]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}
PNG = "data:image/png;base64," + base64.b64encode(picture("a")).decode()


def answered(client: openai.OpenAI, stream: bool, **body: Any) -> Any:
    """The completion, however it comes: a streamed one as the SDK's own accumulator puts it together."""
    if not stream:
        return client.chat.completions.create(**body)
    with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


@STREAM
@pytest.mark.parametrize("alias", ALIASES)
def test_answer_usage_and_time(stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool) -> None:
    began = int(time.time())
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "count to 5"}]
    with stack.openai(key) as client:
        answer = answered(client, stream, model=alias, messages=messages)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, answer.model) == ("1 2 3 4 5", "stop", alias)
    assert answer.id.startswith("chatcmpl-")
    assert began <= answer.created <= time.time()
    sent = last_upstream(fake)
    assert (sent.path, sent.auth == "bearer") == ("/anthropic/v1/messages", alias == "claude-entra")
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert (sent.body["system"][0]["text"], sent.body["max_tokens"]) == ("Be brief.", 32_000)
    (event,) = stack.usage(key, 1)
    assert (event["endpoint"], event["stream"], event["output_tokens"], event["estimated"]) == (
        "chat_completions", stream, 5, False,
    )  # fmt: skip
    assert (event["input_tokens"], event["output_tokens"]) == (
        answer.usage.prompt_tokens, answer.usage.completion_tokens,
    )  # fmt: skip
    assert event["upstream_model"].startswith("claude-")


def test_plain_stream_ends_as_openais_does(stack: Stack, key: Key) -> None:
    reply = stack.post(key, ask("count to 2", "claude", stream=True))
    events = [line[6:] for line in reply.text.split("\n\n") if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert len({(c["id"], c["created"], c["model"]) for c in chunks}) == 1
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert not any(c.get("usage") for c in chunks)  # it was not asked for
    assert stack.usage(key, 1)[0]["output_tokens"] == 2


@STREAM
def test_tools_there_and_back(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    body = ask("weather in Paris and Tokyo", "claude", tools=[WEATHER])
    with stack.openai(key) as client:
        asked = answered(client, stream, **body, tool_choice="required").choices[0]
        calls = asked.message.tool_calls
        assert asked.finish_reason == "tool_calls"
        assert [json.loads(call.function.arguments) for call in calls] == [{"location": "Paris"}, {"location": "Tokyo"}]
        assert last_upstream(fake).body["tool_choice"] == {"type": "any"}
        results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        body["messages"] += [asked.message.model_dump(exclude_none=True, exclude={"parsed"}), *results]
        told = answered(client, stream, **body).choices[0]
    assert (told.message.content, told.finish_reason) == ("Tool said: sunny; sunny", "stop")
    assert len(stack.usage(key, 2)) == 2


@pytest.mark.parametrize(
    ("choice", "parallel", "sent", "calls"),
    [
        ("none", None, {"type": "none"}, 0),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}, 1),
        ({"type": "function", "function": {"name": "get_weather"}}, None, {"type": "tool", "name": "get_weather"}, 2),
    ],
    ids=["none", "one", "named"],
)
def test_tool_choice(
    stack: Stack, key: Key, fake: FakeAzure, choice: Any, parallel: Any, sent: Any, calls: int
) -> None:
    fields = {} if parallel is None else {"parallel_tool_calls": parallel}
    body = ask("weather in Paris and Tokyo", "claude", tools=[WEATHER], tool_choice=choice, **fields)
    with stack.openai(key) as client:
        message = client.chat.completions.create(**body).choices[0].message
    assert len(message.tool_calls or []) == calls
    assert last_upstream(fake).body["tool_choice"] == sent


@STREAM
def test_json_schema_is_parsed(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    class City(BaseModel):
        name: str
        population: int

    body = ask("Paris", "claude")
    with stack.openai(key) as client:
        if stream:
            with client.chat.completions.stream(**body, response_format=City) as events:
                parsed = events.get_final_completion().choices[0].message.parsed
        else:
            parsed = client.chat.completions.parse(**body, response_format=City).choices[0].message.parsed
    assert isinstance(parsed, City)
    assert last_upstream(fake).body["output_config"]["format"]["type"] == "json_schema"


@STREAM
@pytest.mark.parametrize(
    ("alias", "thinking", "config"),
    [("claude", {"type": "enabled", "budget_tokens": 2_048}, None),
     ("claude-new", {"type": "adaptive"}, {"effort": "low"})],
    ids=["budget", "adaptive"],
)  # fmt: skip
def test_reasoning_effort_and_thought_sent_back(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, thinking: Any, config: Any, stream: bool
) -> None:
    body = ask("weather in Paris", alias, tools=[WEATHER], reasoning_effort="low")
    with stack.openai(key) as client:
        asked = answered(client, stream, **body).choices[0].message
        sent = last_upstream(fake).body
        assert (sent["thinking"], sent.get("output_config")) == (thinking, config)
        assert "Let me think" in asked.model_extra["reasoning_content"]
        (call,) = asked.tool_calls
        turn = asked.model_dump(exclude_none=True, exclude={"parsed"})
        body["messages"] += [turn, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        told = answered(client, stream, **body).choices[0].message  # a changed signature would be refused
    assert told.content == "Tool said: rain"
    blocks = last_upstream(fake).body["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]


@STREAM
def test_images_stop_and_limit(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    parts: Any = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": PNG}}]
    with stack.openai(key) as client:
        assert "[1 image]" in answered(client, stream, **ask(parts, "claude")).choices[0].message.content
        assert last_upstream(fake).body["messages"][0]["content"][1]["source"]["media_type"] == "image/png"
        stopped = answered(client, stream, **ask("count to 9", "claude", stop=[" 4"])).choices[0]
        cut = answered(client, False, **ask("count to 9", "claude", max_tokens=3)).choices[0]  # the accumulator raises
    assert (stopped.message.content, stopped.finish_reason) == ("1 2 3", "stop")
    assert (cut.message.content, cut.finish_reason) == ("1 2 3", "length")
    assert [e["output_tokens"] for e in stack.usage(key, 3)][1:] == [3, 3]


@STREAM
def test_cache_tokens_in_usage_and_ledger(stack: Stack, key: Key, stream: bool) -> None:
    words = f"{key.text} {stream} " + "the same words again and again " * 300
    system = {"role": "system", "content": [{"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}]}
    body = ask("hi", "claude")
    body["messages"].insert(0, system)
    with stack.openai(key) as client:
        first, second = (answered(client, stream, **body).usage for _ in range(2))
    written = first.prompt_tokens_details.cache_write_tokens
    assert written > 1024
    assert (first.prompt_tokens_details.cached_tokens, second.prompt_tokens_details.cached_tokens) == (0, written)
    assert first.prompt_tokens == second.prompt_tokens > written
    events = stack.usage(key, 2)
    assert [(e.get("cache_write_tokens", 0), e["cached_input_tokens"]) for e in events] == [(written, 0), (0, written)]
    assert {e["input_tokens"] for e in events} == {first.prompt_tokens}


# Errors.


@pytest.mark.parametrize(
    ("status", "given", "raised", "kind", "code"),
    [
        (400, 400, openai.BadRequestError, "invalid_request_error", None),
        (429, 429, openai.RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
        (529, 529, openai.InternalServerError, "server_error", "overloaded"),
        (401, 502, openai.InternalServerError, "server_error", "upstream_auth_failed"),
    ],
)
def test_errors_are_openais(
    stack: Stack, key: Key, fake: FakeAzure, status: int, given: int, raised: Any, kind: str, code: str | None
) -> None:
    fake.add_fault("status", status=status, retry_after=7)
    with stack.openai(key) as client, pytest.raises(raised) as caught:
        client.chat.completions.create(**ask("hi", "claude"))
    assert (caught.value.status_code, caught.value.type, caught.value.code) == (given, kind, code)
    assert caught.value.response.headers.get("retry-after") == (None if status == 401 else "7")
    assert_nothing_leaks(fake, caught.value.response)
    assert stack.usage(key, 1)[0]["status"] == given


def test_refusals_of_claude_name_the_field(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        with pytest.raises(openai.BadRequestError) as limit:
            client.chat.completions.create(**ask("hi", "claude", max_tokens=0))
        sent = len(upstream_calls(fake))
        with pytest.raises(openai.BadRequestError) as here:
            client.chat.completions.create(**ask("hi", "claude", n=2))
        with pytest.raises(openai.BadRequestError) as long:
            client.chat.completions.create(**ask("word " * 200_001, "claude"))
    assert limit.value.param == "max_tokens"
    assert (here.value.param, here.value.code) == ("n", "unsupported_parameter")
    assert long.value.code == "context_length_exceeded"
    assert len(upstream_calls(fake)) == sent + 1
    assert {e["status"] for e in stack.usage(key, 3)} == {400}


@pytest.mark.parametrize("fault", ["error_event", "cut", "clean_cut"])
def test_stream_that_breaks_ends_in_an_error_event(stack: Stack, key: Key, fake: FakeAzure, fault: str) -> None:
    fake.add_fault(fault, after=6)
    with stack.openai(key) as client, pytest.raises(openai.APIError) as caught:
        list(client.chat.completions.create(**ask("count to 30", "claude"), stream=True))
    body: Any = caught.value.body
    assert (body["type"], body["code"]) == (
        ("server_error", "overloaded") if fault == "error_event" else ("server_error", "upstream_disconnected")
    )
    (event,) = stack.usage(key, 1)
    assert event["outcome"] == ("upstream_error" if fault == "error_event" else "upstream_cut")
    assert event["output_tokens"] > 0
