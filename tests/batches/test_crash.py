"""Hosts that are killed while a batch runs: every line is answered exactly once, and billed exactly once.

A small run of `python3 dev.py prove --only batches`, by another seed: here the fake Azure answers, and tests' own hosts
are killed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.batch_kill_proof import ENDED, judge
from local.fake_azure import FakeAzure
from tests.support.batching import RUNNING
from tests.support.models import aliases, config_text
from tests.support.own_azurite import OwnAzurite
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask, upstream_calls

LINES, KILLS, SEED = 600, 4, 3


@pytest.fixture
def hosts(tmp_path: Path, fake: FakeAzure) -> Generator[list[Stack]]:
    """Two that share their queues."""
    config = config_text([row for row in aliases(fake) if row[0] == "gpt-4o"])
    with OwnAzurite(tmp_path / "azurite") as storage:
        made = [_host(tmp_path / f"host-{n}", fake, storage.connection_string, config) for n in range(2)]
        with made[0], made[1]:
            yield made


def _host(folder: Path, fake: FakeAzure, storage: str, config: str) -> Stack:
    settings: dict[str, Any] = {**RUNNING, "FUNCHOST_QUEUE_LEASE": "2"}
    return Stack(folder, fake, storage, config=config, **settings)


def test_killed_hosts_lose_no_line_and_bill_none_twice(hosts: list[Stack], fake: FakeAzure) -> None:
    fake.add_fault("slow_first_byte", seconds=0.25, times=-1)
    # The fake's usual figures allow 120 calls a minute. A host that runs all six chunks may have 96 under way; one chunk
    # then waits for the end of that minute, as it should, but longer than this test does, which is not about limits.
    fake.set_quota("main", "gpt-4o", requests=1_000_000, tokens=1_000_000_000)
    key, rng = hosts[0].key(), random.Random(SEED)
    batch_id = _made(hosts[0], key)
    for point in sorted(rng.randrange(LINES * 3 // 4) for _ in range(KILLS)):
        until(lambda at=point: len(upstream_calls(fake)) >= at, 60)
        host = rng.choice(hosts)
        host.kill()
        host.start()  # the other one works meanwhile
    batch = until(lambda: _ended(hosts[0], key, batch_id), 60, 0.2)
    output, errors = (
        hosts[1].http.get(f"/v1/files/{batch[name]}/content", headers=key.bearer).text if batch[name] else ""
        for name in ("output_file_id", "error_file_id")
    )
    events = [e for e in hosts[0].ledger.events(key.id) if e["request_id"].startswith("batch_")]
    found = judge((f"c-{n}" for n in range(LINES)), output, errors, batch["request_counts"], events, (5, 5))
    assert found.holds, found
    totals = [row for row in hosts[0].ledger.totals(key.id) if row["alias"] == "gpt-4o"]
    assert sum(row["requests"] for row in totals) == LINES


def _made(host: Stack, key: Key) -> str:
    lines = [
        json.dumps({"custom_id": f"c-{n}", "method": "POST", "url": "/v1/chat/completions", "body": ask(f"n {n % 10}")})
        for n in range(LINES)
    ]
    form = {"file": ("in.jsonl", "\n".join(lines).encode())}
    file = host.http.post("/v1/files", files=form, data={"purpose": "batch"}, headers=key.bearer).json()
    body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return host.post(key, body, "/v1/batches").json()["id"]


def _ended(host: Stack, key: Key, batch_id: str) -> dict[str, Any]:
    reply = host.http.get(f"/v1/batches/{batch_id}", headers=key.bearer)
    assert reply.status_code == httpx.codes.OK, reply.text
    found = reply.json()
    return found if found["status"] in ENDED else {}
