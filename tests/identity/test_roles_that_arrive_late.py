"""An identity whose roles are not there yet: clients hear of a fault of ours, the operator of the role, and all works
as soon as it is assigned, in the same process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.adapters.azure_errors import ROLES
from tests.support.keyless import OPERATOR, deployments, made_key
from tests.support.leaks import assert_nothing_leaks
from tests.support.models import config_text
from tests.support.oauth_storage import OAuthStorage
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask

CHAT: Any = "/v1/chat/completions"
SOME_KEY = Key("sk-" + "a" * 43, "", "")


def warnings(stack: Stack) -> str:
    """What the operator reads."""
    return "\n".join(line for line in stack.log().splitlines() if '"event":"call"' not in line)


@pytest.fixture
def roleless(keyless: Callable[..., Stack], fake: FakeAzure, storage: OAuthStorage) -> Stack:
    place = storage.put("config", "late.yaml", config_text(deployments(fake)).encode())
    storage.denied |= {"blob", "queue", "table"}
    return keyless(CONFIG_SOURCE=f"blob:{place}")


def test_roles_arrive_one_by_one(roleless: Stack, fake: FakeAzure, storage: OAuthStorage) -> None:
    stack = roleless
    fake.add_fault("no_role")
    fake.add_fault("vault_no_role")
    configuration_comes_late(stack, fake, storage)
    tables_come_late(stack, fake, storage)
    key = made_key(stack, "late")
    models_come_late(stack, key, fake)
    vault_comes_late(stack, key, fake)
    blobs_come_late(stack, key, fake, storage)
    queues_come_late(stack, key, storage)


def configuration_comes_late(stack: Stack, fake: FakeAzure, storage: OAuthStorage) -> None:
    refused = stack.post(SOME_KEY, ask("hi"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "gateway_misconfigured")
    assert_nothing_leaks(fake, refused)
    assert ROLES["blob"] in str(stack.http.get("/health/ready", headers=OPERATOR).json()["reasons"]["config"])
    assert ROLES["blob"] in warnings(stack)
    storage.denied.discard("blob")
    until(lambda: stack.post(SOME_KEY, ask("hi")).json()["error"]["code"] != "gateway_misconfigured", every=0.2)
    storage.denied.add("blob")


def tables_come_late(stack: Stack, fake: FakeAzure, storage: OAuthStorage) -> None:
    ready = stack.http.get("/health/ready", headers=OPERATOR)
    assert ready.status_code == 503
    assert ROLES["table"] in ready.json()["reasons"]["key_store"]
    assert ROLES["table"] not in stack.http.get("/health/ready").text, "strangers need not know"
    refused = stack.post(SOME_KEY, ask("hi"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "key_store_unavailable")
    assert_nothing_leaks(fake, refused)
    assert ROLES["table"] in warnings(stack)
    assert stack.http.post("/manage/keys", headers=OPERATOR, json={"name": "early"}).status_code == 503
    storage.denied.discard("table")
    until(lambda: stack.http.get("/health/ready").status_code == 200)


def models_come_late(stack: Stack, key: Key, fake: FakeAzure) -> None:
    for _ in range(3):
        refused = stack.post(key, ask("hi"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_auth_failed")
        assert_nothing_leaks(fake, refused)
    until(lambda: "Cognitive Services OpenAI User" in warnings(stack))
    # a token that is as good as any other is not fetched again at each call
    asked = [r for r in fake.requests if r.resource == "identity" and "cognitiveservices" in r.query["resource"]]
    assert len(asked) == 2
    fake.faults.clear()
    fake.add_fault("vault_no_role")
    assert stack.post(key, ask("hi")).status_code == 200


def vault_comes_late(stack: Stack, key: Key, fake: FakeAzure) -> None:
    refused = stack.post(key, ask("hi", "vault"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_auth_failed")
    assert_nothing_leaks(fake, refused)
    until(lambda: ROLES["vault"] in warnings(stack))
    fake.faults.clear()
    until(lambda: stack.post(key, ask("hi", "vault")).status_code == 200, every=0.2)


def blobs_come_late(stack: Stack, key: Key, fake: FakeAzure, storage: OAuthStorage) -> None:
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": ask("hi")}
    sent: dict[str, Any] = {
        "data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", json.dumps(line).encode() + b"\n")},
        "headers": key.bearer,
    }  # fmt: skip
    refused = stack.http.post("/v1/files", **sent)
    assert refused.status_code == 503, refused.text
    assert_nothing_leaks(fake, refused)
    until(lambda: '"storage unavailable"' in warnings(stack))
    storage.denied.discard("blob")
    assert stack.http.post("/v1/files", **sent).status_code == 200


def queues_come_late(stack: Stack, key: Key, storage: OAuthStorage) -> None:
    """Nobody has to notice: a batch is looked after by a timer as well."""
    with stack.openai(key) as client:
        file = client.files.list().data[0]
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        until(lambda: ROLES["queue"] in warnings(stack))
        storage.denied.discard("queue")
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    assert [asked.status for asked in storage.asked if asked.service == "queue"][-1] == 201


def test_the_roles_that_are_told_are_those_that_are_assigned() -> None:
    listed = json.loads((Path(__file__).resolve().parents[2] / "shared" / "roles.json").read_text())
    of_app = {row["name"] for row in listed if row["who"] == "app"}
    assert set(ROLES.values()) <= of_app
    assert {
        "Cognitive Services OpenAI User",
        "Cognitive Services OpenAI Contributor",
        "Cognitive Services User",
    } <= of_app
