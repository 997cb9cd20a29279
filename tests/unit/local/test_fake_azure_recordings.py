"""The fake's wire details against recordings of the real services: same names, same types, same fixed values."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples"
# What differs from one answer to the next, or was added by the transport.
TRANSPORT = set("content-length date transfer-encoding traceparent vary cache-control".split())
CORS = {"access-control-allow-origin", "access-control-expose-headers"}

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recordings (../shared/samples) are not here")


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def recorded(name: str) -> tuple[set[str], bytes]:
    """Header names (lower-cased, without the transport's) and the body."""
    sample = json.loads((SAMPLES / f"{name}.json").read_text())["response"]
    names = {header.lower() for header, _ in sample["headers"]}
    return names - TRANSPORT - CORS, (SAMPLES / sample["body_file"]).read_bytes()


def ask(azure: FakeAzure, resource: str, path: str, body: dict[str, Any], key: str = "") -> httpx.Response:
    row = azure.state.resources[resource]
    return httpx.post(row.url + path, json=body, headers={"api-key": key or row.key})


def dated(deployment: str) -> str:
    return f"/openai/deployments/{deployment}/chat/completions?api-version=2024-02-01"


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def skeleton(value: Any) -> Any:
    """Names and types, without values; a list stands for its first element."""
    if isinstance(value, dict):
        return {name: skeleton(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [skeleton(value[0])] if value else []
    return type(value).__name__


def events(body: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    return [json.loads(line) if line != "[DONE]" else line for line in lines]


def names(answer: httpx.Response) -> set[str]:
    return {name.lower() for name in answer.headers} - TRANSPORT


def test_chat_answer_is_like_the_recording(azure: FakeAzure) -> None:
    headers, body = recorded("az-chat")
    answer = ask(azure, "main", dated("gpt-4.1-mini"), user("Tell me a joke"))
    assert skeleton(answer.json()) == skeleton(json.loads(body))
    assert list(answer.json()) == list(json.loads(body))
    assert answer.json()["model"] == json.loads(body)["model"]
    assert answer.json()["prompt_filter_results"] == json.loads(body)["prompt_filter_results"]
    assert names(answer) == headers


def test_reasoning_answer_is_like_the_recording(azure: FakeAzure) -> None:
    _, body = recorded("az-chat-gpt5-reasoning")
    answer = ask(azure, "main", dated("my-gpt-5-deployment"), user("Count", reasoning_effort="medium"))
    assert skeleton(answer.json()) == skeleton(json.loads(body))
    assert answer.json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 192


def test_chat_stream_is_like_the_recording(azure: FakeAzure) -> None:
    headers, body = recorded("az-chat-stream")
    answer = ask(azure, "main", dated("gpt-4.1-mini"), user("Tell me a joke", stream=True))
    ours, theirs = events(answer.content), events(body)
    assert ours[0] == theirs[0]
    for place in (1, 2, -2):
        assert skeleton(ours[place]) == skeleton(theirs[place])
        assert (
            ours[place]["choices"][0]["content_filter_results"] == theirs[place]["choices"][0]["content_filter_results"]
        )
        assert list(ours[place]) == list(theirs[place])
    assert ours[-1] == theirs[-1] == "[DONE]"
    assert names(answer) == headers
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_partner_stream_is_like_the_recording(azure: FakeAzure) -> None:
    headers, body = recorded("foundry-chat-stream")
    request = user("Count from 1 to 3", model="grok-4", stream=True, stream_options={"include_usage": True})
    answer = ask(azure, "foundry", "/models/chat/completions?api-version=2024-05-01-preview", request)
    ours, theirs = events(answer.content), events(body)
    for place in (0, 1, -3, -2):
        assert skeleton(ours[place]) == skeleton(theirs[place])
    assert ours[-1] == "[DONE]"
    assert ours[0]["model"] == theirs[0]["model"]
    assert names(answer) == headers


def test_wrong_key_is_like_the_recording(azure: FakeAzure) -> None:
    _, body = recorded("az-401")
    answer = ask(azure, "main", dated("gpt-4o"), user("hi"), key="wrong")
    assert (answer.status_code, answer.json()) == (401, json.loads(body))
    assert answer.headers["content-type"] == "application/json"


def test_unknown_deployment_is_the_recording(azure: FakeAzure) -> None:
    _, body = recorded("az-404-deployment")
    for path in (dated("nothing"), "/openai/v1/chat/completions"):
        answer = ask(azure, "main", path, user("hi", model="nothing"))
        assert (answer.status_code, answer.content) == (404, body)
        assert "content-type" not in answer.headers
        assert "content-length" not in answer.headers


def test_filtered_prompt_is_the_recording(azure: FakeAzure) -> None:
    _, body = recorded("err-400-content-filter")
    answer = ask(azure, "main", dated("gpt-4o"), user("please filter me"))
    assert (answer.status_code, answer.content) == (400, body)


def test_max_tokens_refusal_is_the_recording(azure: FakeAzure) -> None:
    _, body = recorded("err-unsupported-max-tokens")
    answer = ask(azure, "main", dated("o3-model"), user("hi", max_tokens=16))
    assert (answer.status_code, answer.json()) == (400, json.loads(body))


def test_partner_rate_limit_is_the_recording(azure: FakeAzure) -> None:
    _, body = recorded("foundry-429")
    azure.add_fault("foundry_429")
    path = "/models/chat/completions?api-version=2024-05-01-preview"
    answer = ask(azure, "foundry", path, user("hi", model="grok-4"))
    assert (answer.status_code, answer.json()) == (429, json.loads(body))
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("1", "0")


def test_unknown_openai_model_is_the_recording(azure: FakeAzure) -> None:
    _, body = recorded("oai-chat-unknown-model")
    row = azure.state.resources["openai"]
    headers = {"Authorization": f"Bearer {row.key}"}
    request = user("hi", model="gpt-4.1-nano-wrong")
    answer = httpx.post(row.url + "/v1/chat/completions", json=request, headers=headers)
    assert (answer.status_code, answer.json()) == (404, json.loads(body))
