"""Quotas that count down, spill-over, and the refusals and breaks that routing has to tell apart."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.errors import ApiError
from local.fake_azure.quota import Quotas

PATH = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
LEFT = ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens")


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


@pytest.fixture
def http(azure: FakeAzure) -> Iterator[httpx.Client]:
    row = azure.state.resources["main"]
    with httpx.Client(base_url=row.url, headers={"api-key": row.key}, timeout=5) as client:
        yield client


def body(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "count to 9"}], **more}


def test_quota_counts_down_and_refuses_at_nothing(azure: FakeAzure, http: httpx.Client) -> None:
    azure.set_quota("main", "gpt-4o", requests=2, window=30)
    left: list[str] = []
    for _ in range(2):
        answer = http.post(PATH, json=body())
        left.append(answer.headers[LEFT[0]])
        assert answer.headers["x-ratelimit-limit-requests"] == "2"
        assert 1 <= int(answer.headers["x-ratelimit-reset-requests"]) <= 30
    assert left == ["1", "0"]
    refused = http.post(PATH, json=body())
    assert (refused.status_code, refused.headers[LEFT[0]]) == (429, "0")
    seconds = int(refused.headers["retry-after"])
    assert 1 <= seconds <= 30
    assert f"retry after {seconds} seconds" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after-ms"]) <= 30_000
    assert http.post(PATH.replace("gpt-4o", "gpt-4.1-mini"), json=body()).status_code == 200
    azure.clear()
    assert http.post(PATH, json=body()).headers[LEFT[0]] == "119"


def test_tokens_count_by_what_an_answer_may_come_to(azure: FakeAzure, http: httpx.Client) -> None:
    azure.set_quota("main", "gpt-4o", tokens=1_000)
    answer = http.post(PATH, json=body(max_tokens=600, stream=True))
    assert 300 <= int(answer.headers[LEFT[1]]) < 400
    assert http.post(PATH, json=body(max_tokens=600)).headers[LEFT[1]] == "0"
    assert http.post(PATH, json=body()).status_code == 429


def test_window_begins_anew() -> None:
    now = [0.0]
    quotas = Quotas(lambda: now[0])
    quotas.put("main", "gpt-4o", requests=1, window=10)
    quotas.take("main", "gpt-4o", {}, 0)
    now[0] = 9.5
    with pytest.raises(ApiError) as refused:
        quotas.take("main", "gpt-4o", {}, 0)
    assert refused.value.headers["retry-after-ms"] == "500"
    now[0] = 10
    assert quotas.take("main", "gpt-4o", {}, 0).headers(0)[LEFT[0]] == "0"


def test_quota_spills_over_and_says_so(azure: FakeAzure, http: httpx.Client) -> None:
    azure.set_quota("main", "gpt-4o", requests=1, spill_to="gpt-4.1-mini")
    first, second = http.post(PATH, json=body()), http.post(PATH, json=body())
    told = ("x-ms-is-spilled-over", "x-ms-deployment-name", "x-ms-spillover-from-deployment", "x-ms-spillover-error")
    assert [first.headers.get(name) for name in told] == ["false", "gpt-4o", None, None]
    assert [second.headers.get(name) for name in told] == ["true", "gpt-4.1-mini", "gpt-4o", "429"]
    assert second.status_code == 200


def test_one_answer_is_spilled_over_by_a_fault(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("spilled_over", body="gpt-4.1-mini")
    told = [http.post(PATH, json=body(stream=True)).headers["x-ms-deployment-name"] for _ in range(2)]
    assert told == ["gpt-4.1-mini", "gpt-4o"]


def test_quota_is_set_over_http(azure: FakeAzure, http: httpx.Client) -> None:
    quota = {"resource": "main", "deployment": "gpt-4o", "requests": 0}
    url = f"{azure.state.control_url}/control/quotas"
    assert httpx.post(url, json=quota).status_code == 200
    assert http.post(PATH, json=body()).status_code == 429
    assert httpx.post(url, json=quota | {"window": 0}).status_code == 400
    assert httpx.post(url, json=quota | {"wrong": 1}).status_code == 400


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("insufficient_quota", 429, "insufficient_quota"), ("context_length", 400, "context_length_exceeded")],
)
def test_refusal_has_its_code(azure: FakeAzure, http: httpx.Client, kind: str, status: int, code: str) -> None:
    azure.add_fault(kind)
    answer = http.post(PATH, json=body(stream=True))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "retry-after" not in answer.headers


STREAMS: list[tuple[str, str, dict[str, Any], bytes, bytes]] = [
    ("main", PATH, body(stream=True), b'"role":"assistant"', b'"content":"1"'),
    ("main", "/openai/v1/responses", {"model": "gpt-4o", "input": "count to 9", "stream": True},
     b"event: response.content_part.added", b"output_text.delta"),
    ("foundry", "/anthropic/v1/messages", {**body(stream=True), "model": "claude-sonnet-4-5", "max_tokens": 20},
     b"event: content_block_start", b"content_block_delta"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "path", "asked", "arrives", "never"), STREAMS, ids=["chat", "responses", "claude"]
)
def test_stream_dies_before_its_first_content(
    azure: FakeAzure, resource: str, path: str, asked: dict[str, Any], arrives: bytes, never: bytes
) -> None:
    azure.add_fault("cut_before_content")
    row, seen = azure.state.resources[resource], b""

    def read() -> None:
        nonlocal seen
        headers = {"api-key": row.key, "anthropic-version": "2023-06-01"}
        with httpx.stream("POST", row.url + path, json=asked, headers=headers) as answer:
            for piece in answer.iter_raw():
                seen += piece

    with pytest.raises(httpx.RemoteProtocolError):
        read()
    assert arrives in seen
    assert never not in seen
