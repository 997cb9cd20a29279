"""What is refused before anything is asked upstream, and what a client cannot steer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from tests.support.memory import resident
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, ask, last_upstream, upstream_calls

MB = 2**20
HI = b'"messages":[{"role":"user","content":"hi"}]'


@dataclass(frozen=True)
class Refused:
    id: str
    body: bytes
    status: int
    code: str | None
    param: str | None = None


def fields(**given: Any) -> bytes:
    return json.dumps(ask("hi") | given).encode()


REFUSED = [
    Refused("empty", b"", 400, "invalid_json"),
    Refused("blank", b" \n ", 400, "invalid_json"),
    Refused("cut", b'{"model":"gpt-4o",' + HI, 400, "invalid_json"),
    Refused("not-utf-8", b'{"model":"\xff\xfe",' + HI + b"}", 400, "invalid_json"),
    Refused("list", b"[1,2]", 400, "invalid_json"),
    Refused("text", b'"hello"', 400, "invalid_json"),
    Refused("two", b"{}{}", 400, "invalid_json"),
    Refused("single-quotes", b"{'model': 'gpt-4o'}", 400, "invalid_json"),
    Refused("nan", b'{"model":"gpt-4o","temperature":NaN,' + HI + b"}", 400, "invalid_json"),
    Refused("infinity", b'{"model":"gpt-4o","temperature":-Infinity,' + HI + b"}", 400, "invalid_json"),
    Refused("deep", b'{"model":"gpt-4o","x":' + b"[" * 200 + b"]" * 200 + b"," + HI + b"}", 400, "too_deep"),
    Refused("very-deep", b"[" * 900_000, 400, "too_deep"),
    Refused("elements", b'{"x":[' + b"1," * 1_000_001 + b"1]," + HI + b"}", 413, "request_too_large"),
    Refused("no-model", b"{" + HI + b"}", 400, "missing_required_parameter", "model"),
    Refused("no-messages", b'{"model":"gpt-4o"}', 400, "missing_required_parameter", "messages"),
    Refused("null-messages", b'{"model":"gpt-4o","messages":null}', 400, "missing_required_parameter", "messages"),
    Refused("messages-text", fields(messages="hi"), 400, "invalid_type", "messages"),
    Refused("messages-empty", fields(messages=[]), 400, "invalid_type", "messages"),
    Refused("message-text", fields(messages=["hi"]), 400, "invalid_type", "messages[0]"),
    Refused("message-without-role", fields(messages=[{"content": "x"}]), 400, "invalid_type", "messages[0]"),
    Refused("model-number", fields(model=4), 400, "invalid_type", "model"),
    Refused("model-list", fields(model=["gpt-4o"]), 400, "invalid_type", "model"),
    Refused("stream-text", fields(stream="true"), 400, "invalid_type", "stream"),
    Refused("stream-number", fields(stream=1), 400, "invalid_type", "stream"),
    Refused("stream-options-list", fields(stream=True, stream_options=[]), 400, "invalid_type", "stream_options"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c.id)
def test_body_is_refused(stack: Stack, key: Key, fake: FakeAzure, case: Refused) -> None:
    headers = {**key.bearer, "content-type": "application/json"}
    reply = stack.http.post("/v1/chat/completions", content=case.body, headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (case.status, case.code, case.param)
    assert not upstream_calls(fake)


def test_refused_bodies_are_recorded(stack: Stack, key: Key) -> None:
    headers = {**key.bearer, "content-type": "application/json"}
    for case in REFUSED:
        stack.http.post("/v1/chat/completions", content=case.body, headers=headers)
    events = stack.usage(key, len(REFUSED))
    assert [e["status"] for e in events] == [case.status for case in REFUSED]
    assert {(e["outcome"], e["attempts"], e["output_tokens"]) for e in events} == {("client_error", 0, 0)}


OPERATORS = ["api_base", "api_key", "base_url", "api_version", "azure_ad_token", "azure_endpoint", "extra_headers",
             "extra_body", "extra_query", "headers", "client_secret", "tenant_id", "custom_llm_provider",
             "organization"]  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_client_cannot_choose_the_upstream(stack: Stack, key: Key, fake: FakeAzure, name: str) -> None:
    value: Any = {"x-evil": "1"} if "headers" in name else "http://127.0.0.1:9/evil"
    reply = stack.post(key, ask("hi", **{name: value}))
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, name)
    assert not upstream_calls(fake)


@pytest.mark.parametrize("alias", ["gpt-4o", "gpt-4o-v1"])
def test_the_same_names_deeper_down_are_data(stack: Stack, key: Key, fake: FakeAzure, alias: str) -> None:
    hostile = dict.fromkeys(OPERATORS, "http://127.0.0.1:9/evil") | {"extra_headers": {"api-key": "x"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
        name: {"type": "string"} for name in OPERATORS}}}}  # fmt: skip
    body = ask("hi", alias, tools=[tool], metadata={"api_base": "http://127.0.0.1:9"})
    body["messages"][0] |= hostile
    assert stack.post(key, body).status_code == 200
    sent = last_upstream(fake)
    main = fake.state.resources["main"]
    assert (sent.resource, sent.headers["api-key"]) == ("main", main.key)
    assert not set(sent.headers) - {
        "host", "content-type", "accept", "accept-encoding", "user-agent", "api-key", "content-length",
    }  # fmt: skip
    assert sent.body == body | {"model": "gpt-4o"}


@pytest.mark.parametrize(
    "model", ["../../evil", "gpt-4o/../../x", "gpt-4o?api-version=1", "azure/gpt-4o", "GPT-4O", "gpt-4o ", "gpt-4o\x00"]
)
def test_model_is_an_alias_and_nothing_else(stack: Stack, key: Key, fake: FakeAzure, model: str) -> None:
    assert stack.post(key, ask("hi", model)).status_code == 404
    assert not upstream_calls(fake)


@pytest.mark.parametrize("name", ["..%2f..%2fevil", "%2e%2e", "gpt-4o%3fx=1", "nobody"])
def test_deployment_of_the_path_is_an_alias_and_nothing_else(
    stack: Stack, key: Key, fake: FakeAzure, name: str
) -> None:
    assert stack.post(key, ask("hi"), f"/openai/deployments/{name}/chat/completions").status_code == 404
    assert not upstream_calls(fake)


def test_deployment_of_the_path_wins_over_the_body(stack: Stack, fake: FakeAzure) -> None:
    """A key that may use one model cannot reach another by naming both."""
    narrow = stack.key(models="gpt-4o")
    path = "/openai/deployments/{}/chat/completions"
    assert stack.post(narrow, ask("hi", "o3-mini"), path.format("gpt-4o")).status_code == 200
    assert last_upstream(fake).path.startswith("/openai/deployments/gpt-4o/")
    assert stack.post(narrow, ask("hi", "gpt-4o"), path.format("o3-mini")).status_code == 403


# Size.


def test_body_that_is_said_to_be_too_large_is_not_read(stack: Stack, key: Key) -> None:
    """Not in the other mode: there the local host's proxy waits for the body before it passes the answer on."""
    with RawClient(stack) as client:
        client.send(client.head(key, 33 * MB))  # and not one byte of it
        assert client.read_head().startswith("HTTP/1.1 413")
        client.read_until(b'"request_too_large"')


def test_body_without_a_length_is_cut_off(stack_of_mode: Stack, fake: FakeAzure) -> None:
    key = stack_of_mode.key()

    def endless() -> Iterator[bytes]:
        yield b'{"model":"gpt-4o","x":"'
        for _ in range(40):
            yield b"x" * MB

    answer: httpx.Response | None = None
    with contextlib.suppress(httpx.TransportError):  # the connection may be closed while the rest is still being sent
        answer = stack_of_mode.http.post("/v1/chat/completions", content=endless(), headers=key.bearer)
    if answer is not None:
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert not upstream_calls(fake)
    assert stack_of_mode.post(key, ask("hi")).status_code == 200


def test_body_just_below_the_limit_passes(stack: Stack, key: Key, fake: FakeAzure) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * (31 * MB)}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]
    reply = stack.post(key, {"model": "gpt-4o", "messages": messages})
    assert reply.json()["choices"][0]["message"]["content"] == "You said: hi [1 image]"
    assert len(last_upstream(fake).raw) > 31 * MB


def test_bodies_that_swell_do_not(stack: Stack, key: Key) -> None:
    """20 MB of tiny objects would be half a gigabyte once parsed."""
    before = resident(stack.worker_pid)
    body = b'{"model":"gpt-4o","x":[' + b"{}," * 5_000_000 + b"{}]," + HI + b"}"
    for _ in range(3):
        reply = stack.http.post("/v1/chat/completions", content=body, headers=key.bearer)
        assert reply.status_code == 413
    assert resident(stack.worker_pid) - before < 100 * MB
