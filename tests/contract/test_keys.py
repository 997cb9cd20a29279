"""Keys: how they are sent, when they end, and what becomes of callers while the key store is down."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from local.fake_azure import FakeAzure
from tests.support.own_azurite import OwnAzurite, dead_connection_string
from tests.support.polling import until
from tests.support.stack import ADMIN, Key, Stack, ask, run_manage, upstream_calls


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer {}", "authorization: bearer  {}", "api-key: {}", "x-api-key: {}"]
)
def test_key_is_taken_from_any_usual_header(stack: Stack, key: Key, header: str) -> None:
    name, _, value = header.format(key.text).partition(": ")
    assert stack.post(None, ask("hi"), headers={name: value}).status_code == 200
    assert stack.http.get("/v1/models", headers={name: value}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Basic {}"},
        {"authorization": "{}"},
        {"api-key": "Bearer {}"},
        {"api-key": "{}x"},
        {"cookie": "api-key={}"},
        {"x-functions-key": "{}"},
    ],
    ids=str,
)
def test_key_is_taken_from_nowhere_else(stack: Stack, key: Key, fake: FakeAzure, headers: dict[str, str]) -> None:
    sent = {name: value.format(key.text) for name, value in headers.items()}
    assert stack.post(None, ask("hi"), f"/v1/chat/completions?api-key={key.text}", headers=sent).status_code == 401
    assert not upstream_calls(fake)


def essence(reply: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    own = {k: v for k, v in reply.headers.items() if k not in ("date", "x-request-id")}
    return reply.status_code, reply.content, own


def test_unknown_disabled_and_expired_keys_look_alike(stack: Stack, fake: FakeAzure) -> None:
    disabled, expired = stack.key("to-be-disabled"), stack.key(expires="2020-01-01")
    run_manage(stack.settings, "keys", "revoke", disabled.id)
    unknown = Key("sk-" + "A" * 43, "", "")
    malformed = Key("sk-short", "", "")
    answers = [essence(stack.post(k, ask("hi"))) for k in (unknown, disabled, expired, malformed, None)]
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)
    assert essence(stack.http.get("/v1/models", headers=disabled.bearer)) == answers[0]
    assert not upstream_calls(fake)


def test_model_not_allowed(stack: Stack, fake: FakeAzure) -> None:
    narrow = stack.key(models="gpt-4o")
    reply = stack.post(narrow, ask("hi", "gpt-5"))
    assert (reply.status_code, reply.json()["error"]["param"]) == (403, "model")
    assert stack.post(narrow, ask("hi")).status_code == 200
    assert len(upstream_calls(fake)) == 1
    assert [e["status"] for e in stack.usage(narrow, 2)] == [403, 200]


def test_revoked_key_ends_within_the_bound(stack_of_mode: Stack) -> None:
    key = stack_of_mode.key("soon-revoked-" + stack_of_mode.mode)
    assert stack_of_mode.post(key, ask("hi")).status_code == 200
    run_manage(stack_of_mode.settings, "keys", "revoke", key.text)
    revoked = time.monotonic()
    until(lambda: stack_of_mode.post(key, ask("hi")).status_code == 401, 5, 0.05)
    assert time.monotonic() - revoked < 1.6  # KEY_CACHE_SECONDS is 1 here


def test_limits_of_a_key_and_its_team_change_within_the_bound(stack: Stack) -> None:
    key = stack.key(team=f"team-{time.monotonic_ns()}")
    assert stack.post(key, ask("hi", "gpt-5")).status_code == 200
    run_manage(stack.settings, "keys", "update", key.id, "--models", "gpt-4o")
    until(lambda: stack.post(key, ask("hi", "gpt-5")).status_code == 403, 5, 0.05)
    run_manage(stack.settings, "keys", "update", key.id, "--models", "none")
    until(lambda: stack.post(key, ask("hi", "gpt-5")).status_code == 200, 5, 0.05)
    team = run_manage(stack.settings, "keys", "show", key.id)["team"]
    run_manage(stack.settings, "teams", "create", "--name", team, "--endpoints", "embeddings")
    until(lambda: stack.post(key, ask("hi")).status_code == 403, 5, 0.05)
    run_manage(stack.settings, "teams", "update", team, "--endpoints", "none", "--disabled")
    until(lambda: stack.post(key, ask("hi")).status_code == 401, 5, 0.05)


def test_rotated_key_keeps_its_objects_and_its_old_secret_for_a_while(stack: Stack) -> None:
    old = stack.key()
    with stack.openai(old) as client:
        made = client.files.create(file=("a.jsonl", b"{}"), purpose="fine-tune")
    told = run_manage(stack.settings, "keys", "rotate", old.id, "--rotation-id", "q1")
    new = Key(told["key"], told["id"], told["name"])
    assert new.id == old.id
    assert stack.post(old, ask("hi")).status_code == stack.post(new, ask("hi")).status_code == 200
    with stack.openai(new) as client:
        assert client.files.retrieve(made.id).id == made.id
    last = run_manage(stack.settings, "keys", "rotate", old.id, "--overlap", "0")
    until(lambda: stack.post(new, ask("hi")).status_code == 401, 5, 0.05)
    until(lambda: stack.post(old, ask("hi")).status_code == 401, 5, 0.05)
    assert stack.post(Key(last["key"], "", ""), ask("hi")).status_code == 200


def test_key_made_while_running_works_soon_even_after_it_was_refused(stack: Stack) -> None:
    """`stack.key` makes keys while the gateway runs; here one that was asked for before it was there."""
    assert stack.post(stack.key(), ask("hi")).status_code == 200


def test_expiry_is_kept_to_the_second(stack: Stack) -> None:
    assert stack.post(stack.key(expires="1h"), ask("hi")).status_code == 200


def test_store_that_never_answers_is_a_503(new_stack: Callable[..., Stack], fake: FakeAzure) -> None:
    stack = new_stack(dead_connection_string())
    key = Key("sk-" + "A" * 43, "", "")
    reply = stack.post(key, ask("hi"), timeout=30)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["type"]) == (503, "key_store_unavailable", "server_error")
    assert int(reply.headers["retry-after"]) > 0
    assert "127.0.0.1" not in reply.text
    assert stack.post(None, ask("hi")).status_code == 401  # what is no key needs no store
    assert stack.http.get("/health/live").status_code == 200
    assert not upstream_calls(fake)


def test_warm_keys_work_while_the_store_is_down(
    new_stack: Callable[..., Stack], fake: FakeAzure, tmp_path: Path
) -> None:
    with OwnAzurite(tmp_path / "azurite") as store:
        stack = new_stack(store.connection_string)
        warm, cold = stack.key(), stack.key()
        assert stack.post(warm, ask("hi")).status_code == 200
        assert stack.http.get("/health/ready").status_code == 200
        stack.usage(warm, 1)
        store.stop()
        stopped = time.monotonic()
        while time.monotonic() - stopped < 1.5:  # longer than KEY_CACHE_SECONDS
            asked = time.monotonic()
            assert stack.post(warm, ask("hi")).status_code == 200
            assert time.monotonic() - asked < 4  # no caller waits for long
        with ThreadPoolExecutor() as pool:  # each waits for the SDK's retries
            refused = pool.submit(stack.post, cold, ask("hi"))
            public = pool.submit(stack.http.get, "/health/ready")
            detailed = pool.submit(stack.http.get, "/health/ready", headers={"api-key": ADMIN})
        assert refused.result().status_code == 503
        assert refused.result().json()["error"]["code"] == "key_store_unavailable"
        assert (public.result().status_code, public.result().json()["checks"]["key_store"]) == (503, "unavailable")
        assert "reasons" not in public.result().json()
        assert detailed.result().json()["reasons"]["key_store"]
        store.start()
        until(lambda: stack.http.get("/health/ready").status_code == 200, 10, 0.1)
        until(lambda: stack.post(cold, ask("hi")).status_code == 200, 10, 0.1)
