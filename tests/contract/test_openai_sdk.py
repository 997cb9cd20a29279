"""The OpenAI SDK, unmodified, over HTTP to the gateway on the Functions host: the same answer by every way in.

Each test also looks at what was sent upstream, and at the usage record.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncAzureOpenAI
from pydantic import BaseModel

from local.fake_azure import FakeAzure
from tests.support.stack import Key, Stack, ask, last_upstream, upstream_calls

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def text_of(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def said(client: Any, stream: bool, **body: Any) -> str:
    """The text of an answer, however it comes."""
    answer = client.chat.completions.create(**body, stream=stream)
    return text_of(list(answer)) if stream else answer.choices[0].message.content


# Every client, every way in.


def by_openai(stack: Stack, key: Key, path: str, stream: bool, model: str) -> str:
    with stack.openai(key, path) as client:
        return said(client, stream, **ask("count to 5", model))


def by_async_openai(stack: Stack, key: Key, path: str, stream: bool, model: str) -> str:
    async def work() -> str:
        async with stack.async_openai(key, path) as client:
            answer: Any = await client.chat.completions.create(**ask("count to 5", model), stream=stream)
            return text_of([c async for c in answer]) if stream else answer.choices[0].message.content

    return asyncio.run(work())


def by_azure_openai(stack: Stack, key: Key, path: str, stream: bool, model: str) -> str:
    with stack.azure_openai(key) as client:
        return said(client, stream, **ask("count to 5", model))


def by_async_azure_openai(stack: Stack, key: Key, path: str, stream: bool, model: str) -> str:
    async def work() -> str:
        async with AsyncAzureOpenAI(
            azure_ad_token=key.text, azure_endpoint=stack.url, api_version="2024-10-21", max_retries=0
        ) as client:
            answer: Any = await client.chat.completions.create(**ask("count to 5", model), stream=stream)
            return text_of([c async for c in answer]) if stream else answer.choices[0].message.content

    return asyncio.run(work())


def by_plain_http(stack: Stack, key: Key, path: str, stream: bool, model: str) -> str:
    """What other clients do: an api-key header, no SDK."""
    reply = stack.http.post(
        path + "/chat/completions", json=ask("count to 5", model, stream=stream), headers={"api-key": key.text}
    )
    if not stream:
        return reply.json()["choices"][0]["message"]["content"]
    events = [line[6:] for line in reply.text.split("\n\n") if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    return "".join(json.loads(e)["choices"][0]["delta"].get("content") or "" for e in events)


type Way = Callable[[Stack, Key, str, bool, str], str]


@dataclass(frozen=True)
class WayIn:
    id: str
    way: Way
    path: str
    """The path of base_url; nothing for the Azure clients, which make their own."""


WAYS = [
    WayIn("openai", by_openai, "/v1"),
    WayIn("openai-without-v1", by_openai, ""),
    WayIn("openai-at-openai-v1", by_openai, "/openai/v1"),
    WayIn("async-openai", by_async_openai, "/v1"),
    WayIn("azure-api-key", by_azure_openai, ""),
    WayIn("async-azure-bearer", by_async_azure_openai, ""),
    WayIn("api-key-at-v1", by_plain_http, "/v1"),
    WayIn("api-key-at-openai-v1", by_plain_http, "/openai/v1"),
]


@STREAM
@pytest.mark.parametrize(
    ("alias", "path", "query"),
    [
        ("gpt-4o", "/openai/deployments/gpt-4o/chat/completions", {"api-version": "2024-10-21"}),
        ("gpt-4o-v1", "/openai/v1/chat/completions", {}),
    ],
    ids=["dated", "v1"],
)
@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.id)
def test_every_client_gets_the_same_answer_and_usage_record(
    stack: Stack, key: Key, fake: FakeAzure, way: WayIn, alias: str, path: str, query: dict[str, str], stream: bool
) -> None:
    assert way.way(stack, key, way.path, stream, alias) == "1 2 3 4 5"
    (sent,) = upstream_calls(fake)
    assert (sent.path, sent.query, sent.body["model"]) == (path, query, "gpt-4o")
    (event,) = stack.usage(key, 1)
    first_token = event.pop("first_token_ms")
    assert (first_token is not None) == stream
    assert event == {
        **event,
        "alias": alias,
        "endpoint": "chat_completions",
        "upstream_model": "gpt-4o-2024-11-20",
        "status": 200,
        "outcome": "ok",
        "stream": stream,
        "attempts": 1,
        "input_tokens": 6,
        "output_tokens": 5,
        "estimated": False,
    }


@STREAM
def test_both_modes_of_the_host_give_the_same(stack_of_mode: Stack, fake: FakeAzure, stream: bool) -> None:
    key = stack_of_mode.key()
    assert by_openai(stack_of_mode, key, "/v1", stream, "gpt-4o") == "1 2 3 4 5"
    assert by_azure_openai(stack_of_mode, key, "", stream, "gpt-4o") == "1 2 3 4 5"
    assert [e["output_tokens"] for e in stack_of_mode.usage(key, 2)] == [5, 5]


# What goes upstream.


def test_headers_sent_upstream_are_the_gateways_own(stack: Stack, key: Key, fake: FakeAzure) -> None:
    own = {
        "authorization": f"Bearer {key.text}",
        "cookie": "session=1",
        "x-forwarded-for": "203.0.113.7",
        "x-ms-client-principal": "somebody",
        "x-custom": "1",
        "openai-organization": "org-1",
        "azureml-model-deployment": "other",
        "user-agent": "client/1",
        "accept-encoding": "gzip",
        "referer": "http://elsewhere.example",
    }
    assert stack.http.post("/v1/chat/completions", json=ask("hi"), headers=own).status_code == 200
    main = fake.state.resources["main"]
    sent = dict(last_upstream(fake).headers)
    assert int(sent.pop("content-length")) > 0
    assert sent == {
        "host": main.url.removeprefix("http://"),
        "content-type": "application/json",
        "accept": "application/json, text/event-stream, */*",
        "accept-encoding": "identity",
        "user-agent": sent["user-agent"],
        "api-key": main.key,
    }
    assert re.fullmatch(r"tollgate/[\d.]+", sent["user-agent"])


def test_query_of_the_client_goes_nowhere(stack: Stack, key: Key, fake: FakeAzure) -> None:
    path = "/openai/deployments/gpt-4o/chat/completions?api-version=1999-01-01&api-key=x&code=y"
    assert stack.post(key, ask("hi"), path).status_code == 200
    assert last_upstream(fake).query == {"api-version": "2024-10-21"}


@dataclass(frozen=True)
class Surface:
    alias: str
    resource: str
    path: str
    query: dict[str, str]
    auth: str
    model: str
    """What the answer was made by, as Azure said it."""


SURFACES = [
    Surface("gpt-4o", "main", "/openai/deployments/gpt-4o/chat/completions", {"api-version": "2024-10-21"},
            "api-key", "gpt-4o-2024-11-20"),
    Surface("gpt-4o-v1", "main", "/openai/v1/chat/completions", {}, "api-key", "gpt-4o-2024-11-20"),
    Surface("gpt-4-vision", "main", "/openai/deployments/gpt-4-vision/extensions/chat/completions",
            {"api-version": "2024-10-21"}, "api-key", "gpt-4-turbo-2024-04-09"),
    Surface("grok-4", "foundry", "/models/chat/completions", {"api-version": "2024-05-01-preview"}, "api-key",
            "grok-4-1-fast-non-reasoning"),
    Surface("plain", "openai", "/v1/chat/completions", {}, "bearer", "gpt-4o-2024-11-20"),
    Surface("entra", "main", "/openai/deployments/gpt-4o/chat/completions", {"api-version": "2024-10-21"}, "bearer",
            "gpt-4o-2024-11-20"),
    Surface("secret-client", "main", "/openai/deployments/gpt-4o/chat/completions", {"api-version": "2024-10-21"},
            "bearer", "gpt-4o-2024-11-20"),
    Surface("federated", "main", "/openai/deployments/gpt-4o/chat/completions", {"api-version": "2024-10-21"},
            "bearer", "gpt-4o-2024-11-20"),
    Surface("vault", "main", "/openai/deployments/gpt-4o/chat/completions", {"api-version": "2024-10-21"}, "api-key",
            "gpt-4o-2024-11-20"),
    Surface("asyncfilter", "main", "/openai/deployments/gpt-4o-asyncfilter/chat/completions",
            {"api-version": "2024-10-21"}, "api-key", "gpt-4o-2024-11-20"),
]  # fmt: skip


@STREAM
@pytest.mark.parametrize("surface", SURFACES, ids=lambda s: s.alias)
def test_surface_is_reached_by_its_own_address_and_credential(
    stack: Stack, key: Key, fake: FakeAzure, surface: Surface, stream: bool
) -> None:
    with stack.openai(key) as client:
        assert said(client, stream, **ask("count to 20", surface.alias)) == " ".join(map(str, range(1, 21)))
    sent = last_upstream(fake)
    assert (sent.resource, sent.path, sent.query, sent.auth) == (
        surface.resource, surface.path, surface.query, surface.auth,
    )  # fmt: skip
    (event,) = stack.usage(key, 1)
    assert (event["alias"], event["upstream_model"], event["output_tokens"], event["estimated"]) == (
        surface.alias, surface.model, 20, False,
    )  # fmt: skip


@STREAM
def test_answer_names_the_alias_and_no_deployment(stack: Stack, key: Key, stream: bool) -> None:
    reply = stack.post(key, ask("count to 3", "hidden-name", stream=stream))
    assert reply.headers["x-request-id"].startswith("req_")
    seen = reply.text + str(reply.headers)
    assert '"model":"hidden-name"' in seen
    for secret in ("my-gpt4-deployment", "gpt-4-turbo-2024-04-09", "x-ms-region", "127.0.0.1"):
        assert secret not in seen
    assert reply.headers["x-ratelimit-limit-requests"] == "120"


def test_stream_has_the_form_that_clients_expect(stack: Stack, key: Key) -> None:
    reply = stack.post(key, ask("count to 3", stream=True))
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [e.removeprefix("data: ") for e in reply.text.rstrip("\n").split("\n\n")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(e) for e in events[:-1]]
    assert all(c["choices"] and c["id"] and c["object"] == "chat.completion.chunk" and c["created"] for c in chunks)
    assert all("usage" not in c for c in chunks)
    assert "prompt_filter_results" in chunks[0]


@pytest.mark.parametrize("alias", ["gpt-4o", "gpt-4o-v1", "grok-4", "plain", "asyncfilter"])
def test_usage_reaches_the_client_only_when_asked_for(stack: Stack, key: Key, fake: FakeAzure, alias: str) -> None:
    with stack.openai(key) as client:
        quiet = list(client.chat.completions.create(**ask("count to 3", alias), stream=True))
        told = list(
            client.chat.completions.create(
                **ask("count to 3", alias), stream=True, stream_options={"include_usage": True}
            )
        )
    assert all(c.usage is None and c.choices for c in quiet)
    assert told[-1].choices == []
    usage = told[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (6, 3)
    assert all(r.body["stream_options"] == {"include_usage": True} for r in upstream_calls(fake))
    assert [e["output_tokens"] for e in stack.usage(key, 2)] == [3, 3]


def test_filter_events_without_delta_are_given_one(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        chunks = list(client.chat.completions.create(**ask("count to 20", "asyncfilter"), stream=True))
    verdicts = [c for c in chunks if (c.choices[0].model_extra or {}).get("content_filter_offsets")]
    assert len(verdicts) > 1
    assert all(c.choices[0].delta is not None and c.id for c in chunks)


# Models.


@pytest.mark.parametrize("path", ["/v1", "", "/openai/v1", "/openai"])
def test_models_are_the_aliases_that_the_key_may_use(stack: Stack, path: str) -> None:
    wide, narrow = stack.key(), stack.key(models="gpt-4o,o3-mini")
    with stack.openai(wide, path) as client:
        names = [m.id for m in client.models.list()]
        assert {"gpt-4o", "grok-4", "plain", "two"} <= set(names)
        assert len(names) == len(set(names))
    with stack.openai(narrow, path) as client:
        assert [m.id for m in client.models.list()] == ["gpt-4o", "o3-mini"]
        assert client.models.retrieve("o3-mini").id == "o3-mini"
        for name in ("gpt-5", "no-such-model"):
            with pytest.raises(openai.NotFoundError):
                client.models.retrieve(name)


def test_models_by_azure_client(stack: Stack, key: Key) -> None:
    with stack.azure_openai(key) as client:
        assert "gpt-4o" in [m.id for m in client.models.list()]


def test_restricted_key_is_told_so(stack: Stack, fake: FakeAzure) -> None:
    narrow = stack.key(models="gpt-4o")
    with stack.openai(narrow) as client, pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(**ask("hi", "o3-mini"))
    assert refused.value.code == "model_not_found"
    assert not upstream_calls(fake)


# Features.


@STREAM
@pytest.mark.parametrize(
    ("text", "cities"), [("weather in Paris", ["Paris"]), ("weather in Paris and Tokyo", ["Paris", "Tokyo"])]
)
def test_tool_calls(stack: Stack, key: Key, fake: FakeAzure, stream: bool, text: str, cities: list[str]) -> None:
    calls: dict[int, dict[str, str]] = {}
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask(text), tools=[WEATHER], stream=stream)
        if stream:
            for chunk in answer:
                for piece in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                    call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                    call["id"] += piece.id or ""
                    call["name"] += piece.function.name or ""
                    call["arguments"] += piece.function.arguments or ""
        else:
            for index, whole in enumerate(answer.choices[0].message.tool_calls):
                function = whole.function
                calls[index] = {"id": whole.id, "name": function.name, "arguments": function.arguments}
        assert [json.loads(c["arguments"]) for c in calls.values()] == [{"location": city} for city in cities]
        assert {c["name"] for c in calls.values()} == {"get_weather"}
        results = [{"role": "tool", "tool_call_id": c["id"], "content": "sunny"} for c in calls.values()]
        called = [
            {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in calls.values()
        ]
        messages: list[Any] = [
            {"role": "user", "content": text}, {"role": "assistant", "tool_calls": called}, *results,
        ]  # fmt: skip
        second = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    assert second.choices[0].message.content == "Tool said: " + "; ".join("sunny" for _ in cities)
    assert last_upstream(fake).body["messages"] == messages
    assert [e["output_tokens"] > 0 for e in stack.usage(key, 2)] == [True, True]


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


@pytest.mark.parametrize("alias", ["gpt-4o", "gpt-4o-v1", "o3-mini", "gpt-5"])
def test_parse_with_a_pydantic_model(stack: Stack, key: Key, fake: FakeAzure, alias: str) -> None:
    with stack.openai(key) as client:
        answer = client.chat.completions.parse(**ask("Ada", alias), response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ada", age=1, tags=["Ada"])
    assert last_upstream(fake).body["response_format"]["json_schema"]["strict"] is True


@STREAM
def test_json_object(stack: Stack, key: Key, stream: bool) -> None:
    with stack.openai(key) as client:
        text = said(client, stream, **ask("a word"), response_format={"type": "json_object"})
    assert json.loads(text) == {"you_said": "a word"}


@STREAM
@pytest.mark.parametrize("alias", ["gpt-4o", "gpt-4-vision"])
def test_vision(stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool) -> None:
    content = [
        {"type": "text", "text": "what is it"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    with stack.openai(key) as client:
        messages: Any = [{"role": "user", "content": content}]
        assert said(client, stream, model=alias, messages=messages) == "You said: what is it [2 images]"
    assert last_upstream(fake).body["messages"][0]["content"] == content


@STREAM
def test_audio_in_and_out(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    sound = base64.b64encode(b"RIFF").decode()
    content = [
        {"type": "text", "text": "repeat"},
        {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
    ]
    voice: Any = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    messages: Any = [{"role": "user", "content": content}]
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(model="audio", messages=messages, stream=stream, **voice)
        if stream:
            deltas = [c.to_dict()["choices"][0]["delta"].get("audio") or {} for c in answer if c.choices]
            transcript = "".join(d.get("transcript", "") for d in deltas)
            data = "".join(d.get("data", "") for d in deltas)
        else:
            transcript, data = answer.choices[0].message.audio.transcript, answer.choices[0].message.audio.data
    assert transcript == "You said: repeat [1 audio]"
    assert base64.b64decode(data)[:4] == b"RIFF"
    (event,) = stack.usage(key, 1)
    assert event["audio_input_tokens"] == 10
    assert event["audio_output_tokens"] == event["output_tokens"] > 0


@STREAM
def test_store_metadata_seed_stop_user_and_prediction_pass(
    stack: Stack, key: Key, fake: FakeAzure, stream: bool
) -> None:
    fields: dict[str, Any] = {
        "store": True,
        "metadata": {"team": "a"},
        "seed": 7,
        "stop": ["3"],
        "user": "u1",
        "prediction": {"type": "content", "content": "1 2"},
        "temperature": 0.2,
        "logit_bias": {"50256": -100},
        "service_tier": "auto",
    }
    with stack.openai(key) as client:
        assert said(client, stream, **ask("count to 5"), **fields).rstrip() == "1 2"
    sent = last_upstream(fake).body
    assert {name: sent[name] for name in fields} == fields


@STREAM
def test_logprobs(stack: Stack, key: Key, stream: bool) -> None:
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask("count to 3"), logprobs=True, top_logprobs=2, stream=stream)
        found = list(answer) if stream else [answer]
    tokens = [t for c in found if c.choices[0].logprobs for t in c.choices[0].logprobs.content]
    assert [t.token.strip() for t in tokens] == ["1", "2", "3"]
    assert all(len(t.top_logprobs) == 2 for t in tokens)


@STREAM
def test_two_choices(stack: Stack, key: Key, stream: bool) -> None:
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask("count to 3"), n=2, stream=stream)
        if stream:
            texts = {0: "", 1: ""}
            for chunk in answer:
                for choice in chunk.choices:
                    texts[choice.index] += choice.delta.content or ""
        else:
            texts = {c.index: c.message.content for c in answer.choices}
    assert texts == {0: "1 2 3", 1: "1 2 3"}
    assert stack.usage(key, 1)[0]["output_tokens"] == 6


@STREAM
def test_refusal(stack: Stack, key: Key, stream: bool) -> None:
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask("refuse this"), stream=stream)
        if stream:
            refusal = "".join(c.choices[0].delta.refusal or "" for c in answer if c.choices)
        else:
            refusal = answer.choices[0].message.refusal
    assert refusal == "I'm sorry, but I can't help with that."


@STREAM
def test_answer_cut_by_the_filter_or_the_limit_says_so(stack: Stack, key: Key, stream: bool) -> None:
    def ending(**body: Any) -> str:
        answer: Any = client.chat.completions.create(**body, stream=stream)
        found = [c for c in answer if c.choices] if stream else [answer]
        return next(c.choices[0].finish_reason for c in reversed(found) if c.choices[0].finish_reason)

    with stack.openai(key) as client:
        assert ending(**ask("cut off by filter please")) == "content_filter"
        assert ending(**ask("cut off by filter please", "asyncfilter")) == "content_filter"
        assert ending(**ask("count to 50"), max_tokens=5) == "length"


@STREAM
def test_data_sources(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    sources = [{"type": "azure_search", "parameters": {"endpoint": "https://s.example", "index_name": "docs"}}]
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask("what"), extra_body={"data_sources": sources}, stream=stream)
        if stream:
            contexts = [(c.choices[0].delta.model_extra or {}).get("context") for c in answer if c.choices]
            context = next(c for c in contexts if c)
        else:
            context = answer.choices[0].message.model_extra["context"]
    assert context["citations"][0]["title"] == "Document 1 of docs"
    assert last_upstream(fake).body["data_sources"] == sources


# Families.


@STREAM
@pytest.mark.parametrize("alias", ["o3-mini", "gpt-5"])
def test_reasoning_effort_and_renamed_token_limit(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, stream: bool
) -> None:
    with stack.openai(key) as client:
        text = said(client, stream, **ask("count to 3", alias), max_tokens=900, reasoning_effort="low", temperature=1)
    assert text == "1 2 3"
    sent = last_upstream(fake).body
    assert sent["max_completion_tokens"] == 900
    assert sent["reasoning_effort"] == "low"
    assert "max_tokens" not in sent
    assert "temperature" not in sent
    (event,) = stack.usage(key, 1)
    assert (event["reasoning_tokens"], event["output_tokens"]) == (64, 67)


@pytest.mark.parametrize(
    ("alias", "role", "sent_role"),
    [
        ("o3-mini", "system", "system"),
        ("o3-mini", "developer", "developer"),
        ("gpt-5", "system", "system"),
        ("gpt-4o", "developer", "system"),
        ("gpt-4o", "system", "system"),
    ],
)
def test_system_and_developer_roles(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, role: str, sent_role: str
) -> None:
    messages = [{"role": role, "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert stack.post(key, {"model": alias, "messages": messages}).status_code == 200
    assert [m["role"] for m in last_upstream(fake).body["messages"]] == [sent_role, "user"]


@pytest.mark.parametrize(
    ("alias", "field", "value"),
    [
        ("o3-mini", "temperature", 0.5),
        ("gpt-5", "temperature", 0),
        ("gpt-5", "stop", ["x"]),
        ("gpt-5", "logprobs", True),
        ("gpt-4o", "reasoning_effort", "low"),
        ("o3-mini", "reasoning_effort", "minimal"),
        ("gpt-4o", "modalities", ["text", "audio"]),
    ],
)
def test_parameter_that_the_model_refuses_is_refused_here(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, field: str, value: Any
) -> None:
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask("hi", alias, **{field: value}))
    assert (refused.value.param, refused.value.code) == (field, "unsupported_parameter")
    assert not upstream_calls(fake)
    (event,) = stack.usage(key, 1)
    assert (event["status"], event["outcome"], event["output_tokens"]) == (400, "client_error", 0)


def test_drop_params_drops(stack: Stack, key: Key, fake: FakeAzure) -> None:
    body = ask("hi", "gpt-5-lenient", temperature=0.1, stop=["x"], logit_bias={"1": 1}, seed=1)
    assert stack.post(key, body).status_code == 200
    sent = last_upstream(fake).body
    assert not {"temperature", "stop", "logit_bias"} & sent.keys()
    assert sent["seed"] == 1


@pytest.mark.parametrize(("alias", "effort"), [("gpt-5.1", "none"), ("gpt-5-chat", None)])
def test_models_that_do_not_reason_are_steered(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, effort: str | None
) -> None:
    body = ask("hi", alias, temperature=0.3, max_tokens=50) | ({"reasoning_effort": effort} if effort else {})
    assert stack.post(key, body).status_code == 200
    sent = last_upstream(fake).body
    assert (sent["temperature"], sent["max_completion_tokens"]) == (0.3, 50)


def test_fields_that_nobody_knows_pass(stack: Stack, key: Key, fake: FakeAzure) -> None:
    body = ask("hi", "gpt-4o-v1", brand_new_field={"deep": [1, None, "ü"]})
    assert stack.post(key, body).status_code == 200
    assert last_upstream(fake).body == body | {"model": "gpt-4o"}


def test_plain_call_without_v1_as_other_frameworks_make_it(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """base_url without /v1 and the default headers of an HTTP library."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        reply = client.post(f"{stack.url}/chat/completions", json=ask("hi"), headers=key.bearer)
    assert reply.json()["choices"][0]["message"]["content"] == "You said: hi"
    assert len(upstream_calls(fake)) == 1
