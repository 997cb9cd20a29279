"""The doctor, run on a desk of real parts: Azurite, the fake Azure's deployments, vault and Resource Manager.

examined = Examined(azurite.connection_string, fake, monkeypatch)
rows = examined.run(only=["models"], config=…)
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.management.monitor import SUBSCRIPTION
from shared.adapters.identity import EntraTokens
from shared.adapters.upstream import HttpUpstream
from shared.operations.doctor import DoctorAsked, DoctorRow, doctor
from tests.support.desk import ADMIN, TestDesk, desk_at
from tests.support.doubles import Clock, Lines
from tests.support.models import config_text

AZURE = {
    "WEBSITE_SITE_NAME": "func-test", "WEBSITE_RESOURCE_GROUP": "rg-test", "WEBSITE_SKU": "FlexConsumption",
    "WEBSITE_OWNER_NAME": f"{SUBSCRIPTION}+rg-test-EastUS2webspace-Linux", "AZURE_CLIENT_ID": "client",
    "IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi/token",
}  # fmt: skip
"""What the platform tells an app of itself."""
type Work = Callable[[TestDesk], Awaitable[None]]


class Examined:
    def __init__(self, connection: str, fake: FakeAzure, patch: pytest.MonkeyPatch) -> None:
        self._connection, self.fake, self._patch = connection, fake, patch
        state = fake.state
        patch.setenv("IDENTITY_ENDPOINT", state.identity_endpoint)
        patch.setenv("IDENTITY_HEADER", state.identity_header)
        patch.setenv("AZURE_CLIENT_ID", state.managed_client_id)
        self.rows: list[DoctorRow] = []

    def config(self, *deployments: dict[str, Any], account: str = "main", **info: str) -> str:
        """Aliases a, b, … on an account, signed in to by identity, unless they say otherwise."""
        at = {
            "api_base": self.fake.state.resources[account].url,
            "azure_resource_id": self.fake.state.resource_ids[account],
        }
        rows = [
            (name, {k: v for k, v in {**at, **one}.items() if v}, info)
            for name, one in zip("abcdef", deployments, strict=False)
        ]
        return config_text(rows)

    def run(self, *only: str, config: str = "model_list: []\n", environ: dict[str, str] | None = None,
            before: Work | None = None, connection: str = "", **settings: str) -> list[DoctorRow]:  # fmt: skip
        """-> its rows. before: what is done with the desk first."""

        async def work() -> None:
            async with self._desk(config, connection or self._connection, **settings) as desk:
                desk.environ = environ or {}
                if before is not None:
                    await before(desk)
                asked = DoctorAsked.model_validate({"only": list(only)})
                self.rows = (await doctor(asked, ADMIN, desk)).rows

        asyncio.run(work())
        return self.rows

    def one(self, *only: str, about: str = "", **options: Any) -> DoctorRow:
        """The only row that is not well, or the only one about something."""
        rows = self.run(*only, **options)
        (row,) = [row for row in rows if (about in row.about if about else row.verdict in ("failed", "warning"))]
        return row

    @asynccontextmanager
    async def _desk(self, config: str, connection: str, **settings: str) -> AsyncGenerator[TestDesk]:
        state = self.fake.state
        given = {
            "RESOURCE_MANAGER_URL": state.management_url, "AZURE_KEY_VAULT_URI": state.vault_url,
            "TRUSTED_HOSTS": "127.0.0.1", "KEY_PEPPER": "p" * 40, **settings,
        }  # fmt: skip
        now = time.time()
        trust = ssl.create_default_context(cafile=state.ca_file)

        async def no_secret(name: str) -> str:
            raise AssertionError(name)

        tokens = EntraTokens({}, Clock(now), Lines(), Random(1), no_secret)
        upstream = HttpUpstream(tokens, _Vault())
        http = httpx.AsyncClient(timeout=10, trust_env=False, verify=trust)
        async with desk_at(connection, now, config, **given) as desk, http:
            desk.http, desk.tokens, desk.upstream = http, tokens, upstream
            try:
                yield desk
            finally:
                await upstream.close()
                await tokens.close()


class _Vault:
    async def get(self, name: str, refused: str = "") -> str:
        return "of-the-vault"
