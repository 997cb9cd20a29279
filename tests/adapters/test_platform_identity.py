"""Tokens from the platform's identity endpoint, as the fake Azure has it, and compared with azure-identity's own class."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import DefaultAzureCredential

from local.fake_azure import FakeAzure
from shared.adapters.platform_identity import PlatformIdentity, on_platform, told

SCOPE = "https://cognitiveservices.azure.com/.default"
QUICK: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.01}


def environ(fake: FakeAzure, **changed: str) -> dict[str, str]:
    state = fake.state
    return {"IDENTITY_ENDPOINT": state.identity_endpoint, "IDENTITY_HEADER": state.identity_header} | changed


async def token(fake: FakeAzure, client_id: str = "", **changed: str) -> Any:
    source = PlatformIdentity(environ(fake, **changed), client_id, QUICK)
    try:
        return await source.get_token(SCOPE)
    finally:
        await source.close()


def asked(fake: FakeAzure) -> list[Any]:
    assert fake.wait_idle()
    return [r for r in fake.requests if r.resource == "identity"]


@pytest.mark.parametrize("client_id", ["", "given"])
def test_the_request_is_that_of_azure_identity(
    fake: FakeAzure, monkeypatch: pytest.MonkeyPatch, client_id: str
) -> None:
    client_id = fake.state.managed_client_id if client_id else ""
    asyncio.run(token(fake, client_id))
    for name, value in environ(fake).items():
        monkeypatch.setenv(name, value)

    async def by_sdk() -> Any:
        async with DefaultAzureCredential(managed_identity_client_id=client_id or None) as credential:
            return await credential.get_token(SCOPE)

    theirs = asyncio.run(by_sdk())
    ours, others = asked(fake)
    assert (ours.method, ours.path, dict(ours.query)) == (others.method, others.path, dict(others.query))
    assert ours.headers["x-identity-header"] == others.headers["x-identity-header"]
    again = asyncio.run(token(fake, client_id))
    assert again.expires_on - theirs.expires_on in (0, 1, 2)


def test_the_identity_of_the_environment_is_the_usual_one(fake: FakeAzure) -> None:
    asyncio.run(token(fake, AZURE_CLIENT_ID=fake.state.managed_client_id))
    (request,) = asked(fake)
    assert request.query["client_id"] == fake.state.managed_client_id


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_endpoint_that_fails_for_a_moment_is_asked_again(fake: FakeAzure, status: int) -> None:
    fake.add_fault("identity_status", status=status, times=2)
    assert asyncio.run(token(fake)).token
    assert len(asked(fake)) == 3


def test_a_refusal_is_told_and_not_repeated(fake: FakeAzure) -> None:
    with pytest.raises(ClientAuthenticationError, match="400: No User Assigned or Delegated Managed Identity"):
        asyncio.run(token(fake, "00000000-0000-0000-0000-000000000000"))
    assert len(asked(fake)) == 1


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"AZURE_CLIENT_ID": "x", "AZURE_TENANT_ID": "y"}, True),
        ({"AZURE_CLIENT_SECRET": "x"}, False),
        ({"AZURE_CLIENT_CERTIFICATE_PATH": "x"}, False),
        ({"AZURE_USERNAME": "x"}, False),
        ({"AZURE_FEDERATED_TOKEN_FILE": "x"}, False),
        ({"AZURE_TOKEN_CREDENTIALS": "dev"}, False),
        ({"IDENTITY_SERVER_THUMBPRINT": "x"}, False),
        ({"IDENTITY_HEADER": ""}, False),
        ({"IDENTITY_ENDPOINT": ""}, False),
    ],
)
def test_it_stands_in_only_where_the_sdk_would_find_nothing_else(changed: dict[str, str], expected: bool) -> None:
    given = {"IDENTITY_ENDPOINT": "http://x", "IDENTITY_HEADER": "h", "PATH": "/bin"} | changed
    assert on_platform(given) is expected
    assert on_platform(dict(told(given))) is expected
    assert "PATH" not in dict(told(given))
