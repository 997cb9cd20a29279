"""Containers as batches use them, in a real Azurite: streams, appends by position, leases, signed addresses."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ServiceResponseError
from azure.storage.blob.aio import BlobServiceClient

from shared.adapters.blob_folder import AzureFolder, BlobFolders
from shared.adapters.blob_streams import PIECE
from shared.batches.ports import NoBlob
from shared.ports import StoreUnavailable
from tests.support.azurite import ACCOUNT, KEY
from tests.support.own_azurite import dead_connection_string


def play(connection: str, container: str, work: Callable[[AzureFolder], Awaitable[None]]) -> None:
    async def whole() -> None:
        folders = BlobFolders(lambda: BlobServiceClient.from_connection_string(connection, retry_total=0))
        try:
            await work(folders.folder(container))
        finally:
            await folders.close()

    asyncio.run(whole())


@pytest.fixture
def container() -> str:
    """A container that is not there yet."""
    return "c" + uuid.uuid4().hex


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content(folder: AzureFolder, name: str, start: int = 0, length: int | None = None) -> bytes:
    found = [piece async for piece in folder.read(name, start, length)]
    assert all(0 < len(piece) <= PIECE for piece in found)
    return b"".join(found)


def test_streams_of_any_size_come_back(azurite: Any, container: str) -> None:
    big = os.urandom(2 * PIECE + 17)

    async def work(folder: AzureFolder) -> None:
        for name, chunks in {
            "a/b c?#é.jsonl": (b"one", b"", b" two"),
            "big": (big[:5], big[5 : PIECE + 1], big[PIECE + 1 :]),
            "exact": (big[:PIECE],),
        }.items():
            whole = b"".join(chunks)
            assert await folder.write(name, stream(*chunks), "text/csv", {"key": "v"}) == len(whole)
            assert await content(folder, name) == whole
            facts = await folder.facts(name)
            assert facts is not None
            assert (facts.name, facts.size, facts.metadata) == (name, len(whole), {"key": "v"})
        assert await content(folder, "big", 3, PIECE + 9) == big[3 : PIECE + 12]
        assert await content(folder, "big", len(big) - 4) == big[-4:]
        assert await content(folder, "big", 5, 0) == b""
        assert await content(folder, "big", len(big) + 5) == b""
        assert await folder.write("none", stream()) == 0
        assert await content(folder, "none") == b""

    play(azurite.connection_string, container, work)


def test_what_breaks_off_leaves_nothing_and_what_was_there_stays(azurite: Any, container: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PIECE + 1)
        raise LookupError("the line 7 is no JSON")

    async def work(folder: AzureFolder) -> None:
        with pytest.raises(LookupError, match="line 7"):
            await folder.write("a", broken())
        assert await folder.facts("a") is None
        await folder.write("a", stream(b"good"))
        with pytest.raises(LookupError):
            await folder.write("a", broken())
        assert await content(folder, "a") == b"good"

    play(azurite.connection_string, container, work)


def test_only_one_writes_what_must_not_be_there(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        outcomes = await asyncio.gather(
            *(folder.write("a", stream(b"%d" % n), replace=False) for n in range(5)), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["FileExistsError"] * 4 + ["int"]
        (won,) = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, int)]
        assert await content(folder, "a") == b"%d" % won
        await folder.write("a", stream(b"new"))
        assert await content(folder, "a") == b"new"

    play(azurite.connection_string, container, work)


def test_what_is_not_there(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        for _ in range(2):  # without the container, and with it
            with pytest.raises(NoBlob):
                await content(folder, "a")
            assert await folder.facts("a") is None
            assert [found async for found in folder.list("")] == []
            assert not await folder.delete("a")
            assert not await folder.close_for_good("a")
            assert not await folder.renew("a", str(uuid.uuid4()))
            await folder.release("a", str(uuid.uuid4()))
            assert not await folder.append("a", b"x", 5)
            await folder.write("b", stream(b"x"))
            await folder.delete("b")

    play(azurite.connection_string, container, work)


def test_names_in_order_with_metadata(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        for name in ("in/b", "in/a/2", "in/a/10", "out/a"):
            await folder.write(name, stream(name.encode()), metadata={"key": name})
        found = [facts async for facts in folder.list("in/")]
        assert [facts.name for facts in found] == ["in/a/10", "in/a/2", "in/b"]
        assert [facts.metadata["key"] for facts in found] == [facts.name for facts in found]
        assert found == [await folder.facts(facts.name) for facts in found]  # the etag is written alike

    play(azurite.connection_string, container, work)


def test_deleting_what_was_seen_and_nothing_newer(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        await folder.write("a", stream(b"one"))
        old = await folder.facts("a")
        await folder.write("a", stream(b"two"))
        new = await folder.facts("a")
        assert old is not None
        assert new is not None
        assert not await folder.delete("a", old.etag)
        assert await content(folder, "a") == b"two"
        assert await folder.delete("a", new.etag)
        assert await folder.facts("a") is None

    play(azurite.connection_string, container, work)


def test_a_blob_that_is_replaced_while_it_is_read_is_never_mixed(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        await folder.write("a", stream(b"1" * (3 * PIECE)))
        reading = folder.read("a")
        await anext(reading)
        await folder.write("a", stream(b"2" * (3 * PIECE)))
        seen: set[bytes] = set()

        async def read_on() -> None:
            async for piece in reading:
                seen.add(piece[:1])

        with pytest.raises(StoreUnavailable, match="replaced"):
            await read_on()
        assert seen <= {b"1"}

    play(azurite.connection_string, container, work)


def test_a_blob_may_grow_while_it_is_read(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        assert await folder.append("a", b"1" * PIECE, 0)
        assert await folder.append("a", b"1" * PIECE, PIECE)
        reading = folder.read("a")
        found = [await anext(reading)]
        assert await folder.append("a", b"2" * 9, 2 * PIECE)
        found += [piece async for piece in reading]
        assert b"".join(found) == b"1" * (2 * PIECE)

    play(azurite.connection_string, container, work)


def test_appends_by_position_from_many_at_once(azurite: Any, container: str) -> None:
    """Whoever is refused reads where the blob ends and tries again: every text is there once."""
    texts = [b"%03d\n" % n for n in range(12)]

    async def work(folder: AzureFolder) -> None:
        async def put(text: bytes) -> None:
            at = 0
            while not await folder.append("a", text, at):
                facts = await folder.facts("a")
                at = facts.size if facts else 0

        await asyncio.gather(*map(put, texts))
        whole = await content(folder, "a")
        assert sorted(whole.splitlines(keepends=True)) == texts
        assert not await folder.append("a", b"x", len(whole) - 1)
        assert not await folder.append("a", b"x", len(whole) + 1)

    play(azurite.connection_string, container, work)


class _Losing:
    """The SDK's client of a blob whose answers are lost, once each."""

    def __init__(self, blob: Any, lost: list[str], *, before: bool) -> None:
        self._blob, self._lost, self._before = blob, lost, before

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._blob, name)
        if name not in self._lost:
            return real

        async def act(*arguments: Any, **options: Any) -> Any:
            lose = name in self._lost
            if lose:
                self._lost.remove(name)
            if not (lose and self._before):
                answer = await real(*arguments, **options)
                if not lose:
                    return answer
            raise ServiceResponseError("the connection was reset")

        return act


def losing(folder: AzureFolder, act: str, *, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, real = [act], folder._blob  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(folder, "_blob", lambda name: _Losing(real(name), lost, before=before))  # pyright: ignore


@pytest.mark.parametrize("before", [True, False])
def test_an_append_whose_answer_is_lost_is_there_once(
    azurite: Any, container: str, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    async def work(folder: AzureFolder) -> None:
        assert await folder.append("a", b"one ", 0)
        losing(folder, "append_block", before=before, monkeypatch=monkeypatch)
        assert await folder.append("a", b"two ", 4)
        assert await content(folder, "a") == b"one two "

    play(azurite.connection_string, container, work)


def test_an_append_whose_answer_is_lost_while_others_append(
    azurite: Any, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not work, and somebody else's bytes are there: it is told so."""

    async def work(folder: AzureFolder) -> None:
        assert await folder.append("a", b"one ", 0)
        other = AzureFolder(folder._folders, container)  # pyright: ignore[reportPrivateUsage]
        losing(folder, "append_block", before=True, monkeypatch=monkeypatch)
        mine = asyncio.create_task(folder.append("a", b"mine", 4))
        await asyncio.sleep(0)
        assert await other.append("a", b"else", 4)
        assert not await mine
        assert await content(folder, "a") == b"one else"

    play(azurite.connection_string, container, work)


def test_a_write_whose_answer_is_lost_is_no_file_of_somebody_else(
    azurite: Any, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK repeats the request, and then finds what it has written itself."""

    async def work(folder: AzureFolder) -> None:
        real = folder._blob  # pyright: ignore[reportPrivateUsage]

        class Repeating(_Losing):
            def __getattr__(self, name: str) -> Any:
                act = getattr(self._blob, name)
                if name != "commit_block_list":
                    return act

                async def twice(*arguments: Any, **options: Any) -> Any:
                    await act(*arguments, **options)
                    return await act(*arguments, **options)

                return twice

        monkeypatch.setattr(folder, "_blob", lambda name: Repeating(real(name), [], before=False))  # pyright: ignore
        assert await folder.write("a", stream(b"mine"), replace=False) == 4
        assert await content(folder, "a") == b"mine"
        with pytest.raises(FileExistsError):
            await folder.write("a", stream(b"mine"), replace=False)

    play(azurite.connection_string, container, work)


def test_a_block_that_must_be_sent_again_is_sent_whole() -> None:
    """The account is busy, then a connection breaks: the SDK repeats the request, with all of its body."""
    sent: list[tuple[bytes, bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            (length,) = [int(line[15:]) for line in head.splitlines() if line.lower().startswith(b"content-length:")]
            sent.append((head.split()[1], await reader.readexactly(length)))
            if len(sent) == 2:
                break
            busy = b"HTTP/1.1 503 Busy\r\nx-ms-error-code: ServerBusy\r\n"
            writer.write((busy if len(sent) == 1 else _CREATED) + b"content-length: 0\r\n\r\n")
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{ACCOUNT}"
        quick: dict[str, Any] = {"initial_backoff": 0.01, "increment_base": 0.01, "random_jitter_range": 0}
        folders = BlobFolders(lambda: BlobServiceClient(url, credential=KEY, **quick))
        assert await folders.folder("c").write("a", stream(b"x" * (1 << 21))) == 1 << 21
        await folders.close()
        server.close()

    asyncio.run(work())
    *blocks, (listing, _) = sent
    assert [len(body) for _, body in blocks] == [1 << 21] * 3
    assert len({path for path, _ in blocks}) == 1
    assert b"comp=blocklist" in listing


_CREATED = b'HTTP/1.1 201 Created\r\netag: "x"\r\nlast-modified: Mon, 23 Nov 2026 20:00:00 GMT\r\n'


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def test_leases(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        lease = await folder.lease("a", 60)  # of a blob that is not there yet
        assert lease is not None
        assert await folder.lease("a", 60) is None
        assert not await folder.append("a", b"x", 0)
        assert await folder.append("a", b"one", 0, lease)
        assert not await folder.append("a", b"two", 0, lease)
        assert await folder.renew("a", lease)
        assert not await folder.renew("a", str(uuid.uuid4()))
        await folder.release("a", lease)
        assert not await folder.append("a", b"x", 3, lease)
        assert not await folder.renew("a", lease)
        second = await folder.lease("a", 15)
        assert second not in (None, lease)
        await folder.release("a", lease)  # no longer its own: nothing happens
        assert await folder.lease("a", 15) is None
        assert await content(folder, "a") == b"one"
        assert await folder.delete("a")

    play(azurite.connection_string, container, work)


def test_a_blob_closed_for_good_takes_nothing_more(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        assert await folder.append("a", b"one", 0)
        for _ in range(2):
            assert await folder.close_for_good("a")
            assert not await folder.append("a", b"two", 3)
            assert await folder.lease("a", 15) is None
        assert await content(folder, "a") == b"one"
        facts = await folder.facts("a")
        assert facts is not None
        assert await folder.delete("a", facts.etag)
        assert await folder.lease("b", 60) is not None
        assert await folder.close_for_good("b")  # whoever held it
        assert not await folder.append("b", b"x", 0)

    play(azurite.connection_string, container, work)


def test_a_signed_address_writes_one_blob_and_does_nothing_else(azurite: Any, container: str) -> None:
    async def work(folder: AzureFolder) -> None:
        url = await folder.signed_url("uploads/a b", 60)
        async with httpx.AsyncClient() as client:
            headers = {"x-ms-blob-type": "BlockBlob"}
            assert (await client.put(url, content=b"lines", headers=headers)).status_code == 201
            assert await content(folder, "uploads/a b") == b"lines"
            assert (await client.get(url)).status_code == 403
            other = url.replace("uploads/a%20b", "uploads/other")
            assert other != url
            assert (await client.put(other, content=b"x", headers=headers)).status_code == 403
            late = await folder.signed_url("late", -60)
            assert (await client.put(late, content=b"x", headers=headers)).status_code == 403

    play(azurite.connection_string, container, work)


ACTS: dict[str, Callable[[AzureFolder], Awaitable[Any]]] = {
    "write": lambda folder: folder.write("a", stream(b"x")),
    "read": lambda folder: content(folder, "a"),
    "facts": lambda folder: folder.facts("a"),
    "append": lambda folder: folder.append("a", b"x", 0),
    "lease": lambda folder: folder.lease("a", 15),
    "renew": lambda folder: folder.renew("a", str(uuid.uuid4())),
    "close": lambda folder: folder.close_for_good("a"),
    "list": lambda folder: anext(folder.list("")),
    "delete": lambda folder: folder.delete("a"),
    "sign": lambda folder: folder.signed_url("a", 60),
}


@pytest.mark.parametrize("act", ACTS)
def test_storage_that_does_not_answer(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.blob_folder._PAUSES", (0.0,))

    async def work(folder: AzureFolder) -> None:
        with pytest.raises(StoreUnavailable):
            await ACTS[act](folder)

    play(dead_connection_string(), "container", work)
