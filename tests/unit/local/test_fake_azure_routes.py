"""Routes, api-versions and credentials of a resource, over real sockets."""

from collections.abc import Iterator

import httpx
import pytest

from local.fake_azure import FakeAzure

DATED = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
EXTENSIONS = "/openai/deployments/gpt-4o/extensions/chat/completions?api-version=2023-07-01-preview"
V1 = "/openai/v1/chat/completions"
MODELS = "/models/chat/completions?api-version=2024-05-01-preview"
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def token(azure: FakeAzure, http: httpx.Client, resource: str) -> str:
    state = azure.state
    query = {"api-version": "2019-08-01", "resource": resource}
    answer = http.get(state.identity_endpoint, params=query, headers={"X-IDENTITY-HEADER": state.identity_header})
    return answer.json()["access_token"]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("main", DATED),
        ("main", EXTENSIONS),
        ("main", V1),
        ("main", V1 + "?api-version=preview"),
        ("main", V1 + "?api-version=v1"),
        ("main", V1 + "?api-version=latest"),
        ("second", DATED),
        ("foundry", DATED),
        ("foundry", V1),
        ("foundry", MODELS),
    ],
)
@pytest.mark.parametrize("auth", ["api-key", "bearer"])
def test_chat_route_answers(azure: FakeAzure, http: httpx.Client, resource: str, path: str, auth: str) -> None:
    row = azure.state.resources[resource]
    credential = row.key if auth == "api-key" else token(azure, http, "https://cognitiveservices.azure.com")
    headers = {"api-key": credential} if auth == "api-key" else {"Authorization": f"Bearer {credential}"}
    answer = http.post(row.url + path, json=BODY, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "You said: hi"
    assert answer.json()["model"] == "gpt-4o-2024-11-20"
    assert azure.wait_idle()
    record = azure.requests[-1]
    assert (record.resource, record.auth, record.status, record.completed) == (resource, auth, 200, True)
    assert record.body == BODY


def test_plain_resource_has_no_azure_extras(azure: FakeAzure, http: httpx.Client) -> None:
    row = azure.state.resources["openai"]
    headers = {"Authorization": f"Bearer {row.key}"}
    answer = http.post(row.url + "/v1/chat/completions", json=BODY, headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == "You said: hi"
    assert "filter" not in answer.text
    assert "apim-request-id" not in answer.headers
    models = http.get(row.url + "/v1/models", headers=headers).json()
    assert [m["id"] for m in models["data"]][:3] == ["gpt-3.5-turbo", "gpt-4o", "o3-mini"]


@pytest.mark.parametrize("headers", [{}, {"api-key": "KEY"}, {"Authorization": "Bearer wrong"}])
def test_plain_resource_takes_its_bearer_key_only(
    azure: FakeAzure, http: httpx.Client, headers: dict[str, str]
) -> None:
    row = azure.state.resources["openai"]
    headers = {name: value.replace("KEY", row.key) for name, value in headers.items()}
    answer = http.post(row.url + "/v1/chat/completions", json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("path", "field"),
    [("/openai/models?api-version=2024-10-21", "lifecycle_status"), ("/openai/v1/models", "owned_by")],
)
def test_models_are_listed(azure: FakeAzure, http: httpx.Client, path: str, field: str) -> None:
    row = azure.state.resources["main"]
    models = http.get(row.url + path, headers={"api-key": row.key}).json()
    assert models["object"] == "list"
    assert "gpt-4o-2024-11-20" in [m["id"] for m in models["data"]]
    assert field in models["data"][0]


@pytest.mark.parametrize(
    "path",
    [
        DATED.partition("?")[0],
        DATED.replace("2024-10-21", "latest"),
        DATED.replace("2024-10-21", "1999-01-01"),
        DATED.replace("2024-10-21", "2999-01-01"),
        DATED.replace("2024-10-21", "2024-13-41"),
        DATED.replace("2024-10-21", "2024-10-21-beta"),
        "/openai/models",
        "/nowhere",
    ],
)
def test_unknown_api_version_or_path_is_not_found(azure: FakeAzure, http: httpx.Client, path: str) -> None:
    row = azure.state.resources["main"]
    answer = http.post(row.url + path, json=BODY, headers={"api-key": row.key})
    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": "404", "message": "Resource not found"}}


def test_v1_refuses_a_dated_version(azure: FakeAzure, http: httpx.Client) -> None:
    row = azure.state.resources["main"]
    answer = http.post(row.url + V1 + "?api-version=2024-10-21", json=BODY, headers={"api-key": row.key})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "API version not supported")


def test_models_route_is_foundry_only(azure: FakeAzure, http: httpx.Client) -> None:
    row = azure.state.resources["main"]
    assert http.post(row.url + MODELS, json=BODY, headers={"api-key": row.key}).status_code == 404


@pytest.mark.parametrize(("model", "status", "code"), [("nothing", 404, "unknown_model"), ("", 400, "no_model_name")])
def test_models_route_names_an_unknown_model(
    azure: FakeAzure, http: httpx.Client, model: str, status: int, code: str
) -> None:
    row = azure.state.resources["foundry"]
    answer = http.post(row.url + MODELS, json={**BODY, "model": model}, headers={"api-key": row.key})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "details" in answer.json()["error"]


@pytest.mark.parametrize("path", [DATED, V1])
def test_key_of_another_resource_is_refused(azure: FakeAzure, http: httpx.Client, path: str) -> None:
    resources = azure.state.resources
    answer = http.post(resources["main"].url + path, json=BODY, headers={"api-key": resources["second"].key})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "401")
    assert "invalid subscription key" in answer.json()["error"]["message"]


def test_key_as_bearer_is_for_v1_only(azure: FakeAzure, http: httpx.Client) -> None:
    row = azure.state.resources["main"]
    headers = {"Authorization": f"Bearer {row.key}"}
    assert http.post(row.url + V1, json=BODY, headers=headers).status_code == 200
    refused = http.post(row.url + DATED, json=BODY, headers=headers)
    assert refused.status_code == 401
    assert "Access token is missing" in refused.json()["error"]["message"]


@pytest.mark.parametrize("audience", ["https://ai.azure.com", "https://cognitiveservices.azure.us"])
def test_token_audiences_of_azure_are_accepted(azure: FakeAzure, http: httpx.Client, audience: str) -> None:
    headers = {"Authorization": f"Bearer {token(azure, http, audience)}"}
    assert http.post(azure.state.resources["main"].url + DATED, json=BODY, headers=headers).status_code == 200


def test_token_for_another_audience_is_refused(azure: FakeAzure, http: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {token(azure, http, 'https://vault.azure.net')}"}
    assert http.post(azure.state.resources["main"].url + DATED, json=BODY, headers=headers).status_code == 401


def test_forged_token_is_refused(azure: FakeAzure, http: httpx.Client) -> None:
    good = token(azure, http, "https://ai.azure.com")
    head, payload, signature = good.split(".")
    forged = ".".join([head, payload, signature[:-8] + "AAAAAAAA"])
    answer = http.post(
        azure.state.resources["main"].url + DATED, json=BODY, headers={"Authorization": f"Bearer {forged}"}
    )
    assert answer.status_code == 401


def test_expired_tokens_are_refused(azure: FakeAzure, http: httpx.Client) -> None:
    url = azure.state.resources["main"].url + DATED
    azure.add_fault("token_lifetime", seconds=-1)
    old = token(azure, http, "https://ai.azure.com")
    azure.clear()
    assert http.post(url, json=BODY, headers={"Authorization": f"Bearer {old}"}).status_code == 401
    headers = {"Authorization": f"Bearer {token(azure, http, 'https://ai.azure.com')}"}
    assert http.post(url, json=BODY, headers=headers).status_code == 200
    azure.expire_tokens()
    assert http.post(url, json=BODY, headers=headers).status_code == 401
    headers = {"Authorization": f"Bearer {token(azure, http, 'https://ai.azure.com')}"}
    assert http.post(url, json=BODY, headers=headers).status_code == 200


def test_body_that_is_no_json_is_refused(azure: FakeAzure, http: httpx.Client) -> None:
    row = azure.state.resources["main"]
    for content in (b"{", b"[]"):
        answer = http.post(row.url + DATED, content=content, headers={"api-key": row.key})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
