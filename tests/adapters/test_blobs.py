"""Blobs in a real Azurite, through azure-storage-blob."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.storage.blob.aio import BlobServiceClient

from shared.adapters.blobs import Blobs
from shared.ports import StoreUnavailable
from tests.support.own_azurite import dead_connection_string


def play(connection: str, work: Callable[[Blobs], Awaitable[None]]) -> None:
    async def whole() -> None:
        blobs = Blobs(lambda: BlobServiceClient.from_connection_string(connection, retry_total=0))
        try:
            await work(blobs)
        finally:
            await blobs.close()

    asyncio.run(whole())


@pytest.fixture
def container() -> str:
    """A container that is not there yet."""
    return "c" + uuid.uuid4().hex


def test_what_was_written_is_read_and_replaced(azurite: Any, container: str) -> None:
    async def work(blobs: Blobs) -> None:
        await blobs.write(container, "a/b.csv", b"one", "text/csv")
        assert await blobs.read(container, "a/b.csv") == b"one"
        await blobs.write(container, "a/b.csv", b"two", "text/csv")
        assert await blobs.read(container, "a/b.csv") == b"two"

    play(azurite.connection_string, work)


def test_what_is_not_there(azurite: Any, container: str) -> None:
    async def work(blobs: Blobs) -> None:
        assert await blobs.read(container, "a") is None
        assert await blobs.list(container) == []
        await blobs.write(container, "a", b"", "text/plain")
        assert await blobs.read(container, "b") is None
        assert await blobs.read(container, "a") == b""

    play(azurite.connection_string, work)


def test_names_by_prefix(azurite: Any, container: str) -> None:
    async def work(blobs: Blobs) -> None:
        for name in ("usage/2", "usage/1", "focus/1"):
            await blobs.write(container, name, b"x", "text/csv")
        assert await blobs.list(container, "usage/") == ["usage/1", "usage/2"]
        assert await blobs.list(container) == ["focus/1", "usage/1", "usage/2"]

    play(azurite.connection_string, work)


ACTS: dict[str, Callable[[Blobs], Awaitable[Any]]] = {
    "read": lambda blobs: blobs.read("container", "a"),
    "write": lambda blobs: blobs.write("container", "a", b"x", "text/csv"),
    "list": lambda blobs: blobs.list("container"),
}


@pytest.mark.parametrize("act", ACTS)
def test_storage_that_does_not_answer(act: str) -> None:
    async def work(blobs: Blobs) -> None:
        with pytest.raises(StoreUnavailable):
            await ACTS[act](blobs)

    play(dead_connection_string(), work)
