"""Tokens that live for seconds, secrets that are rotated, endpoints that fail: through gateways without any key."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from local.fake_azure import FakeAzure
from local.fake_azure.authority import FEDERATED_AUDIENCE, FEDERATED_SUBJECT
from tests.support.keyless import OPERATOR, azure, made_key
from tests.support.leaks import assert_nothing_leaks
from tests.support.oauth_storage import AUDIENCE, OAuthStorage
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask

MODELS = "https://cognitiveservices.azure.com"


def asked(fake: FakeAzure, audience: str) -> int:
    return len([r for r in fake.requests if r.resource == "identity" and r.query.get("resource") == audience])


def at_once(stack: Stack, key: Key, model: str = "gpt-4o", calls: int = 20) -> set[int]:
    """The statuses of calls that come together."""
    with ThreadPoolExecutor(calls) as threads:
        return set(threads.map(lambda _: stack.post(key, ask("hi", model)).status_code, range(calls)))


def test_no_call_fails_while_tokens_live_for_two_seconds(keyless: Callable[..., Stack], fake: FakeAzure) -> None:
    fake.add_fault("token_lifetime", seconds=2)
    stack = keyless(KEY_CACHE_SECONDS="0.1")
    key = made_key(stack, "short")
    statuses: set[int] = set()

    def renewed() -> bool:
        statuses.add(stack.post(key, ask("hi")).status_code)
        # both are the gateway's: the queues rest, so the host asks for nothing
        return asked(fake, MODELS) >= 3 and asked(fake, AUDIENCE) >= 3

    until(renewed, limit=30)
    assert statuses == {200}
    assert "no token" not in stack.log()


def test_a_cold_start_beside_an_endpoint_that_fails(keyless: Callable[..., Stack], fake: FakeAzure) -> None:
    """Down: clear answers of ours. Back again, if slowly and in parts: calls wait for it, and all of them ask once."""
    warm = keyless()
    key = made_key(warm, "cold")
    warm.stop()
    fake.wait_idle()
    fake.clear()
    fake.add_fault("identity_status", status=400, body={"statusCode": 400, "message": "no such identity"}, times=-1)
    stack = keyless()
    assert_down(stack, key, fake)
    fake.clear()
    fake.add_fault("identity_status", status=500)
    fake.add_fault("identity_status", status=429, retry_after=0.2)
    fake.add_fault("identity_slow", seconds=0.2)
    assert at_once(stack, key) == {200}
    assert (asked(fake, AUDIENCE), asked(fake, MODELS)) == (3, 1)


def assert_down(stack: Stack, key: Key, fake: FakeAzure) -> None:
    ready = stack.http.get("/health/ready", headers=OPERATOR)
    assert ready.status_code == 503
    assert "no such identity" in ready.json()["reasons"]["key_store"]
    refused = stack.post(key, ask("hi"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "key_store_unavailable")
    assert_nothing_leaks(fake, refused)
    assert "no such identity" in stack.log()


def test_what_is_rotated_is_taken_at_the_next_call(
    keyless: Callable[..., Stack], fake: FakeAzure, tmp_path: Path
) -> None:
    """An api key and a client secret in the vault, and the token file of a workload identity."""
    client, secret = next(iter(fake.state.clients.items()))
    fake.put_secret("client-secret", secret)
    assertion = tmp_path / "assertion"
    assertion.write_text(fake.state.federated_assertion)
    signing_in: dict[str, Any] = {"tenant_id": fake.state.tenant_id, "client_id": client}
    rows: list[Any] = [
        ("vault", azure(fake, "gpt-4o", api_key="keyvault/main-api-key"), {}),
        ("app", azure(fake, "gpt-4o", **signing_in, client_secret="keyvault/client-secret"), {}),
        ("workload", azure(fake, "gpt-4o", **signing_in, azure_federated_token_file=str(assertion)), {}),
    ]
    stack = keyless(rows)
    key = made_key(stack, "rotation")
    old = fake.state.resources["main"].key
    fake.add_fault("vault_status", status=503, times=-1)
    refused = stack.post(key, ask("hi", "vault"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_auth_failed")
    assert_nothing_leaks(fake, refused)
    fake.clear()
    for alias, _, _ in rows:
        until(lambda alias=alias: stack.post(key, ask("hi", alias)).status_code == 200, every=0.2)
    try:
        fake.set_key("main", "another-key")
        fake.put_secret("main-api-key", "another-key")
        rotate_secret(fake, client, "another-secret")
        fake.put_secret("client-secret", "another-secret")
        fake.expire_tokens()
        assertion.write_text(fake.issue_token(FEDERATED_AUDIENCE, sub=FEDERATED_SUBJECT))
        for alias, _, _ in rows:
            assert at_once(stack, key, alias, 5) == {200}
        fake.add_fault("vault_status", status=503, times=-1)  # what was read is good for as long as it is
        assert at_once(stack, key, "vault", 5) == {200}
    finally:
        fake.set_key("main", old)
        fake.put_secret("main-api-key", old)
        rotate_secret(fake, client, secret)


def rotate_secret(fake: FakeAzure, client: str, secret: str) -> None:
    """The state's mapping is the directory's own."""
    cast("dict[str, str]", fake.state.clients)[client] = secret


def test_tokens_that_storage_takes_back(keyless: Callable[..., Stack], fake: FakeAzure, storage: OAuthStorage) -> None:
    stack = keyless(KEY_CACHE_SECONDS="0.1")
    key = made_key(stack, "revoked")
    assert stack.post(key, ask("hi")).status_code == 200
    storage.revoke()
    until(lambda: any(each.status == 401 for each in storage.asked) or stack.post(key, ask("hi")).status_code != 200)
    for _ in range(3):
        assert stack.post(key, ask("hi")).status_code == 200
    assert asked(fake, AUDIENCE) == 2
    assert stack.http.get("/health/ready").status_code == 200
