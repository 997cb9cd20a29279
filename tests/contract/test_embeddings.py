"""Embeddings with the OpenAI SDK: both encodings, tokens, dimensions, and more inputs than Azure takes at once."""

from __future__ import annotations

import asyncio
import base64
import json
from array import array
from typing import Any

import openai
import pytest
from openai.types import CreateEmbeddingResponse

from local.fake_azure import FakeAzure
from tests.support.stack import Key, Stack, last_upstream, upstream_calls

DATED = "/openai/deployments/text-embedding-3-small/embeddings"
SMALL: dict[str, Any] = {"model": "embedding", "dimensions": 4}


def vectors(answer: CreateEmbeddingResponse) -> list[list[float]]:
    CreateEmbeddingResponse.model_validate(answer.to_dict(mode="json"), strict=True)
    assert [row.index for row in answer.data] == list(range(len(answer.data)))
    return [row.embedding for row in answer.data]


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("hello world", 2), (["hello world", "again"], 3), ([1, 2, 3], 3), ([[1, 2], [3]], 3)],
    ids=["text", "texts", "tokens", "token-lists"],
)
def test_both_encodings_are_one_vector(stack: Stack, key: Key, fake: FakeAzure, given: Any, tokens: int) -> None:
    with stack.openai(key) as client:
        usual = client.embeddings.create(model="embedding", input=given)  # for which the SDK asks in base64
        sent = last_upstream(fake)
        assert (sent.path, sent.query) == (DATED, {"api-version": "2024-10-21"})
        assert sent.body == {"model": "text-embedding-3-small", "input": given, "encoding_format": "base64"}
        floats = client.embeddings.create(model="embedding", input=given, encoding_format="float")
        assert last_upstream(fake).body["encoding_format"] == "float"
    assert usual.model == "embedding"
    assert [array("f", row) for row in vectors(usual)] == [array("f", row) for row in vectors(floats)]
    assert usual.usage.prompt_tokens == tokens
    for event in stack.usage(key, 2):
        assert event == {
            **event, "endpoint": "embeddings", "alias": "embedding", "upstream_model": "text-embedding-3-small",
            "input_tokens": tokens, "output_tokens": 0, "estimated": False, "outcome": "ok",
        }  # fmt: skip


def test_base64_reaches_the_client_as_it_is(stack: Stack, key: Key) -> None:
    body = {"model": "embedding", "input": "hello", "encoding_format": "base64", "dimensions": 8}
    (row,) = stack.post(key, body, "/v1/embeddings").json()["data"]
    with stack.openai(key) as client:
        floats = client.embeddings.create(model="embedding", input="hello", encoding_format="float", dimensions=8)
    assert array("f", base64.b64decode(row["embedding"])) == array("f", floats.data[0].embedding)
    assert len(floats.data[0].embedding) == 8


def test_azure_and_async_clients(stack: Stack, key: Key, fake: FakeAzure) -> None:
    async def work() -> list[list[float]]:
        async with stack.async_openai(key, "/openai/v1") as client:
            return vectors(await client.embeddings.create(model="embedding-ada", input="hello", user="u"))

    with stack.azure_openai(key) as client:
        assert vectors(client.embeddings.create(model="embedding-ada", input="hello")) == asyncio.run(work())
    assert last_upstream(fake).path == "/openai/v1/embeddings"
    assert last_upstream(fake).body["user"] == "u"
    assert [e["alias"] for e in stack.usage(key, 2)] == ["embedding-ada"] * 2


def test_dimensions_of_a_model_that_has_but_one_size(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="embedding-ada", input="hello", dimensions=256)
    assert "dimensions" in refused.value.message
    assert stack.usage(key, 1)[0]["outcome"] == "client_error"


@pytest.mark.parametrize("encoding", ["base64", "float"])
@pytest.mark.parametrize("tokens", [False, True], ids=["texts", "token-lists"])
def test_many_inputs_are_one_answer(stack: Stack, key: Key, fake: FakeAzure, tokens: bool, encoding: str) -> None:
    inputs: list[Any] = [[n, 7] if tokens else f"text {n}" for n in range(5_000)]
    asked = {**SMALL, "encoding_format": encoding}
    reply = stack.post(key, {**asked, "input": inputs}, "/v1/embeddings")
    answer = reply.json()
    assert [row["index"] for row in answer["data"]] == list(range(5_000))
    calls = upstream_calls(fake)
    assert [len(call.body["input"]) for call in calls] == [2_048, 2_048, 904]
    assert [given for call in calls for given in call.body["input"]] == inputs
    assert all({k: v for k, v in call.body.items() if k not in ("input", "model")} == {
        "dimensions": 4, "encoding_format": encoding} for call in calls)  # fmt: skip
    for place in (0, 2_047, 2_048, 4_999):
        single = stack.post(key, {**asked, "input": [inputs[place]]}, "/v1/embeddings").json()["data"][0]
        assert answer["data"][place] == {**single, "index": place}
    assert (answer["model"], answer["usage"]) == ("embedding", {"prompt_tokens": 10_000, "total_tokens": 10_000})
    first, *_ = stack.usage(key, 5)
    assert (first["input_tokens"], first["attempts"], first["estimated"]) == (10_000, 1, False)


def test_many_inputs_of_which_one_call_fails(stack: Stack, key: Key, fake: FakeAzure) -> None:
    inputs = [f"text {n}" for n in range(2_100)]
    inputs[2_099] = ""
    reply = stack.post(key, {**SMALL, "input": inputs}, "/v1/embeddings")
    assert (reply.status_code, len(upstream_calls(fake))) == (400, 2)
    assert stack.usage(key, 1)[0]["outcome"] == "client_error"


def test_answers_without_usage_are_counted_by_our_rule(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("no_usage", times=2)
    for given in ("12345678", ["text"] * 2_050):
        assert stack.post(key, {**SMALL, "input": given}, "/v1/embeddings").status_code == 200
    assert [(e["input_tokens"], e["estimated"]) for e in stack.usage(key, 2)] == [(2, True), (2_050, True)]


def test_answer_that_is_none(stack: Stack, key: Key, fake: FakeAzure) -> None:
    for size in (1, 2_050):
        fake.add_fault("malformed")
        reply = stack.post(key, {**SMALL, "input": ["a"] * size}, "/v1/embeddings")
        assert (reply.status_code, json.loads(reply.content)["error"]["code"]) == (502, "upstream_bad_response")
    assert [e["outcome"] for e in stack.usage(key, 2)] == ["upstream_error"] * 2


def test_parts_that_were_answered_are_paid_for_when_a_later_one_fails(stack: Stack, key: Key, fake: FakeAzure) -> None:
    too_long = "word " * 9000
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError):
        client.embeddings.create(**SMALL, input=["a"] * 2048 + [too_long])
    assert len(upstream_calls(fake)) == 2
    (event,) = stack.usage(key, 1)
    assert (event["status"], event["input_tokens"], event["estimated"]) == (400, 2048, False)


def test_parts_that_were_answered_are_paid_for_when_another_deployment_answers_all(
    stack: Stack, key: Key, fake: FakeAzure
) -> None:
    fake.add_fault("slow_first_byte", resource="main", seconds=0)
    fake.add_fault("status", resource="main", status=503)
    reply = stack.post(key, {**SMALL, "model": "embedding-two", "input": ["a"] * 2_050}, "/v1/embeddings")
    assert (reply.status_code, len(upstream_calls(fake))) == (200, 4)
    (event,) = stack.usage(key, 1)
    assert (event["attempts"], event["input_tokens"]) == (2, 2_048 + 2_050)
