"""Callers who sign in with Entra ID instead of a key: real tokens of the fake authority, unmodified SDKs."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from typing import Any

import pytest
from azure.identity import ClientSecretCredential, get_bearer_token_provider
from openai import AuthenticationError, AzureOpenAI, OpenAI, PermissionDeniedError

from local.fake_azure import FakeAzure
from shared.auth import entra_digest
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask, run_manage, upstream_calls

AUDIENCE = "api://tollgate"
HELLO: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any) -> Generator[Stack]:
    """A gateway that accepts the fake's tenant."""
    accepted: dict[str, Any] = {
        "ENTRA_TENANTS": fake_azure.state.tenant_id,
        "ENTRA_AUDIENCES": AUDIENCE,
        "CONTACT": "#llm-help",
    }
    with Stack(tmp_path_factory.mktemp("entra"), fake_azure, azurite.connection_string, **accepted) as made:
        yield made


@pytest.fixture
def entra(shared_stack: Stack, fake: FakeAzure) -> Generator[Stack]:
    yield shared_stack
    for client_id in fake.state.clients:
        fake.give_claims(client_id)


def told(entra: Stack, *arguments: str) -> Any:
    return run_manage(entra.settings, *arguments)


def team(entra: Stack, *entra_callers: str, **limits: str) -> str:
    name = f"team-{uuid.uuid4().hex[:8]}"
    more = [part for option, value in limits.items() for part in (f"--{option}", value)]
    told(entra, "teams", "create", "--name", name, "--entra", ",".join(entra_callers), *more)
    return name


def token(fake: FakeAzure, app: str = "", **claims: Any) -> str:
    said: dict[str, Any] = {"azp": app or str(uuid.uuid4()), "oid": "sp", **claims}
    return fake.issue_token(AUDIENCE, **said)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def test_azure_sdk_with_a_credential_of_azure_identity(entra: Stack, fake: FakeAzure) -> None:
    """As Microsoft documents it: nothing but the endpoint and the scope is the gateway's."""
    ((client_id, secret),) = fake.state.clients.items()
    role = f"Tollgate.{uuid.uuid4().hex[:8]}"
    fake.give_claims(client_id, roles=[role])
    name = team(entra, f"role:{role}")
    credential = ClientSecretCredential(
        fake.state.tenant_id, client_id, secret, authority=fake.state.authority_url, disable_instance_discovery=True,
        connection_verify=fake.state.ca_file,
    )  # fmt: skip
    provider = get_bearer_token_provider(credential, f"{AUDIENCE}/.default")
    options: dict[str, Any] = {"azure_endpoint": entra.url, "api_version": "2024-10-21", "max_retries": 0}
    with AzureOpenAI(azure_ad_token_provider=provider, **options) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert answer.choices[0].message.content == "You said: hi"
        parts = list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
        assert parts
    with AzureOpenAI(azure_ad_token=credential.get_token(f"{AUDIENCE}/.default").token, **options) as client:
        assert client.models.list().data
    with OpenAI(api_key=provider, base_url=entra.url + "/v1", max_retries=0) as client:
        assert client.chat.completions.create(model="gpt-4o", messages=HELLO).choices
    credential.close()
    who = Key("", entra_digest(fake.state.tenant_id, client_id), client_id)
    assert len(entra.usage(who, 3)) == 3
    assert {row["team"] for row in entra.ledger.totals(who.id)} == {name}
    assert all("eyJ" not in str(call.headers) for call in upstream_calls(fake) if call.resource == "main")
    assert "eyJ" not in entra.log()


def test_an_application_that_is_assigned_to_a_key_is_that_key(entra: Stack, fake: FakeAzure) -> None:
    app = str(uuid.uuid4())
    key = entra.key("for-an-app", entra=f"app:{app}", models="gpt-4o")
    text = token(fake, app, roles=["Somewhere.Else"])
    assert entra.post(None, ask("hi"), headers=bearer(text)).status_code == 200
    assert entra.post(None, ask("hi", "gpt-5"), headers=bearer(text)).status_code == 403
    assert entra.post(key, ask("hi")).status_code == 200
    assert [event["status"] for event in entra.usage(key, 3)] == [200, 403, 200]


def test_what_is_assigned_to_nothing_is_told_what_to_ask_for(entra: Stack, fake: FakeAzure) -> None:
    app = str(uuid.uuid4())
    with (
        OpenAI(api_key=token(fake, app, roles=["Other"]), base_url=entra.url + "/v1", max_retries=0) as client,
        pytest.raises(PermissionDeniedError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.code == "caller_not_assigned"
    for part in (f"app:{app}", "#llm-help", "roles in your token: Other"):
        assert part in caught.value.message
    assert not upstream_calls(fake)


def test_roles_of_two_teams_leave_open_who_pays(entra: Stack, fake: FakeAzure) -> None:
    one, two = f"r{uuid.uuid4().hex}", f"r{uuid.uuid4().hex}"
    team(entra, f"role:{one}")
    team(entra, f"role:{two}")
    assert entra.post(None, ask("hi"), headers=bearer(token(fake, roles=[one]))).status_code == 200
    both = entra.post(None, ask("hi"), headers=bearer(token(fake, roles=[one, two])))
    assert (both.status_code, both.json()["error"]["code"]) == (403, "caller_not_assigned")


def test_a_teams_limits_hold_for_its_entra_callers(entra: Stack, fake: FakeAzure) -> None:
    role = f"r{uuid.uuid4().hex}"
    name = team(entra, f"role:{role}", models="gpt-4o", endpoints="chat")
    headers = bearer(token(fake, roles=[role], oid="person", scp="x", preferred_username="ana@example.com"))
    assert entra.post(None, ask("hi"), headers=headers).status_code == 200
    assert entra.post(None, ask("hi", "gpt-5"), headers=headers).status_code == 403
    assert entra.http.get("/v1/files", headers=headers).json()["error"]["code"] == "endpoint_not_allowed"
    assert [model["id"] for model in entra.http.get("/v1/models", headers=headers).json()["data"]] == ["gpt-4o"]
    who = Key("", entra_digest(fake.state.tenant_id, "person"), "")
    entra.usage(who, 2)
    assert {row["key_name"] for row in entra.ledger.totals(who.id)} == {"ana@example.com"}
    told(entra, "teams", "update", name, "--disabled")
    until(lambda: entra.post(None, ask("hi"), headers=headers).status_code == 401, 5, 0.05)


def test_what_is_wrong_with_a_token_is_the_same_401(entra: Stack, fake: FakeAzure) -> None:
    app = str(uuid.uuid4())
    team(entra, f"app:{app}")
    good = token(fake, app)
    assert entra.post(None, ask("hi"), headers=bearer(good)).status_code == 200
    head, body, signature = good.split(".")
    wrong = [
        token(fake, app, aud="api://other"), token(fake, app, iss="https://sts.windows.net/other/"),
        token(fake, app, exp=1), token(fake, app, nbf=10**10), f"{head}.{body}.", f"{head}.{body}.{signature[:-6]}AAAAAA",
    ]  # fmt: skip
    answers = [entra.post(None, ask("hi"), headers=bearer(text)) for text in (*wrong, "sk-" + "A" * 43)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[-1].content)}
    # a token is sent as a bearer token, and as nothing else
    assert entra.post(None, ask("hi"), headers={"api-key": good}).status_code == 401
    assert len(upstream_calls(fake)) == 1


def test_keys_work_beside_tokens(entra: Stack) -> None:
    assert entra.post(entra.key(), ask("hi")).status_code == 200


def test_without_tenants_no_token_is_accepted(stack: Stack, fake: FakeAzure) -> None:
    app = str(uuid.uuid4())
    team(stack, f"app:{app}")
    with (
        OpenAI(api_key=token(fake, app), base_url=stack.url + "/v1", max_retries=0) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert not [r for r in fake.requests if r.resource == "authority"]
