"""The service tier by which an upstream says it has served, and how long Claude keeps its cache: in the ledger as told."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from local.fake_azure import FakeAzure
from tests.support.stack import Key, Stack, ask, last_upstream

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
TIERS = [
    ({"service_tier": "priority"}, "", "priority"),
    ({"service_tier": "flex"}, "", "flex"),
    ({"service_tier": "auto"}, "", "default"),
    ({"service_tier": "priority"}, "default", "default"),  # downgraded
    ({}, "", ""),  # Azure tells none unless it is asked
    ({}, "scale", ""),
]


def tier_of(stack: Stack, key: Key) -> str:
    (event,) = stack.usage(key, 1)
    assert event["estimated"] is False
    assert event["output_tokens"] > 0
    return event.get("tier", "")


@STREAM
@pytest.mark.parametrize(("asked", "ordered", "expect"), TIERS)
def test_chat(
    stack: Stack, key: Key, fake: FakeAzure, stream: bool, asked: dict[str, Any], ordered: str, expect: str
) -> None:
    if ordered:
        fake.add_fault("tier", body=ordered)
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask("count to 3", "gpt-4o-v1", stream=stream, **asked))
        told = [chunk.service_tier for chunk in answer] if stream else [answer.service_tier]
    assert last_upstream(fake).body.get("service_tier") == asked.get("service_tier")
    assert told[-1] == (expect or None)
    assert tier_of(stack, key) == expect


@STREAM
@pytest.mark.parametrize(
    ("asked", "ordered", "expect"),
    [("priority", "", "priority"), ("auto", "", "default"), ("flex", "default", "default")],
)
def test_responses(
    stack: Stack, key: Key, fake: FakeAzure, stream: bool, asked: Any, ordered: str, expect: str
) -> None:
    if ordered:
        fake.add_fault("tier", body=ordered)
    with stack.openai(key) as client:
        answer: Any = client.responses.create(
            model="gpt-4o-v1", input="count to 3", stream=stream, service_tier=asked
        )  # fmt: skip
        if stream:
            responses = [event.response for event in answer if hasattr(event, "response")]
            assert responses[0].service_tier == asked  # a response begins with what was asked for
            answer = responses[-1]
    assert answer.service_tier == expect
    assert tier_of(stack, key) == expect


def test_response_in_the_background(stack: Stack, key: Key) -> None:
    calls = 1
    with stack.openai(key) as client:
        made = client.responses.create(model="gpt-4o-v1", input="count to 3", background=True, service_tier="priority")
        while made.status in ("queued", "in_progress"):
            made = client.responses.retrieve(made.id)
            calls += 1
    assert made.service_tier == "priority"
    assert calls > 2
    events = stack.usage(key, calls + 1)  # the work itself is an event of its own
    assert [e.get("tier", "") for e in events if e["output_tokens"]] == ["priority"]


@STREAM
@pytest.mark.parametrize(
    ("alias", "path"), [("codex", "chat"), ("asyncfilter", "responses"), ("gpt-4o", "messages"), ("codex", "messages")]
)
def test_translated(stack: Stack, key: Key, fake: FakeAzure, stream: bool, alias: str, path: str) -> None:
    """The upstream's word counts, in whatever language it comes."""
    fake.add_fault("tier", body="default" if path == "chat" else "priority")
    if path == "messages":
        with anthropic.Anthropic(api_key=key.text, base_url=stack.url, max_retries=0) as client:
            body: Any = {"model": alias, "max_tokens": 4000, "messages": ask("count to 3")["messages"]}
            answer: Any = client.messages.create(**body, service_tier="auto", stream=stream)
            told = [event for event in answer] if stream else answer.usage.service_tier
        assert stream or told == "priority"
        assert tier_of(stack, key) == "priority"
        return
    expect = "default" if path == "chat" else "priority"
    with stack.openai(key) as openai:
        if path == "chat":
            answer = openai.chat.completions.create(**ask("count to 3", alias, stream=stream, service_tier="priority"))
        else:
            answer = openai.responses.create(model=alias, input="count to 3", stream=stream, service_tier="auto")
        last = list(answer)[-1] if stream else answer
    assert getattr(last, "response", last).service_tier == expect
    assert tier_of(stack, key) == expect


CACHED = [
    {
        "type": "text",
        "text": "an hour's words again and again " * 300,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
]


@STREAM
@pytest.mark.parametrize(("ordered", "expect"), [("", "standard"), ("priority", "priority"), ("batch", "batch")])
def test_claude(stack: Stack, key: Key, fake: FakeAzure, stream: bool, ordered: str, expect: str) -> None:
    if ordered:
        fake.add_fault("tier", body=ordered)
    words: Any = [{**CACHED[0], "text": f"{ordered}{stream} {CACHED[0]['text']}"}]
    with anthropic.Anthropic(api_key=key.text, base_url=stack.url, max_retries=0) as client:
        body: Any = {"model": "claude", "max_tokens": 400, "system": words, "messages": ask("count to 3")["messages"]}
        if stream:
            with client.messages.stream(**body) as events:
                usage = events.get_final_message().usage
        else:
            usage = client.messages.create(**body).usage
    assert usage.cache_creation is not None
    hour = usage.cache_creation.ephemeral_1h_input_tokens
    assert hour > 1000
    (event,) = stack.usage(key, 1)
    assert (event["cache_write_tokens"], event["cache_write_1h_tokens"]) == (hour, hour)
    assert (event["output_tokens"], event.get("tier", "")) == (3, expect)
    assert (usage.service_tier, event["estimated"]) == (expect, False)


@STREAM
def test_claude_through_chat(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    fake.add_fault("tier", body="priority")
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask("count to 3", "claude", stream=stream, max_tokens=99))
        assert not stream or list(answer)
    assert tier_of(stack, key) == "priority"


def test_claudes_stream_that_is_cut_costs_what_was_written(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """Its first event says 1 output token, whatever follows."""
    fake.add_fault("cut", after=12)
    with anthropic.Anthropic(api_key=key.text, base_url=stack.url, max_retries=0) as client:
        body: Any = {"model": "claude", "max_tokens": 400, "messages": ask("count to 30")["messages"]}
        with pytest.raises(anthropic.APIError):
            list(client.messages.create(**body, stream=True))
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"], event.get("tier")) == ("upstream_cut", True, "standard")
    assert event["output_tokens"] >= 8
    assert event["input_tokens"] > 0
