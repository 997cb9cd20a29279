"""Azure's own SDK classes sign in at the fake and read its vault. Nothing of theirs is replaced."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import UsernamePasswordCredential
from azure.identity.aio import (
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.keyvault.secrets.aio import SecretClient

from local.fake_azure import FakeAzure

SCOPE = "https://cognitiveservices.azure.com/.default"


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


@pytest.fixture
def identity_env(azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IDENTITY_ENDPOINT", azure.state.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", azure.state.identity_header)


def at_the_fake(azure: FakeAzure) -> dict[str, Any]:
    state = azure.state
    return {
        "authority": state.authority_url,
        "disable_instance_discovery": True,
        "connection_verify": state.ca_file,
        "retry_total": 0,
    }


def client_secret(azure: FakeAzure, secret: str = "", client: str = "") -> ClientSecretCredential:
    ((client_id, right),) = azure.state.clients.items()
    return ClientSecretCredential(azure.state.tenant_id, client or client_id, secret or right, **at_the_fake(azure))


def opens(azure: FakeAzure, token: str) -> bool:
    """Whether a resource accepts the token."""
    url = azure.state.resources["main"].url + "/openai/v1/models"
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def counted(azure: FakeAzure) -> dict[str, int]:
    return {kind: n for kind, n in azure.describe()["counters"]["token_requests"].items() if n}


def run(work: Callable[[], Any]) -> Any:
    return asyncio.run(work())


def test_client_secret_credential_gets_a_token_that_opens_a_resource(azure: FakeAzure) -> None:
    async def work() -> None:
        async with client_secret(azure) as credential:
            token = await credential.get_token(SCOPE)
            assert opens(azure, token.token)
            assert abs(token.expires_on - time.time() - 3600) < 10

    run(work)
    assert counted(azure) == {"client_secret": 1}


@pytest.mark.parametrize(("secret", "client", "code"), [("wrong", "", "AADSTS7000215"), ("", "nobody", "AADSTS700016")])
def test_client_secret_credential_hears_why_not(azure: FakeAzure, secret: str, client: str, code: str) -> None:
    async def work() -> None:
        async with client_secret(azure, secret, client) as credential:
            with pytest.raises(ClientAuthenticationError, match=code):
                await credential.get_token(SCOPE)

    run(work)


@pytest.mark.usefixtures("identity_env")
def test_managed_identity_credential(azure: FakeAzure) -> None:
    async def work() -> None:
        for client_id in (None, azure.state.managed_client_id):
            async with ManagedIdentityCredential(client_id=client_id) as credential:
                assert opens(azure, (await credential.get_token(SCOPE)).token)
        async with ManagedIdentityCredential(client_id="somebody-else") as credential:
            with pytest.raises(ClientAuthenticationError, match="No User Assigned"):
                await credential.get_token(SCOPE)

    run(work)
    assert counted(azure) == {"managed_identity": 3}


@pytest.mark.usefixtures("identity_env")
def test_default_azure_credential_uses_the_managed_identity(azure: FakeAzure) -> None:
    async def work() -> None:
        async with DefaultAzureCredential() as credential:
            assert opens(azure, (await credential.get_token(SCOPE)).token)

    run(work)
    assert counted(azure) == {"managed_identity": 1}


@pytest.mark.usefixtures("identity_env")
def test_default_azure_credential_uses_a_client_secret_of_the_environment(
    azure: FakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((client_id, secret),) = azure.state.clients.items()
    monkeypatch.setenv("AZURE_CLIENT_ID", client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", secret)
    monkeypatch.setenv("AZURE_TENANT_ID", azure.state.tenant_id)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", azure.state.authority_url)

    async def work() -> None:
        # aiohttp reads SSL_CERT_FILE when it is imported: too late here, see the test of the process.
        async with DefaultAzureCredential(connection_verify=azure.state.ca_file) as credential:
            assert opens(azure, (await credential.get_token(SCOPE)).token)

    run(work)
    assert counted(azure) == {"client_secret": 1}


def test_workload_identity_credential_presents_a_token_file(azure: FakeAzure, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("eyJhbGciOiJub25lIn0.e30.")
    (client_id,) = azure.state.clients

    def credential(file: str) -> WorkloadIdentityCredential:
        return WorkloadIdentityCredential(
            tenant_id=azure.state.tenant_id, client_id=client_id, token_file_path=file, **at_the_fake(azure)
        )

    async def work() -> None:
        async with credential(azure.state.federated_token_file) as right:
            assert opens(azure, (await right.get_token(SCOPE)).token)
        async with credential(str(wrong)) as refused:
            with pytest.raises(ClientAuthenticationError, match="AADSTS700213"):
                await refused.get_token(SCOPE)

    run(work)
    assert counted(azure) == {"client_assertion": 2}


class KeepsThePort(RequestsTransport):
    """MSAL asks for the user's realm at the authority's host name without its port: this puts the port back."""

    def __init__(self, authority: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._authority = authority

    def send(self, request: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace("https://localhost/", f"{self._authority}/")
        return super().send(request, **kwargs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the flow is deprecated, and still in use
def test_username_password_credential(azure: FakeAzure) -> None:
    ((username, password),) = azure.state.users.items()
    (client_id,) = azure.state.clients

    def credential(password: str) -> UsernamePasswordCredential:
        transport = KeepsThePort(azure.state.authority_url, connection_verify=azure.state.ca_file)
        options = {**at_the_fake(azure), "tenant_id": azure.state.tenant_id, "transport": transport}
        return UsernamePasswordCredential(client_id, username, password, **options)

    with credential(password) as right:
        token = right.get_token(SCOPE).token
        assert opens(azure, token)
        assert jwt.decode(token, options={"verify_signature": False})["upn"] == username
    with credential("wrong") as refused, pytest.raises(ClientAuthenticationError, match="AADSTS50126"):
        refused.get_token(SCOPE)
    assert counted(azure) == {"password": 2}


def test_token_can_be_verified_with_the_published_keys(azure: FakeAzure) -> None:
    state = azure.state
    with httpx.Client(verify=ssl.create_default_context(cafile=state.ca_file)) as http:
        root = f"{state.authority_url}/{state.tenant_id}"
        metadata = http.get(f"{root}/v2.0/.well-known/openid-configuration").json()
        keys = jwt.PyJWKSet.from_dict(http.get(metadata["jwks_uri"]).json())
        form = {"grant_type": "client_credentials", "scope": "api://tollgate/.default"}
        ((client_id, secret),) = state.clients.items()
        answer = http.post(metadata["token_endpoint"], data={**form, "client_id": client_id, "client_secret": secret})
        token = answer.json()["access_token"]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["RS256"], audience="api://tollgate", issuer=metadata["issuer"])
        assert (claims["appid"], claims["tid"]) == (client_id, state.tenant_id)
        instance = http.get(f"{state.authority_url}/common/discovery/instance").json()
        assert http.get(instance["tenant_discovery_endpoint"]).json() == metadata


@pytest.mark.parametrize(
    ("tenant", "form", "status", "error"),
    [
        ("elsewhere", {}, 400, "invalid_request"),
        ("", {"grant_type": "magic", "scope": SCOPE}, 400, "unsupported_grant_type"),
        ("", {"grant_type": "client_credentials", "scope": "openid"}, 400, "invalid_scope"),
    ],
)
def test_authority_words_its_refusals_as_entra(
    azure: FakeAzure, tenant: str, form: dict[str, str], status: int, error: str
) -> None:
    state = azure.state
    url = f"{state.authority_url}/{tenant or state.tenant_id}/oauth2/v2.0/token"
    answer = httpx.post(url, data=form, verify=ssl.create_default_context(cafile=state.ca_file))
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"].startswith(f"AADSTS{answer.json()['error_codes'][0]}: ")


def test_identity_endpoint_checks_its_header(azure: FakeAzure) -> None:
    query = {"api-version": "2019-08-01", "resource": "https://vault.azure.net"}
    right = {"X-IDENTITY-HEADER": azure.state.identity_header}
    endpoint = azure.state.identity_endpoint
    assert httpx.get(endpoint, params=query, headers=right).json()["expires_on"].isdigit()
    assert httpx.get(endpoint, params=query).status_code == 401
    assert httpx.get(endpoint, params={**query, "api-version": "2017-09-01"}, headers=right).status_code == 400
    assert httpx.get(endpoint, params={"api-version": "2019-08-01"}, headers=right).status_code == 400


@pytest.mark.usefixtures("identity_env")
def test_identity_faults(azure: FakeAzure) -> None:
    async def lifetime(credential: Any) -> float:
        async with credential:
            return (await credential.get_token(SCOPE)).expires_on - time.time()

    azure.add_fault("token_lifetime", seconds=600)
    assert abs(run(lambda: lifetime(client_secret(azure))) - 600) < 10
    assert abs(run(lambda: lifetime(ManagedIdentityCredential())) - 600) < 10
    azure.clear()
    azure.add_fault("token_status", status=503)
    with pytest.raises(ClientAuthenticationError):
        run(lambda: lifetime(client_secret(azure)))
    azure.add_fault("identity_status", status=400, body={"error": "invalid_request"})
    with pytest.raises(ClientAuthenticationError):
        run(lambda: lifetime(ManagedIdentityCredential(retry_total=0)))
    for kind, credential in (("token_slow", client_secret(azure)), ("identity_slow", ManagedIdentityCredential())):
        azure.add_fault(kind, seconds=0.1)
        start = time.monotonic()
        run(lambda credential=credential: lifetime(credential))
        assert time.monotonic() - start >= 0.1


@asynccontextmanager
async def vault(azure: FakeAzure) -> AsyncGenerator[SecretClient]:
    state = azure.state
    async with (
        client_secret(azure) as credential,
        SecretClient(
            state.vault_url,
            credential,
            verify_challenge_resource=False,
            connection_verify=state.ca_file,
            retry_total=0,
        ) as client,
    ):
        yield client


def test_secret_client_reads_and_sees_a_rotation(azure: FakeAzure) -> None:
    async def work() -> None:
        async with vault(azure) as client:
            first = await client.get_secret("main-api-key")
            assert first.value == azure.state.resources["main"].key
            azure.put_secret("main-api-key", "rotated")
            assert (await client.get_secret("main-api-key")).value == "rotated"
            assert first.properties.version
            old = await client.get_secret("main-api-key", first.properties.version)
            assert old.value == first.value
            with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
                await client.get_secret("nothing")

    run(work)
    assert azure.describe()["counters"]["vault_reads"] == 4
    vault_requests = [r for r in azure.requests if r.resource == "vault"]
    assert [r.status for r in vault_requests] == [401, 200, 200, 200, 404]


def test_vault_refuses_a_token_for_something_else(azure: FakeAzure) -> None:
    state = azure.state
    query = {"api-version": "2019-08-01", "resource": "https://ai.azure.com"}
    wrong = httpx.get(state.identity_endpoint, params=query, headers={"X-IDENTITY-HEADER": state.identity_header})
    answer = httpx.get(
        f"{state.vault_url}/secrets/main-api-key?api-version=7.5",
        headers={"Authorization": f"Bearer {wrong.json()['access_token']}"},
        verify=ssl.create_default_context(cafile=state.ca_file),
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith(f'Bearer authorization="{state.vault_url}/{state.tenant_id}"')


def test_vault_faults(azure: FakeAzure) -> None:
    async def read() -> str | None:
        async with vault(azure) as client:
            return (await client.get_secret("second-api-key")).value

    azure.add_fault("vault_slow", seconds=0.1)
    start = time.monotonic()
    assert run(read) == azure.state.resources["second"].key
    assert time.monotonic() - start >= 0.1
    azure.add_fault("vault_status", status=403)
    with pytest.raises(HttpResponseError) as refused:
        run(read)
    assert refused.value.status_code == 403


def control(azure: FakeAzure, path: str, **body: Any) -> Any:
    return httpx.post(f"{azure.state.control_url}/control/{path}", json=body).raise_for_status().json()


def published(azure: FakeAzure) -> dict[str, Any]:
    """The signing keys by name, as a verifier fetches them."""
    context = ssl.create_default_context(cafile=azure.state.ca_file)
    url = f"{azure.state.authority_url}/{azure.state.tenant_id}/discovery/v2.0/keys"
    answer = httpx.get(url, verify=context).raise_for_status()
    return {key["kid"]: jwt.PyJWK(key, "RS256").key for key in answer.json()["keys"]}


def said(azure: FakeAzure, token: str) -> dict[str, Any]:
    """What a token says that one of the published keys has signed."""
    key = published(azure)[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})


def test_tokens_say_what_they_are_told_to(azure: FakeAzure) -> None:
    token = control(azure, "tokens/issue", audience="api://x", lifetime=60, roles=["a"], oid="o", ver=None)[
        "access_token"
    ]
    claims = said(azure, token)
    assert (claims["aud"], claims["roles"], claims["oid"], claims["exp"] - claims["iat"]) == ("api://x", ["a"], "o", 60)
    assert "ver" not in claims
    ((client_id, _),) = azure.state.clients.items()
    control(azure, f"claims/{client_id}", roles=["b"])

    async def work() -> str:
        async with client_secret(azure) as credential:
            return (await credential.get_token("api://x/.default")).token

    assert said(azure, run(work))["roles"] == ["b"]
    control(azure, f"claims/{client_id}")
    assert "roles" not in said(azure, run(work))


def test_signing_keys_rotate(azure: FakeAzure) -> None:
    old = azure.issue_token("https://cognitiveservices.azure.com")
    control(azure, "tokens/rotate")
    new = azure.issue_token("https://cognitiveservices.azure.com")
    assert said(azure, old)["tid"] == said(azure, new)["tid"]
    assert opens(azure, old)
    assert opens(azure, new)
    control(azure, "tokens/rotate", keep=False)
    assert len(published(azure)) == 1
    assert not opens(azure, old)
    assert opens(azure, azure.issue_token("https://cognitiveservices.azure.com"))
    azure.add_fault("jwks_status", status=503)
    with pytest.raises(httpx.HTTPStatusError):
        published(azure)
