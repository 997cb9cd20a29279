"""Every token is written down, once, whatever happens to the process or to the store meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from shared.adapters.telemetry import JsonLog
from shared.bootstrap import make_desk
from shared.operations.background import sweep_background
from shared.settings import Settings
from tests.support.ledger import COUNTED, sum_of
from tests.support.own_azurite import OwnAzurite
from tests.support.polling import until
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, ask, run_manage, upstream_calls
from tests.support.tls import NO_TLS

TOLD = tuple(name for name in COUNTED if name not in ("cost_nanos", "unpriced", "spilled", "spill_nanos"))
"""What Azure says of a call; what it costs is for the gateway to know."""
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


def told_of(sums: dict[str, int]) -> dict[str, int]:
    return {name: sums[name] for name in TOLD}


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
    by_model = {model: {n: counted[n] for n in TOLD} for model, counted in sums.items()}
    return key, by_model


def added(rows: Any) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in TOLD}


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
        assert told_of(sum_of([e for e in events if e["alias"] == model])) == counted
    sums = sum_of(events)
    assert told_of(sums) == everything
    assert until(lambda: (found := stack.ledger.summed(key.id)) == sums and found) == sums


def test_every_call_that_used_something_has_its_price(stack: Stack, mixed: tuple[Key, dict[str, Any]]) -> None:
    key, by_model = mixed
    events = stack.usage(key, added(by_model.values())["requests"])
    for event in events:
        used = event["input_tokens"] + event["output_tokens"] > 0
        unpriced = event.get("unpriced", False)
        assert unpriced or (event["cost_nanos"] > 0) == bool(event.get("price")) == used, event
        assert not unpriced or (used and event["alias"] not in ("gpt-4o", "gpt-4o-v1", "gpt-5", "o3-mini")), event
    whole, streamed = (e for e in events if e["alias"] == "gpt-4o-v1")
    assert (whole["cost_nanos"], whole["stream"]) == (streamed["cost_nanos"], False)
    assert streamed["stream"]
    assert sum_of(events)["cost_nanos"] > 0
    until(lambda: stack.ledger.summed(key.id) == sum_of(events))


def test_words_that_azure_has_cached_cost_less(stack: Stack, fake: FakeAzure, key: Key) -> None:
    for _ in range(2):
        assert stack.post(key, ask(f"{key.text} {CACHEABLE}")).status_code == 200
    dear, cheap = stack.usage(key, 2)
    assert (dear["cached_input_tokens"], dear["input_tokens"]) == (0, cheap["input_tokens"])
    assert cheap["cached_input_tokens"] > 1024
    assert cheap["cost_nanos"] < dear["cost_nanos"]


def test_tags_and_the_end_user_are_in_the_ledger(stack: Stack, fake: FakeAzure, key: Key) -> None:
    body = ask("hi", user="someone@example.com")
    assert stack.post(key, body, headers={"x-tollgate-tags": "blue, night-run"}).status_code == 200
    assert stack.post(key, ask("hi")).status_code == 200
    marked, plain = stack.usage(key, 2)
    assert (marked["tags"], marked["user"]) == (["blue", "night-run"], "someone@example.com")
    assert not {"tags", "user", "shadow", "unpriced"} & set(plain)


def test_manage_usage_agrees(stack: Stack, mixed: tuple[Key, dict[str, Any]]) -> None:
    key, by_model = mixed
    everything = added(by_model.values())
    events = stack.usage(key, everything["requests"])

    def report(by: str) -> list[dict[str, Any]]:
        return run_manage(stack.settings, "usage", "--by", by, "--key", key.name)

    (line,) = report("key")
    assert (line["key"], line["key_id"][:12]) == (key.name, key.id)
    assert told_of(line) == everything
    assert Decimal(line["cost_usd"]).scaleb(9) == sum_of(events)["cost_nanos"]
    lines = {line["model"]: told_of(line) for line in report("model")}
    assert {m: lines[m] for m in by_model if m != "gpt-4o"} == {m: v for m, v in by_model.items() if m != "gpt-4o"}
    assert added(lines.values()) == everything
    (line,) = report("team")
    assert line["team"].startswith("team-")
    assert told_of(line) == everything
    days = report("day")
    assert added(days) == everything
    assert days[-1]["day"] == f"{datetime.now(UTC):%Y-%m-%d}"


@pytest.mark.parametrize(("mode", "stream"), [("asgi", True), ("process", False)], ids=["stream", "whole"])
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
    assert sorted((e["output_tokens"], e["outcome"]) for e in events) == [(n, "ok") for n in range(1, 8)]
    assert stack.ledger.summed(key.id)["requests"] <= 7  # which follow, and are repaired where they could not


@pytest.mark.parametrize("mode", ["asgi", "process"])
def test_killed_under_load_every_call_that_was_served_is_in_the_ledger(
    new_stack: Callable[..., Stack], fake: FakeAzure, mode: str
) -> None:
    """USAGE_FLUSH=request: calls whose client has its answer as finished, calls in flight as unfinished."""
    stack = new_stack(mode=mode, USAGE_FLUSH="request")
    key = stack.key()
    fake.add_fault("slow_first_byte", seconds=0.05, times=-1)
    answered: list[str] = []

    def caller(name: int) -> None:
        with (
            httpx.Client(base_url=stack.url, trust_env=False, timeout=10, verify=NO_TLS) as http,
            suppress(httpx.HTTPError),
        ):
            for number in range(1000):
                user = f"caller-{name}-{number}"
                body = ask("count to 3", user=user, stream=number % 2 == 1)
                reply = http.post("/v1/chat/completions", json=body, headers=key.bearer)
                assert reply.status_code == 200, reply.text
                answered.append(user)

    threads = [threading.Thread(target=caller, args=(name,)) for name in range(12)]
    for thread in threads:
        thread.start()
    until(lambda: len(answered) >= 50, 20)
    stack.kill()
    for thread in threads:
        thread.join()
    fake.wait_idle(10)
    served = {record.body["user"] for record in upstream_calls(fake)}
    events = stack.ledger.events(key.id)
    outcomes = {event["user"]: event["outcome"] for event in events}
    assert len(outcomes) == len(events)
    assert served <= set(outcomes)
    assert {outcomes[user] for user in answered} == {"ok"}
    unfinished = [event for event in events if event["outcome"] == "unfinished"]
    assert unfinished
    assert all(event["estimated"] and event["input_tokens"] > 0 for event in unfinished)
    assert stack.ledger.summed(key.id)["requests"] <= len(events) - len(unfinished)


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
    assert len(owed) <= stack.ledger.summed(key.id)["requests"] <= len(written)


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


# Work in the background.


def begin_work(stack: Stack, key: Key) -> tuple[str, dict[str, Any]]:
    """A response in the background that has ended without anybody having looked. -> its id, what it used."""
    body = {"model": "gpt-5", "input": "count to 9", "background": True, "user": "night"}
    reply = stack.post(key, body, "/v1/responses", headers={"x-tollgate-tags": "blue"})
    assert reply.json()["status"] == "queued", reply.text
    return reply.json()["id"], reply.json()


def test_background_work_that_several_find_at_once_is_charged_once(
    shared_stacks: Callable[[str], Stack], fake: FakeAzure
) -> None:
    stacks = [shared_stacks("asgi"), shared_stacks("process")]
    key = stacks[0].key()
    made, _ = begin_work(stacks[0], key)
    first = stacks[0].http.get(f"/v1/responses/{made}", headers=key.bearer)
    assert first.json()["status"] == "in_progress"  # the fake's response ends at the next look
    seen: list[dict[str, Any]] = []

    def look(stack: Stack) -> None:
        seen.append(stack.http.get(f"/v1/responses/{made}", headers=key.bearer).json())

    threads = [threading.Thread(target=look, args=(stack,)) for stack in stacks for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = seen[0]["usage"]["output_tokens"]
    assert {response["status"] for response in seen} == {"completed"}
    events = stacks[0].usage(key, 11)
    (work,) = [event for event in events if event["output_tokens"]]
    assert (work["output_tokens"], work["alias"], work["request_id"][:5]) == (used, "gpt-5", "work-")
    assert (work["tags"], work["user"], work["cost_nanos"] > 0) == (["blue"], "night", True)
    assert stacks[0].ledger.summed(key.id) == sum_of(events)


def test_background_work_that_nobody_asks_for_is_charged_by_the_sweep(stack: Stack, fake: FakeAzure, key: Key) -> None:
    begin_work(stack, key)
    until(lambda: len(stack.usage(key, 1)) == 1)

    async def sweep(times: int) -> None:
        desk = make_desk(Settings.from_mapping(stack.settings), stack.settings, JsonLog("ERROR"))
        try:
            for _ in range(times):
                await sweep_background(desk, datetime.now(UTC) + timedelta(hours=1))
        finally:
            await desk.close()

    asyncio.run(sweep(4))
    events = stack.usage(key, 2)
    assert events[1]["output_tokens"] > 0
    assert events[1]["at"] == events[0]["at"]
    assert stack.ledger.summed(key.id) == sum_of(events)
