"""Every token is written down, once, whatever happens to the process or to the store meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from tests.support.ledger import COUNTED, sum_of
from tests.support.own_azurite import OwnAzurite
from tests.support.polling import until
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, ask, run_manage, upstream_calls

SOUND = [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]
CACHEABLE = "the same words again and again " * 300


def told(reply: Any) -> dict[str, int]:
    """The tokens that Azure reported for an answer, streamed or not."""
    if "event-stream" in reply.headers["content-type"]:
        events = [e[6:] for e in reply.text.split("\n\n") if e.startswith("data: {")]
        usage = json.loads(events[-1])["usage"]
    else:
        usage = reply.json()["usage"]
    return {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "cached_input_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        "reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"],
        "audio_input_tokens": usage["prompt_tokens_details"]["audio_tokens"],
        "audio_output_tokens": usage["completion_tokens_details"]["audio_tokens"],
    }


@pytest.fixture
def mixed(stack: Stack, fake: FakeAzure) -> tuple[Key, dict[str, dict[str, int]]]:
    """A key that has made all sorts of calls, and by model what Azure said that they cost."""
    key = stack.key(f"mixed-{time.time_ns()}", team=f"team-{time.time_ns()}")
    bodies: list[dict[str, Any]] = [
        ask("count to 9"),
        ask("count to 9", n=2),
        ask(CACHEABLE),
        ask(CACHEABLE),
        ask("count to 4", "gpt-4o-v1"),
        ask("think", "gpt-5", reasoning_effort="high"),
        ask("think", "o3-mini"),
        ask("weather in Paris", tools=[{"type": "function", "function": {"name": "f"}}]),
        ask("count to 30", "asyncfilter"),
        ask("hello", "grok-4"),
        ask("hello", "plain"),
        {
            "model": "audio",
            "messages": [{"role": "user", "content": SOUND}],
            "modalities": ["text", "audio"],
            "audio": {"voice": "alloy", "format": "wav"},
        },
    ]
    sums: dict[str, Counter[str]] = {}
    for body in bodies:
        for more in ({}, {"stream": True, "stream_options": {"include_usage": True}}):
            reply = stack.post(key, body | more)
            assert reply.status_code == 200, reply.text
            sums.setdefault(body["model"], Counter()).update(told(reply) | {"requests": 1})
    for number in (400, 429, 500):
        fake.add_fault("status", status=number)
        assert stack.post(key, ask("hi")).status_code == number
        sums["gpt-4o"].update({"requests": 1, "failed": 1})
    assert stack.post(key, {"model": "gpt-4o"}).status_code == 400
    sums["gpt-4o"].update({"requests": 1, "failed": 1})
    by_model = {model: {n: counted[n] for n in COUNTED} for model, counted in sums.items()}
    return key, by_model


def added(rows: Any) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in COUNTED}


def test_totals_and_ledger_are_what_azure_said(stack: Stack, mixed: tuple[Key, dict[str, Any]]) -> None:
    key, by_model = mixed
    everything = added(by_model.values())
    assert everything["cached_input_tokens"] > 1024
    assert everything["reasoning_tokens"] > 0
    assert everything["audio_output_tokens"] > 0
    events = stack.usage(key, everything["requests"])
    assert len({e["request_id"] for e in events}) == len(events)
    for model, counted in by_model.items():
        if model == "gpt-4o":  # the call without messages was refused before its model was known
            continue
        assert sum_of([e for e in events if e["alias"] == model]) == counted
    assert sum_of(events) == everything
    assert until(lambda: (found := stack.ledger.summed(key.id)) == everything and found) == everything


def test_manage_usage_agrees(stack: Stack, mixed: tuple[Key, dict[str, Any]]) -> None:
    key, by_model = mixed
    everything = added(by_model.values())
    stack.usage(key, everything["requests"])

    def report(by: str) -> list[dict[str, Any]]:
        return run_manage(stack.settings, "usage", "--by", by, "--key", key.name)

    (line,) = report("key")
    assert (line["key"], line["id"]) == (key.name, key.id)
    assert {n: line[n] for n in COUNTED} == everything
    lines = {line["model"]: {n: line[n] for n in COUNTED} for line in report("model")}
    assert {m: lines[m] for m in by_model if m != "gpt-4o"} == {m: v for m, v in by_model.items() if m != "gpt-4o"}
    assert added(lines.values()) == everything
    (line,) = report("team")
    assert line["team"].startswith("team-")
    assert {n: line[n] for n in COUNTED} == everything
    days = report("day")
    assert added(days) == everything
    assert days[-1]["day"] == f"{datetime.now(UTC):%Y-%m-%d}"


@pytest.mark.parametrize("mode", ["asgi", "process"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_flush_per_request_loses_nothing_when_the_process_is_killed(
    new_stack: Callable[..., Stack], fake: FakeAzure, mode: str, stream: bool
) -> None:
    stack = new_stack(mode=mode, USAGE_FLUSH="request")
    key = stack.key()
    for number in range(1, 8):
        with RawClient(stack) as client:
            client.post(key, ask(f"count to {number}", stream=stream))
            client.read_until(b"data: [DONE]\n\n" if stream else b"}}")
    stack.kill()
    events = stack.ledger.events(key.id)
    assert [e["output_tokens"] for e in events] == [1, 2, 3, 4, 5, 6, 7]
    assert stack.ledger.summed(key.id) == sum_of(events)


def test_killed_process_loses_two_seconds_at_the_most(new_stack: Callable[..., Stack], fake: FakeAzure) -> None:
    """With a call always in flight, so that no idle moment helps."""
    stack = new_stack()
    key = stack.key()
    fake.add_fault("slow_chunks", seconds=0.2)
    ended: list[tuple[float, str]] = []
    with RawClient(stack) as background:
        background.post(key, ask("count to 1000", stream=True))
        background.read_until(b'" 2"')
        end = time.monotonic() + 3.5
        while time.monotonic() < end:
            reply = stack.post(key, ask("hi"))
            ended.append((time.monotonic(), reply.headers["x-request-id"]))
        killed = time.monotonic()
        stack.kill()
    written = [e["request_id"] for e in stack.ledger.events(key.id)]
    assert len(set(written)) == len(written)
    owed = {request for at, request in ended if at < killed - 2.4}  # two seconds, and the time of a write
    assert owed
    assert owed <= set(written)
    assert stack.ledger.summed(key.id)["requests"] >= len(owed)


def test_idle_process_owes_nothing(new_stack: Callable[..., Stack], fake: FakeAzure) -> None:
    stack = new_stack(mode="process")
    key = stack.key()
    assert stack.post(key, ask("count to 5")).status_code == 200
    until(lambda: stack.ledger.events(key.id) and stack.ledger.totals(key.id), 1.0)  # long before the two seconds
    stack.kill()
    assert stack.ledger.summed(key.id)["output_tokens"] == 5


@pytest.mark.parametrize("mode", ["asgi", "process"])
def test_process_that_ends_in_good_order_writes_what_it_owes(
    new_stack: Callable[..., Stack], fake: FakeAzure, mode: str
) -> None:
    stack = new_stack(mode=mode)
    key = stack.key()
    fake.add_fault("slow_chunks", seconds=0.2)
    with RawClient(stack) as background:  # something in flight: nothing is written when idle
        background.post(key, ask("count to 1000", stream=True))
        background.read_until(b'" 2"')
        for _ in range(5):
            assert stack.post(key, ask("count to 3")).status_code == 200
        stack.stop()
    events = stack.ledger.events(key.id)
    assert sorted(e["output_tokens"] for e in events if e["outcome"] == "ok") == [3] * 5


def test_store_outage_loses_and_doubles_nothing(
    new_stack: Callable[..., Stack], fake: FakeAzure, tmp_path: Path
) -> None:
    with OwnAzurite(tmp_path / "azurite") as store:
        stack = new_stack(store.connection_string)
        key = stack.key()
        seen: list[str] = []

        def call() -> None:
            reply = stack.post(key, ask("count to 3"))
            assert reply.status_code == 200, reply.text
            seen.append(reply.headers["x-request-id"])

        for _ in range(5):
            call()
        stack.usage(key, 5)
        store.stop()
        for _ in range(5):
            call()
        until(lambda: "usage not yet durable" in stack.log(), 30)
        call()
        store.start()
        for _ in range(5):
            call()
        until(lambda: len(stack.ledger.events(key.id)) >= 16, 40, 0.2)
        events = stack.ledger.events(key.id)
        assert sorted(e["request_id"] for e in events) == sorted(seen)
        until(lambda: stack.ledger.summed(key.id) == sum_of(events))
        assert stack.ledger.summed(key.id)["output_tokens"] == 48


def test_two_hosts_at_once_add_up(shared_stacks: Callable[[str], Stack], fake: FakeAzure) -> None:
    stacks = [shared_stacks("asgi"), shared_stacks("process")]
    key = stacks[0].key()
    failures: list[str] = []

    def calls(stack: Stack) -> None:
        for _ in range(25):
            reply = stack.post(key, ask("count to 3"))
            if reply.status_code != 200:
                failures.append(reply.text)

    threads = [threading.Thread(target=calls, args=(stack,)) for stack in stacks for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    events = stacks[0].usage(key, 100)
    assert len({e["request_id"] for e in events}) == 100
    until(lambda: stacks[0].ledger.summed(key.id)["requests"] == 100)
    assert stacks[0].ledger.summed(key.id) == sum_of(events)
    assert len(stacks[0].ledger.totals(key.id)) == 2  # a row for each process
    assert stacks[0].ledger.summed(key.id)["output_tokens"] == 300
    assert len(upstream_calls(fake)) == 100
