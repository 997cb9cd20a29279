"""Work that is submitted: asked for until it has ended, at its own host only, with what the deployment signs in by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from shared.errors import UpstreamFailed
from shared.submitted import poll
from shared.types import UpstreamReply, UpstreamRequest
from tests.unit.given import deployment

ROOT = "https://res.openai.azure.com"
PLACE = f"{ROOT}/openai/operations/images/1?api-version=2023-06-01-preview"
DONE = {"status": "succeeded", "result": {"created": 1, "data": [{"url": "u"}]}}


def reply(status: int, body: Any, **headers: str) -> UpstreamReply:
    async def chunks() -> AsyncIterator[bytes]:
        yield body if isinstance(body, bytes) else orjson.dumps(body)

    async def close() -> None:
        return None

    return UpstreamReply(status, {name.replace("_", "-"): value for name, value in headers.items()}, chunks(), close)


class Resource:
    """ports.Upstream with its answers in order."""

    def __init__(self, *answers: UpstreamReply) -> None:
        self.answers = list(answers)
        self.asked: list[UpstreamRequest] = []
        self.waited: list[float] = []

    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        self.asked.append(request)
        return self.answers.pop(0)

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


def polled(resource: Resource, place: str = PLACE, **headers: str) -> tuple[int, Any]:
    accepted = reply(202, b"", operation_location=place, **headers)

    async def work() -> tuple[int, Any]:
        found = await poll(accepted, deployment(root=ROOT), resource, resource.sleep)
        return found.status, orjson.loads(b"".join([chunk async for chunk in found.chunks]))

    return asyncio.run(work())


def test_asked_until_it_has_ended() -> None:
    resource = Resource(
        reply(200, {"status": "notRunning"}, retry_after="3"),
        reply(200, {"status": "running"}, retry_after="600"),
        reply(200, DONE),
    )
    assert polled(resource, retry_after="soon") == (200, DONE["result"])
    assert resource.waited == [2.0, 3.0, 10.0]  # the usual time, what is asked for, and no longer than the most
    assert {(r.method, r.url, r.body, r.content_type) for r in resource.asked} == {("GET", PLACE, b"", "")}
    assert {(r.credential, r.auth_header) for r in resource.asked} == {(deployment().credential, "api-key")}


def test_failure_is_told() -> None:
    error = {"code": "contentFilter", "message": "blocked"}
    assert polled(Resource(reply(200, {"status": "failed", "error": error}))) == (400, {"error": error})
    assert polled(Resource(reply(200, {"status": "canceled"}))) == (400, {"error": {"code": "canceled"}})
    assert polled(Resource(reply(429, {"error": {"code": "429"}}))) == (429, {"error": {"code": "429"}})
    for body in (b"<html>", b"{"):
        with pytest.raises(UpstreamFailed, match="not JSON"):
            polled(Resource(reply(200, body)))


@pytest.mark.parametrize(
    "place",
    [
        "https://other.openai.azure.com/openai/operations/images/1",
        "http://res.openai.azure.com/openai/operations/images/1",
        "https://res.openai.azure.com:8443/openai/operations/images/1",
        "https://res.openai.azure.com@evil.example/x",
        "https://res.openai.azure.com.evil.example/x",
        "//evil.example/x",
        "/openai/operations/images/1",
        "https://[/x",
        "",
    ],
)
def test_no_credential_goes_anywhere_else(place: str) -> None:
    resource = Resource()
    with pytest.raises(UpstreamFailed):
        polled(resource, place)
    assert not resource.asked


@pytest.mark.parametrize(
    "place",
    [PLACE.replace("res.openai", "RES.OpenAI"), PLACE + "#part", PLACE.replace("https://", "https://user:word@")],
)
def test_host_is_the_configured_one_however_it_is_written(place: str) -> None:
    resource = Resource(reply(200, DONE))
    assert polled(resource, place)[0] == 200
    assert resource.asked[0].url == PLACE
