"""What an operator asks to be run again: the lines of a batch that have no good answer."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from shared.batches.batch import Batch, new_batch_id
from shared.batches.files import Files
from shared.batches.kept import KeptFile, new_id
from shared.batches.orders import Order, check_rights, without_v1
from shared.batches.ports import BatchRows, NoBlob, Payers
from shared.batches.service import BatchApi
from shared.errors import ApiError
from shared.ports import CallLog

RETRIES = "retry"
"""What refers from a batch to the one that runs it again (BatchRows.refer)."""


@dataclass(frozen=True, slots=True)
class Retrying:
    rows: BatchRows
    files: Files
    api: BatchApi
    payers: Payers
    log: CallLog
    clock: Callable[[], float]

    async def on_message(self, batch_id: str) -> None:
        """Raises StoreUnavailable: it comes again. What cannot be retried is in the log."""
        try:
            await self.retry(batch_id)
        except ApiError as error:
            self.log.warning("a batch was not retried", batch=batch_id, error=error.message)

    async def retry(self, batch_id: str) -> Batch:
        """A new batch of them, for the same payer. Idempotent: a batch is retried once. Raises ApiError 404, 409 when
        it is not over, nothing is left or nobody pays; StoreUnavailable."""
        batch = await self.rows.get(batch_id)
        if batch is None:
            raise ApiError(404, "There is no such batch.", code="batch_not_found")
        again = await self.rows.refer(RETRIES, batch_id, new_batch_id(self.clock()))
        if (made := await self.rows.get(again)) is not None:
            return made
        check_retry(batch)
        file = await self._input(batch, again)
        order = Order(
            batch.endpoint,
            batch.metadata,
            batch.output_seconds,
            batch.callback_url,
            source="retry",
            origin=batch.id,
            batch_id=again,
        )
        return await self.api.make(batch.payer, file, order)

    async def _input(self, batch: Batch, again: str) -> KeptFile:
        """The file of what is left. Raises ApiError, StoreUnavailable."""
        principal = await self.payers.find(batch.payer)
        if principal is None:
            raise payer_gone()
        check_rights(principal, batch.alias, without_v1(batch.endpoint))
        before = await self.rows.file(batch.input_file)
        if before is None:
            raise input_gone()
        try:
            answered = await self._answered(batch)
            left = _left(self.files.read(batch.input_file), answered)
            tail = hashlib.sha256(f"{RETRIES}|{again}".encode()).hexdigest()[:32]
            return await self.files.take(
                left, principal, f"retry-{before.filename}", alias=batch.alias, file_id=new_id("file-", tail)
            )
        except NoBlob as error:
            raise input_gone() from error

    async def _answered(self, batch: Batch) -> set[bytes]:
        """Digests of the custom_ids that have a good answer. Raises NoBlob when the answers are gone: they must not be
        paid for twice."""
        if not batch.output_file:
            return set()
        found: set[bytes] = set()
        async with aclosing(lines_of(self.files.read(batch.output_file))) as lines:
            async for line in lines:
                told: Any = orjson.loads(line)
                response = told.get("response") or {}
                if not told.get("error") and int(response.get("status_code") or 0) < 400:
                    found.add(_digest(str(told["custom_id"])))
        return found


def check_retry(batch: Batch) -> None:
    """Raises ApiError 409."""
    if not batch.ended:
        raise ApiError(
            409,
            f"The batch is not over: it is {batch.status}. Wait for it, or cancel it first.",
            code="batch_not_over",
            param="batch",
        )
    if batch.completed >= batch.lines:
        raise ApiError(409, "Every line has its answer: nothing is left to run.", code="nothing_left", param="batch")


def input_gone() -> ApiError:
    return ApiError(
        409, "The files of the batch are gone: its client has to upload what is left.", code="files_gone", param="batch"
    )


def payer_gone() -> ApiError:
    return ApiError(
        409,
        "The key that paid for the batch was revoked or has expired: make its client another and let it upload again.",
        code="key_not_active",
        param="batch",
    )


async def lines_of(pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Lines that hold something, without their ends."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


async def _left(content: AsyncIterable[bytes], answered: set[bytes]) -> AsyncGenerator[bytes]:
    """The lines of an input that have no answer, a piece for each piece."""
    async with aclosing(lines_of(content)) as lines:
        async for line in lines:
            if _digest(str(orjson.loads(line)["custom_id"])) not in answered:
                yield line + b"\n"


def _digest(custom_id: str) -> bytes:
    """100,000 ids as long as they like, in a few megabytes."""
    return hashlib.blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
