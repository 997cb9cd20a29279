"""A whole life of a gateway that has no key of anything: storage, vault and models by its user-assigned identity."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jwt

from local.fake_azure import FakeAzure
from tests.support.keyless import OPERATOR, deployments, made_key
from tests.support.oauth_storage import AUDIENCE, OAuthStorage
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask

CHAT: Any = "/v1/chat/completions"
MODELS = "https://cognitiveservices.azure.com"
VAULT = "https://vault.azure.net"
AUDIENCES = {"main": {MODELS}, "vault": {VAULT}}
"""Which tokens each place may see; all others see none."""


def used(stack: Stack, key: Key) -> dict[str, int]:
    rows = stack.http.get("/manage/usage", headers=OPERATOR, params={"key": key.id, "by": "endpoint"})
    return {row["endpoint"]: row["requests"] for row in rows.raise_for_status().json()["rows"]}


def tokens_by_place(fake: FakeAzure) -> dict[str, set[str]]:
    """Place -> the audiences of the tokens that it was sent."""
    found: dict[str, set[str]] = {}
    for record in fake.requests:
        token = record.headers.get("authorization", "").removeprefix("Bearer ")
        if token.count(".") == 2:
            found.setdefault(record.resource, set()).add(jwt.decode(token, options={"verify_signature": False})["aud"])
    return found


def test_a_whole_life(keyless: Callable[..., Stack], fake: FakeAzure, storage: OAuthStorage) -> None:
    plain = fake.state.resources["openai"]
    open_ai = {"model": "openai/gpt-4o", "api_base": f"{plain.url}/v1", "api_key": plain.key}
    stack = keyless([*deployments(fake), ("plain", open_ai, {})], queues=True)
    assert "AzureWebJobsStorage" not in stack.settings
    assert stack.http.get("/health/ready").status_code == 200
    key = made_key(stack, "life")
    with stack.openai(key) as client:
        assert client.chat.completions.create(**ask("hi")).choices[0].message.content == "You said: hi"
        assert list(client.chat.completions.create(**ask("hi"), stream=True))
        assert client.chat.completions.create(**ask("hi", "vault")).choices
        assert client.chat.completions.create(**ask("hi", "plain")).choices
        assert len(client.embeddings.create(model="embedding", input="x").data) == 1
        line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": ask("from a batch", "batch")}
        file = client.files.create(file=("in.jsonl", json.dumps(line).encode() + b"\n"), purpose="batch")
        assert client.files.content(file.id).content == json.dumps(line).encode() + b"\n"
        batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        # the host's own queue triggers place it and look after it
        until(lambda: client.batches.retrieve(batch.id).status == "completed", limit=20, every=0.2)
        answers = client.files.content(str(client.batches.retrieve(batch.id).output_file_id))
        assert b"from a batch" in answers.content
    until(lambda: used(stack, key).get("chat_completions", 0) >= 4, every=0.1)
    assert used(stack, key)["embeddings"] == 1
    assert_asked_by_one_identity(fake, storage)
    assert_no_token_elsewhere(fake)
    before = len(storage.asked)
    assert stack.post(key, ask("hi")).status_code == 200
    assert "Unclosed" not in stack.log()  # while it lives: an interpreter that ends drops the SDKs' clients as they are
    stack.stop()  # what is still owed is written while the interpreter ends, by identity as well
    written = [asked for asked in storage.asked[before:] if "tollgateledger" in asked.path]
    assert {asked.status for asked in written} <= {200, 202, 204}
    assert written
    assert "was not written" not in stack.log()


def assert_asked_by_one_identity(fake: FakeAzure, storage: OAuthStorage) -> None:
    client = fake.state.managed_client_id
    assert {asked.service for asked in storage.asked} == {"blob", "queue", "table"}
    assert {asked.claims.get("aud") for asked in storage.asked} == {AUDIENCE}
    assert {asked.claims.get("appid") for asked in storage.asked} == {client}
    assert not [asked for asked in storage.asked if asked.status in (401, 403)]
    fake.wait_idle()
    identity = [record for record in fake.requests if record.resource == "identity"]
    assert {record.query["client_id"] for record in identity} == {client}
    # once by the gateway for all its clients of storage, and once by the host beside it
    asked = [record.query["resource"] for record in identity]
    assert {audience: asked.count(audience) for audience in asked} == {AUDIENCE: 2, MODELS: 1, VAULT: 1}


def assert_no_token_elsewhere(fake: FakeAzure) -> None:
    """Each place sees tokens that are of use there alone; the identity's own header is seen by its endpoint alone."""
    assert tokens_by_place(fake) == AUDIENCES
    with_header = {record.resource for record in fake.requests if "x-identity-header" in record.headers}
    assert with_header == {"identity"}
    assert [record.auth for record in fake.requests if record.resource == "openai"] == ["bearer"]
