"""config.yaml from a blob that is read with a token. What stands in for storage says what Azure's would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from shared.adapters.config_blob import TokenBlobSource
from shared.ports import StoreUnavailable
from tests.support.raw_server import Line, serving

TEXT = b'HTTP/1.1 200 OK\r\netag: "7"\r\ncontent-length: 8\r\n\r\n\xef\xbb\xbfa: b\n'
SAME = b"HTTP/1.1 304 Not Modified\r\n\r\n"


class Signed:
    """A credential."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        return AccessToken("the-token", int(time.time()) + 3600)

    async def close(self) -> None: ...


def read(
    known: str, answer: Callable[[Line], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, list[bytes]]:
    # azure-core gives no token to plain HTTP, which the tests over TLS show (tests/identity)
    monkeypatch.setattr("azure.core.pipeline.policies._authentication_async._enforce_https", str)

    async def play() -> tuple[Any, list[bytes]]:
        async with serving(answer) as server:
            found = await TokenBlobSource(server.url, Signed).read(known)
            return found, [request for line in server.lines for request in line.requests]

    return asyncio.run(play())


def saying(*answers: bytes) -> Callable[[Line], Awaitable[None]]:
    async def answer(line: Line) -> None:
        await line.request()
        await line.send(answers[line.number])

    return answer


def test_the_text_comes_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    found, (request,) = read("", saying(TEXT), monkeypatch)
    assert found == ("a: b\n", '"7"')
    assert b"\r\nAuthorization: Bearer the-token\r\n" in request
    assert b"x-ms-version" in request
    assert b"If-None-Match" not in request


def test_what_has_not_changed_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found, (request,) = read('"7"', saying(SAME), monkeypatch)
    assert found is None
    assert b'\r\nIf-None-Match: "7"\r\n' in request


def test_storage_that_stumbles_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stumbles = b"HTTP/1.1 503 Server Busy\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    found, requests = read("", saying(stumbles, TEXT), monkeypatch)
    assert (found[0], len(requests)) == ("a: b\n", 2)


def test_a_role_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = b"HTTP/1.1 403 Forbidden\r\nx-ms-error-code: AuthorizationPermissionMismatch\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(StoreUnavailable, match="lacks the role Storage Blob Data"):
        read("", saying(refused), monkeypatch)


def test_a_blob_that_is_not_there_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = b"HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(StoreUnavailable, match="404 Not Found BlobNotFound"):
        read("", saying(missing), monkeypatch)
