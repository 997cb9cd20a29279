"""Events on their way out over real sockets: a topic that checks what it gets, a queue in Azurite."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from azure.storage.queue import QueueClient as BlockingClient
from azure.storage.queue.aio import QueueClient

from local.fake_azure import FakeAzure
from shared.adapters.event_sinks import EventGridTopic, SinkFailed, StorageQueue, sink_of
from shared.adapters.identity import EntraTokens
from shared.adapters.outbox import Event
from shared.types import Secret
from tests.support.outside import SOURCE, outside
from tests.support.own_azurite import dead_connection_string

type Work = Callable[[httpx.AsyncClient, EntraTokens], Awaitable[None]]


def events(count: int, **data: Any) -> list[dict[str, Any]]:
    return [Event(f"id{n}", "test", f"s/{n}", 1e9, {"n": n, **data}, SOURCE).cloud_event() for n in range(count)]


def play(fake: FakeAzure, patch: pytest.MonkeyPatch, work: Work) -> None:
    async def whole() -> None:
        async with outside(fake, patch) as (http, tokens):
            await work(http, tokens)

    asyncio.run(whole())


@pytest.mark.parametrize("by_key", [True, False])
def test_a_topic_takes_batches(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch, by_key: bool) -> None:
    async def work(http: httpx.AsyncClient, tokens: EntraTokens) -> None:
        key = Secret(fake.state.topic_key if by_key else "")
        topic = EventGridTopic(http, fake.state.topic_url, key, tokens)
        await topic.send(events(topic.batch))
        assert fake.events == events(topic.batch)
        (asked,) = [r for r in fake.requests if r.resource == "management"]
        assert asked.query == {"api-version": "2018-01-01"}
        assert ("aeg-sas-key" in asked.headers, asked.auth) == ((True, "none") if by_key else (False, "bearer"))

    play(fake, monkeypatch, work)


def test_a_token_that_is_refused_is_replaced_once(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(http: httpx.AsyncClient, tokens: EntraTokens) -> None:
        topic = EventGridTopic(http, fake.state.topic_url, Secret(""), tokens)
        await topic.send(events(1))
        fake.expire_tokens()
        await topic.send(events(1))
        assert [r.status for r in fake.requests if r.resource == "management"] == [200, 401, 200]

    play(fake, monkeypatch, work)


@pytest.mark.parametrize(
    ("status", "refused", "words"),
    [(400, True, "answered 400"), (413, True, "answered 413"), (429, False, "429"), (503, False, "answered 503")],
)
def test_what_a_topic_says_decides_whether_it_is_tried_again(
    fake: FakeAzure, monkeypatch: pytest.MonkeyPatch, status: int, refused: bool, words: str
) -> None:
    async def work(http: httpx.AsyncClient, tokens: EntraTokens) -> None:
        topic = EventGridTopic(http, fake.state.topic_url, Secret(fake.state.topic_key), tokens)
        fake.add_fault("status", resource="topic", status=status)
        with pytest.raises(SinkFailed, match=words) as failed:
            await topic.send(events(1))
        assert failed.value.refused is refused
        assert fake.events == []

    play(fake, monkeypatch, work)


def test_a_wrong_key_and_a_topic_that_is_gone_are_tried_again(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(http: httpx.AsyncClient, tokens: EntraTokens) -> None:
        wrong = EventGridTopic(http, fake.state.topic_url, Secret("a-wrong-key-of-the-topic"), tokens)
        gone = EventGridTopic(http, "http://127.0.0.1:9/api/events", Secret("k"), tokens)
        said = ""
        for sink in (wrong, gone):
            with pytest.raises(SinkFailed) as failed:
                await sink.send(events(1))
            assert not failed.value.refused
            said += str(failed.value)
        assert "answered 401" in said
        assert "does not answer" in said
        assert "127.0.0.1" not in said
        assert "a-wrong-key" not in said

    play(fake, monkeypatch, work)


def test_an_identity_without_tokens_is_said(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(http: httpx.AsyncClient, tokens: EntraTokens) -> None:
        fake.add_fault("identity_status", status=400, times=-1)
        topic = EventGridTopic(http, fake.state.topic_url, Secret(""), tokens)
        with pytest.raises(SinkFailed, match="no token"):
            await topic.send(events(1))

    play(fake, monkeypatch, work)


def test_a_queue_gets_a_message_for_each_event_as_functions_read_them(azurite: Any) -> None:
    name = f"events-{uuid.uuid4().hex[:12]}"

    async def work() -> None:
        queue = StorageQueue(name, lambda: QueueClient.from_connection_string(azurite.connection_string, name))
        for event in events(3, text="ü"):  # the queue is not there yet
            await queue.send([event])
        await queue.close()

    asyncio.run(work())
    with BlockingClient.from_connection_string(azurite.connection_string, name) as reader:
        messages = [json.loads(base64.b64decode(m.content)) for m in reader.receive_messages(max_messages=10)]
    assert sorted(messages, key=lambda m: m["id"]) == events(3, text="ü")


def test_a_queue_that_fails_says_so(azurite: Any) -> None:
    async def work() -> None:
        dead = StorageQueue(
            "q", lambda: QueueClient.from_connection_string(dead_connection_string(), "q", retry_total=0)
        )
        with pytest.raises(SinkFailed) as failed:
            await dead.send(events(1))
        assert not failed.value.refused
        await dead.close()
        name = f"events-{uuid.uuid4().hex[:12]}"
        queue = StorageQueue(name, lambda: QueueClient.from_connection_string(azurite.connection_string, name))
        with pytest.raises(SinkFailed) as failed:
            await queue.send(events(1, text="x" * 60_000))  # more than a message may hold
        assert failed.value.refused
        await queue.close()

    asyncio.run(work())


def test_the_setting_says_which_sink(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(http: httpx.AsyncClient, tokens: EntraTokens) -> None:
        made: list[str] = []
        assert sink_of("", Secret(""), lambda: http, tokens, made.append) is None
        queue = sink_of("queue:tollgate-events", Secret(""), lambda: http, tokens, made.append)
        assert isinstance(queue, StorageQueue)
        assert queue.name == "the queue tollgate-events"
        assert made == []  # nothing is opened before it is used
        topic = sink_of(
            "https://t.eastus2-1.eventgrid.azure.net/api/events", Secret(""), lambda: http, tokens, made.append
        )
        assert isinstance(topic, EventGridTopic)

    play(fake, monkeypatch, work)
