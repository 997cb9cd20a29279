"""Answers, stream events and errors against the published specifications: the table is in support/spec_rows.py.

An answer that differs in a known way names the place and the reason in its row; a row whose difference does not occur
any more fails as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from shared.endpoints import ENDPOINTS
from tests.support.scenarios import Caller, Json, events_of
from tests.support.spec_rows import ROWS, Row
from tests.support.specs import ANTHROPIC, EVENTS, JSON, OPENAI, judge, named, spec, specs_of
from tests.support.stack import Stack, upstream_calls


@pytest.fixture(scope="module")
def callers(shared_stacks: Callable[[str], Stack]) -> Mapping[bool, Caller]:
    """Two keys for the whole table: nothing here looks at their usage. False: on a resource of v1; True: of a date."""
    stack = shared_stacks("asgi")
    return {False: Caller(stack, stack.key(), "grok-4"), True: Caller(stack, stack.key(), "gpt-4o")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_answer(callers: Mapping[bool, Caller], fake: FakeAzure, row: Row) -> None:
    endpoint, caller = ENDPOINTS[row.name], callers[row.dated]
    ids = row.ids(caller)
    body = row.body(caller, ids) if callable(row.body) else row.body
    reply = caller.send(row.name, body, ids, row.query)
    assert reply.is_success, reply.text
    media = media_of(reply)
    values = events_of(reply) if media == EVENTS else [reply.json()] if media == JSON and reply.content else []
    if row.schema:
        found = [problem for value in values for problem in spec(OPENAI).problems(named(row.schema), value)]
    else:
        found = judge(endpoint.method, endpoint.path, reply.status_code, media, values)
    news = [problem for problem in found if problem.place not in row.known]
    assert not news, "\n".join(map(str, news))
    assert not row.known.keys() - {problem.place for problem in found}, "does not differ there any more"


def media_of(reply: httpx.Response) -> str:
    return reply.headers.get("content-type", "").partition(";")[0]


# Errors.

OWN = {"deferred_retrieve": "no other API has it; what it gives in the end is the answer of another operation"}
ANSWERED = {
    name: row for name, row in ENDPOINTS.items() if (row.target != "here" or row.shape == "models") and name not in OWN
}
PLACES = {name: "x" for row in ANSWERED.values() for name in re.findall(r"{\*?(\w+)}", row.path)}
UNSPECIFIED = {"evals_runs_cancel": "the SDK's path, which is not the specifications'; the object is the same"}


def wrong(operation: str, reply: httpx.Response, status: int) -> list[str]:
    """What is wrong with an error answer."""
    if reply.status_code != status:
        return [f"{operation}: {reply.status_code} {reply.text}"]
    assert media_of(reply) == JSON
    return wrong_error(operation, reply.json())


def wrong_error(operation: str, body: Any, schema: str = "ErrorResponse") -> list[str]:
    judges = spec(ANTHROPIC if operation.startswith("messages") else OPENAI)
    return [f"{operation}: {problem}" for problem in judges.problems(named(schema), body)]


def test_every_operation_is_judged() -> None:
    assert {row.name for row in ROWS} == ANSWERED.keys()
    assert {name for name, row in ANSWERED.items() if not specs_of(row.method, row.path)} == UNSPECIFIED.keys()
    assert all(row.schema for row in ROWS if row.name in UNSPECIFIED)


@pytest.mark.parametrize("name", [name for name, row in ANSWERED.items() if row.target == "list"])
def test_empty_list(stack: Stack, fake: FakeAzure, name: str) -> None:
    reply = Caller(stack, stack.key()).send(name)
    assert reply.json()["data"] == []
    assert judge("GET", ANSWERED[name].path, 200, media_of(reply), [reply.json()]) == []


def test_wrong_keys(stack: Stack) -> None:
    nobody = Caller(stack, None)
    assert [w for name in ANSWERED for w in wrong(name, nobody.send(name, ids=PLACES), 401)] == []


def test_unknown_ids(callers: Mapping[bool, Caller], fake: FakeAzure) -> None:
    objects: Json = {"metadata": {}, "attributes": {}, "data_source": {}, "items": [], "part_ids": []}
    asked = [row for row in ANSWERED.values() if row.target == "id" and row.body in ("json", "none")]
    for row in asked:
        body = {name: objects.get(name, "x") for name in row.required} if row.body == "json" else None
        assert wrong(row.name, callers[False].send(row.name, body, PLACES), 404) == []
    assert upstream_calls(fake) == []


def test_unknown_models_and_bad_bodies(callers: Mapping[bool, Caller], fake: FakeAzure) -> None:
    unknown: Json = {"model": "unknown", "session": {"type": "realtime", "model": "unknown"}}
    asked = {row.name: row.body for row in reversed(ROWS) if ENDPOINTS[row.name].target == "model"}
    for name, body in asked.items():
        if isinstance(body, dict) and name != "moderations":  # which serves any name that is no alias
            assert wrong(name, callers[False].send(name, {**body, **unknown}), 404) == []
            assert wrong(name, callers[False].send(name, ["no object"]), 400) == []
    assert upstream_calls(fake) == []


SAID_IN_STREAMS = {
    "chat_completions": "ErrorResponse", "completions": "ErrorResponse", "messages": "ErrorResponse",
    "responses_create": "ResponseErrorEvent",
}  # fmt: skip
"""The last event of a stream that fails."""
UPSTREAM = {name: next(row for row in ROWS if row.title == name) for name in (
    "chat_completions-gpt-4o-text", "chat_completions-codex-text", "chat_completions-claude-text",
    "chat_completions-grok-4-text", "responses_create-gpt-4o-v1-text", "responses_create-claude-text",
    "messages-claude-text", "messages-gpt-4o-text", "messages-codex-text",
    "messages_count_tokens-claude", "completions-instruct", "embeddings-float", "images_generations-image",
    "audio_speech-whole", "moderations-text", "files_create", "realtime_client_secrets",
)}  # fmt: skip


@pytest.mark.parametrize("name", UPSTREAM)
def test_refusals_from_upstream(callers: Mapping[bool, Caller], fake: FakeAzure, name: str) -> None:
    row = UPSTREAM[name]
    for status in (400, 429, 500):
        fake.add_fault("status", status=status, times=-1, retry_after=1)
        assert wrong(row.name, callers[False].send(row.name, row.body), status) == []
        fake.clear()


@pytest.mark.parametrize("fault", ["content_filter", "foundry_429", "html", "reset", "empty_body"])
@pytest.mark.parametrize(
    "name", ["chat_completions-gpt-4o-text", "messages-gpt-4o-text", "chat_completions-claude-text"]
)
def test_odd_refusals(callers: Mapping[bool, Caller], fake: FakeAzure, name: str, fault: str) -> None:
    fake.add_fault(fault, times=-1)
    reply = callers[False].send(UPSTREAM[name].name, UPSTREAM[name].body)
    assert wrong_error(UPSTREAM[name].name, reply.json()) == []
    assert not reply.is_success


@pytest.mark.parametrize("name", [n for n, row in UPSTREAM.items() if row.name in SAID_IN_STREAMS])
def test_errors_inside_streams(callers: Mapping[bool, Caller], fake: FakeAzure, name: str) -> None:
    row = UPSTREAM[name]
    assert isinstance(row.body, dict)
    fake.add_fault("error_event", after=4)
    events = events_of(callers[False].send(row.name, {**row.body, "stream": True}))
    assert len(events) > 1
    schema = SAID_IN_STREAMS[row.name]
    assert wrong_error(row.name, events[-1], schema) == []
