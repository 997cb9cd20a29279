"""Secrets from the fake Key Vault over TLS, through azure-keyvault-secrets and azure-identity."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.identity.aio import ClientSecretCredential

from local.fake_azure import FakeAzure
from shared.adapters.vault import REFRESH_SECONDS, RETRY_SECONDS, VaultSecrets
from shared.config import vault_name
from shared.errors import UpstreamFailed
from tests.support.doubles import Clock, Lines
from tests.support.polling import eventually, until


class Scene:
    def __init__(self, fake: FakeAzure, url: str | None = None) -> None:
        self.clock, self.log = Clock(), Lines()
        self._fake = fake
        self._options: dict[str, Any] = {"connection_verify": fake.state.ca_file, "retry_total": 0}
        self._made: list[Any] = []
        url = fake.state.vault_url if url is None else url
        self.vault = VaultSecrets(url, self._credential, self.clock, self.log, self._options)

    def _credential(self) -> Any:
        state = self._fake.state
        ((client, secret),) = state.clients.items()
        own = {"authority": state.authority_url, "disable_instance_discovery": True, **self._options}
        self._made.append(ClientSecretCredential(state.tenant_id, client, secret, **own))
        return self._made[-1]

    async def close(self) -> None:
        await self.vault.close()
        for made in self._made:
            await made.close()


def play(fake: FakeAzure, work: Callable[[Scene], Awaitable[None]], url: str | None = None) -> Scene:
    scene = Scene(fake, url)

    async def whole() -> None:
        try:
            await work(scene)
        finally:
            await scene.close()

    asyncio.run(whole())
    return scene


def reads(fake: FakeAzure) -> int:
    return fake.counters["vault_reads"]


async def becomes(scene: Scene, name: str, value: str) -> None:
    async def has_become() -> bool:
        return await scene.vault.get(name) == value

    await eventually(has_become)


def test_50_cold_reads_are_one_and_then_none(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        values = await asyncio.gather(*(scene.vault.get("main-api-key") for _ in range(50)))
        assert set(values) == {fake.state.resources["main"].key}
        scene.clock.forward(REFRESH_SECONDS - 1)
        assert await scene.vault.get("main-api-key") == values[0]
        assert reads(fake) == 1

    play(fake, work)


def test_rotated_secret_is_seen_after_the_refresh_and_nobody_waits(fake: FakeAzure) -> None:
    fake.put_secret("rotated", "old")

    async def work(scene: Scene) -> None:
        assert await scene.vault.get("rotated") == "old"
        fake.put_secret("rotated", "new")
        scene.clock.forward(REFRESH_SECONDS + 1)
        assert await scene.vault.get("rotated") == "old"
        await becomes(scene, "rotated", "new")
        assert reads(fake) == 2

    play(fake, work)


def test_outage_is_not_seen_by_who_has_the_secret(fake: FakeAzure) -> None:
    fake.put_secret("kept", "old")

    async def work(scene: Scene) -> None:
        assert await scene.vault.get("kept") == "old"
        fake.put_secret("kept", "new")
        fake.add_fault("vault_status", status=503, times=-1)
        scene.clock.forward(REFRESH_SECONDS + 1)
        assert await scene.vault.get("kept") == "old"
        await asyncio.to_thread(until, lambda: scene.log.warnings)
        for _ in range(20):
            assert await scene.vault.get("kept") == "old"
        assert len(scene.log.warnings) == 1
        fake.faults.clear()
        scene.clock.forward(RETRY_SECONDS + 1)
        await becomes(scene, "kept", "new")

    scene = play(fake, work)
    ((message, told),) = scene.log.warnings
    assert (message, told["secret"], told["stale"]) == ("key vault secret not read", "kept", True)
    assert "old" not in str(told)


def test_value_that_is_refused_is_read_anew_at_once_but_not_at_every_call(fake: FakeAzure) -> None:
    fake.put_secret("refused", "old")

    async def work(scene: Scene) -> None:
        assert await scene.vault.get("refused") == "old"
        fake.put_secret("refused", "new")
        together = (scene.vault.get("refused", refused="old") for _ in range(20))
        assert set(await asyncio.gather(*together)) == {"new"}
        assert await scene.vault.get("refused", refused="something else") == "new"
        assert reads(fake) == 2
        for _ in range(5):
            assert await scene.vault.get("refused", refused="new") == "new"
        assert reads(fake) == 2
        scene.clock.forward(RETRY_SECONDS)
        fake.add_fault("vault_status", status=503)
        assert await scene.vault.get("refused", refused="new") == "new"  # the old one is all there is
        assert scene.log.warnings

    play(fake, work)


def test_role_that_arrives_late(fake: FakeAzure) -> None:
    fake.add_fault("vault_no_role")

    async def work(scene: Scene) -> None:
        for _ in range(2):
            with pytest.raises(UpstreamFailed, match="Key Vault Secrets User"):
                await scene.vault.get("main-api-key")
        fake.faults.clear()
        scene.clock.forward(2)
        assert await scene.vault.get("main-api-key") == fake.state.resources["main"].key

    play(fake, work)


def test_missing_secret_is_a_failure_until_it_is_there(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        for _ in range(3):  # asked once: a secret that is missing is not asked for at each call
            with pytest.raises(UpstreamFailed) as failed:
                await scene.vault.get("made-later")
            assert failed.value.kind == "secret"
        fake.put_secret("made-later", "value")
        scene.clock.forward(2)
        assert await scene.vault.get("made-later") == "value"

    play(fake, work)
    asked = [r.status for r in fake.requests if r.path.startswith("/secrets/made-later")]
    assert [status for status in asked if status != 401] == [404, 200]  # 401: the challenge, once for each vault


def test_vault_that_is_not_set_is_told(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        with pytest.raises(UpstreamFailed, match="AZURE_KEY_VAULT_URI is not set"):
            await scene.vault.get("a")

    play(fake, work, url="")


def test_caller_that_leaves_takes_nobody_with_it(fake: FakeAzure) -> None:
    fake.add_fault("vault_slow", seconds=0.2)

    async def work(scene: Scene) -> None:
        first, second = (asyncio.ensure_future(scene.vault.get("main-api-key")) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        assert await second == fake.state.resources["main"].key

    play(fake, work)


def test_underscores_become_hyphens() -> None:
    assert vault_name("main_api_key") == "main-api-key"
