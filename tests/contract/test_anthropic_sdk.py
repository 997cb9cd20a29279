"""The Anthropic SDK, unmodified: on Claude deployments natively, and on GPT deployments by translation.

Each test also looks at what was sent upstream, and at the usage record where the call costs something.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import anthropic
import pytest
from anthropic.types import ToolParam
from pydantic import BaseModel

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import picture
from tests.support.leaks import assert_nothing_leaks
from tests.support.stack import Key, Stack, last_upstream, upstream_calls
from tests.support.tls import NO_TLS

NATIVE = ["claude", "claude-ai", "claude-named", "claude-entra"]
TRANSLATED = ["gpt-4o", "gpt-5", "codex"]
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
PNG = base64.b64encode(picture("a")).decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
CACHED = [{"type": "text", "text": "the same words again and again " * 300, "cache_control": {"type": "ephemeral"}}]


def anthropic_client(stack: Stack, key: Key, path: str = "", **options: Any) -> anthropic.Anthropic:
    http = anthropic.DefaultHttpxClient(verify=NO_TLS)
    usual: dict[str, Any] = {"max_retries": 0, "timeout": 30, "_strict_response_validation": True, "http_client": http}
    return anthropic.Anthropic(api_key=key.text, base_url=stack.url + path, **(usual | options))


def anthropic_version() -> str:
    """What this SDK sends by itself."""
    with anthropic.Anthropic(api_key="x") as client:
        return str(client.default_headers["anthropic-version"])


def says(text: Any, model: str = "claude", **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 4_000, "messages": [{"role": "user", "content": text}], **fields}


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def answered(client: anthropic.Anthropic, stream: bool, **body: Any) -> Any:
    """The message, however it comes: a streamed one as the SDK's own accumulator puts it together."""
    if not stream:
        return client.messages.create(**body)
    with client.messages.stream(**body) as events:
        return events.get_final_message()


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


# What both kinds of deployment do.


@STREAM
@pytest.mark.parametrize("alias", [*NATIVE, *TRANSLATED])
def test_message(stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool) -> None:
    with anthropic_client(stack, key) as client:
        message = answered(client, stream, **says("count to 3", alias, system="Be brief."))
    assert (text_of(message), message.stop_reason, message.model) == ("1 2 3", "end_turn", alias)
    assert message.id.startswith("msg_")
    (sent,) = upstream_calls(fake)
    assert (sent.path == "/anthropic/v1/messages") == (alias in NATIVE)
    assert (sent.auth == "bearer") == (alias == "claude-entra")
    assert key.text not in repr(sent.headers)
    (event,) = stack.usage(key, 1)
    assert (event["alias"], event["endpoint"], event["stream"], event["estimated"]) == (
        alias, "messages", stream, False,
    )  # fmt: skip
    assert event["upstream_model"] not in ("", alias)
    assert (event["input_tokens"], event["output_tokens"]) == (message.usage.input_tokens, message.usage.output_tokens)
    assert event["output_tokens"] >= 3


@STREAM
@pytest.mark.parametrize("alias", ["claude", "gpt-4o", "codex"])
def test_tools_there_and_back(stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool) -> None:
    body = says("weather in Paris and Tokyo", alias, tools=[WEATHER])
    with anthropic_client(stack, key) as client:
        asked = answered(client, stream, **body, tool_choice={"type": "any"})
        calls = [block for block in asked.content if block.type == "tool_use"]
        assert asked.stop_reason == "tool_use"
        assert [(call.name, call.input) for call in calls] == [
            ("get_weather", {"location": "Paris"}),
            ("get_weather", {"location": "Tokyo"}),
        ]
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
        turns = [{"role": "assistant", "content": asked.content}, {"role": "user", "content": results}]
        body["messages"] += turns
        told = answered(client, stream, **body)
    assert text_of(told) == "Tool said: sunny; sunny"
    assert len(stack.usage(key, 2)) == 2
    if alias == "claude":
        assert last_upstream(fake).body["messages"][-1]["content"] == results


@STREAM
@pytest.mark.parametrize("alias", ["claude", "gpt-4o", "codex"])
def test_images_and_documents(stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool) -> None:
    note = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A note."}}
    with anthropic_client(stack, key) as client:
        message = answered(client, stream, **says([{"type": "text", "text": "look"}, IMAGE, note], alias))
    assert "[1 image]" in text_of(message)
    assert PNG in last_upstream(fake).raw.decode()
    assert "A note." in last_upstream(fake).raw.decode()
    (event,) = stack.usage(key, 1)
    assert event["input_tokens"] >= 85


@pytest.mark.parametrize("alias", ["claude", "gpt-4o"])
@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/messages", "/messages", "/anthropic/messages"])
def test_every_address(stack: Stack, key: Key, path: str, alias: str) -> None:
    for address, field in ((path, "content"), (f"{path}/count_tokens", "input_tokens")):
        body = says("hi", alias)
        if field == "input_tokens":
            del body["max_tokens"]
        reply = stack.http.post(address, json=body, headers={"x-api-key": key.text})
        assert reply.status_code == 200, reply.text
        assert reply.json()[field]


def test_base_url_with_the_prefix_of_foundry(stack: Stack, key: Key) -> None:
    with anthropic.AnthropicFoundry(
        api_key=key.text, base_url=f"{stack.url}/anthropic", max_retries=0, _strict_response_validation=True
    ) as client:
        assert text_of(client.messages.create(**says("count to 2"))) == "1 2"


@STREAM
def test_async_client(stack: Stack, key: Key, stream: bool) -> None:
    async def work() -> str:
        async with anthropic.AsyncAnthropic(api_key=key.text, base_url=stack.url, max_retries=0) as client:
            if not stream:
                return text_of(await client.messages.create(**says("count to 4")))
            async with client.messages.stream(**says("count to 4")) as events:
                return "".join([text async for text in events.text_stream])

    assert asyncio.run(work()) == "1 2 3 4"
    assert stack.usage(key, 1)[0]["output_tokens"] == 4


@STREAM
@pytest.mark.parametrize("alias", ["claude", "gpt-4o"])
def test_stop_sequences(stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool) -> None:
    with anthropic_client(stack, key) as client:
        message = answered(client, stream, **says("count to 9", alias, stop_sequences=[" 5", "x"]))
    assert text_of(message) == "1 2 3 4"
    if alias == "claude":
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " 5")
    else:
        assert message.stop_reason == "end_turn"
        assert last_upstream(fake).body["stop"] == [" 5", "x"]


# Claude's own.


@STREAM
@pytest.mark.parametrize(
    ("alias", "thinking"),
    [("claude", {"type": "enabled", "budget_tokens": 1024}), ("claude-new", {"type": "adaptive"})],
    ids=["budget", "adaptive"],
)
def test_thinking_and_the_turn_after_it(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, thinking: Any, stream: bool
) -> None:
    """The fake refuses a thought whose signature or text was changed on its way."""
    body = says("weather in Paris", alias, tools=[WEATHER], thinking=thinking)
    with anthropic_client(stack, key) as client:
        asked = answered(client, stream, **body)
        thought, call = asked.content
        assert (thought.type, call.type) == ("thinking", "tool_use")
        assert thought.signature
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
        body["messages"] += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
        told = answered(client, stream, **body)
    assert text_of(told) == "Tool said: rain"
    sent = last_upstream(fake).body["messages"][1]["content"][0]
    assert (sent["thinking"], sent["signature"]) == (thought.thinking, thought.signature)
    assert sum(e["output_tokens"] for e in stack.usage(key, 2)) == (
        asked.usage.output_tokens + told.usage.output_tokens
    )


@STREAM
def test_cache_written_and_read_are_in_the_ledger(stack: Stack, key: Key, stream: bool) -> None:
    system = [{**CACHED[0], "text": f"{key.text} {stream} {CACHED[0]['text']}"}]
    with anthropic_client(stack, key) as client:
        first, second = (answered(client, stream, **says("hi", system=system)) for _ in range(2))
    written = first.usage.cache_creation_input_tokens
    assert (written > 1024, second.usage.cache_read_input_tokens) == (True, written)
    events = stack.usage(key, 2)
    assert [(e.get("cache_write_tokens", 0), e["cached_input_tokens"]) for e in events] == [(written, 0), (0, written)]
    assert [e["input_tokens"] for e in events] == [
        u.input_tokens + u.cache_creation_input_tokens + u.cache_read_input_tokens for u in (first.usage, second.usage)
    ]


def test_version_and_betas_are_forwarded_and_nothing_else(stack: Stack, key: Key, fake: FakeAzure) -> None:
    headers = {"x-custom": "1", "anthropic-version": "2023-06-01", "anthropic-dangerous-direct-browser-access": "true"}
    with anthropic_client(stack, key, default_headers=headers) as client:
        client.beta.messages.create(**says("hi"), betas=["one-2026-01-01", "two-2026-01-01"])
    sent = last_upstream(fake).headers
    assert (sent["anthropic-version"], sent["anthropic-beta"]) == ("2023-06-01", "one-2026-01-01,two-2026-01-01")
    assert {"x-custom", "anthropic-dangerous-direct-browser-access", "x-stainless-lang"} & sent.keys() == set()
    plain = stack.post(key, says("hi"), "/v1/messages")
    assert plain.status_code == 200, plain.text
    assert last_upstream(fake).headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in last_upstream(fake).headers


def test_structured_answer_is_parsed(stack: Stack, key: Key) -> None:
    class City(BaseModel):
        name: str

    for alias in ("claude", "gpt-4o"):
        with anthropic_client(stack, key) as client:
            message = client.messages.parse(**says("Paris", alias), output_format=City)
        assert isinstance(message.parsed_output, City)


def test_unknown_fields_of_a_message_pass(stack: Stack, key: Key, fake: FakeAzure) -> None:
    body = says("hi", top_k=5, metadata={"user_id": "u1"}, temperature=0.5, service_tier="auto")
    assert stack.post(key, body, "/v1/messages").status_code == 200
    assert last_upstream(fake).body == body | {"model": "claude-sonnet-4-5"}


# Counting.


def test_count_tokens(stack: Stack, key: Key, fake: FakeAzure) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": ["x"]}], "system": "s", "tools": [WEATHER]}
    body["messages"][0]["content"] = [{"type": "text", "text": "many words " * 100}, IMAGE]
    with anthropic_client(stack, key) as client:
        asked = client.messages.count_tokens(model="claude", **body).input_tokens
        (sent,) = upstream_calls(fake)
        estimated = [client.messages.count_tokens(model=alias, **body).input_tokens for alias in TRANSLATED]
    assert sent.path == "/anthropic/v1/messages/count_tokens"
    assert sent.headers["anthropic-version"] == anthropic_version()
    assert 150 < asked < 500
    assert len(set(estimated)) == 1
    assert 1_000 < estimated[0] < 1_300  # an image is estimated as one of high detail
    assert len(upstream_calls(fake)) == 1
    events = stack.usage(key, 4)
    assert {(e["status"], e["input_tokens"], e["output_tokens"]) for e in events} == {(200, 0, 0)}


# Translated.


@STREAM
def test_thinking_becomes_effort_on_gpt(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    thinking = {"type": "enabled", "budget_tokens": 5_000}
    with anthropic_client(stack, key) as client:
        message = answered(client, stream, **says("count to 2", "gpt-5", thinking=thinking) | {"max_tokens": 9_000})
    assert text_of(message) == "1 2"
    sent = last_upstream(fake).body
    assert (sent["reasoning_effort"], sent["max_completion_tokens"]) == ("medium", 9_000)
    (event,) = stack.usage(key, 1)
    assert event["reasoning_tokens"] > 0
    assert event["output_tokens"] == message.usage.output_tokens


def test_stream_events_are_anthropics(stack: Stack, key: Key) -> None:
    with anthropic_client(stack, key) as client:
        kinds = [[e.type for e in client.messages.create(**says("hi", a), stream=True)] for a in ("claude", "gpt-4o")]
    for events in kinds:
        assert events[:2] == ["message_start", "content_block_start"]
        assert events[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_what_only_claude_has_is_refused_elsewhere(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with anthropic_client(stack, key) as client, pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**says("hi", "gpt-4o"), extra_body={"top_k": 5})
    error: Any = refused.value.body
    assert (error["error"]["type"], error["error"]["param"]) == ("invalid_request_error", "top_k")
    assert not upstream_calls(fake)


# Errors.


def error_of(reply: Any) -> dict[str, Any]:
    """Of an answer of any HTTP library."""
    body = reply.json()
    assert body["type"] == "error"
    assert body["request_id"] == reply.headers["x-request-id"]
    return body["error"]


@pytest.mark.parametrize("alias", ["claude", "gpt-4o"])
@pytest.mark.parametrize(
    ("status", "given", "raised", "kind"),
    [
        (400, 400, anthropic.BadRequestError, "invalid_request_error"),
        (429, 429, anthropic.RateLimitError, "rate_limit_error"),
        (529, 529, anthropic.InternalServerError, "overloaded_error"),
        (500, 500, anthropic.InternalServerError, "api_error"),
        (401, 502, anthropic.InternalServerError, "api_error"),
    ],
)
def test_upstream_errors(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, status: int, given: int, raised: Any, kind: str
) -> None:
    fake.add_fault("status", status=status, retry_after=7)
    with anthropic_client(stack, key) as client, pytest.raises(raised) as caught:
        client.messages.create(**says("hi", alias))
    error: Any = caught.value.body
    assert (caught.value.status_code, error["type"], error["error"]["type"]) == (given, "error", kind)
    assert caught.value.response.headers.get("retry-after") == (None if status == 401 else "7")
    assert_nothing_leaks(fake, caught.value.response)
    (event,) = stack.usage(key, 1)
    assert (event["status"], event["output_tokens"]) == (given, 0)


def test_errors_of_the_gateway(stack: Stack, key: Key, fake: FakeAzure) -> None:
    stranger = Key("sk-" + "x" * 43, "", "")
    with anthropic_client(stack, stranger) as client, pytest.raises(anthropic.AuthenticationError) as wrong:
        client.messages.create(**says("hi"))
    assert wrong.value.type == "authentication_error"
    with anthropic_client(stack, key) as client, pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(**says("hi", "no-such-model"))
    assert error_of(unknown.value.response)["type"] == "not_found_error"
    for body, param in (
        ({"model": "claude", "max_tokens": 5}, "messages"),
        ({"model": "claude", "messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        (says("x") | {"max_tokens": "5"}, "max_tokens"),
        (says("x") | {"messages": "hi"}, "messages"),
        (says("x") | {"messages": [{"content": "hi"}]}, "messages[0]"),
        (says("x", stream="yes"), "stream"),
        (says("x", tools={}), "tools"),
        (says("x", system=5), "system"),
        (says("x") | {"model": ["claude"]}, "model"),
    ):
        reply = stack.post(key, body, "/v1/messages")
        assert (reply.status_code, error_of(reply)["param"]) == (400, param), reply.text
    assert not upstream_calls(fake)


@pytest.mark.parametrize("alias", ["claude", "gpt-4o", "codex"])
@pytest.mark.parametrize("fault", ["error_event", "cut", "clean_cut"])
def test_stream_that_breaks_ends_in_an_error_event(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, fault: str
) -> None:
    fake.add_fault(fault, after=6)
    seen: list[str] = []
    with anthropic_client(stack, key) as client, pytest.raises(anthropic.APIStatusError) as caught:
        seen += [e.type for e in client.messages.create(**says("count to 30", alias), stream=True)]
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] in ("overloaded_error", "api_error")
    (event,) = stack.usage(key, 1)
    assert event["outcome"] == ("upstream_error" if fault == "error_event" else "upstream_cut")
    assert event["estimated"] is True
