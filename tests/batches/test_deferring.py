"""Deferred calls and callbacks through the real host with its queues."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from local.fake_azure import FakeAzure
from local.fake_azure.tls import server_context
from shared.batches.callbacks import callback_secret
from tests.support.batching import batching
from tests.support.models import aliases, config_text
from tests.support.polling import until
from tests.support.stack import PEPPER, Key, Stack, ask, upstream_calls

LINES = 4
"""A group of so many is full."""


@pytest.fixture(scope="module")
def deferring(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Generator[Stack]:
    rows = [row for row in aliases(fake_azure) if row[0] in ("gpt-4o", "gpt-4o-batch", "claude")]
    settings = {"DEFER_LINES": str(LINES), "DEFER_SECONDS": "86400", "CALLBACK_HOSTS": "localhost"}
    with batching(tmp_path_factory.mktemp("deferring"), fake_azure, config_text(rows), **settings) as stack:
        yield stack


@pytest.fixture
def stack(deferring: Stack, fake: FakeAzure) -> Stack:
    return deferring


@pytest.fixture
def key(stack: Stack) -> Key:
    return stack.key()


def all_off(
    stack: Stack, key: Key, *bodies: dict[str, Any], path: str = "/v1/chat/completions", **options: Any
) -> list[Any]:
    """Sent at once. -> what was answered."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: stack.post(key, body, path, **options), bodies))
    for answer in answers:
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == answer.json()["poll"]
        assert int(answer.headers["retry-after"]) >= 5
    return [answer.json() for answer in answers]


def answered(stack: Stack, key: Key, told: Any) -> httpx.Response:
    def there() -> httpx.Response | None:
        answer = stack.http.get(told["poll"], headers=key.bearer)
        return answer if answer.status_code != 202 else None

    found = until(there, 40, 0.1)
    assert found is not None
    return found


def test_deferred_calls_of_every_kind(stack: Stack, key: Key, fake: FakeAzure) -> None:
    night = all_off(stack, key, *[ask(f"night {n}", "gpt-4o-batch", service_tier="batch") for n in range(LINES)])
    chats = [ask(f"say {n}", service_tier="batch", metadata={"tags": ["x"]}) for n in range(LINES)]
    fake.add_fault("content_filter", deployment="gpt-4o")
    told = all_off(stack, key, *chats)
    assert [one["status"] for one in told] == ["queued"] * LINES
    claude = [{**ask(f"hello {n}", "claude"), "max_tokens": 20} for n in range(LINES)]
    header = {"x-tollgate-defer": "true"}
    talks = all_off(stack, key, *claude, path="/v1/messages", headers=header)
    early = stack.http.get(told[0]["poll"], headers=key.bearer)
    assert early.status_code in (200, 202)

    answers = [answered(stack, key, one) for one in told]
    assert sorted(answer.status_code for answer in answers) == [*[200] * (LINES - 1), 400]
    for n, answer in enumerate(answers):
        if answer.status_code == 200:
            assert f"say {n}" in answer.json()["choices"][0]["message"]["content"]
        else:
            assert answer.json()["error"]["code"] == "content_filter"
    for n, one in enumerate(talks):
        answer = answered(stack, key, one)
        assert (answer.status_code, answer.json()["type"]) == (200, "message")
        assert f"hello {n}" in answer.json()["content"][0]["text"]
    for n, one in enumerate(night):
        answer = answered(stack, key, one)
        assert (answer.status_code, answer.json()["model"]) == (200, "gpt-4o-batch")
        assert f"night {n}" in answer.json()["choices"][0]["message"]["content"]
    own = [
        call
        for call in upstream_calls(fake)
        if call.method == "POST" and call.path.endswith(("completions", "messages"))
    ]
    assert own
    assert not any("service_tier" in call.body or "tags" in str(call.body) for call in own)

    with stack.openai(key) as client:
        batches = client.batches.list().data
    assert sorted((batch.model, batch.request_counts and batch.request_counts.total) for batch in batches) == [
        ("claude", LINES), ("gpt-4o", LINES), ("gpt-4o-batch", LINES),
    ]  # fmt: skip
    events = stack.ledger.events(key.id)
    assert sum(event["status"] == 202 and event["endpoint"] == "chat_completions" for event in events) == 2 * LINES
    paid = [event for event in events if event.get("batch")]
    assert sum(event.get("count", 1) for event in paid) >= 3 * LINES - 1
    assert {event.get("engine") for event in paid} == {"own", "azure"}
    tagged = [event for event in paid if event["alias"] == "gpt-4o"]
    assert all("x" in str(event.get("tags", "")) for event in tagged)


def test_another_team_finds_nothing_and_rubbish_is_a_404(stack: Stack, key: Key) -> None:
    (told,) = all_off(stack, key, ask("hi", service_tier="batch"))
    other = stack.key()
    for path, who in ((told["poll"], other), ("/v1/deferred/deferred_0", key), ("/v1/deferred/batch_0", key)):
        answer = stack.http.get(path, headers=who.bearer)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert stack.http.get(told["poll"], headers=key.bearer).status_code == 202
    assert stack.http.get(f"/openai{told['poll']}", headers={"api-key": key.text}).status_code == 202


def test_what_cannot_be_put_off(stack: Stack, key: Key) -> None:
    for body, header, code in (
        (ask("hi", service_tier="batch", stream=True), "", "not_deferrable"),
        (ask("hi"), "perhaps", "invalid_value"),
        (ask("hi", "no-such", service_tier="batch"), "", "model_not_found"),
    ):
        answer = stack.post(key, body, headers={"x-tollgate-defer": header})
        assert answer.json()["error"]["code"] == code
    there = stack.post(key, ask("hi"), headers={"x-tollgate-defer": "true", "x-tollgate-region": "eu"})
    assert there.json()["error"]["code"] == "not_deferrable"
    assert stack.post(key, ask("hi", service_tier="default"), headers={"x-tollgate-defer": "false"}).status_code == 200


class Hook:
    """A receiver with TLS, on a thread of its own: fails first, then takes."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> str:
        self._thread.start()
        begun = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._play, "127.0.0.1", 0, ssl=self._tls), self._loop
        )
        self._server = begun.result(10)
        return f"https://localhost:{self._server.sockets[0].getsockname()[1]}/hook"

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._server.close()
            await self._server.wait_closed()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:-1]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.taken.append((headers, body))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


def test_a_callback_by_tls_that_openais_sdk_verifies(stack: Stack, fake: FakeAzure) -> None:
    team = "hooks"
    key = stack.key(team=team)
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ask("hi")}
    context, _ = server_context(Path(fake.state.ca_file).parent)
    hook = Hook(context)
    with hook as url, stack.openai(key) as client, OpenAI(api_key="none") as receiver:
        file = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        given: dict[str, Any] = {
            "input_file_id": file.id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        }
        batch = client.batches.create(**given, extra_body={"callback_url": url})
        until(lambda: hook.taken, 30)
        ((headers, body),) = hook.taken
        secret = callback_secret(PEPPER.encode(), f"team:{team}")
        receiver.webhooks.verify_signature(body, headers, secret=secret)
        told = json.loads(body)
        assert (told["type"], told["data"]["id"], told["data"]["status"]) == (
            "tollgate.batch.ended",
            batch.id,
            "completed",
        )
        assert client.files.content(told["data"]["output_file_id"]).text
        for private in ("https://169.254.169.254/x", "http://example.com/", "https://127.0.0.1/"):
            answer = stack.post(key, {**given, "callback_url": private}, "/v1/batches")
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_callback_url")
