"""Limits and budgets as callers meet them: the real SDKs, the real gateway, keys and teams made by the command line."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from local.fake_azure import FakeAzure
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask, run_manage, upstream_calls

LIMITED = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
           "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")  # fmt: skip


def a_team(stack: Stack, **limits: str) -> str:
    stack.teams = getattr(stack, "teams", 0) + 1  # pyright: ignore[reportAttributeAccessIssue]
    name = f"team-{stack.teams}"  # pyright: ignore[reportAttributeAccessIssue]
    arguments = [part for option, value in limits.items() for part in (f"--{option}", value)]
    run_manage(stack.settings, "teams", "create", "--name", name, *arguments)
    return name


def refused(stack: Stack, key: Key, **body: Any) -> openai.RateLimitError:
    with stack.openai(key) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**ask("hi", **body))
    return caught.value


def test_requests_of_a_team_are_shared_by_its_keys(stack: Stack, fake: FakeAzure) -> None:
    team = a_team(stack, rpm="3", contact="#ml-platform")
    keys = [stack.key(team=team, rpm="100") for _ in range(2)]
    left: list[str] = []
    for n in range(3):
        with stack.openai(keys[n % 2]) as client:
            raw = client.chat.completions.with_raw_response.create(**ask("hi"))
        assert raw.headers["x-ratelimit-limit-requests"] == "3"
        assert "x-ratelimit-limit-tokens" not in raw.headers  # Azure's own would say nothing of the caller's
        left.append(raw.headers["x-ratelimit-remaining-requests"])
    error = refused(stack, keys[0])
    if left != ["2", "1", "0"]:
        pytest.skip("the minute was over in between")
    assert (error.status_code, error.type, error.code) == (429, "requests", "rate_limit_exceeded")
    assert f"Rate limit reached for team '{team}' on requests per minute: limit 3, used 3." in error.message
    assert "Ask #ml-platform if you need more." in error.message
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert error.response.headers["x-ratelimit-reset-requests"].endswith("s")
    assert len(upstream_calls(fake)) == 3
    events = stack.usage(keys[0], 3)
    assert [(e["status"], e["outcome"], e["attempts"]) for e in events][-1] == (429, "client_error", 0)


@pytest.mark.parametrize("stream", [False, True])
def test_headers_of_what_is_left(stack: Stack, stream: bool) -> None:
    key = stack.key(rpm="100", tpm="100000")
    reply = stack.post(key, ask("hi", stream=stream, max_tokens=1000))
    assert reply.status_code == 200
    assert reply.headers["x-ratelimit-limit-requests"] == "100"
    assert reply.headers["x-ratelimit-remaining-requests"] == "99"
    assert reply.headers["x-ratelimit-limit-tokens"] == "100000"
    assert 98_000 < int(reply.headers["x-ratelimit-remaining-tokens"]) < 100_000
    assert all(name in reply.headers for name in LIMITED)


def test_who_is_not_limited_is_told_what_azure_tells(stack: Stack, key: Key) -> None:
    assert stack.post(key, ask("hi")).headers["x-ratelimit-reset-requests"] == "500"


def test_a_call_larger_than_the_limit_is_not_repeated(stack: Stack, fake: FakeAzure) -> None:
    key = stack.key(tpm="1000")
    with stack.openai(key, max_retries=3) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**ask("hi", max_tokens=2000))
        assert client.chat.completions.create(**ask("hi", max_tokens=500)).choices
    error = caught.value
    assert (error.type, error.code) == ("tokens", "rate_limit_exceeded")
    assert f"Request too large for key '{key.name}' on tokens per minute: limit 1000, requested" in error.message
    assert error.response.headers["x-should-retry"] == "false"
    stack.usage(key, 2)
    assert len(upstream_calls(fake)) == 1


def test_calls_at_the_same_time(stack: Stack, fake: FakeAzure) -> None:
    key = stack.key(parallel="1")
    fake.add_fault("pause", after=3, seconds=30)
    body = ask("hi", stream=True)
    with stack.http.stream("POST", "/v1/chat/completions", json=body, headers=key.bearer) as long:
        chunks = long.iter_bytes()
        assert next(chunks)
        error = refused(stack, key)
    assert (error.type, error.code, error.response.headers["retry-after"]) == ("parallel", "rate_limit_exceeded", "1")
    assert f"key '{key.name}' on calls at the same time: limit 1." in error.message
    assert until(lambda: stack.post(key, ask("hi")).status_code == 200)


def until_refused(client: openai.OpenAI) -> openai.RateLimitError:
    for _ in range(20):
        try:
            client.chat.completions.create(**ask("hi", max_tokens=5))
        except openai.RateLimitError as error:
            return error
    raise AssertionError("nothing was ever refused")


def test_money_is_used_up(stack: Stack, fake: FakeAzure) -> None:
    key = stack.key(budgets="day=0.0001", team=a_team(stack, contact="finance@example.org", rpm="100"))
    with stack.openai(key, max_retries=3) as client:
        caught = until_refused(client)
    before = len(upstream_calls(fake))
    assert before >= 1
    assert (caught.type, caught.code) == ("insufficient_quota", "insufficient_quota")
    assert f"daily budget of key '{key.name}'" in caught.message
    assert "of $0.0001 are spent" in caught.message
    assert "at 00:00 UTC" in caught.message
    assert "Ask finance@example.org if you need more." in caught.message
    assert caught.response.headers["x-should-retry"] == "false"
    assert int(caught.response.headers["retry-after"]) <= 86_400
    events = stack.usage(key, before + 1)  # the SDK did not try again
    assert events[-1]["status"] == 429
    assert len(upstream_calls(fake)) == before


def test_a_call_that_may_cost_more_than_the_whole_budget(stack: Stack, fake: FakeAzure) -> None:
    error = refused(stack, stack.key(budgets="total=0.001"), max_tokens=16_000)
    assert "more than the whole total budget" in error.message
    assert "retry-after" not in error.response.headers
    assert not upstream_calls(fake)


def test_anthropics_sdk_sees_its_own_error(stack: Stack) -> None:
    key = stack.key(tpm="500")
    options: dict[str, Any] = {"base_url": stack.url, "max_retries": 0}
    with anthropic.Anthropic(api_key=key.text, **options) as client, pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model="claude", max_tokens=1000, messages=[{"role": "user", "content": "hi"}])
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "rate_limit_error")
    assert "limit 500" in body["error"]["message"]
    assert caught.value.response.headers["x-ratelimit-limit-tokens"] == "500"


def test_shadow_mode_only_reports(stack: Stack) -> None:
    made = run_manage(stack.settings, "keys", "create", "--name", "shadowed", "--rpm", "1", "--shadow")
    key = Key(made["key"], made["id"], "shadowed")
    for _ in range(2):
        reply = stack.post(key, ask("hi"))
        assert reply.status_code == 200
        assert reply.headers["x-ratelimit-reset-requests"] == "500"  # Azure's: the caller is not slowed
    assert [event.get("shadow", "") for event in stack.usage(key, 2)][-1] == "key rpm"


def test_what_is_taken_is_shown(stack: Stack) -> None:
    key = stack.key(rpm="10", budgets="month=100")
    assert stack.post(key, ask("hi")).status_code == 200
    rows = run_manage(stack.settings, "limits", "show", "--key", key.id)
    assert [(row["limit"], row["allowed"]) for row in rows] == [("rpm", "10"), ("budget month", "100")]
    assert float(rows[1]["taken"]) > 0
