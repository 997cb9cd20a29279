"""Content Safety of the fake: severities by words, its own header for the key, its limits."""

import base64
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure

TEXT = "/contentsafety/text:analyze?api-version=2024-09-01"
IMAGE = "/contentsafety/image:analyze?api-version=2024-09-01"


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def post(azure: FakeAzure, path: str, body: Any, resource: str = "main") -> httpx.Response:
    row = azure.state.resources[resource]
    return httpx.post(row.url + path, json=body, headers={"Ocp-Apim-Subscription-Key": row.key})


def severities(answer: httpx.Response) -> dict[str, int]:
    return {row["category"]: row["severity"] for row in answer.json()["categoriesAnalysis"]}


@pytest.mark.parametrize("resource", ["main", "foundry"])
def test_words_decide(azure: FakeAzure, resource: str) -> None:
    calm = post(azure, TEXT, {"text": "a nice day"}, resource)
    assert calm.json()["blocklistsMatch"] == []
    assert severities(calm) == {"Hate": 0, "SelfHarm": 0, "Sexual": 0, "Violence": 0}
    bad = post(azure, TEXT, {"text": "hate, and violence upon violence"}, resource)
    assert severities(bad) == {"Hate": 4, "SelfHarm": 0, "Sexual": 0, "Violence": 6}


def test_categories_and_levels_are_chosen(azure: FakeAzure) -> None:
    body = {"text": "suicide", "categories": ["SelfHarm"], "outputType": "EightSeverityLevels"}
    assert severities(post(azure, TEXT, body)) == {"SelfHarm": 5}


def test_image_is_analyzed(azure: FakeAzure) -> None:
    content = base64.b64encode(b"a picture of violence").decode()
    assert severities(post(azure, IMAGE, {"image": {"content": content}}))["Violence"] == 4


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TEXT, {}),
        (TEXT, {"text": "x" * 10_001}),
        (TEXT, {"text": "x", "categories": ["Weather"]}),
        (TEXT, {"text": "x", "outputType": "Two"}),
        (IMAGE, {"image": {"content": "no base64!"}}),
        (IMAGE, {"image": {}}),
    ],
)
def test_bad_requests_are_refused(azure: FakeAzure, path: str, body: Any) -> None:
    answer = post(azure, path, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidRequestBody"


def test_longest_text_passes(azure: FakeAzure) -> None:
    assert post(azure, TEXT, {"text": "x" * 10_000}).status_code == 200


def test_only_its_own_header_and_tokens_open(azure: FakeAzure) -> None:
    row, state = azure.state.resources["main"], azure.state
    query = {"api-version": "2019-08-01", "resource": "https://cognitiveservices.azure.com"}
    granted = httpx.get(state.identity_endpoint, params=query, headers={"X-IDENTITY-HEADER": state.identity_header})
    token = {"Authorization": f"Bearer {granted.json()['access_token']}"}
    statuses = [
        httpx.post(row.url + TEXT, json={"text": "x"}, headers=headers).status_code
        for headers in (token, {"api-key": row.key}, {"Ocp-Apim-Subscription-Key": "wrong"}, {})
    ]
    assert statuses == [200, 401, 401, 401]


def test_fault_strikes(azure: FakeAzure) -> None:
    azure.add_fault("status", status=429, retry_after=2)
    answer = post(azure, TEXT, {"text": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
