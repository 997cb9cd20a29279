"""The app's own identity in Azure's SDKs: their real clients of tables, blobs, queues and secrets, over TLS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.fake_azure import FakeAzure
from shared.adapters.identity import RETRY_SECONDS, EntraTokens
from shared.adapters.own_identity import OwnCredential
from shared.adapters.tables import Tables
from shared.adapters.vault import VaultSecrets
from shared.ports import StoreUnavailable
from tests.support.doubles import Clock, Lines
from tests.support.oauth_storage import AUDIENCE, OAuthStorage
from tests.support.polling import eventually, until

SCOPE = f"{AUDIENCE}/.default"


class Scene:
    """One credential, and clients of every service that sign in with it."""

    def __init__(self, fake: FakeAzure, storage: OAuthStorage) -> None:
        self.fake, self.clock, self.log = fake, Clock(time.time()), Lines()
        options: dict[str, Any] = {"retry_total": 0}
        tokens = EntraTokens({}, self.clock, self.log, Random(1), _no_secret, options)
        self.credential = OwnCredential(tokens, "", fake.state.managed_client_id)
        self.options: dict[str, Any] = {
            "credential": self.credential, "connection_verify": fake.state.ca_file, "retry_total": 0,
        }  # fmt: skip
        self.addresses = storage.settings
        self.open: list[Any] = []

    def client(self, kind: Any, service: str) -> Any:
        self.open.append(kind(self.addresses[f"AzureWebJobsStorage__{service}ServiceUri"], **self.options))
        return self.open[-1]

    def tables(self) -> Tables:
        made = Tables(lambda: self.client(TableServiceClient, "table"))
        made.table("any")
        return made

    async def close(self) -> None:
        for each in self.open:
            await each.close()

    def asked(self) -> int:
        """How often the identity endpoint was asked for storage."""
        return len([r for r in self.fake.requests if r.query.get("resource") == AUDIENCE])


async def _no_secret(name: str, refused: str = "") -> str:
    raise AssertionError(name)


@pytest.fixture
def scene(fake: FakeAzure, storage: OAuthStorage, monkeypatch: pytest.MonkeyPatch) -> Scene:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IDENTITY_ENDPOINT", fake.state.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", fake.state.identity_header)
    return Scene(fake, storage)


def play(scene: Scene, work: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await work()
        finally:
            await scene.close()
            scene.open.clear()

    asyncio.run(whole())


def test_all_clients_of_storage_share_one_token(scene: Scene) -> None:
    async def work() -> None:
        tables, blobs = scene.tables(), scene.client(BlobServiceClient, "blob")
        queues = scene.client(QueueServiceClient, "queue")
        await asyncio.gather(
            *(tables.get("nothing", "a", str(n)) for n in range(20)),
            *(blobs.get_container_client(f"own-{n}").exists() for n in range(5)),
            *(queues.get_queue_client(f"own-{n}").create_queue() for n in range(5)),
        )

    play(scene, work)
    assert scene.asked() == 1
    assert not [r for r in scene.fake.requests if "x-identity-header" in r.headers and r.resource != "identity"]


def test_vault_and_storage_have_a_token_each(scene: Scene) -> None:
    scene.fake.put_secret("own", "value")

    async def work() -> None:
        options = {"connection_verify": scene.fake.state.ca_file, "retry_total": 0}
        vault = VaultSecrets(scene.fake.state.vault_url, lambda: scene.credential, scene.clock, scene.log, options)
        scene.open.append(vault)
        tables = scene.tables()
        assert await tables.get("nothing", "a", "b") is None
        assert await vault.get("own") == "value"
        scene.fake.put_secret("own", "another")
        scene.fake.expire_tokens()  # the vault refuses the token, which is then replaced within the read
        assert await vault.get("own", refused="value") == "another"

    play(scene, work)
    assert [r.query["resource"] for r in scene.fake.requests if r.resource == "identity"] == [
        AUDIENCE, "https://vault.azure.net", "https://vault.azure.net",
    ]  # fmt: skip


def test_renewal_is_ahead_and_an_outage_is_not_seen(scene: Scene) -> None:
    scene.fake.add_fault("token_lifetime", seconds=200)

    async def work() -> None:
        tables = scene.tables()
        assert await tables.get("nothing", "a", "b") is None
        scene.fake.add_fault("identity_status", status=503, times=-1)
        scene.clock.forward(165)  # renewal is due 40 s before the end, give or take a tenth
        for _ in range(3):
            assert await tables.get("nothing", "a", "b") is None
        await asyncio.to_thread(until, lambda: scene.log.warnings)
        assert scene.asked() == 2
        scene.fake.faults.clear()
        scene.clock.forward(RETRY_SECONDS + 1)

        async def renewed() -> bool:
            return await tables.get("nothing", "a", "b") is None and scene.asked() == 3

        await eventually(renewed)

    play(scene, work)
    assert [message for message, _ in scene.log.warnings] == ["no token from Entra ID"]


def test_without_a_token_the_reason_is_told(scene: Scene) -> None:
    scene.fake.add_fault("identity_status", status=400, body={"statusCode": 400, "message": "no such identity"})

    async def work() -> None:
        tables = scene.tables()
        with pytest.raises(StoreUnavailable, match=r"ManagedIdentityCredential.*no such identity"):
            await tables.get("nothing", "a", "b")
        assert await tables.get("nothing", "a", "b") is None

    play(scene, work)


def test_a_token_that_is_refused_is_replaced_once_and_not_at_every_call(scene: Scene) -> None:
    async def work() -> None:
        get = scene.credential.get_token
        first = await get(SCOPE)
        assert (await get(SCOPE)).token == first.token
        tenant = scene.fake.state.tenant_id
        second = await get(SCOPE, tenant_id=tenant)  # as storage's client does after a 401
        assert second.token != first.token
        assert scene.asked() == 2
        third = await get(SCOPE, tenant_id=tenant)
        assert third.token not in (first.token, second.token)
        for _ in range(5):  # whoever refuses every token is not worth asking for another at every call
            assert (await get(SCOPE, tenant_id=tenant, claims="{}")).token == third.token
        assert scene.asked() == 3
        scene.clock.forward(RETRY_SECONDS)
        assert (await get(SCOPE, tenant_id=tenant)).token != third.token

    play(scene, work)


def test_several_event_loops_use_one_credential(scene: Scene) -> None:
    """A command's prices are read by a loop of its own, while another one runs."""

    async def ask() -> str:
        return (await scene.credential.get_token(SCOPE)).token

    scene.fake.add_fault("identity_slow", seconds=0.2, times=2)
    with ThreadPoolExecutor(2) as threads:
        tokens = list(threads.map(lambda _: asyncio.run(ask()), range(2)))
    assert asyncio.run(ask()) in tokens
    assert scene.asked() <= 2


def test_nobody_is_signed_in(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")

    async def work() -> None:
        with pytest.raises(ClientAuthenticationError, match="run az login"):
            await scene.credential.get_token(SCOPE)

    play(scene, work)
