"""Streams as they happen: when bytes arrive, what fills silence, and how a stream that breaks is told from one that ends."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from local.fake_azure import FakeAzure
from tests.support.app_copy import change, copy_app
from tests.support.leaks import assert_nothing_leaks
from tests.support.memory import resident
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, ask, last_upstream, upstream_calls

MB = 2**20


def test_chunks_arrive_as_they_are_sent(stack_of_mode: Stack, fake: FakeAzure) -> None:
    key = stack_of_mode.key()
    fake.add_fault("pause", after=4, seconds=1.0)
    with RawClient(stack_of_mode) as client:
        client.post(key, ask("count to 5", stream=True))
        client.read_until(b'" 2"')
        assert not last_upstream(fake).completed
        assert b'" 3"' not in client.seen
        client.read_until(b"[DONE]")
    (event,) = stack_of_mode.usage(key, 1)
    assert event["first_token_ms"] < 900 < event["latency_ms"]


def test_slow_chunks_come_one_by_one(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("slow_chunks", seconds=0.1)
    times: list[float] = []
    with stack.openai(key) as client:
        for chunk in client.chat.completions.create(**ask("count to 5"), stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                times.append(time.monotonic())
    assert times[-1] - times[0] > 0.3


@pytest.fixture(scope="module")
def hasty_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app with shorter silences, so that they can be waited for."""
    app = copy_app(tmp_path_factory.mktemp("app") / "app")
    change(app / "shared/adapters/reply_response.py", "KEEP_ALIVE_SECONDS = 15.0", "KEEP_ALIVE_SECONDS = 0.15")
    change(app / "shared/delivery.py", "stream_peek: float = 10.0", "stream_peek: float = 0.2")
    return app


@pytest.mark.parametrize("mode", ["asgi", "process"])
def test_silence_is_filled(new_stack: Any, hasty_app: Path, fake: FakeAzure, mode: str) -> None:
    stack: Stack = new_stack(mode=mode, app=hasty_app)
    key = stack.key()
    fake.add_fault("pause", after=4, seconds=0.6)
    with RawClient(stack) as client:  # in the middle
        began = time.monotonic()
        client.post(key, ask("count to 5", stream=True))
        client.read_until(b"[DONE]")
        middle = client.seen.partition(b'" 2"')[2].partition(b'" 3"')[0]
        assert middle.count(b": keep-alive\n\n") >= 2
        # no more of them than there is time for: a busy machine makes silences of its own
        assert client.seen.count(b": keep-alive\n\n") <= (time.monotonic() - began) / 0.15
    fake.add_fault("slow_headers_then_silence", seconds=0.6)
    with RawClient(stack) as client:  # before the first event: the status is 200 before anything is known
        client.post(key, ask("count to 5", stream=True))
        assert client.read_head().startswith("HTTP/1.1 200")
        assert not last_upstream(fake).completed
        client.read_until(b": keep-alive\n\n")
        client.read_until(b"[DONE]")
    fake.add_fault("pause", after=4, seconds=0.6)
    with stack.openai(key) as sdk:  # and no client is disturbed by it
        chunks = list(sdk.chat.completions.create(**ask("count to 5"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "1 2 3 4 5"
    assert [e["output_tokens"] for e in stack.usage(key, 3)] == [5, 5, 5]


@pytest.mark.parametrize("fault", ["status", "reset", "html", "content_filter"])
def test_error_before_the_first_byte_has_its_status(stack_of_mode: Stack, fake: FakeAzure, fault: str) -> None:
    key = stack_of_mode.key()
    fake.add_fault(fault)
    reply = stack_of_mode.post(key, ask("hi", "hidden-name", stream=True))
    assert reply.status_code == {"status": 500, "reset": 502, "html": 502, "content_filter": 400}[fault]
    assert reply.headers["content-type"] == "application/json"
    assert_nothing_leaks(fake, reply)


ENDINGS: list[tuple[str, dict[str, Any], str, str]] = [
    ("cut", {}, "upstream_disconnected", "upstream_cut"),
    ("clean_cut", {}, "upstream_disconnected", "upstream_cut"),
    ("malformed", {}, "upstream_bad_response", "upstream_error"),
    ("error_event", {}, "server_error", "upstream_error"),
    (
        "error_event",
        {"body": {"error": {"code": "content_filter", "message": "filtered at my-gpt4-deployment"}}},
        "content_filter",
        "upstream_error",
    ),
]


@pytest.mark.parametrize(("fault", "more", "code", "outcome"), ENDINGS, ids=[f"{e[0]}-{e[2]}" for e in ENDINGS])
def test_stream_that_breaks_ends_in_an_error_event(
    stack_of_mode: Stack, fake: FakeAzure, fault: str, more: dict[str, Any], code: str, outcome: str
) -> None:
    stack, key = stack_of_mode, stack_of_mode.key()
    texts: list[str] = []
    fake.add_fault(fault, after=4, **more)

    def collect(chunks: Any) -> None:
        for chunk in chunks:
            texts.extend(c.delta.content for c in chunk.choices if c.delta.content)

    with stack.openai(key) as client, pytest.raises(openai.APIError) as broken:
        collect(client.chat.completions.create(**ask("count to 9", "hidden-name"), stream=True))
    assert "".join(texts) == "1 2"
    assert broken.value.code == code
    fake.add_fault(fault, after=4, **more)
    reply = stack.post(key, ask("count to 9", "hidden-name", stream=True))
    assert reply.status_code == 200
    assert "[DONE]" not in reply.text
    assert '"finish_reason":"' not in reply.text
    assert reply.text.rstrip("\n").rpartition("data: ")[2].startswith('{"error":')
    assert_nothing_leaks(fake, reply)
    events = stack.usage(key, 2)
    assert [(e["outcome"], e["estimated"], e["status"]) for e in events] == [(outcome, True, 200)] * 2
    assert [e["output_tokens"] for e in events] == [2, 2]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "split", "size": 1}, {"kind": "split", "size": 5}, {"kind": "split", "size": 3, "crlf": True},
     {"kind": "crlf"}, {"kind": "split", "size": 4000}],
    ids=["byte-by-byte", "5", "crlf-3", "crlf", "large"],
)  # fmt: skip
def test_stream_is_the_same_wherever_it_is_cut(stack: Stack, key: Key, fake: FakeAzure, fault: dict[str, Any]) -> None:
    fake.add_fault(**fault)
    with stack.openai(key) as client:
        chunks = list(
            client.chat.completions.create(
                **ask("naïve 日本語 🎉"), stream=True, stream_options={"include_usage": True}
            )
        )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "You said: naïve 日本語 🎉"
    usage = chunks[-1].usage
    assert usage is not None
    assert stack.usage(key, 1)[0]["output_tokens"] == usage.completion_tokens


def test_stream_without_usage_is_counted_by_our_own_rule(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("no_usage")
    assert "[DONE]" in stack.post(key, ask("count to 9", stream=True)).text
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"], event["output_tokens"]) == ("ok", True, 9)
    assert event["input_tokens"] > 0


def test_100_000_events_leave_memory_flat(stack_of_mode: Stack, fake: FakeAzure) -> None:
    stack, key = stack_of_mode, stack_of_mode.key()
    stack.post(key, ask("long 2000", stream=True))
    before, most, events, last = resident(stack.worker_pid), 0, 0, b""
    body = ask("long 100000", stream=True)
    with stack.http.stream("POST", "/v1/chat/completions", json=body, headers=key.bearer) as reply:
        for number, piece in enumerate(reply.iter_bytes(65536)):
            events += piece.count(b"\n")
            last = (last + piece)[-100:]
            if number % 16 == 0:
                most = max(most, resident(stack.worker_pid))
    assert last.endswith(b"data: [DONE]\n\n")
    assert events == 2 * 100_003  # role, words, finish_reason, [DONE]: two line ends each
    assert most - before < 16 * MB
    assert stack.usage(key, 2)[1]["output_tokens"] == 100_000


def test_50_streams_at_once(stack_of_mode: Stack, fake: FakeAzure) -> None:
    key = stack_of_mode.key()
    fake.add_fault("slow_chunks", seconds=0.02, times=-1)

    async def one(client: Any, number: int) -> str:
        answer: Any = await client.chat.completions.create(**ask(f"count to {number}"), stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in answer if c.choices])

    async def work() -> list[str]:
        async with stack_of_mode.async_openai(key) as client:
            return await asyncio.gather(*(one(client, number) for number in range(1, 51)))

    began = time.monotonic()
    answers = asyncio.run(work())
    assert answers == [" ".join(map(str, range(1, n + 1))) for n in range(1, 51)]
    assert time.monotonic() - began < 15  # one after the other they would take 25 s at the least
    assert len(upstream_calls(fake)) == 50
    assert sum(e["output_tokens"] for e in stack_of_mode.usage(key, 50)) == sum(range(1, 51))
