"""Files as the engines use them, on a real Azurite: taken once, cut into chunks, outputs replaced, nothing left over."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import AzureFolder
from shared.adapters.objects import TableObjects
from shared.batches.files import Files
from shared.batches.intake.lines import lines_of
from shared.batches.kept import KEPT_SECONDS, content_blob, new_id
from shared.batches.ports import NoBlob
from shared.errors import ApiError
from shared.objects import HERE, Registry
from shared.ports import StoreUnavailable
from shared.principals import Principal
from tests.support.desk import desk_at
from tests.support.doubles import Clock, Lines

CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', api_key: k}
"""
OWNER = Principal("a" * 64, "mine", "search")


@dataclass
class Parts:
    files: Files
    folder: AzureFolder
    index: TableObjects
    clock: Clock
    owner: Principal

    async def names(self) -> list[str]:
        return [blob.name async for blob in self.folder.list("")]

    async def listed(self) -> list[tuple[str, str]]:
        found, _ = await self.index.page(self.owner.owner, "file", limit=50)
        assert {item.resource for item in found} <= {HERE}
        return [(item.upstream_id, item.note) for item in found]


def play(azurite: Any, work: Callable[[Parts], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with desk_at(azurite.connection_string, 1_790_000_000.0, CONFIG) as desk:
            catalog = await desk.catalog()
            registry, index = Registry(catalog, desk.settings.keyring()), TableObjects(desk.tables)
            folder = desk.folders.folder(f"files-{uuid.uuid4().hex}")
            files = Files(catalog, registry, TableBatches(desk.tables), folder, index, Lines(), desk.clock)
            await work(Parts(files, folder, index, desk.clock, replace(OWNER, team=uuid.uuid4().hex)))

    asyncio.run(whole())


async def each(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def never() -> AsyncIterator[bytes]:
    raise AssertionError("what is there already is not read again")
    yield b""


async def broken(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    raise StoreUnavailable("the source has gone")


def jsonl(count: int, **body: Any) -> bytes:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **body}
    rows = ({"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": asked} for n in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def test_input_is_taken_once_and_read_in_chunks(azurite: Any) -> None:
    data = jsonl(450, user="x" * 20_000)  # 9 MB: chunks end by size as well

    async def work(parts: Parts) -> None:
        files, file_id = parts.files, new_id("file-")
        pieces = [data[at : at + 5_000_000] for at in range(0, len(data), 5_000_000)]
        file = await files.take(each(*pieces), parts.owner, "a.jsonl", file_id=file_id, seconds=60)
        assert (file.id, file.owner, file.purpose) == (file_id, parts.owner.owner, "batch")
        assert (file.bytes, file.lines, file.alias, file.url) == (len(data), 450, "gpt-4o", "/chat/completions")
        assert (file.tokens, file.bound, file.expires_at) == (450 * 5, "", parts.clock.now + 60)
        assert await files.take(never(), parts.owner, "a.jsonl", file_id=file_id) == replace(
            file, etag=(await files.take(never(), parts.owner, "a.jsonl", file_id=file_id)).etag
        )
        assert await parts.listed() == [(file_id, "batch")]
        found: list[bytes] = []
        stretches = await files.stretches(file)
        for number, stretch in enumerate(stretches):
            lines = lines_of(await whole(files.read(file_id, stretch.start, stretch.length)))
            assert (stretch.number, stretch.first_line, stretch.lines) == (number, len(found), len(lines))
            found += lines
        assert found == data.splitlines()
        assert len(stretches) == 5
        assert await whole(files.read(file_id)) == data

    play(azurite, work)


def test_nothing_is_left_of_what_is_refused_or_breaks_off(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        files, bad = parts.files, jsonl(3) + b"{oh"
        with pytest.raises(ApiError, match="Line 4: ") as caught:
            await files.take(each(jsonl(3), b"{oh"), parts.owner, "a.jsonl")
        assert (caught.value.status, caught.value.extra) == (400, {"line": 4})
        with pytest.raises(ApiError, match=r"Line 1: 'body.model' is missing"):
            await files.take(each(jsonl(3, model=None)), parts.owner, "a.jsonl")
        with pytest.raises(ApiError, match="`no-such` does not exist"):
            await files.take(each(jsonl(3, model=None)), parts.owner, "a.jsonl", alias="no-such")
        with pytest.raises(StoreUnavailable):
            await files.take(broken(jsonl(3)), parts.owner, "a.jsonl")
        assert await parts.names() == []
        assert await parts.listed() == []
        named = await files.take(each(jsonl(3, model=None)), parts.owner, "a.jsonl", alias="gpt-4o", file_id="file-1")
        assert named.alias == "gpt-4o"
        with pytest.raises(ApiError, match="Line 4: "):
            await files.take(each(bad), parts.owner, "a.jsonl", file_id="file-2")
        assert await whole(files.read("file-1")) == jsonl(3, model=None)

    play(azurite, work)


def test_refusal_takes_nothing_from_another_who_takes_the_same(azurite: Any) -> None:
    """Two calls complete one upload, one of them with a wrong checksum."""

    async def work(parts: Parts) -> None:
        files, file_id, data = parts.files, new_id("file-"), jsonl(3)

        async def while_another_takes_it() -> AsyncIterator[bytes]:
            yield data
            await files.take(each(data), parts.owner, "a.jsonl", file_id=file_id)
            yield b"{oh"

        with pytest.raises(ApiError, match="Line 4: "):
            await files.take(while_another_takes_it(), parts.owner, "a.jsonl", file_id=file_id)
        assert await whole(files.read(file_id)) == data

    play(azurite, work)


def test_output_is_kept_replaced_and_stays_deleted(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        files, owner = parts.files, parts.owner.owner
        assert await files.write_output(each(), owner, "o.jsonl", "file-out") is None
        assert await files.write_output(each(b"", b""), owner, "o.jsonl", "file-out") is None
        assert await parts.names() == []
        first = await files.write_output(each(b"", b"1\n", b"2\n"), owner, "o.jsonl", "file-out")
        assert first is not None
        assert (first.purpose, first.lines, first.bytes) == ("batch_output", 2, 4)
        assert first.expires_at == first.created_at + KEPT_SECONDS
        parts.clock.forward(100)
        again = await files.write_output(each(b"1\n2\n3\n"), owner, "o.jsonl", "file-out", seconds=9)
        assert again is not None
        assert (again.lines, again.created_at, again.expires_at) == (3, first.created_at, first.created_at + 9)
        assert await whole(files.read("file-out")) == b"1\n2\n3\n"
        assert await parts.listed() == [("file-out", "batch_output")]
        with pytest.raises(StoreUnavailable):
            await files.write_output(broken(b"half"), owner, "o.jsonl", "file-out")
        assert await whole(files.read("file-out")) == b"1\n2\n3\n"
        await files.rows.put_file(replace(again, deleted=True))
        kept = await files.write_output(each(b"1\n"), owner, "o.jsonl", "file-out")
        assert kept is not None
        assert kept.deleted
        await parts.folder.delete(content_blob("file-out"))
        with pytest.raises(NoBlob):
            await whole(files.read("file-out"))

    play(azurite, work)
