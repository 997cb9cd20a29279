"""Legacy completions with the OpenAI SDK: on instruct deployments as they are, on chat models by translation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types import Completion

from local.fake_azure import FakeAzure
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, last_upstream, upstream_calls, wait_for_upstream

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
DATED = "/openai/deployments/gpt-35-turbo-instruct/completions"


def texts_of(chunks: list[Completion]) -> dict[int, str]:
    """The text of each choice of a stream. (The SDK's own type forgets that chunks have no finish_reason yet.)"""
    said: dict[int, str] = {}
    for chunk in chunks:
        assert (chunk.id[:5], chunk.object, bool(chunk.created)) == ("cmpl-", "text_completion", True)
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + choice.text
    return said


def said(client: Any, stream: bool, **body: Any) -> dict[int, str]:
    answer = client.completions.create(**body, stream=stream)
    if stream:
        return texts_of(list(answer))
    Completion.model_validate(answer.to_dict(mode="json"), strict=True)
    assert all(choice.finish_reason for choice in answer.choices)
    return {choice.index: choice.text for choice in answer.choices}


@STREAM
@pytest.mark.parametrize(
    ("prompt", "answers", "tokens"),
    [
        ("count to 3", ["1 2 3"], (3, 3)),
        (["count to 2", "count to 3"], ["1 2", "1 2 3"], (6, 5)),
        ([3, 14, 15], ["You said: [3,14,15]"], (3, 10)),
        ([[1, 2], [3]], ["You said: [1,2]", "You said: [3]"], (3, 14)),
    ],
    ids=["text", "texts", "tokens", "token-lists"],
)
def test_prompts_arrive_unchanged(
    stack: Stack, key: Key, fake: FakeAzure, prompt: Any, answers: list[str], tokens: tuple[int, int], stream: bool
) -> None:
    with stack.openai(key) as client:
        assert said(client, stream, model="instruct", prompt=prompt) == dict(enumerate(answers))
    sent = last_upstream(fake)
    assert (sent.path, sent.query) == (DATED, {"api-version": "2024-10-21"})
    options = {"stream_options": {"include_usage": True}} if stream else {}
    assert sent.body == {"model": "gpt-35-turbo-instruct", "prompt": prompt, "stream": stream, **options}
    (event,) = stack.usage(key, 1)
    assert event == {
        **event, "endpoint": "completions", "alias": "instruct", "outcome": "ok", "stream": stream, "estimated": False,
        "upstream_model": "gpt-35-turbo-instruct-0914", "input_tokens": tokens[0],
    }  # fmt: skip
    assert event["output_tokens"] == tokens[1]


def test_what_only_completions_have_arrives(stack: Stack, key: Key, fake: FakeAzure) -> None:
    given: Any = {
        "suffix": "END", "echo": True, "logprobs": 2, "best_of": 2, "n": 2, "max_tokens": 5, "user": "u", "seed": 1,
        "stop": ["6"], "logit_bias": {"50256": -100}, "temperature": 0.5,
    }  # fmt: skip
    with stack.openai(key) as client:
        answer = client.completions.create(model="instruct", prompt="count to 9", **given)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].logprobs is not None
    assert (answer.model, answer.object) == ("instruct", "text_completion")
    assert last_upstream(fake).body == {"model": "gpt-35-turbo-instruct", "prompt": "count to 9", **given}
    assert answer.usage is not None
    assert stack.usage(key, 1)[0]["output_tokens"] == answer.usage.completion_tokens


@pytest.mark.parametrize("alias", ["instruct", "gpt-4o"])
def test_usage_reaches_the_client_only_when_asked_for(stack: Stack, key: Key, alias: str) -> None:
    with stack.openai(key) as client:
        asked: Any = {"model": alias, "prompt": "count to 3", "stream": True}
        quiet = list(client.completions.create(**asked))
        told = list(client.completions.create(**asked, stream_options={"include_usage": True}))
    assert all(chunk.usage is None and chunk.choices and chunk.model == alias for chunk in quiet)
    assert told[-1].choices == []
    assert told[-1].usage is not None
    assert told[-1].usage.completion_tokens == 3
    assert "prompt_filter_results" in (quiet[0].model_extra or {})
    assert [e["output_tokens"] for e in stack.usage(key, 2)] == [3, 3]


@STREAM
@pytest.mark.parametrize("alias", ["instruct", "gpt-4o"])
def test_every_client_gets_it(stack: Stack, key: Key, alias: str, stream: bool) -> None:
    async def work() -> dict[int, str]:
        async with stack.async_openai(key) as client:
            answer: Any = await client.completions.create(model=alias, prompt="count to 4", stream=stream)
            return texts_of([c async for c in answer] if stream else [answer])

    assert asyncio.run(work()) == {0: "1 2 3 4"}
    with stack.azure_openai(key) as client:
        assert said(client, stream, model=alias, prompt="count to 4") == {0: "1 2 3 4"}
    assert [(e["endpoint"], e["output_tokens"]) for e in stack.usage(key, 2)] == [("completions", 4)] * 2


@STREAM
def test_chat_model_by_translation(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    with stack.openai(key) as client:
        body: Any = {"model": "gpt-4o", "prompt": ["count to 9"], "max_tokens": 4, "stop": ["8"], "echo": False}
        assert said(client, stream, **body) == {0: "1 2 3 4"}
    sent = last_upstream(fake)
    assert sent.path == "/openai/deployments/gpt-4o/chat/completions"
    assert sent.body["messages"] == [{"role": "user", "content": "count to 9"}]
    assert (sent.body["max_tokens"], sent.body["stop"]) == (4, ["8"])
    assert not {"prompt", "echo"} & sent.body.keys()
    assert stack.usage(key, 1)[0]["output_tokens"] == 4


@pytest.mark.parametrize(
    ("param", "given"),
    [
        ("prompt", {"prompt": ["one", "two"]}), ("prompt", {"prompt": [1, 2]}), ("echo", {"echo": True}),
        ("suffix", {"suffix": "x"}), ("logprobs", {"logprobs": 1}), ("best_of", {"best_of": 3}),
    ],
)  # fmt: skip
def test_what_a_chat_model_does_not_take_is_named(
    stack: Stack, key: Key, fake: FakeAzure, param: str, given: dict[str, Any]
) -> None:
    body: Any = {"model": "gpt-4o", "prompt": "hi", **given}
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(**body)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    assert not upstream_calls(fake)
    assert stack.usage(key, 1)[0]["outcome"] == "client_error"


def test_broken_streams_end_in_an_error_event(stack: Stack, key: Key, fake: FakeAzure) -> None:
    body = {"model": "instruct", "prompt": "count to 9", "stream": True}
    for fault, outcome in (("cut", "upstream_cut"), ("error_event", "upstream_error")):
        fake.add_fault(fault, after=4)
        reply = stack.post(key, body, "/v1/completions")
        events = [e.removeprefix("data: ") for e in reply.text.rstrip("\n").split("\n\n")]
        assert json.loads(events[-1])["error"]["message"]
        assert "[DONE]" not in reply.text
        assert stack.usage(key, 1 if fault == "cut" else 2)[-1]["outcome"] == outcome


def test_client_that_leaves_is_counted(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("slow_chunks", seconds=0.05)
    with RawClient(stack) as client:
        client.post(
            key, {"model": "instruct", "prompt": "long 900", "max_tokens": 900, "stream": True}, "/v1/completions"
        )
        client.read_until(b"word2")
    assert wait_for_upstream(fake, lambda r: r.closed_early or r.completed).closed_early
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"]) == ("client_closed", True)
    assert 3 <= event["output_tokens"] < 900
