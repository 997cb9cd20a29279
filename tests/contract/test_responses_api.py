"""The Responses API with the OpenAI SDK, on models that serve it themselves: state, streams, background, ids."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.models import aliases, config_text
from tests.support.polling import until
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, last_upstream, upstream_calls, wait_for_upstream

SEALED = re.compile(r"(?:resp|msg|rs|fc|fco|ctc|conv|cmp)_T[A-Za-z0-9_-]{41,}")
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ALIASES = pytest.mark.parametrize(
    ("alias", "path", "version"),
    [("gpt-4o", "/openai/v1/responses", {}), ("gpt-4o-v1", "/openai/v1/responses", {}),
     ("gpt-5", "/openai/responses", {"api-version": "2025-04-01-preview"})],
    ids=["too-old-version", "v1", "dated"],
)  # fmt: skip
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"],
        "additionalProperties": False,
    },
}  # fmt: skip


def sealed(response: Any) -> Any:
    """The response, once it was found strictly valid and every id in it an envelope."""
    Response.model_validate(response.to_dict(mode="json"), strict=True)
    ids = [response.id, *(item.id for item in response.output)]
    assert [i for i in ids if not SEALED.fullmatch(i)] == []
    return response


def events_of(text: str) -> list[Any]:
    """The events of a stream on the wire: framed as OpenAI does, numbered on, all of them valid."""
    assert "[DONE]" not in text
    found: list[Any] = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        EVENT.validate_python(event)
        found.append(event)
    first = found[0]["sequence_number"]
    assert [e["sequence_number"] for e in found] == list(range(first, first + len(found)))
    return found


def ids_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("id", "item_id", "previous_response_id") and isinstance(inner, str):
                yield inner
            yield from ids_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from ids_in(inner)


def raw_ids(fake: FakeAzure) -> str:
    """All that went upstream, in which no envelope may stand."""
    return "".join(call.path + json.dumps(call.query) + call.raw.decode() for call in upstream_calls(fake))


# One response, from its creation to its end.


@ALIASES
def test_life_of_a_response(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, path: str, version: dict[str, str]
) -> None:
    with stack.openai(key) as client:
        made = sealed(client.responses.create(model=alias, input="count to 3", metadata={"a": "b"}, user="u"))
        sent = last_upstream(fake)
        assert (sent.path, sent.query) == (path, version)
        assert {k: v for k, v in sent.body.items() if k != "model"} == {
            "input": "count to 3", "metadata": {"a": "b"}, "user": "u",
        }  # fmt: skip
        assert (made.output_text, made.status, made.model, made.metadata) == ("1 2 3", "completed", alias, {"a": "b"})
        seen = sealed(client.responses.retrieve(made.id))
        assert (seen.id, seen.output_text) == (made.id, "1 2 3")
        assert [item.id for item in seen.output] == [item.id for item in made.output]
        assert re.match(r"/openai/(v1/)?responses/resp_[0-9a-f]+$", last_upstream(fake).path)
        with pytest.raises(openai.BadRequestError, match="synchronous"):
            client.responses.cancel(made.id)
        client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError) as gone:
            client.responses.retrieve(made.id)
        assert gone.value.code == "not_found"
    assert not SEALED.search(raw_ids(fake))
    first, *others = stack.usage(key, 5)
    assert first == {
        **first, "endpoint": "responses_create", "alias": alias, "outcome": "ok", "status": 200, "stream": False,
        "input_tokens": made.usage.input_tokens, "output_tokens": made.usage.output_tokens, "estimated": False,
        "reasoning_tokens": made.usage.output_tokens_details.reasoning_tokens,
    }  # fmt: skip
    assert {e["input_tokens"] + e["output_tokens"] for e in others} == {0}
    assert not any(e["estimated"] for e in others)


@ALIASES
def test_stream(stack: Stack, key: Key, fake: FakeAzure, alias: str, path: str, version: dict[str, str]) -> None:
    reply = stack.post(key, {"model": alias, "input": "count to 4", "stream": True}, "/v1/responses")
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = events_of(reply.text)
    assert [events[0]["type"], events[1]["type"], events[-1]["type"]] == [
        "response.created", "response.in_progress", "response.completed",
    ]  # fmt: skip
    assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == "1 2 3 4"
    assert {e["response"]["model"] for e in events if "response" in e} == {alias}
    ids = set(ids_in(events))
    assert len(ids) >= 2
    assert [i for i in ids if not SEALED.fullmatch(i)] == []
    assert (last_upstream(fake).path, last_upstream(fake).query) == (path, version)
    assert_nothing_leaks(fake, reply)
    done = events[-1]["response"]["usage"]
    (event,) = stack.usage(key, 1)
    assert (event["stream"], event["outcome"], event["input_tokens"], event["output_tokens"], event["estimated"]) == (
        True, "ok", done["input_tokens"], done["output_tokens"], False,
    )  # fmt: skip


def test_stream_of_what_is_kept(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """Read again from the middle; it was paid for when it was made."""
    with stack.openai(key) as client:
        made: list[Any] = list(client.responses.create(model="gpt-5", input="count to 5", stream=True))
        response_id = made[-1].response.id
        again = list(client.responses.retrieve(response_id, stream=True))
        rest = list(client.responses.retrieve(response_id, stream=True, starting_after=4))
        assert {"stream": "true", "starting_after": "4"}.items() <= last_upstream(fake).query.items()
    assert [e.to_dict() for e in again] == [e.to_dict() for e in made]
    assert [e.to_dict() for e in rest] == [e.to_dict() for e in made[5:]]
    first, *others = stack.usage(key, 3)
    assert (first["stream"], first["output_tokens"] > 0) == (True, True)
    assert [(e["stream"], e["input_tokens"], e["output_tokens"], e["estimated"]) for e in others] == [
        (True, 0, 0, False)] * 2  # fmt: skip


def test_async_and_azure_clients(stack: Stack, key: Key) -> None:
    async def work() -> str:
        async with stack.async_openai(key, "/openai/v1") as client:
            async with client.responses.stream(model="gpt-4o", input="count to 3") as stream:
                async for _ in stream:
                    pass
                final = sealed(await stream.get_final_response())
            sealed(await client.responses.retrieve(final.id))
            return final.output_text

    assert asyncio.run(work()) == "1 2 3"
    with stack.azure_openai(key, "2025-04-01-preview") as client:
        made = sealed(client.responses.create(model="gpt-4o", input="count to 2"))
        assert sealed(client.responses.retrieve(made.id)).output_text == "1 2"
    assert [e["endpoint"] for e in stack.usage(key, 4)] == ["responses_create", "responses_retrieve"] * 2


# What a conversation is made of.


def test_input_items_by_pages(stack: Stack, key: Key, fake: FakeAzure) -> None:
    words: Any = [{"role": "user", "content": f"text {n}"} for n in range(5)]
    with stack.openai(key) as client:
        made = client.responses.create(model="gpt-4o", input=words)
        page = client.responses.input_items.list(made.id, limit=2, order="asc")
        assert [SEALED.fullmatch(item.id or "") is not None for item in page.data] == [True, True]
        assert last_upstream(fake).query == {"limit": "2", "order": "asc"}
        everything: list[Any] = list(page)
        assert [item.content[0].text for item in everything] == [f"text {n}" for n in range(5)]
        assert last_upstream(fake).query["after"].startswith("msg_")
        after: Any = client.responses.input_items.list(made.id, order="desc", after=everything[2].id or "")
        assert [item.content[0].text for item in after] == ["text 1", "text 0"]
    assert not SEALED.search(raw_ids(fake))
    assert len(stack.usage(key, 5)) == 5


def test_chain_by_each_means(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """A previous response, items of one by reference and in full, and a conversation."""
    with stack.openai(key) as client:
        first: Any = client.responses.create(model="gpt-5", input="count to 3", instructions="be brief")
        second = sealed(client.responses.create(model="gpt-5", input="more", previous_response_id=first.id))
        assert second.previous_response_id == first.id
        assert second.usage.input_tokens > first.usage.input_tokens
        reference: Any = [{"type": "item_reference", "id": item.id} for item in first.output]
        question: Any = {"role": "user", "content": "count to 2"}
        assert sealed(client.responses.create(model="gpt-5", input=[*reference, question])).output_text == "1 2"
        whole: Any = [item.to_dict() for item in first.output]
        assert sealed(client.responses.create(model="gpt-5", input=[*whole, question])).output_text == "1 2"
        talk = client.conversations.create(metadata={"a": "b"})
        client.conversations.items.create(talk.id, items=[question])
        made = sealed(client.responses.create(model="gpt-4o", input="hello", conversation=talk.id))
        assert made.conversation.id == talk.id
        items: Any = client.conversations.items.list(talk.id, order="asc", limit=10)
        assert [SEALED.fullmatch(item.id or "") is not None for item in items] == [True] * 3
        one = client.conversations.items.retrieve(items.data[0].id or "", conversation_id=talk.id)
        assert one.id == items.data[0].id
    assert not SEALED.search(raw_ids(fake))
    assert {e["outcome"] for e in stack.usage(key, 9)} == {"ok"}


def test_encrypted_reasoning_survives_byte_for_byte(stack: Stack, key: Key, fake: FakeAzure) -> None:
    stateless: Any = {"model": "gpt-5", "store": False, "include": ["reasoning.encrypted_content"]}
    question: Any = [{"role": "user", "content": "weather in Paris"}]
    with stack.openai(key) as client:
        first = sealed(client.responses.create(input=question, tools=[WEATHER], **stateless))
        thought, call = first.output
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        again: Any = [*question, *(item.to_dict() for item in first.output), result]
        second = client.responses.create(input=again, tools=[WEATHER], **stateless)
        with client.responses.stream(input=again, tools=[WEATHER], **stateless) as stream:
            streamed = stream.get_final_response()
    assert second.output_text == streamed.output_text == "Tool said: sunny"
    sent = last_upstream(fake).body["input"]
    assert sent[1]["encrypted_content"] == thought.encrypted_content
    assert sent[1]["id"].startswith("rs_")
    assert sent[1]["id"] != thought.id
    assert sent[2]["call_id"] == sent[3]["call_id"] == call.call_id
    assert not SEALED.search(raw_ids(fake))
    assert [e["reasoning_tokens"] > 0 for e in stack.usage(key, 3)] == [True] * 3


def test_compact_and_input_tokens(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        first = client.responses.create(model="gpt-5", input="count to 3")
        compacted = client.responses.compact(model="gpt-5", previous_response_id=first.id)
        assert SEALED.fullmatch(compacted.id)
        assert SEALED.fullmatch(compacted.output[0].id or "")
        again: Any = [*(item.to_dict() for item in compacted.output), {"role": "user", "content": "count to 2"}]
        assert sealed(client.responses.create(model="gpt-5", input=again)).output_text == "1 2"
        counted = client.responses.input_tokens.count(model="gpt-5", input=again)
        assert counted.input_tokens > 5
    sent = last_upstream(fake)
    assert (sent.path, sent.body["model"]) == ("/openai/responses/input_tokens", "my-gpt-5-deployment")
    events = stack.usage(key, 4)
    assert [e["endpoint"] for e in events] == [
        "responses_create", "responses_compact", "responses_create", "responses_input_tokens",
    ]  # fmt: skip
    assert events[1]["input_tokens"] == compacted.usage.input_tokens
    assert (events[3]["input_tokens"], events[3]["estimated"]) == (0, False)


# Work in the background.


def test_background_is_charged_once_when_it_has_ended(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        made = sealed(client.responses.create(model="gpt-5", input="count to 9", background=True))
        assert made.status == "queued"
        seen = [made.status]
        while seen[-1] != "completed":
            seen.append(sealed(client.responses.retrieve(made.id)).status)
            assert len(seen) < 5
        assert seen == ["queued", "in_progress", "completed"]
        done: Any = None
        for _ in range(2):
            done = client.responses.retrieve(made.id)
        list(client.responses.retrieve(made.id, stream=True))
    *calls, work = stack.usage(key, 7)
    assert [e["output_tokens"] for e in calls] == [0] * 6
    assert work["output_tokens"] == done.usage.output_tokens
    assert (work["alias"], work["endpoint"], work["request_id"][:5]) == ("gpt-5", "responses_create", "work-")
    assert work["at"] == calls[0]["at"]
    assert not any(e["estimated"] for e in calls)


def test_background_that_is_read_as_a_stream_is_charged_once(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        made = client.responses.create(model="gpt-5", input="count to 9", background=True)
        done: Any = list(client.responses.retrieve(made.id, stream=True))[-1]
        client.responses.retrieve(made.id)
        at_once: Any = list(client.responses.create(model="gpt-5", input="count to 9", background=True, stream=True))[
            -1
        ]
        client.responses.retrieve(at_once.response.id)
    assert [e["output_tokens"] for e in stack.usage(key, 6)] == [
        0, 0, 0, at_once.response.usage.output_tokens, 0, done.response.usage.output_tokens,
    ]  # fmt: skip


def test_background_stream_that_its_client_left_is_charged_when_it_has_ended(
    stack: Stack, key: Key, fake: FakeAzure
) -> None:
    fake.add_fault("slow_chunks", seconds=0.05)
    with RawClient(stack) as raw:
        raw.post(key, {"model": "gpt-4o", "input": "count to 9", "background": True, "stream": True}, "/v1/responses")
        raw.read_until(b'" 2"')
        found = SEALED.search(raw.seen.decode())
        assert found
    stack.usage(key, 1)
    with stack.openai(key) as client:
        seen: Any = None
        for _ in range(3):
            seen = client.responses.retrieve(found.group())
        assert seen.status == "completed"
    assert [(e["output_tokens"], e["estimated"]) for e in stack.usage(key, 5)] == [
        (0, False), (0, False), (0, False), (0, False), (seen.usage.output_tokens, False),
    ]  # fmt: skip


def test_background_can_be_cancelled(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        made = client.responses.create(model="gpt-4o", input="long 9000", background=True)
        assert sealed(client.responses.cancel(made.id)).status == "cancelled"
        assert client.responses.cancel(made.id).status == "cancelled"
        assert client.responses.retrieve(made.id).status == "cancelled"
    assert {e["output_tokens"] for e in stack.usage(key, 4)} == {0}


# What a model is asked to do.


class Place(BaseModel):
    city: str
    people: int


@ALIASES
def test_structured_output(
    stack: Stack,
    key: Key,
    alias: str,
    path: str,
    version: dict[str, str],
) -> None:
    with stack.openai(key) as client:
        parsed = client.responses.parse(model=alias, input="Paris please", text_format=Place)
        assert isinstance(parsed.output_parsed, Place)
        with client.responses.stream(model=alias, input="Paris please", text_format=Place) as stream:
            assert stream.get_final_response().output_parsed == parsed.output_parsed
    assert len(stack.usage(key, 2)) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tools(stack: Stack, key: Key, stream: bool) -> None:
    custom: Any = {"type": "custom", "name": "shell"}
    with stack.openai(key) as client:

        def made(**body: Any) -> Any:
            if not stream:
                return sealed(client.responses.create(model="gpt-4o", **body))
            with client.responses.stream(model="gpt-4o", **body) as events:
                return sealed(events.get_final_response())

        first = made(input="weather in Paris and Tokyo", tools=[WEATHER])
        places = [json.loads(call.arguments)["location"] for call in first.output]
        assert (places, {call.name for call in first.output}) == (["Paris", "Tokyo"], {"get_weather"})
        results: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": f"{place} sun"}
                        for call, place in zip(first.output, places, strict=True)]  # fmt: skip
        last = made(input=results, previous_response_id=first.id, tools=[WEATHER])
        assert last.output_text == "Tool said: Paris sun; Tokyo sun"
        (call,) = made(input="call it", tools=[custom], tool_choice={"type": "custom", "name": "shell"}).output
        assert (call.type, call.input) == ("custom_tool_call", "call it")
    assert {e["outcome"] for e in stack.usage(key, 3)} == {"ok"}


@pytest.mark.parametrize(
    ("alias", "given", "param"),
    [
        ("gpt-5", {"temperature": 0.5}, "temperature"),
        ("gpt-5", {"top_p": 0.5}, "top_p"),
        ("gpt-5", {"reasoning": {"effort": "xhigh"}}, "reasoning"),
        ("o3-pro", {"temperature": 0.5}, "temperature"),
        ("gpt-5.1", {"temperature": 0.5, "reasoning": {"effort": "low"}}, "temperature"),
    ],
)
def test_what_a_family_does_not_take_is_refused(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, given: dict[str, Any], param: str
) -> None:
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=alias, input="hi", **given)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    assert not upstream_calls(fake)
    assert stack.usage(key, 1)[0]["outcome"] == "client_error"


def test_what_a_family_does_not_take_is_dropped_where_configured(stack: Stack, key: Key, fake: FakeAzure) -> None:
    given: Any = {"temperature": 0.5, "top_p": 0.1, "reasoning": {"effort": "xhigh", "summary": "auto"}}
    with stack.openai(key) as client:
        client.responses.create(model="gpt-5-lenient", input="hi", **given)
        sent = last_upstream(fake).body
        assert sent == {"model": "my-gpt-5-deployment", "input": "hi", "reasoning": {"summary": "auto"}}
        client.responses.create(model="gpt-5", input="hi", temperature=1, top_p=1)
        client.responses.create(model="gpt-5.1", input="hi", temperature=0.5)
    assert last_upstream(fake).body["temperature"] == 0.5
    assert len(stack.usage(key, 3)) == 3


# When it goes wrong.


def streamed(stack: Stack, key: Key, text: str = "count to 9") -> Any:
    return stack.post(key, {"model": "hidden-name", "input": text, "stream": True}, "/v1/responses")


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        ({"kind": "cut", "after": 6}, "upstream_cut", "upstream_disconnected"),
        ({"kind": "clean_cut", "after": 6}, "upstream_cut", "upstream_disconnected"),
        ({"kind": "malformed", "after": 6}, "upstream_error", "upstream_bad_response"),
        ({"kind": "error_event", "after": 6}, "upstream_error", "server_error"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_stream_that_breaks_ends_in_an_error_event(
    stack: Stack, key: Key, fake: FakeAzure, fault: dict[str, Any], outcome: str, code: str
) -> None:
    fake.add_fault(**fault)
    reply = streamed(stack, key)
    *_, last = events_of(reply.text)
    assert (last["type"], last["code"]) == ("error", code)
    assert last["message"]
    assert_nothing_leaks(fake, reply)
    (event,) = stack.usage(key, 1)
    assert (event["status"], event["outcome"], event["estimated"]) == (200, outcome, True)


def test_failed_response_is_told_as_such(stack: Stack, key: Key, fake: FakeAzure) -> None:
    said = {"code": "server_error", "message": "my-gpt4-deployment at https://main.openai.azure.com/x failed"}
    response = {
        "id": "resp_" + "0f" * 25, "object": "response", "created_at": 1, "status": "failed", "error": said,
        "incomplete_details": None, "instructions": None, "model": "my-gpt4-deployment", "output": [], "tools": [],
        "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "metadata": {},
        "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9,
                  "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                  "output_tokens_details": {"reasoning_tokens": 0}},
    }  # fmt: skip
    fake.add_fault("error_event", after=6, body={"type": "response.failed", "sequence_number": 6, "response": response})
    reply = streamed(stack, key)
    text = reply.text.replace("event: error\n", "event: response.failed\n")
    *_, last = events_of(text)
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_error")
    assert SEALED.fullmatch(last["response"]["id"])
    assert_nothing_leaks(fake, reply)
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["input_tokens"], event["output_tokens"], event["estimated"]) == (
        "upstream_error", 7, 2, False,
    )  # fmt: skip


@pytest.mark.parametrize("after", [0, 1])
def test_stream_that_begins_with_an_error_has_its_status(stack: Stack, key: Key, fake: FakeAzure, after: int) -> None:
    body = {"type": "error", "code": "rate_limit_exceeded", "message": "slow down my-gpt4-deployment", "param": None}
    fake.add_fault("error_event", after=after, body={**body, "sequence_number": after})
    reply = streamed(stack, key)
    if after:
        *_, last = events_of(reply.text)
        assert last["code"] == "rate_limit_exceeded"
    else:
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert_nothing_leaks(fake, reply)
    assert stack.usage(key, 1)[0]["outcome"] == "upstream_error"


def test_incomplete_is_no_failure(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        made = sealed(client.responses.create(model="gpt-4o", input="long 90", max_output_tokens=16))
        assert made.incomplete_details.reason == "max_output_tokens"
        last: Any = list(client.responses.create(model="gpt-4o", input="cut off by filter", stream=True))[-1]
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", "content_filter")
    assert [(e["outcome"], e["estimated"]) for e in stack.usage(key, 2)] == [("ok", False)] * 2


def test_client_leaves_in_the_middle(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("slow_chunks", seconds=0.05)
    with RawClient(stack) as client:
        client.post(key, {"model": "gpt-4o", "input": "count to 900", "stream": True}, "/v1/responses")
        client.read_until(b'" 5"')
    assert wait_for_upstream(fake, lambda r: r.closed_early or r.completed).closed_early
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"], event["input_tokens"]) == ("client_closed", True, 3)
    assert 5 <= event["output_tokens"] < 200


# A chain that cannot stay where it is.


def test_chain_of_another_resource_is_refused(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        first = client.responses.create(model="gpt-4o", input="count to 3")
        fake.clear()
        cases: list[tuple[Any, str]] = [
            ({"input": "more", "previous_response_id": first.id}, "objects_elsewhere"),
            ({"input": [{"type": "item_reference", "id": first.output[0].id}]}, "objects_elsewhere"),
        ]
        for body, code in cases:
            with pytest.raises(openai.BadRequestError) as refused:
                client.responses.create(model="second", **body)
            assert refused.value.code == code
        elsewhere = client.responses.create(model="second", input="count to 2")
        fake.clear()
        mixed: Any = [
            *(item.to_dict() for item in (*first.output, *elsewhere.output)),
            {"role": "user", "content": "a"},
        ]
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="second", input=mixed)
        assert (refused.value.code, refused.value.param) == ("items_elsewhere", "input")
    assert not upstream_calls(fake)
    assert len(stack.usage(key, 5)) == 5


def test_ids_of_others_are_unknown_and_cost_nothing(stack: Stack, key: Key, fake: FakeAzure) -> None:
    other = stack.key()
    with stack.openai(key) as client, stack.openai(other) as stranger:
        made = client.responses.create(model="gpt-4o", input="count to 3")
        fake.clear()
        for wrong in (made.id, "resp_" + "0f" * 25, made.id[:-2], made.id[:-1] + ("A" if made.id[-1] != "A" else "B")):
            for call in (
                lambda i: stranger.responses.retrieve(i),
                lambda i: stranger.responses.create(model="gpt-4o", input="x", previous_response_id=i),
                lambda i: stranger.responses.input_items.list(i),
                lambda i: stranger.responses.delete(i),
            ):
                with pytest.raises(openai.NotFoundError) as unknown:
                    call(wrong)
                assert unknown.value.code == "not_found"
    assert not upstream_calls(fake)


def test_unusable_items_are_removed_where_configured(new_stack: Any, fake: FakeAzure) -> None:
    config = config_text(aliases(fake)) + "litellm_settings:\n  unusable_items: remove\n"
    stack: Stack = new_stack(config=config)
    key = stack.key()
    with stack.openai(key) as client:
        stateless: Any = {"store": False, "include": ["reasoning.encrypted_content"]}
        first = client.responses.create(model="gpt-5", input="count to 3", **stateless)
        again: Any = [
            *(item.to_dict() for item in first.output),
            {"type": "item_reference", "id": first.output[-1].id},
            {"role": "user", "content": "count to 2"},
        ]
        assert client.responses.create(model="second", input=again).output_text == "1 2"
    sent = last_upstream(fake)
    assert (sent.resource, [item.get("type") for item in sent.body["input"]]) == ("second", ["message", None])
    assert "id" not in sent.body["input"][0]
    assert sent.body["input"][0]["content"][0]["text"] == "1 2 3"
    assert not SEALED.search(raw_ids(fake))
    until(lambda: len(stack.usage(key, 2)) == 2)
