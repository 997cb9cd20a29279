"""Where the answers to deferred calls are found once their batch has ended: an index of its output, beside the files.

    answers/BATCH     {"over": error or null, "files": [id, …], "lines": {tail of a call's id: [file, start, length]}}

A call that never came into the batch has its error in place of the three numbers. `over`, once it is there, is what
becomes of every call that has no line.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.batches.batch import Batch
from shared.batches.deferred.groups import read_call
from shared.batches.files import Files
from shared.batches.ports import BlobFolder, NoBlob
from shared.errors import ApiError
from shared.here import HereAnswer
from shared.types import Json

ANSWERS = "answers/"
"""Of the blobs that are indexes: of no use once the files they lead to are gone (kept.KEPT_SECONDS)."""
_STATUS = {"batch_expired": 504, "batch_cancelled": 409}
"""Of the errors that lines end with when nobody has answered them; others are a 502."""


@dataclass(frozen=True, slots=True)
class Index:
    over: Json | None = None
    """{"status": …, "body": …}."""
    files: tuple[str, ...] = ()
    lines: Mapping[str, list[int] | Json] = field(default_factory=dict[str, Any])
    """A call's place: number of the file, first byte, length; or its error, as `over`."""


@dataclass(frozen=True, slots=True)
class Answers:
    folder: BlobFolder
    files: Files

    async def index(self, batch_id: str) -> Index | None:
        """Raises StoreUnavailable."""
        try:
            told = orjson.loads(b"".join([piece async for piece in self.folder.read(_blob(batch_id))]))
        except NoBlob:
            return None
        return Index(told["over"], tuple(told["files"]), told["lines"])

    async def refuse(self, batch_id: str, lines: Mapping[str, ApiError], whole: ApiError | None = None) -> None:
        """These calls never come into the batch; whole: none of them does. Raises StoreUnavailable."""
        errors = {tail: _told(error) for tail, error in lines.items()}
        await self._write(batch_id, Index(_told(whole) if whole else None, (), errors))

    async def gather(self, batch: Batch) -> None:
        """The index of a batch that has ended. Idempotent. Raises StoreUnavailable."""
        before = await self.index(batch.id)
        lines = {} if before is None else {tail: told for tail, told in before.lines.items() if isinstance(told, dict)}
        files = [name for name in (batch.output_file, batch.error_file) if name]
        places: dict[str, list[int] | Json] = {**lines}
        for number, name in enumerate(files):
            try:
                async with aclosing(_lines(self.files.read(name))) as found:
                    async for start, line in found:
                        call = read_call(str(orjson.loads(line).get("custom_id")))
                        if call is not None:
                            places[call.tail] = [number, start, len(line)]
            except NoBlob:  # its owner has deleted it
                continue
        await self._write(batch.id, Index(_told(_ending(batch)), tuple(files), places))

    async def answer(self, index: Index, tail: str) -> HereAnswer | None:
        """None: not yet. Raises ApiError 410 when it was there, StoreUnavailable."""
        place = index.lines.get(tail) or index.over
        if place is None:
            return None
        if isinstance(place, dict):
            return HereAnswer(orjson.dumps(place["body"]), place["status"])
        number, start, length = place
        try:
            line = b"".join([piece async for piece in self.files.read(index.files[number], start, length)])
        except NoBlob:
            raise gone() from None
        return _of_line(orjson.loads(line))

    async def _write(self, batch_id: str, index: Index) -> None:
        data = orjson.dumps({"over": index.over, "files": index.files, "lines": index.lines})
        await self.folder.write(_blob(batch_id), _once(data), "application/json")


def gone() -> ApiError:
    return ApiError(
        410,
        "The answer is no longer kept, or the file that held it was deleted. Send the call again.",
        code="answer_gone",
    )


def _of_line(line: Json) -> HereAnswer:
    response, error = line.get("response"), line.get("error") or {}
    if response:
        return HereAnswer(orjson.dumps(response["body"]), int(response["status_code"]))
    code = str(error.get("code") or "batch_failed")
    failed = ApiError(
        _STATUS.get(code, 502), str(error.get("message") or "The call failed."), type="server_error", code=code
    )
    return HereAnswer(failed.body(), failed.status)


def _ending(batch: Batch) -> ApiError:
    """Of calls that have no line in the output of a batch that has ended."""
    if batch.status == "cancelled":
        return ApiError(409, "The batch of this call was cancelled. Send the call again.", code="batch_cancelled")
    if batch.status == "expired":
        return ApiError(
            504,
            "The call was not answered within its 24 hours. Send it again, or without waiting for a batch.",
            type="server_error",
            code="batch_expired",
        )
    why = next((str(error.get("message")) for error in batch.errors if error.get("message")), "")
    return ApiError(
        502,
        f"The batch of this call failed. {why} Send the call again.".replace("  ", " "),
        type="server_error",
        code="batch_failed",
    )


def _told(error: ApiError) -> Json:
    return {"status": error.status, "body": orjson.loads(error.body())}


def _blob(batch_id: str) -> str:
    return ANSWERS + batch_id


async def _lines(pieces: AsyncIterable[bytes]) -> AsyncGenerator[tuple[int, bytes]]:
    """-> (first byte, line without its end) of each that holds something."""
    start, rest = 0, b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield start, line
            start += len(line) + 1
    if rest.strip():
        yield start, rest


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
