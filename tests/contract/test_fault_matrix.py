"""Every way in which a deployment can fail, for whole answers and for streams, with one, two and three deployments:
each call that a healthy deployment could serve is served, answered once, and once in the ledger.

Each case has an alias and a deployment of its own, so that no case disturbs another: all calls are made at once, by one
gateway, and then looked at one by one.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.models import DATED, config_text
from tests.support.stack import Key, Stack, ask, upstream_calls

RESOURCES = ("main", "second", "foundry")
ROUTER: dict[str, Any] = {"num_retries": 2, "cooldown_time": 0.2, "max_wait": 5}
AT_ONCE = 12


def status(number: int, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": number, **more}


TOO_MANY = {"error": {"code": "429", "message": "slow down"}}
BOTH: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset"},
    "page": {"kind": "html"},
    "time-out": {"kind": "slow_first_byte", "seconds": 30},
    "empty": {"kind": "empty_body"},
    "error": {"kind": "error_event", "after": 0},
    **{str(number): status(number) for number in (401, 403, 408, 409, 429, 500, 502, 503, 504)},
    "429-ms": status(429, retry_after_ms=60),
    "429-x-ms": status(429, x_ms_retry_after_ms=60),
    "429-foundry": {"kind": "foundry_429"},
    "503-s": status(503, retry_after=1),
}
"""By name; they strike whole answers and streams before anything of an answer has come."""
WHOLE = {"malformed": {"kind": "malformed"}, "cut": {"kind": "cut"}, "clean-cut": {"kind": "clean_cut"}}
STREAMS = {
    "no-content": {"kind": "cut_before_content"},
    "ends-early": {"kind": "clean_cut", "after": 2},
    "garbled": {"kind": "malformed", "after": 0},
    "error-after-filter": {"kind": "error_event", "after": 1},
    "error-after-role": {"kind": "error_event", "after": 2},
    "429-after-role": {"kind": "error_event", "after": 2, "body": TOO_MANY},
}
FINAL: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "400": (status(400), 400, None),
    "404": (status(404), 404, "DeploymentNotFound"),
    "413": (status(413), 413, "request_too_large"),
    "422": (status(422), 422, "unprocessable"),
    "content-filter": ({"kind": "content_filter"}, 400, "content_filter"),
    "context": ({"kind": "context_length"}, 400, "context_length_exceeded"),
    "quota": ({"kind": "insufficient_quota"}, 429, "insufficient_quota"),
}
"""The request's own fault, or one that waiting does not mend: nobody else is asked, and nobody rests because of it."""
LONG_REST = status(429, retry_after=86_400)


@dataclass(frozen=True)
class Case:
    name: str
    fault: dict[str, Any]
    stream: bool
    deployments: int
    strikes: int
    """How many requests meet the fault; -1: all."""
    operation: str = "chat"
    calls: int = 1

    @property
    def alias(self) -> str:
        struck = "all" if self.strikes < 0 else self.strikes
        return f"{self.operation}-{self.name}-{'stream' if self.stream else 'whole'}-{struck}-of-{self.deployments}"

    @property
    def deployment(self) -> str:
        return f"d-{self.alias}"


def spread(name: str, fault: dict[str, Any], stream: bool) -> list[Case]:
    """All but the last fail; of a lone one, the first time."""
    return [Case(name, fault, stream, n, max(1, n - 1)) for n in (1, 2, 3)]


MATRIX = [
    case
    for stream, faults in ((False, BOTH | WHOLE), (True, BOTH | STREAMS))
    for name, fault in faults.items()
    for case in spread(name, fault, stream)
]
OPERATIONS = [
    Case(name, fault, True, 2, 1, operation)
    for operation in ("responses", "messages")
    for name, fault in {"503": status(503), "no-content": {"kind": "cut_before_content"}}.items()
]
ENDS = [Case(name, row[0], stream, 2, 1, calls=2) for name, row in FINAL.items() for stream in (False, True)]
LOST = [
    Case("500", status(500), False, 2, -1),
    Case("500", status(500), True, 2, -1),
    Case("reset", {"kind": "reset"}, True, 3, -1),
    Case("429", status(429, retry_after=30), False, 2, -1),
    Case("429", status(429, retry_after=30), True, 3, -1),
    Case("429-day", LONG_REST, False, 1, -1),
    Case("429-day", LONG_REST, False, 2, -1),
]
BROKEN = [Case("cut-later", {"kind": "cut", "after": 4}, True, 2, 1)]
CASES = [*MATRIX, *OPERATIONS, *ENDS, *LOST, *BROKEN]
IN_CONFIG = {"unreachable": {"api_base": "http://127.0.0.1:1{}"}, "wrong-key": {"api_key": "not-the-key"}}
"""What is wrong with a deployment before it is asked."""


@dataclass
class Seen:
    """What became of one case's calls."""

    replies: list[httpx.Response] = field(default_factory=list[httpx.Response])
    asked: list[str] = field(default_factory=list[str])
    """The resources, in the order in which they were asked."""
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def rows(fake: FakeAzure) -> list[Any]:
    """Entries of the configuration; the deployments are made on the fake as well."""
    found: list[Any] = []
    for case in CASES:
        for place in range(case.deployments):
            resource = fake.state.resources["foundry" if case.operation == "messages" else RESOURCES[place]]
            name = f"{case.deployment}-{place}" if case.operation == "messages" else case.deployment
            model = "claude-sonnet-4-5-20250929" if case.operation == "messages" else "gpt-4o-2024-11-20"
            fake.add_deployment("foundry" if case.operation == "messages" else RESOURCES[place], name, model)
            params: dict[str, Any] = {"model": f"azure/{name}", "api_base": resource.url, "api_key": resource.key}
            params |= {"order": place + 1, "base_model": model}
            if case.operation == "chat":
                params["api_version"] = DATED
            if case.name == "time-out":
                params["timeout"] = 1
            found.append((case.alias, params, {}))
    for name, changed in IN_CONFIG.items():
        for count in (2, 3):
            for place in range(count):
                resource = fake.state.resources[RESOURCES[place]]
                fake.add_deployment(RESOURCES[place], f"d-{name}-{count}", "gpt-4o-2024-11-20")
                params = {"model": f"azure/d-{name}-{count}", "api_base": resource.url, "api_key": resource.key}
                params |= {"order": place + 1, "base_model": "gpt-4o"}
                if place < count - 1:
                    params |= {part: value.format(place) for part, value in changed.items()}
                found.append((f"{name}-{count}", params, {}))
    return found


def body_of(case: Case) -> tuple[str, dict[str, Any]]:
    if case.operation == "responses":
        return "/v1/responses", {"model": case.alias, "input": "count to 3", "stream": case.stream}
    body = ask("count to 3", case.alias, stream=case.stream)
    if case.operation == "messages":
        return "/v1/messages", body | {"max_tokens": 50}
    return "/v1/chat/completions", body


async def call_all(stack: Stack, key: Key, seen: dict[str, Seen]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(http: httpx.AsyncClient, alias: str, path: str, body: dict[str, Any], times: int) -> None:
        async with gate:
            for _ in range(times):
                seen[alias].replies.append(await http.post(path, json=body, headers=key.bearer))

    async with httpx.AsyncClient(base_url=stack.url, timeout=60, trust_env=False) as http, asyncio.TaskGroup() as calls:
        for case in CASES:
            calls.create_task(one(http, case.alias, *body_of(case), case.calls))
        for alias in (f"{name}-{count}" for name in IN_CONFIG for count in (2, 3)):
            calls.create_task(one(http, alias, "/v1/chat/completions", ask("count to 3", alias), 1))


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any
) -> tuple[dict[str, Seen], FakeAzure]:
    fake_azure.clear()
    config = config_text(rows(fake_azure), ROUTER)
    found = {case.alias: Seen() for case in CASES}
    found |= {f"{name}-{count}": Seen() for name in IN_CONFIG for count in (2, 3)}
    folder: Path = tmp_path_factory.mktemp("matrix")
    with Stack(folder, fake_azure, azurite.connection_string, config=config) as stack:
        for case in CASES:
            names = {case.deployment, f"{case.deployment}-0"} if case.operation == "messages" else {case.deployment}
            fake_azure.add_fault(**case.fault, deployment=max(names, key=len), times=case.strikes)
        key = stack.key()
        asyncio.run(call_all(stack, key, found))
        for record in upstream_calls(fake_azure):
            alias = record.path.partition("/deployments/d-")[2].partition("/")[0] or str(
                (record.body or {}).get("model", "")
            ).removeprefix("d-")
            if alias not in found:
                alias = alias[:-2]
            if alias in found:
                found[alias].asked.append(record.resource)
        for event in stack.usage(key, sum(case.calls for case in CASES) + 2 * len(IN_CONFIG)):
            found[event["alias"]].events.append(event)
    fake_azure.clear()
    return found, fake_azure


def answer_of(reply: httpx.Response) -> str:
    """The text of an answer, once it was found to be one answer, whole, of one attempt."""
    if "event-stream" not in reply.headers["content-type"]:
        return reply.json()["choices"][0]["message"]["content"]
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    assert not [event for event in events if event.get("error")]
    if reply.text.startswith("event: message_start"):
        assert Counter(event["type"] for event in events)["message_start"] == 1
        return "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    if reply.text.startswith("event: response."):
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert Counter(event["type"] for event in events)["response.created"] == 1
        return events[-1]["response"]["output"][0]["content"][0]["text"]
    assert reply.text.endswith("data: [DONE]\n\n")
    assert len({event["id"] for event in events if event["choices"]}) == 1
    deltas = [choice.get("delta", {}) for event in events for choice in event["choices"]]
    assert sum("role" in delta for delta in deltas) == 1
    return "".join(delta.get("content") or "" for delta in deltas)


def assert_served(found: Seen, attempts: int, case: str) -> None:
    (reply,) = found.replies
    assert reply.status_code == 200, (case, reply.text)
    assert answer_of(reply) == "1 2 3"
    assert reply.headers["x-tollgate-attempts"] == str(attempts)
    assert "x-tollgate-fallbacks" not in reply.headers
    (event,) = found.events
    assert (event["status"], event["outcome"], event["attempts"]) == (200, "ok", attempts)
    assert (event["output_tokens"], event["estimated"]) == (3, False)
    assert event["cost_nanos"] > 0
    assert event["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("case", [*MATRIX, *OPERATIONS], ids=lambda case: case.alias)
def test_call_that_could_be_served_was_served_once(seen: tuple[dict[str, Seen], FakeAzure], case: Case) -> None:
    found = seen[0][case.alias]
    assert_served(found, case.strikes + 1, case.alias)
    expected = ["main", "main"] if case.deployments == 1 else list(RESOURCES[: case.deployments])
    assert found.asked == (["foundry"] * 2 if case.operation == "messages" else expected)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", IN_CONFIG)
def test_deployment_that_nobody_can_reach_loses_no_call(
    seen: tuple[dict[str, Seen], FakeAzure], name: str, count: int
) -> None:
    found = seen[0][f"{name}-{count}"]
    assert_served(found, count, name)
    assert found.asked == list(RESOURCES[:count])[0 if name == "wrong-key" else count - 1 :]


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.alias)
def test_final_failure_is_told_at_once_and_makes_nobody_rest(
    seen: tuple[dict[str, Seen], FakeAzure], case: Case
) -> None:
    found = seen[0][case.alias]
    refused, served = found.replies
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == FINAL[case.name][1:]
    assert refused.headers["x-tollgate-attempts"] == "1"
    assert found.asked == ["main", "main"]
    assert answer_of(served) == "1 2 3"
    first = next(event for event in found.events if event["request_id"] == refused.headers["x-request-id"])
    assert (first["attempts"], first["output_tokens"], first["cost_nanos"]) == (1, 0, 0)
    assert_nothing_leaks(seen[1], refused)


@pytest.mark.parametrize("case", LOST, ids=lambda case: case.alias)
def test_call_that_nobody_could_serve_is_told_so(seen: tuple[dict[str, Seen], FakeAzure], case: Case) -> None:
    found = seen[0][case.alias]
    (reply,) = found.replies
    error = reply.json()["error"]
    limited = case.name.startswith("429")
    if case.deployments > 1:
        expected = (429, "rate_limit_exceeded") if limited else (503, "no_deployment_available")
        assert (reply.status_code, error["code"]) == expected
    assert reply.status_code == (429 if limited else 503)
    assert {"message", "type", "param", "code"} <= error.keys()
    wait = int(reply.headers["retry-after"])
    assert 1 <= wait <= 86_400
    if limited:
        assert wait > 20, "it was told to come back before there is any use in it"
    assert set(found.asked) == set(RESOURCES[: case.deployments])
    assert len(found.asked) == case.deployments * (1 if limited else 3), "each once, and at each retry one or all"
    assert reply.headers["x-tollgate-attempts"] == str(len(found.asked))
    (event,) = found.events
    assert (event["outcome"], event["output_tokens"], event["cost_nanos"]) == ("upstream_error", 0, 0)
    assert event["attempts"] == len(found.asked)
    assert_nothing_leaks(seen[1], reply)


def test_stream_that_breaks_after_its_first_content_is_not_begun_again(
    seen: tuple[dict[str, Seen], FakeAzure],
) -> None:
    found = seen[0][BROKEN[0].alias]
    assert found.asked == ["main"]
    (reply,) = found.replies
    assert '"content":"1"' in reply.text
    assert '"upstream_disconnected"' in reply.text
    assert "[DONE]" not in reply.text
    assert found.events[0]["outcome"] == "upstream_cut"
