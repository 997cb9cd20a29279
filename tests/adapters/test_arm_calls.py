"""To whom a token goes: the scope of each cloud, and no next page on another host."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import httpx
import pytest

from shared.adapters.arm_calls import ArmCalls, ArmFailed, arm_scope
from shared.adapters.azure_monitor import AzureMonitor
from shared.types import Credential

PUBLIC = "https://management.azure.com"


class Tokens:
    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get(self, credential: Credential) -> str:
        self.scopes.append(credential.scope)
        return "token"

    def refuse(self, credential: Credential, token: str) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        (PUBLIC, f"{PUBLIC}/.default"),
        ("https://management.usgovcloudapi.net/", "https://management.usgovcloudapi.net/.default"),
        ("https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn/.default"),
        ("http://127.0.0.1:8080", f"{PUBLIC}/.default"),
        ("https://management.usgovcloudapi.net.example.com", f"{PUBLIC}/.default"),
    ],
)
def test_metrics_are_asked_for_in_their_own_cloud(url: str, scope: str) -> None:
    tokens = Tokens()

    async def ask() -> None:
        none = httpx.MockTransport(lambda _: httpx.Response(200, json={"value": []}))
        async with httpx.AsyncClient(transport=none) as http:
            await AzureMonitor(http, url, tokens).day("/subscriptions/s/x", date(2026, 1, 1))

    asyncio.run(ask())
    assert set(tokens.scopes) == {scope} == {arm_scope(url)}


@pytest.mark.parametrize(
    ("page", "followed"),
    [
        (f"{PUBLIC}/next?x=1", True), (f"{PUBLIC}:443/next?x=1", True), ("HTTPS://Management.Azure.com/next", True),
        (f"{PUBLIC}:8443/next", False), ("http://management.azure.com/next", False),
        ("https://management.azure.com.example.com/next", False), ("https://management.azure.com@example.com/", False),
        ("//example.com/next", False), ("/next", False), ("https://[", False),
    ],
)  # fmt: skip
def test_the_next_page_is_where_the_first_was(page: str, followed: bool) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, json={"value": [{"n": len(asked)}], "nextLink": page if len(asked) == 1 else ""})

    async def ask() -> list[Any]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            return await ArmCalls(http, PUBLIC, Tokens()).rows("subscriptions", "1")

    if followed:
        assert len(asyncio.run(ask())) == 2
    else:
        with pytest.raises(ArmFailed, match="another host"):
            asyncio.run(ask())
    assert asked == ["management.azure.com"] * (1 + followed)
