"""The content of one blob, in and out, in pieces of 2 MiB: never more than a few of them are held.

Knows nothing of containers, leases and names.
"""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

from shared.adapters import azure_errors
from shared.adapters.azure_errors import code_of
from shared.batches.ports import NoBlob
from shared.ports import StoreUnavailable

PIECE = 2 * 1024 * 1024
_UNDER_WAY = 2
"""Pieces that are sent or fetched at once: while one is on its way, the next one is made or used."""


# Reading.


async def pieces(blob: Any, start: int, length: int | None) -> AsyncIterator[bytes]:
    """From `start`, so many bytes or all. Raises NoBlob, StoreUnavailable."""
    if length == 0:
        return
    first = await _piece(blob, start, PIECE if length is None else min(PIECE, length), None)
    end = first.size if length is None else min(first.size, start + length)
    at = start + len(first.data)
    following = _fetch(blob, at, end, first.etag)
    try:
        if first.data:
            yield first.data
        while following is not None:
            piece = await following
            at += len(piece.data)
            following = _fetch(blob, at, end, first.etag)
            yield piece.data
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


class _Piece:
    __slots__ = ("data", "etag", "size")

    def __init__(self, data: bytes, size: int, etag: str) -> None:
        self.data, self.size, self.etag = data, size, etag


def _fetch(blob: Any, at: int, end: int, etag: str) -> asyncio.Task[_Piece] | None:
    """The next piece, on its way while the one before is used."""
    return asyncio.ensure_future(_piece(blob, at, min(PIECE, end - at), etag)) if at < end else None


async def _piece(blob: Any, at: int, length: int, etag: str | None) -> _Piece:
    """etag: of the piece before; empty: the blob may grow meanwhile, what there was stays as it was."""
    from azure.core import MatchConditions
    from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError

    options: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
    try:
        download = await blob.download_blob(at, length, **options)
        data = await download.readall()  # the SDK takes up again what breaks off
    except ResourceNotFoundError as error:
        raise NoBlob(blob.blob_name) from error
    except ResourceModifiedError as error:
        raise StoreUnavailable("a blob was replaced while it was read") from error
    except AzureError as error:
        if code_of(error) == "InvalidRange":  # it ends before
            return _Piece(b"", 0, "")
        raise unavailable(error) from error
    facts = download.properties
    if etag is not None and len(data) != length:
        raise StoreUnavailable("a blob has become shorter while it was read")
    growing = getattr(facts.blob_type, "value", facts.blob_type) == "AppendBlob"
    return _Piece(data, _whole_size(download, at, len(data)), "" if growing else facts.etag)


def _whole_size(download: Any, at: int, got: int) -> int:
    """Of the blob, from the answer's content-range: `bytes 0-3/17`."""
    said = download.properties.content_range
    return int(said.rpartition("/")[2]) if said else at + got


# Writing.


async def put_blob(
    blob: Any,
    make_container: Callable[[], Awaitable[None]],
    chunks: AsyncIterable[bytes],
    content_type: str,
    metadata: dict[str, str],
    *,
    replace: bool,
) -> int:
    """A block blob, complete or not at all. -> its size. Blocks that were never named in a list are none of it: Azure
    forgets them after a week. Raises FileExistsError, StoreUnavailable, and what `chunks` raises."""
    blocks = _Blocks(blob, make_container)
    try:
        async for data in _in_pieces(chunks):
            await blocks.add(data)
        await blocks.sent()
    finally:
        await blocks.stop()
    await _commit(blob, make_container, blocks, content_type, metadata, replace=replace)
    return blocks.size


async def _in_pieces(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    held: list[bytes | memoryview] = []
    size = 0
    async for chunk in chunks:
        left = memoryview(chunk)
        while size + len(left) >= PIECE:
            held.append(left[: PIECE - size])
            left = left[PIECE - size :]
            yield b"".join(held)
            held, size = [], 0
        if left:
            held.append(left)
            size += len(left)
    if size:
        yield b"".join(held)


class _Blocks:
    """What was staged, in order; so many on their way at once."""

    def __init__(self, blob: Any, make_container: Callable[[], Awaitable[None]]) -> None:
        self._blob = blob
        self._make_container = make_container
        self._writer = uuid.uuid4().hex[:16]  # tells these blocks from those of somebody else
        self._under_way: set[asyncio.Task[None]] = set()
        self.ids: list[str] = []
        self.size = 0

    async def add(self, data: bytes) -> None:
        while len(self._under_way) >= _UNDER_WAY:
            await self._one()
        name = f"{self._writer}-{len(self.ids):06d}"  # all of a blob are of one length
        self.ids.append(name)
        self.size += len(data)
        self._under_way.add(asyncio.ensure_future(self._stage(name, data)))

    async def sent(self) -> None:
        while self._under_way:
            await self._one()

    async def stop(self) -> None:
        """Nothing is under way any more."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _one(self) -> None:
        done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        failures = [error for task in done if (error := task.exception())]
        if failures:
            raise failures[0]

    async def _stage(self, name: str, data: bytes) -> None:
        async def stage() -> None:
            await self._blob.stage_block(name, as_body(data), length=len(data))

        await _with_container(stage, self._make_container)


async def _commit(
    blob: Any,
    make_container: Callable[[], Awaitable[None]],
    blocks: _Blocks,
    content_type: str,
    metadata: dict[str, str],
    *,
    replace: bool,
) -> None:
    from azure.core import MatchConditions
    from azure.core.exceptions import AzureError
    from azure.storage.blob import BlobBlock, ContentSettings

    options: dict[str, Any] = {} if replace else {"match_condition": MatchConditions.IfMissing}

    async def commit() -> None:
        await blob.commit_block_list(
            [BlobBlock(name) for name in blocks.ids],
            content_settings=ContentSettings(content_type=content_type),
            metadata=metadata,
            **options,
        )

    try:
        await _with_container(commit, make_container)
    except StoreUnavailable as error:
        why = error.__cause__
        if code_of(why) not in ("BlobAlreadyExists", "ConditionNotMet", "InvalidBlockList"):
            raise
        # an answer may have been lost: then these very blocks are there
        try:
            committed, _ = await blob.get_block_list("committed")
        except AzureError as unknown:
            raise unavailable(unknown) from unknown
        if [block.id for block in committed] == blocks.ids:
            return
        if replace:
            raise
        raise FileExistsError(blob.blob_name) from why


async def _with_container(act: Callable[[], Awaitable[None]], make_container: Callable[[], Awaitable[None]]) -> None:
    from azure.core.exceptions import AzureError

    try:
        try:
            await act()
        except AzureError as error:
            if code_of(error) != "ContainerNotFound":
                raise
            await make_container()
            await act()
    except AzureError as error:
        raise unavailable(error) from error


# What the SDK takes and says.


def as_body(data: bytes) -> io.BytesIO:
    """What aiohttp sends little by little: bytes of more than 1 MiB would hold up the loop."""
    return io.BytesIO(data)


def unavailable(error: BaseException) -> StoreUnavailable:
    return azure_errors.unavailable(error, "blob")
