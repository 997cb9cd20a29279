"""Azure OpenAI's webhooks at a real gateway: signed, doubled, late, forged, or about what nobody knows."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Generator
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.webhooks import signature
from shared.batches.azure.webhooks import TOLERANCE_SECONDS, UPSTREAM_BATCH
from shared.errors import ApiError
from tests.support.azure_batches import Parts, a_line, engine_at
from tests.support.batching import batching
from tests.support.models import aliases, config_text
from tests.support.polling import until
from tests.support.stack import Key, Stack

FIRST, SECOND, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 24).decode() for n in (1, 2, 3))
IN_VAULT = "batch-webhooks"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Generator[Stack]:
    fake_azure.put_secret(IN_VAULT, SECOND)
    secrets = f"litellm_settings: {{batch_webhook_secrets: [os.environ/HOOK_SECRET, keyvault/{IN_VAULT}]}}\n"
    config = config_text(aliases(fake_azure)) + secrets
    with batching(tmp_path_factory.mktemp("webhooks"), fake_azure, config, HOOK_SECRET=FIRST) as made:
        yield made


def event(batch: str, kind: str = "batch.completed") -> bytes:
    return json.dumps({"object": "event", "id": "evt_1", "type": kind, "data": {"id": batch}}).encode()


def signed(body: bytes, secret: str = FIRST, age: float = 0.0, **changed: str) -> dict[str, str]:
    at = int(time.time() - age)
    headers = {"webhook-id": "wh_1", "webhook-timestamp": str(at), "content-type": "application/json"}
    return {**headers, "webhook-signature": signature(secret, "wh_1", at, body), **changed}


def send(stack: Stack, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return stack.http.post("/v1/webhooks/azure", content=body, headers=headers)


def test_a_batch_ends_by_its_webhooks_and_is_settled_once(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.webhooks.register("main", f"{stack.url}/v1/webhooks/azure", FIRST, copies=3)
    fake.batches.set("main", seconds=0)
    line = {**a_line("a"), "body": {**a_line("a")["body"], "model": "gpt-4o-batch"}}
    with stack.openai(key) as client:
        file = client.files.create(file=("a.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        until(lambda: client.batches.retrieve(batch.id).status == "completed")
    told = until(lambda: [d for d in fake.webhooks.deliveries if d.get("status")][:3])
    assert {(d["type"], d["status"]) for d in told} == {("batch.completed", 204)}
    rows = [row for row in stack.ledger.events(key.id) if row.get("batch")]
    assert [(row["engine"], row["input_tokens"] > 0) for row in rows] == [("azure", True)]


@pytest.mark.parametrize("secret", [FIRST, SECOND])
def test_every_secret_is_good_also_one_in_key_vault(stack: Stack, secret: str) -> None:
    body = event("batch_nobody_knows")
    assert send(stack, body, signed(body, secret)).status_code == 204
    both = signed(body, secret)
    both["webhook-signature"] = f"v1,AAAA v1a,BBBB {both['webhook-signature']}"
    assert send(stack, body, both).status_code == 204


@pytest.mark.parametrize(
    "case", ["other secret", "old", "young", "body", "id", "no signature", "no time", "odd time", "other version"]
)
def test_what_is_not_signed_well_is_refused(stack: Stack, case: str) -> None:
    body = event("batch_1")
    headers = signed(body)
    match case:
        case "other secret":
            headers = signed(body, OTHER)
        case "old":
            headers = signed(body, age=TOLERANCE_SECONDS + 5)
        case "young":
            headers = signed(body, age=-TOLERANCE_SECONDS - 5)
        case "body":
            body = event("batch_2")
        case "id":
            headers["webhook-id"] = "wh_2"
        case "no signature":
            del headers["webhook-signature"]
        case "no time":
            del headers["webhook-timestamp"]
        case "odd time":
            headers["webhook-timestamp"] = "soon"
        case _:
            headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    refused = send(stack, body, headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_signature")


# What a good one brings about: one look more, and nothing else.


def take(parts: Parts, body: bytes) -> Any:
    now = int(parts.clock())
    headers = {"webhook-id": "w", "webhook-timestamp": str(now), "webhook-signature": signature(FIRST, "w", now, body)}
    return parts.webhooks.take(headers, body)


def test_one_look_more_is_all_that_a_webhook_brings(stack: Stack, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work() -> None:
        async with engine_at(stack.storage, fake, secrets=(FIRST,)) as parts:
            made = await parts.made(a_line("a"))
            batch = await parts.looked(made.id)
            assert batch.placement
            there = batch.placement.upstream_batch
            for body in (event(there, "response.completed"), event("batch_x"), b"[]", b"nothing", event(made.id)):
                await take(parts, body)
            assert parts.work.sent == []
            await take(parts, event(there))
            assert parts.work.sent == [({"do": "look", "batch": made.id, "turn": -1}, 0.0)]
            assert await parts.row(made.id) == batch, "what it says of the batch is not believed"
            fake.batches.release("main")
            await parts.over(made.id)
            assert await parts.rows.referred(UPSTREAM_BATCH, there) is None
            await take(parts, event(there))
            assert len(parts.work.of("look")) == 1

    asyncio.run(work())


def test_without_a_secret_none_is_taken(stack: Stack, fake: FakeAzure) -> None:
    async def work() -> None:
        async with engine_at(stack.storage, fake) as parts:
            with pytest.raises(ApiError) as refused:
                await take(parts, event("batch_1"))
            assert (refused.value.status, refused.value.code) == (404, "no_webhooks")
        async with engine_at(stack.storage, fake, secrets=("whsec_no base64!",)) as parts:
            with pytest.raises(ApiError) as refused:
                await take(parts, event("batch_1"))
            assert refused.value.status == 401
            assert parts.log.warnings[0][0].startswith("a secret of batch_webhook_secrets cannot be used")

    asyncio.run(work())
