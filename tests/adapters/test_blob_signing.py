"""Addresses signed by the app's identity, which has no key of the account: at an Azurite that takes Entra's tokens."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob.aio import BlobServiceClient

from local.fake_azure.tls import server_context
from shared.adapters.blob_folder import BlobFolders
from shared.adapters.blob_signing import Signer
from shared.ports import StoreUnavailable
from tests.support.azurite import ACCOUNT, SCRIPT, find_node
from tests.support.own_azurite import dead_connection_string, free_ports
from tests.support.polling import until

TENANT = "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Path]]:
    """Its address and the CA to be trusted."""
    folder = tmp_path_factory.mktemp("oauth")
    _, ca_file = server_context(folder)
    chain, (port,) = folder / "localhost.pem", free_ports(1)
    process = subprocess.Popen(
        [
            find_node() or "node", str(SCRIPT.parent / "blob" / "main.js"), "--blobPort", str(port), "--location",
            str(folder), "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--oauth", "basic", "--cert",
            str(chain), "--key", str(chain),
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"https://localhost:{port}/{ACCOUNT}"
    trust = ssl.create_default_context(cafile=ca_file)

    def answers() -> bool:
        try:
            return bool(httpx.get(url, verify=trust).status_code)
        except httpx.HTTPError:
            return False

    try:
        until(answers, 30, 0.05)
        yield url, ca_file
    finally:
        process.terminate()
        process.wait(10)


class Identity:
    """What azure-identity is to the SDK. Azurite reads a token's claims and no signature."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com", "iss": TENANT, "iat": now - 60, "nbf": now - 60, "exp": now + 3600,
            "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1", "tid": "ab1f708d-50f6-404c-a006-d71b2ac7a606",
        }  # fmt: skip
        return AccessToken(jwt.encode(claims, "k" * 32, "HS256"), now + 3600)

    async def close(self) -> None: ...

    async def __aenter__(self) -> Identity:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def test_an_identity_signs_an_address(place: tuple[str, Path]) -> None:
    url, ca_file = place

    async def work() -> None:
        folders = BlobFolders(
            lambda: BlobServiceClient(url, credential=Identity(), connection_verify=str(ca_file), retry_total=0)  # pyright: ignore
        )
        folder = folders.folder("signed")
        first = await folder.signed_url("uploads/a b", 3600)
        delegated = folders.signer._delegated  # pyright: ignore[reportPrivateUsage]
        second = await folder.signed_url("uploads/c", 3600)
        assert folders.signer._delegated is delegated  # pyright: ignore[reportPrivateUsage]  # asked for once
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=ca_file)) as client:
            for address, status in ((first, 201), (second, 201), (first.replace("a%20b", "other"), 403)):
                answer = await client.put(address, content=b"lines", headers={"x-ms-blob-type": "BlockBlob"})
                assert answer.status_code == status
            assert (await client.get(first)).status_code == 403
        assert {facts.name async for facts in folder.list("")} == {"uploads/a b", "uploads/c"}
        await folders.close()

    asyncio.run(work())


def test_an_account_whose_name_is_not_known() -> None:
    async def work() -> None:
        with pytest.raises(ValueError, match="name is not known"):
            await Signer(SimpleNamespace(account_name=None)).to_write(None, 60)

    asyncio.run(work())


def test_an_identity_that_gets_no_key() -> None:
    """The account does not answer."""
    dead = dead_connection_string().partition("BlobEndpoint=http")[2].partition(";")[0]

    async def work() -> None:
        folders = BlobFolders(
            lambda: BlobServiceClient(f"https{dead}", credential=Identity(), retry_total=0)  # pyright: ignore
        )
        with pytest.raises(StoreUnavailable):
            await folders.folder("signed").signed_url("a", 60)
        await folders.close()

    asyncio.run(work())
