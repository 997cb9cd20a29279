"""The Batch API: made, told, cancelled, listed. What may be asked for, and which engine runs it, is orders.py's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from shared import errors
from shared.batches.azure.placing import fit_for
from shared.batches.batch import WINDOW_SECONDS, Batch, Payer, batch_json, new_batch_id
from shared.batches.callbacks import Callbacks
from shared.batches.counting import counted
from shared.batches.files import Files
from shared.batches.kept import KeptFile
from shared.batches.looking import Looking
from shared.batches.orders import Order, check_endpoint, check_rights, engine_for, payer_of, read_order
from shared.batches.ports import BatchRows
from shared.call import Call
from shared.catalog import Catalog
from shared.errors import ApiError
from shared.here import HereAnswer
from shared.objects import HERE, Registry
from shared.ports import CallLog, ObjectIndex, OwnedObject, StoreUnavailable
from shared.principals import Principal
from shared.routing import NothingFits
from shared.types import Json

__all__ = ["BatchApi", "Order", "check_rights", "payer_of"]

KIND = "batch"
"""In the index of objects."""
FRESH_SECONDS = 2.0
"""A client who asks gets the row as it is when it was looked at within so long, else one look is waited for."""
WAIT_SECONDS = 5.0
"""No client waits longer for a look; it goes on."""
_ID = re.compile(r"batch_[0-9a-f]{32}")
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class BatchApi:
    catalog: Catalog
    registry: Registry
    rows: BatchRows
    files: Files
    index: ObjectIndex
    looking: Looking
    callbacks: Callbacks
    log: CallLog
    clock: Callable[[], float]
    _looked: dict[str, float] = field(default_factory=dict[str, float])
    """When this process has last looked at a batch because a client asked."""
    _looks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    """Looks under way: somebody has to hold them."""

    async def answer(self, call: Call) -> HereAnswer:
        """batches_create, _retrieve, _cancel. Raises ApiError, StoreUnavailable."""
        principal = call.principal
        assert principal is not None
        if call.endpoint.name == "batches_create":
            batch = await self._create(call, principal)
        else:
            batch = await self._named(call.operation, principal)
            if call.endpoint.name == "batches_cancel":
                batch = await self.cancel(batch.id)
            elif await self.look(batch):
                batch = await self.rows.get(batch.id)
        if batch is None:
            raise errors.no_such_object()
        return HereAnswer(orjson.dumps(await self._told(batch, principal)))

    async def shown(self, call: Call, item: OwnedObject) -> Json | None:
        """One row of a list, as it is kept: a list looks at nothing."""
        principal = call.principal
        assert principal is not None
        batch = await self.rows.get(item.upstream_id)
        return None if batch is None else await self._told(batch, principal)

    async def _create(self, call: Call, principal: Principal) -> Batch:
        order = read_order(call.body, call.request.headers)
        file_id = str(call.body["input_file_id"])
        file = await self.rows.file(file_id) if file_id.startswith("file-") else None
        if file is None or file.owner != principal.owner or file.deleted or file.expires_at <= self.clock():
            raise _no_such_file()
        if file.purpose != "batch":
            raise errors.bad_request(
                f"The file's purpose is '{file.purpose}'. A batch is made of a file that was uploaded with the purpose "
                "'batch'.",
                param="input_file_id",
                code="wrong_purpose",
            )
        check_rights(principal, file.alias, file.url)
        if order.callback_url:
            self.callbacks.check(order.callback_url)
        return await self.make(payer_of(principal, call.tags, call.user), file, order)

    async def make(self, payer: Payer, file: KeptFile, order: Order) -> Batch:
        """Idempotent where the order names the id. The first look is under way when this returns, or comes with the
        next sweep. Raises ApiError for what nothing can run, StoreUnavailable."""
        check_endpoint(order.endpoint, file)
        now = self.clock()
        batch = Batch(
            id=order.batch_id or new_batch_id(now),
            payer=payer,
            alias=file.alias,
            endpoint=f"/v1{file.url}",
            input_file=file.id,
            lines=file.lines,
            input_bytes=file.bytes,
            tokens=file.tokens,
            engine=engine_for(self.catalog, self.registry.keepers, file.alias, file.url, file.bound),
            source=order.source,
            created_at=now,
            expires_at=now + WINDOW_SECONDS,
            bound=file.bound,
            metadata=order.metadata,
            output_seconds=order.output_seconds,
            callback_url=order.callback_url,
            origin=order.origin,
            next_look=now,
        )
        if batch.engine == "azure":
            self._check_fit(batch)
        if not await self.rows.insert(batch):
            batch = await self.rows.get(batch.id) or batch
        await self._announce(batch)
        return batch

    def _check_fit(self, batch: Batch) -> None:
        """Raises ApiError 400 when tags and regions leave no deployment for batches."""
        try:
            fit_for(self.catalog, self.registry.keepers, batch)
        except NothingFits as misfit:
            region = misfit.what == "region"
            raise errors.no_such_place(batch.alias) if region else errors.no_such_tags(batch.alias) from None

    async def _announce(self, batch: Batch) -> None:
        """It is kept by now, and whoever asked must be told so: what fails here the sweep makes up for, or only lists
        lack it."""
        made = OwnedObject(HERE, batch.id, int(batch.created_at * 1000))
        try:
            await asyncio.gather(
                self.index.add(batch.payer.owner, KIND, made), self.looking.begin(batch.id)
            )  # fmt: skip
        except StoreUnavailable as error:
            self.log.warning("a new batch waits for the sweep", batch=batch.id, error=str(error))

    async def cancel(self, batch_id: str) -> Batch | None:
        """None: there is none. Again does no harm. Raises ApiError 409 for one that has ended, StoreUnavailable."""
        batch = await self.rows.change(batch_id, self._cancelling)
        if batch is None:
            return None
        if batch.ended:
            raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.", code="batch_has_ended")
        try:
            await self.looking.soon(batch_id)
        except StoreUnavailable as error:  # its next look will do it
            self.log.warning("a batch is cancelled later", batch=batch_id, error=str(error))
        return batch

    def _cancelling(self, batch: Batch) -> Batch | None:
        return None if batch.ended or batch.status == "cancelling" else batch.to("cancelling", self.clock())

    async def _named(self, operation: str, principal: Principal) -> Batch:
        """The batch of a path whose id has been opened. Raises ApiError 404."""
        batch_id = operation.split("/")[1]
        batch = await self.rows.get(batch_id) if _ID.fullmatch(batch_id) else None
        if batch is None or batch.payer.owner != principal.owner:
            raise errors.no_such_object()
        return batch

    async def look(self, batch: Batch) -> bool:
        """Advance it, unless somebody has just done so or does. -> whether it may be another now."""
        now = self.clock()
        seen = max(batch.placement.seen_at if batch.placement else 0.0, self._looked.get(batch.id, 0.0))
        if batch.ended or batch.claimed_until > now or now - seen < FRESH_SECONDS:
            return False
        if len(self._looked) >= _MOST_KNOWN:
            self._looked.clear()
        self._looked[batch.id] = now
        task = asyncio.ensure_future(self._advance(batch.id))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        await asyncio.wait(
            [task], timeout=WAIT_SECONDS
        )  # what it has begun, it ends: a client who leaves stops nothing
        return True

    async def _advance(self, batch_id: str) -> None:
        try:
            await self.looking.look(batch_id)
        except Exception as error:  # the client sees the row; the next look is on its way
            self.log.warning("a batch could not be advanced", batch=batch_id, error=f"{type(error).__name__}: {error}")

    async def _told(self, batch: Batch, principal: Principal) -> Json:
        """As OpenAI tells it, with how far the own engine has come."""
        if batch.engine == "own" and batch.chunks and not batch.ended:
            batch = counted(batch, await self.rows.chunks(batch.id))
        return batch_json(batch, self.registry.sealer(HERE, principal))


def _no_such_file() -> ApiError:
    return ApiError(
        404,
        "No such file. 'input_file_id' is the id of a file that your key or your team has uploaded here with the "
        "purpose 'batch', and that is neither deleted nor expired.",
        code="not_found",
        param="input_file_id",
    )
