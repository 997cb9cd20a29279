"""Azure Resource Manager as the fake has it, over real sockets, with tokens of azure-identity; and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.management.monitor import SUBSCRIPTION
from shared.adapters.resource_manager import ArmFailed, ResourceManager
from shared.types import Credential
from tests.support.outside import outside

SITE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Web/sites/func"
BLOB_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
Work = Callable[[ResourceManager], Awaitable[Any]]


@pytest.fixture
def ask(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], Any]:
    def run(work: Work) -> Any:
        async def whole() -> Any:
            async with outside(fake, monkeypatch) as (http, tokens):
                return await work(ResourceManager(http, fake.state.management_url + "/", tokens))

        return asyncio.run(whole())

    return run


def test_accounts(ask: Callable[[Work], Any], fake: FakeAzure) -> None:
    approved = {"pe-1": "Approved", "pe-2": "Pending"}
    fake.arm.set_account(
        "second", public=False, local_auth=False, private_endpoints=approved, location="Sweden Central"
    )
    fake.arm.set_account("safety", kind="ContentSafety", group="other", custom_domain=False)

    async def work(arm: ResourceManager) -> Any:
        [(subscription, name)] = await arm.subscriptions()
        everywhere = {one.name: one for one in await arm.accounts(subscription)}
        return subscription, name, everywhere, await arm.accounts(subscription, "OTHER"), await arm.account(main)

    main = fake.state.resource_ids["main"]
    subscription, name, everywhere, others, alone = ask(work)
    assert (subscription, name) == (SUBSCRIPTION, "Fake Azure")
    assert set(everywhere) == {"main", "second", "foundry", "safety"}
    assert everywhere["main"] == alone
    assert (alone.id, alone.kind, alone.group, alone.subscription) == (main, "OpenAI", "fake-azure", SUBSCRIPTION)
    assert alone.endpoints[""] == f"{fake.state.resources['main'].url}/"
    assert (alone.custom_domain, alone.local_auth, alone.public, alone.private_endpoints) == (True, True, True, ())
    second = everywhere["second"]
    assert (second.location, second.public, second.local_auth) == ("swedencentral", False, False)
    assert [one.rpartition("/")[2] for one in second.private_endpoints] == ["pe-1"]
    assert "AI Foundry API" in everywhere["foundry"].endpoints
    assert [(one.name, one.kind, one.custom_domain) for one in others] == [("safety", "ContentSafety", False)]


def test_deployments_of_all_pages(ask: Callable[[Work], Any], fake: FakeAzure) -> None:
    changes = {"sku": "GlobalProvisionedManaged", "capacity": 50, "tpm": 0, "rpm": 0, "state": "Creating"}
    fake.arm.set_deployment("foundry", "gpt-4o", retires="2027-03-31", **changes)
    fake.arm.set_deployment("foundry", "whisper", gone=True)
    found = ask(lambda arm: arm.deployments(fake.state.resource_ids["foundry"]))
    by_name = {one.name: one for one in found}
    assert set(by_name) == set(fake.state.resources["foundry"].deployments) - {"whisper"}
    assert len(found) > 20
    own = by_name["gpt-4o"]
    assert (own.model, own.version, own.format, own.sku) == ("gpt-4o", "2024-11-20", "OpenAI", changes["sku"])
    assert (own.capacity, own.state, own.tpm, own.rpm, own.retires) == (50, "Creating", 0, 0, "2027-03-31")
    usual = by_name["gpt-4o-batch"]
    assert (usual.sku, usual.tpm, usual.rpm, usual.retires) == ("GlobalBatch", 120_000, 120, "2030-12-31")
    assert (by_name["my-claude"].format, by_name["my-claude"].model) == ("Anthropic", "claude-opus-4-1")
    assert by_name["dall-e-3"].version == "3.0"


def test_quota(ask: Callable[[Work], Any], fake: FakeAzure) -> None:
    fake.arm.set_usage("eastus2", "OpenAI.Standard.gpt-4o", 230, 240)
    found = {one.name: (one.used, one.limit) for one in ask(lambda arm: arm.quotas(SUBSCRIPTION, "eastus2"))}
    assert found["OpenAI.Standard.gpt-4o"] == (230, 240)
    assert found["OpenAI.GlobalBatch.gpt-4o"][0] > 0


def test_roles_in_force(ask: Callable[[Work], Any], fake: FakeAzure) -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
    storage = f"{group}/providers/Microsoft.Storage/storageAccounts/st"
    below = f"{storage}/blobServices/default/containers/c"
    late = {"role": "Reader", "scope": storage, "principal": "p'1", "created": "2026-11-24T10:00:00.1234567Z"}
    other = {"role": "Storage Queue Data Contributor", "principal": "p2"}
    fake.arm.set_roles(["Storage Blob Data Owner", late, other, {"role": BLOB_OWNER, "scope": below}])
    found = ask(lambda arm: arm.assignments(storage, "p'1"))
    assert [(one.role, one.scope, one.principal) for one in found] == [
        (BLOB_OWNER, f"/subscriptions/{SUBSCRIPTION}", "p'1"),
        ("acdd72a7-3385-48ef-bd42-f606fba81ae7", storage, "p'1"),
    ]
    assert found[1].created == datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
    fake.clear()
    assert len(ask(lambda arm: arm.assignments(group, "p"))) == 10  # all that the app is meant to have


def test_scaling(ask: Callable[[Work], Any], fake: FakeAzure) -> None:
    usual = ask(lambda arm: arm.scaling(SITE))
    assert (usual.per_instance, usual.memory_mb, usual.most_instances, usual.runtime) == (32, 2048, 40, "python 3.13")
    fake.arm.set_scaling(per_instance=None, always_ready={"http": 2}, https_only=False)
    found = ask(lambda arm: arm.scaling(SITE))
    assert (found.per_instance, dict(found.always_ready), found.https_only) == (None, {"http": 2}, False)


def test_refusals(ask: Callable[[Work], Any], fake: FakeAzure) -> None:
    with pytest.raises(ArmFailed, match=r"404: ResourceNotFound: .*accounts/nobody") as missing:
        ask(lambda arm: arm.account(fake.state.resource_ids["main"].replace("/main", "/nobody")))
    assert (missing.value.status, missing.value.code) == (404, "ResourceNotFound")
    said = {"error": {"code": "AuthorizationFailed", "message": "may not, says eyJhbGciOiJSUzI1NiJ9.e30.sig"}}
    fake.add_fault("status", resource="arm", status=403, body=said)
    with pytest.raises(ArmFailed, match=r"403: AuthorizationFailed: may not, says \[hidden\]$"):
        ask(lambda arm: arm.subscriptions())
    fake.add_fault("status", resource="arm", status=400, body="<html>proxy</html>")
    with pytest.raises(ArmFailed, match="400"):
        ask(lambda arm: arm.subscriptions())
    with pytest.raises(ArmFailed, match="404: SubscriptionNotFound"):
        ask(lambda arm: arm.accounts("00000000-0000-0000-0000-000000000000"))


def test_patience(ask: Callable[[Work], Any], fake: FakeAzure) -> None:
    fake.add_fault("status", resource="arm", status=429, retry_after=0, times=2)
    assert ask(lambda arm: arm.subscriptions())
    assert len(fake.requests) >= 3
    fake.add_fault("status", resource="arm", status=503, retry_after=0, times=4)
    with pytest.raises(ArmFailed, match="503"):
        ask(lambda arm: arm.subscriptions())

    async def expired(arm: ResourceManager) -> Any:
        await arm.subscriptions()
        fake.expire_tokens()
        return await arm.subscriptions()

    assert ask(expired)


def test_what_retires_is_left_out_without_the_right_to_it(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[Work], Any], fake: FakeAzure
) -> None:
    async def work(arm: ResourceManager) -> Any:
        rows = arm._ask.rows  # pyright: ignore[reportPrivateUsage]

        async def refused(path: str, version: str, **query: str) -> Any:
            if path.endswith("/models"):
                raise ArmFailed(403, "AuthorizationFailed", "no")
            return await rows(path, version, **query)

        monkeypatch.setattr(arm._ask, "rows", refused)  # pyright: ignore[reportPrivateUsage]
        return await arm.deployments(fake.state.resource_ids["main"])

    found = ask(work)
    assert found
    assert {one.retires for one in found} == {""}


class _Token:
    async def get(self, credential: Credential) -> str:
        self.scope = credential.scope
        return "token"

    def refuse(self, credential: Credential, token: str) -> None:
        raise AssertionError(token)


def answered(url: str, *bodies: Any, status: int = 200) -> tuple[ResourceManager, _Token, list[httpx.Request]]:
    """What no fake of Azure would answer."""
    left, asked, token = list(bodies), list[httpx.Request](), _Token()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        body = left.pop(0)
        return httpx.Response(status, content=body) if isinstance(body, bytes) else httpx.Response(status, json=body)

    return ResourceManager(httpx.AsyncClient(transport=httpx.MockTransport(answer)), url, token), token, asked


def test_the_next_page_is_asked_as_it_is_told_and_only_where_the_token_belongs() -> None:
    url = "https://management.usgovcloudapi.net"
    arm, token, asked = answered(
        url, {"value": [], "nextLink": f"{url}/next?api-version=x&$skiptoken=a%2Bb"}, {"value": []}
    )
    asyncio.run(arm.subscriptions())
    assert str(asked[1].url) == f"{url}/next?api-version=x&$skiptoken=a%2Bb"
    assert token.scope == f"{url}/.default"
    arm, token, asked = answered(
        "https://management.azure.com", {"value": [], "nextLink": "https://elsewhere.example/"}
    )
    with pytest.raises(ArmFailed, match="another host"):
        asyncio.run(arm.subscriptions())
    assert len(asked) == 1
    assert token.scope == "https://management.azure.com/.default"


@pytest.mark.parametrize("body", [b"no json", b"[]", {"value": 1}, {"value": [{}]}, {}])
def test_answers_that_are_none(body: Any) -> None:
    arm, _, _ = answered("https://management.azure.com", body)
    with pytest.raises(ArmFailed, match="not understood"):
        asyncio.run(arm.subscriptions())


def test_unreachable(monkeypatch: pytest.MonkeyPatch, fake: FakeAzure) -> None:
    async def work() -> None:
        async with outside(fake, monkeypatch) as (http, tokens):
            with pytest.raises(ArmFailed, match="does not answer: ConnectError") as failed:
                await ResourceManager(http, "http://127.0.0.1:9", tokens).subscriptions()
            assert failed.value.status == 0
            fake.add_fault("identity_status", status=400, times=-1)
            fake.expire_tokens()
            tokens.refuse(Credential("default", scope="https://management.azure.com/.default"), "")
            fresh = ResourceManager(http, fake.state.management_url, tokens)
            with pytest.raises(ArmFailed, match="no token for Azure Resource Manager") as none:
                await fresh.subscriptions()
            assert none.value.code == "NoToken"

    asyncio.run(work())
