"""Batches as an operator sees them: the list, one of them, stopping it, running again what failed, the secret by which
callbacks are signed.

Nothing is run here: what is asked goes into the batch's row and the queue of looks, for whichever instance takes it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from shared import ids
from shared.adapters.batch_rows import TableBatches
from shared.adapters.key_store import TableKeys
from shared.adapters.payers import TablePayers
from shared.adapters.work_queue import QueueWork
from shared.batches.batch import Batch, new_batch_id
from shared.batches.counting import counted
from shared.batches.orders import check_rights, engine_for, without_v1
from shared.batches.retrying import RETRIES, check_retry, input_gone, payer_gone
from shared.errors import ApiError
from shared.operations.asked_days import bad_cursor, page_of
from shared.operations.batch_forms import (
    BatchAsked,
    BatchesAsked,
    BatchesTold,
    BatchRow,
    BatchTold,
    RetryTold,
    SecretAsked,
    SecretTold,
    client_id,
    progress_of,
    row_of,
    told_of,
)
from shared.operations.calls import is_id
from shared.operations.keys import find
from shared.operations.operation import Actor, Desk, Operation
from shared.ports import UnknownCursor

_MOST_PAGES = 20
"""Pages of rows that one answer is searched from."""
_AT_ONCE = 8
_OWN = re.compile(r"batch_[0-9a-f]{32}")
_SOON = -1
"""The turn of a look that is one more than there would have been."""


async def batches_list(asked: BatchesAsked, _actor: Actor, desk: Desk) -> BatchesTold:
    rows = TableBatches(desk.tables)
    try:
        found, following = await (_open(asked, rows) if asked.open else _page(asked, rows))
    except UnknownCursor:
        raise bad_cursor() from None
    return BatchesTold(rows=await _with_progress(found, rows), next=following)


async def _page(asked: BatchesAsked, rows: TableBatches) -> tuple[list[Batch], str]:
    where = {"status": asked.status, "alias": asked.model, "engine": asked.engine, "source": asked.source}
    wanted = {name: value for name, value in where.items() if value}
    if not is_id(asked.key) and asked.key:
        wanted["key_name"] = asked.key
    found: list[Batch] = []
    cursor = asked.cursor
    for _ in range(_MOST_PAGES):
        page, cursor = await rows.page(asked.limit - len(found), cursor, wanted)
        found += [batch for batch in page if _is_wanted(batch, asked)]
        if not cursor or len(found) == asked.limit:
            break
    return found, cursor


async def _open(asked: BatchesAsked, rows: TableBatches) -> tuple[list[Batch], str]:
    """There are few, and they have rows of their own: the others are not walked through."""
    known = await each([open_batch.id for open_batch in reversed(await rows.open())], rows.get)
    page, following = page_of([b for b in known if b is not None and _is_wanted(b, asked)], asked.limit, asked.cursor)
    return page, following


def _is_wanted(batch: Batch, asked: BatchesAsked) -> bool:
    key, payer = asked.key, batch.payer
    return (
        (key in ("", payer.key_name) or (is_id(key) and payer.key_id.startswith(key)))
        and asked.status in (None, batch.status)
        and asked.engine in (None, batch.engine)
        and asked.source in (None, batch.source)
        and asked.model in ("", batch.alias)
        and not (asked.open and batch.told)
    )


async def _with_progress(found: list[Batch], rows: TableBatches) -> list[BatchRow]:
    """Those that run just now with what their chunks have come to."""

    async def row(batch: Batch) -> BatchRow:
        running = batch.chunks and not batch.ended
        return row_of(counted(batch, await rows.chunks(batch.id)) if running else batch)

    return await each(found, row)


async def each[Given, Made](given: Iterable[Given], make: Callable[[Given], Awaitable[Made]]) -> list[Made]:
    """In their order, several at a time."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Given) -> Made:
        async with places:
            return await make(item)

    return await asyncio.gather(*map(one, given))


async def batches_show(asked: BatchAsked, _actor: Actor, desk: Desk) -> BatchTold:
    return await _told(await _find(asked.batch, desk), desk)


async def _told(batch: Batch, desk: Desk) -> BatchTold:
    chunks = await TableBatches(desk.tables).chunks(batch.id) if batch.chunks else []
    now = counted(batch, chunks) if chunks and not batch.ended else batch
    return told_of(now, chunks, desk.settings.keyring(), desk.clock())


async def batches_cancel(asked: BatchAsked, _actor: Actor, desk: Desk) -> BatchTold:
    """What has its answer keeps it, and is paid for."""
    rows, now = TableBatches(desk.tables), desk.clock()
    batch = await _find(asked.batch, desk)

    def edit(found: Batch) -> Batch | None:
        return None if found.ended or found.status == "cancelling" else found.to("cancelling", now)

    batch = await rows.change(batch.id, edit) or batch
    if batch.ended:
        raise ApiError(409, f"The batch is over: it is {batch.status}.", code="batch_has_ended", param="batch")
    await QueueWork(desk.queue).send("looks", {"do": "look", "batch": batch.id, "turn": _SOON})
    return await _told(batch, desk)


async def batches_retry(asked: BatchAsked, _actor: Actor, desk: Desk) -> RetryTold:
    """The lines are read and the batch is made by the gateway (shared/batches/retrying.py): here stands what can be
    known before."""
    rows = TableBatches(desk.tables)
    batch = await _find(asked.batch, desk)
    new_id = await rows.referred(RETRIES, batch.id)
    if new_id is None or await rows.get(new_id) is None:
        await _check_retry(batch, rows, desk)
        new_id = await rows.refer(RETRIES, batch.id, new_id or new_batch_id(desk.clock()))
        await QueueWork(desk.queue).send("looks", {"do": "retry", "batch": batch.id})
    public = client_id(replace(batch, id=new_id), desk.settings.keyring())
    return RetryTold(id=new_id, client_id=public, of=batch.id, lines=batch.lines - batch.completed)


async def _check_retry(batch: Batch, rows: TableBatches, desk: Desk) -> None:
    """Raises ApiError."""
    check_retry(batch)
    if await rows.file(batch.input_file) is None:
        raise input_gone()
    principal = await TablePayers(TableKeys(desk.tables, desk.log), desk.clock).find(batch.payer)
    if principal is None:
        raise payer_gone()
    catalog, url = await desk.catalog(), without_v1(batch.endpoint)
    check_rights(principal, batch.alias, url)
    engine_for(catalog, catalog.keepers(), batch.alias, url, batch.bound)


async def batches_secret(asked: SecretAsked, _actor: Actor, desk: Desk) -> SecretTold:
    """Derived, not kept: it is the same whenever it is asked for."""
    from shared.batches.callbacks import callback_secret

    given = [name for name in (asked.key, asked.team, asked.batch) if name]
    if len(given) != 1:
        raise ApiError(400, "Name one: a key, a team or a batch.", code="invalid_value", param="key")
    if asked.key:
        owner = (await find(TableKeys(desk.tables, desk.log), asked.key, desk)).principal.owner
    else:
        owner = f"team:{asked.team}" if asked.team else (await _find(asked.batch, desk)).payer.owner
    return SecretTold(owner=owner, secret=callback_secret(desk.settings.key_pepper.reveal().encode(), owner))


async def _find(given: str, desk: Desk) -> Batch:
    """By its id here, or as its client has it. Raises ApiError 404."""
    own = given if _OWN.fullmatch(given) else ids.unpacked(given) or ""
    batch = await TableBatches(desk.tables).get(own) if _OWN.fullmatch(own) else None
    if batch is not None and own != given and desk.settings.keyring().open(given, batch.payer.owner) is None:
        batch = None
    if batch is None:
        raise ApiError(
            404,
            "No such batch. 'batches list' (GET /manage/batches) shows all; one that was retried just now is there "
            "within seconds, and the log says why where it is not.",
            code="batch_not_found",
            param="batch",
        )
    return batch


_LIST = (
    "id", "created", "status", "engine", "source", "model", "key", "lines", "completed", "failed", "cost_usd",
)  # fmt: skip
_SHOW = (
    "id", "client_id", "status", "engine", "source", "origin", "model", "endpoint", "key", "team", "lines", "completed",
    "failed", "cost_usd", "input_tokens", "cached_input_tokens", "output_tokens", "created", "began", "ended",
    "expires", "next_look", "deployment", "upstream_batch", "upstream_status", "upstream_seen", "tries", "chunks",
    "chunks_done", "input_file", "output_file", "error_file", "errors", "callback", "callback_url", "metadata",
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "batches_list", "GET", "batches", "All batches, the newest first: how far each is, and what it has cost.",
        BatchesAsked, BatchesTold, batches_list, _LIST, "--open --model gpt-4o", progress=progress_of,
    ),
    Operation(
        "batches_show", "GET", "batches/{batch}",
        "One batch: which engine runs it, where it was placed and why, how far it is, what it has cost.",
        BatchAsked, BatchTold, batches_show, _SHOW, "batch_0193a1b2c3d4e5f60718293a4b5c6d7e", progress=progress_of,
    ),
    Operation(
        "batches_cancel", "POST", "batches/{batch}/cancel",
        "Stop a batch; what has its answer keeps it and is paid for.",
        BatchAsked, BatchTold, batches_cancel, _SHOW, "batch_0193a1b2c3d4e5f60718293a4b5c6d7e",
    ),
    Operation(
        "batches_retry", "POST", "batches/{batch}/retry",
        "Run the lines of a batch that have no good answer again, as a new batch of the same key; once for each batch.",
        BatchAsked, RetryTold, batches_retry, ("id", "client_id", "of", "lines"),
        "batch_0193a1b2c3d4e5f60718293a4b5c6d7e",
    ),
    Operation(
        "batches_secret", "POST", "batches/secret",
        "The secret by which receivers check that a callback is the gateway's.",
        SecretAsked, SecretTold, batches_secret, ("owner", "secret"), "--key search-ci",
    ),
)  # fmt: skip
