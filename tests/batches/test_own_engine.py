"""Batches that the gateway runs itself, through the real host with its queues: SDKs in front, the fake Azure behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient
from openai import OpenAI
from openai.types import Batch

from local.fake_azure import FakeAzure
from shared.adapters.batch_rows import TableBatches
from shared.adapters.tables import Tables
from tests.support.batching import batching
from tests.support.ledger import Row
from tests.support.models import aliases, config_text
from tests.support.polling import until
from tests.support.stack import Key, Stack, run_manage, upstream_calls

ENDED = ("completed", "failed", "expired", "cancelled")
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Generator[Stack]:
    rows = [row for row in aliases(fake_azure) if row[0] in ("gpt-4o", "gpt-4o-v1", "embedding", "claude")]
    with batching(tmp_path_factory.mktemp("own"), fake_azure, config_text(rows)) as stack:
        yield stack


@pytest.fixture
def stack(batches: Stack, fake: FakeAzure) -> Stack:
    return batches


@pytest.fixture
def key(stack: Stack) -> Key:
    return stack.key()


@pytest.fixture
def client(stack: Stack, key: Key) -> Generator[OpenAI]:
    with stack.openai(key) as made:
        yield made


def chat(text: str, model: str = "gpt-4o", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def made(client: OpenAI, bodies: Sequence[dict[str, Any]], url: Any = CHAT) -> Batch:
    """A batch of these; the custom ids are their numbers."""
    lines = [{"custom_id": f"c{n}", "method": "POST", "url": url, "body": body} for n, body in enumerate(bodies)]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")


def ended(client: OpenAI, batch: Batch, limit: float = 30) -> Batch:
    def over() -> Batch | None:
        now_is = client.batches.retrieve(batch.id)
        return now_is if now_is.status in ENDED else None

    found = until(over, limit, 0.2)
    assert found is not None
    return found


def lines_of(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    """custom_id -> its line; each once."""
    if not file_id:
        return {}
    lines = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    found = {line["custom_id"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def billed(stack: Stack, key: Key) -> list[Row]:
    """The ledger's events of batches."""
    return [event for event in stack.ledger.events(key.id) if event["request_id"].startswith("batch_")]


def counts(batch: Batch) -> tuple[int, int, int]:
    of = batch.request_counts
    assert of is not None
    return of.total, of.completed, of.failed


def test_chat_with_good_lines_and_bad_ones(stack: Stack, key: Key, client: OpenAI, fake: FakeAzure) -> None:
    bodies = [chat(f"say {n}") for n in range(130)]
    bodies[7]["messages"] = []
    bodies[8]["service_tier"] = "batch"
    batch = ended(client, made(client, bodies))
    assert (batch.status, counts(batch)) == ("completed", (130, 129, 1))
    output, errors = lines_of(client, batch.output_file_id), lines_of(client, batch.error_file_id)
    assert set(output) | set(errors) == {f"c{n}" for n in range(130)}
    assert list(errors) == ["c7"]
    assert errors["c7"]["error"] is None
    assert errors["c7"]["response"]["status_code"] == 400
    assert errors["c7"]["response"]["body"]["error"]["message"]
    good = output["c42"]
    assert good["id"].startswith("batch_req_")
    assert good["error"] is None
    assert (good["response"]["status_code"], good["response"]["request_id"][:4]) == (200, "req_")
    assert "say 42" in good["response"]["body"]["choices"][0]["message"]["content"]
    assert not any("service_tier" in call.body for call in upstream_calls(fake))
    events = billed(stack, key)
    assert len({event["request_id"] for event in events}) == len(events)
    deployment = upstream_calls(fake)[0].headers["host"] + "/gpt-4o"
    by_server = {event["deployment"]: 0 for event in events}
    for event in events:
        by_server[event["deployment"]] += event.get("count", 1)
    assert by_server == {deployment: 129, "": 1}, "what was refused here was asked of nobody"
    used = [line["response"]["body"]["usage"] for line in output.values()]
    assert sum(event["input_tokens"] for event in events) == sum(u["prompt_tokens"] for u in used)
    assert sum(event["output_tokens"] for event in events) == sum(u["completion_tokens"] for u in used)
    assert batch.usage is not None
    assert batch.usage.total_tokens == sum(u["total_tokens"] for u in used)
    assert {(e.get("engine"), e.get("batch", "")[:6], e["alias"]) for e in events} == {("own", "batch_", "gpt-4o")}


OTHERS = {
    "embeddings": ("/v1/embeddings", {"model": "embedding", "input": "some text"}, "data"),
    "responses": ("/v1/responses", {"model": "gpt-4o-v1", "input": "some text"}, "output"),
    "messages": ("/v1/messages", {**chat("hello", "claude"), "max_tokens": 20}, "content"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_azure_has_no_batches_for(client: OpenAI, name: str) -> None:
    url, body, part = OTHERS[name]
    batch = ended(client, made(client, [body] * 3, url))
    assert (batch.status, counts(batch)) == ("completed", (3, 3, 0)), lines_of(client, batch.error_file_id)
    for line in lines_of(client, batch.output_file_id).values():
        assert line["response"]["status_code"] == 200
        assert line["response"]["body"][part]


def test_a_refusal_for_want_of_room_is_no_answer(client: OpenAI, fake: FakeAzure) -> None:
    fake.add_fault("status", status=429, retry_after=1, times=3)
    batch = ended(client, made(client, [chat(f"n {n}") for n in range(6)]))
    assert counts(batch) == (6, 6, 0)


def test_a_cancelled_batch_stops_and_tells_what_was_not_run(
    stack: Stack, key: Key, client: OpenAI, fake: FakeAzure
) -> None:
    fake.add_fault("slow_first_byte", seconds=0.8, times=-1)
    batch = made(client, [chat(f"n {n}") for n in range(250)])
    until(lambda: len(upstream_calls(fake)) >= 8, 20)
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = ended(client, batch)
    assert batch.status == "cancelled"
    total, completed, failed = counts(batch)
    assert (total, failed) == (250, 0)
    assert completed < 250
    output, errors = lines_of(client, batch.output_file_id), lines_of(client, batch.error_file_id)
    assert len(output) == completed
    assert len(output) + len(errors) == 250
    assert {line["error"]["code"] for line in errors.values()} == {"batch_cancelled"}
    assert sum(event.get("count", 1) for event in billed(stack, key)) == completed
    seen = len(upstream_calls(fake))
    assert completed <= seen < 250


def test_what_is_left_when_a_batch_expires(stack: Stack, client: OpenAI, fake: FakeAzure) -> None:
    fake.add_fault("slow_first_byte", seconds=0.8, times=-1)
    batch = made(client, [chat(f"n {n}") for n in range(150)])
    until(lambda: len(upstream_calls(fake)) >= 8, 20)
    asyncio.run(_expire(stack))
    batch = ended(client, batch)
    assert batch.status == "expired"
    output, errors = lines_of(client, batch.output_file_id), lines_of(client, batch.error_file_id)
    assert len(output) + len(errors) == 150
    assert {line["error"]["code"] for line in errors.values()} == {"batch_expired"}
    assert batch.expired_at


async def _expire(stack: Stack) -> None:
    """As if its day were over."""
    tables = Tables(lambda: TableServiceClient.from_connection_string(stack.storage))
    rows = TableBatches(tables)
    ((batch, *_), _) = await rows.page(1)
    await rows.change(batch.id, lambda b: replace(b, expires_at=b.created_at))
    await tables.close()


def test_nobody_pays_for_lines_once_the_key_is_gone(stack: Stack, fake: FakeAzure) -> None:
    other = stack.key()
    fake.add_fault("slow_first_byte", seconds=0.2, times=-1)
    with stack.openai(other) as client:
        made(client, [chat(f"n {n}") for n in range(900)])
    run_manage(stack.settings, "keys", "revoke", other.name)
    until(lambda: _row(stack).ended, 30, 0.3)
    row = _row(stack)
    assert row.status == "completed"
    assert row.completed + row.failed == 900
    assert row.failed >= 100, "the chunks that were begun after that"


def _row(stack: Stack) -> Any:
    async def read() -> Any:
        tables = Tables(lambda: TableServiceClient.from_connection_string(stack.storage))
        ((batch, *_), _) = await TableBatches(tables).page(1)
        await tables.close()
        return batch

    return asyncio.run(read())


def test_money_that_lines_under_way_hold_is_waited_for(stack: Stack) -> None:
    """Each reserves 4,096 output tokens, four cents, and costs next to nothing: no more than two fit at once."""
    key = stack.key(budgets="total=0.1")
    with stack.openai(key) as client:
        batch = ended(client, made(client, [chat(f"n {n}") for n in range(40)]))
        assert counts(batch) == (40, 40, 0), next(iter(lines_of(client, batch.error_file_id).values()))
    _agrees(stack, key, batch)


def test_lines_for_which_no_money_is_left_say_so(stack: Stack) -> None:
    key = stack.key(budgets="total=0.0003")
    with stack.openai(key) as client:
        batch = ended(client, made(client, [chat("n " * 10, max_tokens=10) for _ in range(40)]))
        total, completed, failed = counts(batch)
        assert (batch.status, total) == ("completed", 40)
        assert completed
        assert failed
        errors = lines_of(client, batch.error_file_id)
    assert {line["response"]["body"]["error"]["code"] for line in errors.values()} == {"insufficient_quota"}
    assert _agrees(stack, key, batch) <= 300_000


def _agrees(stack: Stack, key: Key, batch: Batch) -> int:
    """The ledger's sum is what the batch says. -> nano-dollars."""
    events = [event for event in billed(stack, key) if event["deployment"]]
    used = batch.usage
    assert used is not None
    assert sum(event["input_tokens"] for event in events) == used.input_tokens
    assert sum(event["output_tokens"] for event in events) == used.output_tokens
    assert sum(event.get("count", 1) for event in events) == counts(batch)[1]
    nanos = sum(int(event["cost_nanos"]) for event in events)
    assert nanos == _row(stack).figures.cost_nanos > 0
    return nanos
