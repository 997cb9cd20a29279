"""One language spoken by the client and another by the deployment: with the OpenAI SDK and its own helpers.

Chat completions on models that serve only Responses, Responses on models that serve only chat, and on Claude.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.models import aliases, config_text
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, ask, last_upstream, upstream_calls, wait_for_upstream

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ON_RESPONSES = pytest.mark.parametrize("alias", ["codex", "o3-pro"])
ON_CHAT = pytest.mark.parametrize("alias", ["grok-4", "claude"])
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SCHEMA: Any = {
    "type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"],
    "additionalProperties": False,
}  # fmt: skip
FUNCTION: Any = {"name": "get_weather", "parameters": SCHEMA, "strict": True}
CHAT_TOOL: Any = {"type": "function", "function": FUNCTION}
TOOL: Any = {"type": "function", **FUNCTION}


class Place(BaseModel):
    city: str
    people: int


# Chat completions on a model that serves only Responses.


def chatted(client: openai.OpenAI, stream: bool, alias: str, **body: Any) -> ChatCompletion:
    """The answer, by the SDK's own accumulator where it is streamed; strictly valid."""
    if not stream:
        whole = client.chat.completions.create(model=alias, **body)
        return ChatCompletion.model_validate(whole.to_dict(mode="json"), strict=True)
    with client.chat.completions.stream(model=alias, **body) as events:
        for event in events:
            if event.type == "chunk":
                ChatCompletionChunk.model_validate(event.chunk.to_dict(mode="json"), strict=True)
        return events.get_final_completion()


@STREAM
@pytest.mark.parametrize(("alias", "name"), [("codex", "my-codex"), ("o3-pro", "o3-pro")])
def test_chat_on_responses(stack: Stack, key: Key, fake: FakeAzure, alias: str, name: str, stream: bool) -> None:
    messages: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "count to 5"}]
    options: Any = {"stream_options": {"include_usage": True}} if stream else {}
    with stack.openai(key) as client:
        made = chatted(client, stream, alias, messages=messages, max_tokens=900, reasoning_effort="low", **options)
    assert (made.choices[0].message.content, made.choices[0].finish_reason, made.model) == ("1 2 3 4 5", "stop", alias)
    assert made.id.startswith("chatcmpl-")
    sent = last_upstream(fake)
    assert (sent.path, sent.query) == ("/openai/v1/responses", {})  # the configured version is from before Responses
    assert {**sent.body, "stream": None, "input": None} == {
        "model": name, "max_output_tokens": 900, "store": False, "reasoning": {"effort": "low"}, "stream": None,
        "input": None,
    }  # fmt: skip
    assert sent.body.get("stream", False) is stream
    usage = made.usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    (event,) = stack.usage(key, 1)
    assert event == {
        **event, "endpoint": "chat_completions", "alias": alias, "outcome": "ok", "stream": stream,
        "input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens, "estimated": False,
        "reasoning_tokens": usage.completion_tokens_details.reasoning_tokens,
    }  # fmt: skip
    assert event["reasoning_tokens"] > 0


def test_chat_stream_on_responses_event_by_event(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """A chunk for each piece of the text, as it comes; usage only when asked for; no word of the other language."""
    fake.add_fault("pause", after=9, seconds=30)
    with RawClient(stack) as client:
        client.post(key, ask("count to 9", "codex", stream=True))
        client.read_until(b'"content":" 2"')
        assert b"response." not in client.seen
        assert b"[DONE]" not in client.seen
    reply = stack.post(key, ask("count to 4", "codex", stream=True))
    events = [e.removeprefix("data: ") for e in reply.text.rstrip("\n").split("\n\n")]
    chunks = [json.loads(e) for e in events[:-1]]
    assert events[-1] == "[DONE]"
    said = [c["choices"][0]["delta"].get("content") for c in chunks]
    assert [word for word in said if word] == ["1", " 2", " 3", " 4"]
    assert all(c["choices"] and "usage" not in c and c["model"] == "codex" for c in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert_nothing_leaks(fake, reply)
    assert [e["outcome"] for e in stack.usage(key, 2)] == ["client_closed", "ok"]


@STREAM
@ON_RESPONSES
def test_tools_of_chat_on_responses(stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": "weather in Paris and Tokyo"}]
    with stack.openai(key) as client:
        made = chatted(client, stream, alias, messages=messages, tools=[CHAT_TOOL])
        calls: list[Any] = made.choices[0].message.tool_calls or []
        assert made.choices[0].finish_reason == "tool_calls"
        assert [json.loads(call.function.arguments)["location"] for call in calls] == ["Paris", "Tokyo"]
        messages.append({"role": "assistant", "tool_calls": [
            {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
            for c in calls]})  # fmt: skip
        messages += [{"role": "tool", "tool_call_id": c.id, "content": f"sun {i}"} for i, c in enumerate(calls)]
        last = chatted(client, stream, alias, messages=messages, tools=[CHAT_TOOL])
        assert last.choices[0].message.content == "Tool said: sun 0; sun 1"
        one = chatted(client, stream, alias, messages=messages[:1], tools=[CHAT_TOOL], parallel_tool_calls=False)
        assert len(one.choices[0].message.tool_calls or []) == 1
    assert last_upstream(fake).body["tools"] == [TOOL]
    assert {e["outcome"] for e in stack.usage(key, 3)} == {"ok"}


@ON_RESPONSES
def test_structured_output_and_summaries_of_chat_on_responses(stack: Stack, key: Key, alias: str) -> None:
    with stack.openai(key) as client:
        parsed = client.chat.completions.parse(**ask("Paris please", alias), response_format=Place)
        assert isinstance(parsed.choices[0].message.parsed, Place)
        with client.chat.completions.stream(**ask("Paris please", alias), response_format=Place) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == parsed.choices[0].message.parsed
        thoughtful: Any = {**ask("count to 2", alias), "extra_body": {"reasoning": {"summary": "auto"}}}
        whole = client.chat.completions.create(**thoughtful).choices[0].message
        thoughts = "".join(
            (c.choices[0].delta.model_extra or {}).get("reasoning_content") or ""
            for c in client.chat.completions.create(**thoughtful, stream=True)
        )
    assert whole.content == "1 2"
    assert thoughts == (whole.model_extra or {})["reasoning_content"] != ""
    assert len(stack.usage(key, 4)) == 4


@pytest.mark.parametrize(
    ("param", "value"),
    [("n", 2), ("stop", ["x"]), ("seed", 1), ("logit_bias", {"1": 1}), ("prediction", {"type": "content"}),
     ("temperature", 0.5), ("functions", [{"name": "f"}]), ("audio", {"voice": "x"}), ("reasoning_effort", "xhigh")],
)  # fmt: skip
def test_what_responses_cannot_be_told_is_named(
    stack: Stack, key: Key, fake: FakeAzure, param: str, value: Any
) -> None:
    reply = stack.post(key, ask("hi", "codex", **{param: value}))
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, param, "unsupported_parameter")
    assert not upstream_calls(fake)
    assert_nothing_leaks(fake, reply)
    assert stack.usage(key, 1)[0]["outcome"] == "client_error"


def test_what_it_cannot_be_told_is_dropped_where_configured(stack: Stack, key: Key, fake: FakeAzure) -> None:
    given: Any = {"stop": ["x"], "seed": 1, "temperature": 0.5, "logit_bias": {"1": 1}, "top_p": 0.5}
    with stack.openai(key) as client:
        made = client.chat.completions.create(**ask("count to 2", "codex-lenient"), **given)
    assert made.choices[0].message.content == "1 2"
    assert last_upstream(fake).body.keys() == {"model", "input", "store"}
    assert stack.usage(key, 1)[0]["outcome"] == "ok"


@STREAM
def test_length_filter_and_failure_of_chat_on_responses(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    with stack.openai(key) as client:
        options: Any = {"stream": stream, "max_completion_tokens": 220}
        for text, reason in (("long 90", "length"), ("cut off by filter", "content_filter")):
            answer: Any = client.chat.completions.create(**ask(text, "codex"), **options)
            last = list(answer)[-1] if stream else answer
            assert last.choices[0].finish_reason == reason
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(**ask("filter me", "codex"), **options)
        assert refused.value.code == "content_filter"
        failed = {"code": "rate_limit_exceeded", "message": "my-codex is busy"}
        fake.add_fault("error_event", after=3, body={
            "type": "response.failed", "sequence_number": 3, "response": {"status": "failed", "error": failed}})  # fmt: skip
        if stream:
            with pytest.raises(openai.APIError, match="codex is busy") as broken:
                list(client.chat.completions.create(**ask("hi", "codex"), **options))
            assert (broken.value.code, "my-codex" in broken.value.message) == ("rate_limit_exceeded", False)
    outcomes = [e["outcome"] for e in stack.usage(key, 4 if stream else 3)]
    assert outcomes == ["ok", "ok", "client_error", *(["upstream_error"] if stream else [])]


@pytest.mark.parametrize(("fault", "code"), [("cut", "upstream_disconnected"), ("clean_cut", "upstream_disconnected")])
@pytest.mark.parametrize("alias", ["codex", "grok-4", "claude"])
def test_broken_streams_end_in_an_error_event(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, fault: str, code: str
) -> None:
    fake.add_fault(fault, after=7)
    path, body = ("/v1/chat/completions", ask("count to 99", alias)) if alias == "codex" else (
        "/v1/responses", {"model": alias, "input": "count to 99"})  # fmt: skip
    reply = stack.post(key, {**body, "stream": True}, path)
    *_, last = [json.loads(e.rpartition("data: ")[2]) for e in reply.text.rstrip("\n").split("\n\n")]
    assert (last.get("error") or last)["code"] == code
    assert not any(end in reply.text for end in ("[DONE]", "response.completed", '"finish_reason":"stop"'))
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"] or alias == "claude") == ("upstream_cut", True)


# Responses on a model that serves only chat, and in two steps on Claude.


def responded(client: openai.OpenAI, stream: bool, alias: str, **body: Any) -> Any:
    if not stream:
        made: Any = client.responses.create(model=alias, **body)
    else:
        with client.responses.stream(model=alias, **body) as events:
            numbers = [EVENT.validate_python(e.to_dict(mode="json", warnings=False)).sequence_number for e in events]
            made = Response.model_validate(events.get_final_response().to_dict(warnings=False))
        assert numbers == list(range(len(numbers)))
    Response.model_validate(made.to_dict(mode="json"), strict=True)
    return made


@STREAM
@pytest.mark.parametrize(
    ("alias", "path", "limit"),
    [
        ("grok-4", "/models/chat/completions", "max_completion_tokens"),
        ("claude", "/anthropic/v1/messages", "max_tokens"),
    ],
)
def test_responses_on_others(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, path: str, limit: str, stream: bool
) -> None:
    with stack.openai(key) as client:
        made = responded(client, stream, alias, input="count to 5", instructions="be brief", max_output_tokens=900)
    assert (made.output_text, made.status, made.model, made.store) == ("1 2 3 4 5", "completed", alias, False)
    sent = last_upstream(fake)
    assert (sent.path, sent.body[limit], sent.body.get("stream", False)) == (path, 900, stream)
    assert not {"input", "instructions", "max_output_tokens", "store"} & sent.body.keys()
    (event,) = stack.usage(key, 1)
    assert event == {
        **event, "endpoint": "responses_create", "alias": alias, "outcome": "ok", "stream": stream, "estimated": False,
        "input_tokens": made.usage.input_tokens, "output_tokens": made.usage.output_tokens,
    }  # fmt: skip
    assert event["output_tokens"] >= 5


@ON_CHAT
def test_responses_stream_on_others_event_by_event(stack: Stack, key: Key, fake: FakeAzure, alias: str) -> None:
    fake.add_fault("pause", after=8, seconds=30)
    with RawClient(stack) as client:
        client.post(key, {"model": alias, "input": "count to 900", "stream": True}, "/v1/responses")
        client.read_until(b'"delta":" 2"')
        assert client.seen.index(b"event: response.created") < client.seen.index(b"event: response.output_text.delta")
        assert b"chat.completion" not in client.seen
    assert wait_for_upstream(fake, lambda r: r.closed_early or r.completed).closed_early
    assert stack.usage(key, 1)[0]["outcome"] == "client_closed"


@STREAM
@ON_CHAT
def test_tools_of_responses_on_others(stack: Stack, key: Key, alias: str, stream: bool) -> None:
    """The whole output goes back as it came: what every agent does."""
    with stack.openai(key) as client:
        history: list[Any] = [{"role": "user", "content": "weather in Paris and Tokyo"}]
        made = responded(client, stream, alias, input=history, tools=[TOOL])
        calls = [item for item in made.output if item.type == "function_call"]
        assert [json.loads(call.arguments)["location"] for call in calls] == ["Paris", "Tokyo"]
        history += [item.to_dict() for item in made.output]
        history += [
            {"type": "function_call_output", "call_id": c.call_id, "output": f"sun {i}"} for i, c in enumerate(calls)
        ]
        last = responded(client, stream, alias, input=history, tools=[TOOL])
        assert "sun 0" in last.output_text
        assert "sun 1" in last.output_text
        history += [*(item.to_dict() for item in last.output), {"role": "user", "content": "count to 3"}]
        assert responded(client, stream, alias, input=history).output_text == "1 2 3"
    assert {e["outcome"] for e in stack.usage(key, 3)} == {"ok"}


@STREAM
def test_reasoning_of_claude_is_told_as_summaries(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    thinking: Any = {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 4_000}
    question: Any = {"role": "user", "content": "count to 3"}
    with stack.openai(key) as client:
        made = responded(client, stream, "claude", input=[question], **thinking)
        assert [item.type for item in made.output] == ["reasoning", "message"]
        assert made.output[0].summary[0].text
        again = [question, *(item.to_dict() for item in made.output), question]
        assert responded(client, stream, "claude", input=again, **thinking).output_text == "1 2 3"
    assert last_upstream(fake).body["thinking"]["type"] == "enabled"
    assert {e["outcome"] for e in stack.usage(key, 2)} == {"ok"}


def test_translated_items_may_be_used_anywhere(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """Nothing keeps them, so they bind to nothing: another model on another resource takes them without their ids."""
    question: Any = {"role": "user", "content": "count to 2"}
    thinking: Any = {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 4_000}
    with stack.openai(key) as client:
        first = client.responses.create(model="claude", input=[question], **thinking)
        history: list[Any] = [question, *(item.to_dict() for item in first.output)]
        for alias in ("grok-4", "gpt-4o", "second"):
            made = client.responses.create(model=alias, input=[*history, question])
            assert made.output_text == "1 2"
            sent = last_upstream(fake).body
            assert not any("id" in item for item in sent.get("input") or sent["messages"])
        with pytest.raises(openai.APIStatusError) as refused:
            client.responses.create(model="gpt-4o", input="hi", previous_response_id=first.id)
        assert refused.value.status_code in (400, 404)
    assert len(stack.usage(key, 5)) == 5


def test_output_goes_back_where_nothing_else_is_configured(new_stack: Any, fake: FakeAzure) -> None:
    """Claude's resource keeps no objects; the ids of its translated items are envelopes all the same."""
    stack: Stack = new_stack(config=config_text([row for row in aliases(fake) if row[0] == "claude"]))
    key = stack.key()
    with stack.openai(key) as client:
        asked: Any = [{"role": "user", "content": "count to 2"}]
        made = client.responses.create(model="claude", input=asked)
        again: Any = [*asked, *(item.to_dict() for item in made.output), {"role": "user", "content": "count to 3"}]
        assert client.responses.create(model="claude", input=again).output_text == "1 2 3"
        for call in (client.responses.retrieve, client.responses.delete):
            with pytest.raises(openai.NotFoundError):
                call(made.id)
    assert [call.path for call in upstream_calls(fake)] == ["/anthropic/v1/messages"] * 2


@ON_CHAT
def test_structured_output_of_responses_on_others(stack: Stack, key: Key, alias: str) -> None:
    async def work() -> Any:
        async with stack.async_openai(key) as client:
            parsed = await client.responses.parse(model=alias, input="Paris please", text_format=Place)
            async with client.responses.stream(model=alias, input="Paris please", text_format=Place) as stream:
                final = await stream.get_final_response()
            return parsed.output_parsed, final.output_parsed

    parsed, final = asyncio.run(work())
    assert isinstance(parsed, Place)
    assert parsed == final
    assert len(stack.usage(key, 2)) == 2


@ON_CHAT
@pytest.mark.parametrize(
    ("param", "value"),
    [("previous_response_id", None), ("conversation", "conv_x"), ("background", True), ("prompt", {"id": "pmpt_1"}),
     ("tools[0].type", [{"type": "web_search"}]), ("messages", []), ("max_tokens", 5)],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_chat_cannot_be_told_is_named(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, param: str, value: Any
) -> None:
    name = param.partition("[")[0]
    with stack.openai(key) as client:
        if name == "previous_response_id":  # one of the model's own answers, which nothing has kept
            value = client.responses.create(model=alias, input="hi").id
        fake.clear()
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as refused:
            client.responses.create(model=alias, input="hi", extra_body={name: value})
    if isinstance(refused.value, openai.NotFoundError):  # an id that nobody has handed out
        assert name == "conversation"
    else:
        assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    assert not upstream_calls(fake)
