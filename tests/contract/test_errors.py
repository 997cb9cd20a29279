"""Every way in which a call can fail, as the client sees it: status, code, type, Retry-After and the SDK's exception.

What reaches a client is also searched for what must never reach one, and each call leaves exactly one usage record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.stack import Key, Stack, ask, last_upstream, upstream_calls

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
UNTYPED: dict[str, Any] = {}


@dataclass(frozen=True)
class Case:
    """A fault of the upstream, and what becomes of it."""

    id: str
    fault: dict[str, Any]
    status: int
    code: str | None
    type: str
    raises: type[openai.APIStatusError]
    alias: str = "hidden-name"
    retry: dict[str, str] = field(default_factory=dict[str, str])
    """The retry headers that must be there; no other may."""
    text: str = ""
    """A part of the message."""


def status(number: int, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": number, **more}


LEAKY = {
    "error": {
        "message": "my-gpt4-deployment at https://main.openai.azure.com/openai (10.41.7.12:8443) failed, see "
        "/home/site/wwwroot/app.py, token eyJhbGciOiJSUzI1NiJ9.e30.x, port 127.0.0.1:9",
        "innererror": {"trace": "/var/log/my-gpt4-deployment.log", "host": "oai.eastus2.internal"},
        "code": "Oops",
    }
}
SERVER, INVALID = "server_error", "invalid_request_error"
CASES = [
    Case("400", status(400), 400, None, INVALID, openai.BadRequestError),
    Case("400-leaky", status(400, body=LEAKY), 400, "Oops", INVALID, openai.BadRequestError, text="hidden-name at"),
    Case("400-text", status(400, body="plain words"), 400, None, INVALID, openai.BadRequestError, text="refused"),
    Case("401", status(401), 502, "upstream_auth_failed", SERVER, openai.InternalServerError, text="key is fine"),
    Case("403", status(403), 502, "upstream_auth_failed", SERVER, openai.InternalServerError, text="key is fine"),
    Case("404", status(404), 404, "DeploymentNotFound", INVALID, openai.NotFoundError),
    Case("408", status(408), 408, "Timeout", SERVER, openai.APIStatusError),
    Case("409", status(409), 409, "Conflict", INVALID, openai.ConflictError),
    Case("413", status(413), 413, "request_too_large", INVALID, openai.APIStatusError),
    Case("422", status(422), 422, "unprocessable", INVALID, openai.UnprocessableEntityError),
    Case("429", status(429, retry_after=6), 429, "rate_limit_exceeded", "rate_limit_error", openai.RateLimitError,
         retry={"retry-after": "6"}, text="retry after 6 seconds"),
    Case("429-ms", status(429, retry_after_ms=1500), 429, "rate_limit_exceeded", "rate_limit_error",
         openai.RateLimitError, retry={"retry-after-ms": "1500", "retry-after": "2"}),
    Case("429-date", status(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 429, "rate_limit_exceeded",
         "rate_limit_error", openai.RateLimitError, retry={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    Case("429-foundry", {"kind": "foundry_429"}, 429, "RateLimitReached", "rate_limit_error", openai.RateLimitError,
         alias="grok-4", retry={"retry-after": "1"}),
    Case("500", status(500), 500, "server_error", SERVER, openai.InternalServerError),
    Case("500-html", status(500, body="<html>Traceback (most recent call last)</html>"), 500, "server_error", SERVER,
         openai.InternalServerError),
    Case("502-page", {"kind": "html"}, 502, "bad_gateway", SERVER, openai.InternalServerError),
    Case("503", status(503, retry_after=20), 503, "InternalServerError", SERVER, openai.InternalServerError,
         retry={"retry-after": "20"}),
    Case("504", status(504), 504, "GatewayTimeout", SERVER, openai.InternalServerError),
    Case("content-filter", {"kind": "content_filter"}, 400, "content_filter", INVALID, openai.BadRequestError,
         text="https://go.microsoft.com/fwlink/?linkid=2198766"),
    Case("reset", {"kind": "reset"}, 502, "upstream_disconnected", SERVER, openai.InternalServerError),
    Case("time-out", {"kind": "slow_first_byte", "seconds": 30}, 504, "upstream_timeout", SERVER,
         openai.InternalServerError, alias="hasty"),
    Case("unreachable", {}, 502, "upstream_unreachable", SERVER, openai.InternalServerError, alias="unreachable"),
    Case("wrong-key", {}, 502, "upstream_auth_failed", SERVER, openai.InternalServerError, alias="wrong-key"),
    Case("no-deployment", {}, 404, "DeploymentNotFound", INVALID, openai.NotFoundError, alias="dead-deployment"),
]  # fmt: skip


REQUESTS_OWN_FAULT = {400, 404, 413, 422}


@STREAM
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_upstream_error(stack: Stack, key: Key, fake: FakeAzure, case: Case, stream: bool) -> None:
    if case.fault:
        fake.add_fault(**case.fault)
    with stack.openai(key) as client, pytest.raises(openai.APIStatusError) as failed:
        client.chat.completions.create(**ask("hi", case.alias), stream=stream)
    error, reply = failed.value, failed.value.response
    assert type(error) is case.raises
    assert (reply.status_code, error.code, error.type) == (case.status, case.code, case.type)
    body = json.loads(reply.content)["error"]
    assert isinstance(body["message"], str)
    assert len(body["message"]) > 10
    assert case.text in body["message"]
    assert {"message", "type", "param", "code"} <= body.keys()
    assert reply.headers["content-type"] == "application/json"
    assert {k: v for k, v in reply.headers.items() if "retry" in k} == case.retry
    assert_nothing_leaks(fake, httpx.Response(reply.status_code, headers=dict(reply.headers), content=reply.content))
    (event,) = stack.usage(key, 1)
    assert event["request_id"] == reply.headers["x-request-id"]
    assert (event["status"], event["stream"], event["attempts"]) == (case.status, stream, 1)
    assert event["outcome"] == ("client_error" if case.status in REQUESTS_OWN_FAULT else "upstream_error")
    assert (event["input_tokens"], event["output_tokens"]) == (0, 0)


def test_content_filter_keeps_azures_verdict(stack: Stack, key: Key) -> None:
    error = stack.post(key, ask("filter me")).json()["error"]
    assert error["code"] == "content_filter"
    assert error["param"] == "prompt"
    verdict = error["innererror"]["content_filter_result"]
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert verdict["jailbreak"] == {"detected": True, "filtered": True}


def test_context_length_is_told(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask("word " * 100_100))
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize(
    ("fault", "code"),
    [("malformed", "upstream_bad_response"), ("empty_body", "upstream_bad_response"), ("cut", "upstream_disconnected"),
     ("clean_cut", "upstream_bad_response")],
)  # fmt: skip
def test_answer_that_is_none(stack: Stack, key: Key, fake: FakeAzure, fault: str, code: str) -> None:
    fake.add_fault(fault)
    reply = stack.post(key, ask("hi", "hidden-name"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, code)
    assert_nothing_leaks(fake, reply)
    assert stack.usage(key, 1)[0]["outcome"] == "upstream_error"


@pytest.mark.parametrize("after", [0, 1], ids=["first-event", "after-the-filter-event"])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (None, 500, "server_error"),
        ({"error": {"code": "429", "message": "slow down my-gpt4-deployment"}}, 429, "rate_limit_exceeded"),
        ({"error": {"code": "content_filter", "message": "filtered"}}, 400, "content_filter"),
    ],
    ids=["500", "429", "content-filter"],
)
def test_stream_that_begins_with_an_error_has_its_status(
    stack: Stack, key: Key, fake: FakeAzure, body: Any, status: int, code: str, after: int
) -> None:
    fake.add_fault("error_event", after=after, body=body)
    reply = stack.post(key, ask("hi", "hidden-name", stream=True))
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert_nothing_leaks(fake, reply)
    assert len(stack.usage(key, 1)) == 1


@pytest.mark.parametrize("fault", ["empty_body", "reset"])
def test_stream_that_never_begins_has_its_status(stack: Stack, key: Key, fake: FakeAzure, fault: str) -> None:
    fake.add_fault(fault)
    reply = stack.post(key, ask("hi", "hidden-name", stream=True))
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_disconnected")
    assert stack.usage(key, 1)[0]["outcome"] == "upstream_error"


def test_api_version_that_knows_no_stream_options_is_served_all_the_same(
    stack: Stack, key: Key, fake: FakeAzure
) -> None:
    """The one request that is sent again to the same deployment. No other test uses the alias: the gateway remembers."""
    fake.add_fault("reject_stream_options", times=-1, deployment="chatgpt-v-2")
    with stack.openai(key) as client:
        for _ in range(2):
            chunks = list(client.chat.completions.create(**ask("count to 3", "old-version"), stream=True))
            assert "".join(c.choices[0].delta.content or "" for c in chunks) == "1 2 3"
    assert ["stream_options" in r.body for r in upstream_calls(fake)] == [True, False, False]
    assert [(e["estimated"], e["output_tokens"]) for e in stack.usage(key, 2)] == [(True, 3), (True, 3)]


# The gateway's own refusals.


@dataclass(frozen=True)
class Refusal:
    id: str
    method: str
    path: str
    status: int
    code: str
    body: bytes = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
    headers: dict[str, str] = field(default_factory=dict[str, str])
    with_key: bool = True
    recorded: bool = False


CHAT = "/v1/chat/completions"
REFUSALS = [
    Refusal("no-key", "POST", CHAT, 401, "invalid_api_key", with_key=False),
    Refusal("no-key-models", "GET", "/v1/models", 401, "invalid_api_key", with_key=False),
    Refusal("no-key-beats-rubbish", "POST", CHAT, 401, "invalid_api_key", body=b"{", with_key=False),
    Refusal("unknown-model", "POST", CHAT, 404, "model_not_found", body=b'{"model":"x","messages":[{"role":"user"}]}',
            recorded=True),
    Refusal("unknown-deployment", "POST", "/openai/deployments/nobody/chat/completions", 404, "model_not_found",
            recorded=True),
    Refusal("unknown-url", "POST", "/v1/nothing", 404, "unknown_url"),
    Refusal("unknown-url-without-key", "GET", "/nothing/at/all", 404, "unknown_url", with_key=False),
    Refusal("root", "GET", "/", 404, "unknown_url"),
    Refusal("docs", "GET", "/docs", 404, "unknown_url"),
    Refusal("doubled-v1", "POST", "/v1/v1/chat/completions", 404, "unknown_url"),
    Refusal("get-chat", "GET", CHAT, 405, "method_not_allowed"),
    Refusal("delete-models", "DELETE", "/v1/models", 405, "method_not_allowed"),
    Refusal("put-chat-deployment", "PUT", "/openai/deployments/gpt-4o/chat/completions", 405, "method_not_allowed"),
    Refusal("text", "POST", CHAT, 415, "unsupported_media_type", headers={"content-type": "text/plain"},
            recorded=True),
    Refusal("form", "POST", CHAT, 415, "unsupported_media_type",
            headers={"content-type": "application/x-www-form-urlencoded"}, recorded=True),
    Refusal("not-chat", "POST", CHAT, 400, "unsupported_operation",
            body=b'{"model":"no-chat","messages":[{"role":"user","content":"hi"}]}', recorded=True),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda c: c.id)
def test_own_refusal(stack: Stack, key: Key, fake: FakeAzure, case: Refusal) -> None:
    headers = {"content-type": "application/json", **case.headers, **(key.bearer if case.with_key else {})}
    reply = stack.http.request(case.method, case.path, content=case.body, headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (case.status, case.code)
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) > 20
    assert not upstream_calls(fake)
    assert_nothing_leaks(fake, reply)
    if case.status == 405:
        assert reply.headers["allow"] in ("POST", "GET")
    if case.recorded:
        assert stack.usage(key, 1)[0]["status"] == case.status


def test_health_needs_no_key(stack: Stack) -> None:
    assert stack.http.get("/health/live").json() == {"status": "ok"}
    reply = stack.http.get("/health/ready")
    assert (reply.status_code, reply.json()["status"]) == (200, "ok")
    assert "models" not in reply.json()


def test_unknown_model_is_no_row_of_its_own(stack: Stack, key: Key) -> None:
    """Any text that a client sends as a model must not become a row of the totals."""
    for name in ("a", "b", "c"):
        assert stack.post(key, ask("hi", name)).status_code == 404
    assert {e["alias"] for e in stack.usage(key, 3)} == {""}
    assert len(stack.ledger.totals(key.id)) == 1


# Fallbacks.


FALLBACKS = [
    {"kind": "reset"},
    *(status(n) for n in (401, 403, 408, 409, 429, 500, 502, 503, 504)),
    {"kind": "html"},
    {"kind": "error_event", "after": 0},
    {"kind": "empty_body"},
]


@STREAM
@pytest.mark.parametrize(
    ("alias", "fault"),
    [*(("ordered", fault) for fault in FALLBACKS), *(("two", fault) for fault in FALLBACKS[:3])],
    ids=lambda value: value if isinstance(value, str) else str(value.get("status", value["kind"])),
)
def test_another_deployment_is_asked(
    stack: Stack, key: Key, fake: FakeAzure, alias: str, fault: dict[str, Any], stream: bool
) -> None:
    fake.add_fault(**fault)  # meets whichever is asked first
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(**ask("count to 3", alias), stream=stream)
        if stream:
            assert "".join(c.choices[0].delta.content or "" for c in answer) == "1 2 3"
        else:
            assert answer.choices[0].message.content == "1 2 3"
    asked = [r.resource for r in upstream_calls(fake)]
    assert sorted(asked) == ["main", "second"]
    if alias == "ordered":
        assert asked == ["main", "second"]
    (event,) = stack.usage(key, 1)
    assert (event["attempts"], event["status"], event["outcome"], event["output_tokens"]) == (2, 200, "ok", 3)
    assert event["deployment"] == last_upstream(fake).headers["host"] + "/my-gpt4-deployment"


@STREAM
def test_another_deployment_is_asked_after_a_time_out(stack: Stack, key: Key, fake: FakeAzure, stream: bool) -> None:
    fake.add_fault("slow_first_byte", resource="main", seconds=30)
    reply = stack.post(key, ask("count to 3", "hasty-ordered", stream=stream))
    assert reply.status_code == 200
    assert [r.resource for r in upstream_calls(fake)] == ["main", "second"]
    assert stack.usage(key, 1)[0]["attempts"] == 2


@STREAM
@pytest.mark.parametrize("number", [400, 404, 413, 422])
def test_no_other_deployment_is_asked_about_a_bad_request(
    stack: Stack, key: Key, fake: FakeAzure, number: int, stream: bool
) -> None:
    fake.add_fault("status", status=number)
    assert stack.post(key, ask("hi", "ordered", stream=stream)).status_code == number
    assert len(upstream_calls(fake)) == 1
    assert stack.usage(key, 1)[0]["attempts"] == 1


def test_last_failure_is_told_when_all_fail(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("status", status=500)
    fake.add_fault("status", status=429, retry_after=3)
    reply = stack.post(key, ask("hi", "ordered"))
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "3")
    assert stack.usage(key, 1)[0]["attempts"] == 2


def test_equal_deployments_share_the_calls(stack: Stack, key: Key, fake: FakeAzure) -> None:
    for _ in range(40):
        assert stack.post(key, ask("hi", "two")).status_code == 200
    asked = [r.resource for r in upstream_calls(fake)]
    assert 5 <= asked.count("main") <= 35  # outside of it once in ten million runs
    assert len(stack.usage(key, 40)) == 40
