"""Calls that are put off: answered 202, grouped, run as a batch, fetched by id.

Calls are grouped by who pays, by model, operation, tags, and the resource that their ids bind them to (groups.py).
Many instances write to one group (pens.py).
A group is closed when it is full or its time has come, and what is in it becomes a batch like any other; when that has
ended, each call finds its answer by its id (answers.py). Whatever is done twice comes to the same batch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared import errors
from shared.batches.batch import Batch, Payer
from shared.batches.deferred.answers import Answers, gone
from shared.batches.deferred.groups import LATE_SECONDS, CallId, Group, family_of, read_call, read_group
from shared.batches.deferred.pens import GRACE_SECONDS, Pens
from shared.batches.files import Files
from shared.batches.intake.lines import BadLine
from shared.batches.intake.taking import Taking
from shared.batches.kept import KEPT_SECONDS, KeptFile
from shared.batches.orders import Order, check_rights, engine_for, payer_of
from shared.batches.ports import BatchRows, BlobFolder, NoBlob, Payers, Work
from shared.batches.retrying import lines_of
from shared.batches.service import BatchApi
from shared.call import Call
from shared.deferral import TIER
from shared.errors import ApiError
from shared.here import HereAnswer
from shared.objects import HERE, Registry
from shared.ports import CallLog
from shared.principals import Principal
from shared.types import Json
from shared.wishes import take_wishes

FETCH = "deferred_retrieve"
_MOST_REFUSED = 20
"""Lines that are taken out of one group; with more, something is wrong with all of them."""
_SOONEST, _LATEST = 5.0, 60.0
"""Seconds after which a client is told to ask again."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a group."""

    payer: Payer
    alias: str
    url: str
    """Without `/v1`."""


@dataclass(slots=True)
class Deferring:
    registry: Registry
    rows: BatchRows
    folder: BlobFolder
    work: Work
    files: Files
    api: BatchApi
    payers: Payers
    log: CallLog
    clock: Callable[[], float]
    most_lines: int
    most_seconds: float
    _pens: Pens = field(init=False)
    _answers: Answers = field(init=False)

    def __post_init__(self) -> None:
        self._pens = Pens(self.folder, self.work, self.clock, self.most_lines, self.most_seconds)
        self._answers = Answers(self.folder, self.files)

    async def put_off(self, call: Call) -> HereAnswer:
        """202; durable by then. Raises ApiError, StoreUnavailable."""
        principal = call.principal
        assert principal is not None
        if not principal.may_call(FETCH, "deferred/{deferred_id}"):
            raise errors.endpoint_not_allowed("deferred")
        url, body = f"/{call.endpoint.path}", _body(call)
        bound = await self._check(call, principal, _line(_EXAMPLE, url, body))
        payer = payer_of(principal, call.tags)
        head = orjson.dumps(Head(payer, call.alias, url)) + b"\n"
        family = family_of(payer.owner, payer.key_id, payer.entra, payer.tags, call.alias, url, bound)
        made = await self._pens.write(family, head, lambda call_id: _line(call_id, url, body))
        return self._waiting(made, principal, "queued", call.alias, made.group.due + GRACE_SECONDS)

    async def _check(self, call: Call, principal: Principal, line: bytes) -> str:
        """By the rules of all lines, so that one does not spoil its group. -> the resource that it is bound to. Raises
        ApiError."""
        catalog = self.files.catalog
        taking = Taking(catalog, self.registry, principal)
        try:
            async for _ in taking.checked(_once(line)):
                pass
            taking.settle("")
        except BadLine as error:
            raise ApiError(error.status, _unnumbered(error), code=error.code, param=error.param) from None
        try:
            engine_for(catalog, self.registry.keepers, call.alias, f"/{call.endpoint.path}", taking.bound)
        except ApiError as error:
            error.param = "model"
            raise
        return taking.bound

    async def fetch(self, call: Call) -> HereAnswer:
        """The answer itself, or 202. Raises ApiError, StoreUnavailable."""
        principal = call.principal
        asked = read_call(call.opener.opened[0][0]) if call.opener and call.opener.opened else None
        if asked is None or principal is None:
            raise errors.no_such_object()
        batch_id = asked.group.batch_id
        batch = await self.rows.get(batch_id)
        if batch is not None and not batch.ended:
            await self.api.look(batch)
        index = await self._answers.index(batch_id)
        if index is not None and (answer := await self._answers.answer(index, asked.tail)) is not None:
            return answer
        if batch is not None and batch.told:  # it was never put down: its caller was told so
            raise errors.no_such_object()
        if batch is not None:
            status = "queued" if batch.status == "validating" else "in_progress"
            return self._waiting(asked, principal, status, batch.alias, batch.next_look)
        head = await self._head(asked.group)
        if head is not None:
            return self._waiting(asked, principal, "queued", head.alias, asked.group.due + GRACE_SECONDS)
        raise gone() if asked.created_at + KEPT_SECONDS < self.clock() else errors.no_such_object()

    def _waiting(self, asked: CallId, principal: Principal, status: str, alias: str, then: float) -> HereAnswer:
        public = self.registry.sealer(HERE, principal)(asked.text)
        poll = f"/v1/deferred/{public}"
        told: Json = {
            "id": public,
            "object": "deferred",
            "status": status,
            "created_at": int(asked.created_at),
            "model": alias,
            "poll": poll,
        }
        again = errors.whole_seconds(min(max(then - self.clock(), _SOONEST), _LATEST))
        return HereAnswer(
            orjson.dumps(told), 202, headers=[(b"location", poll.encode()), (b"retry-after", again.encode())]
        )

    async def close(self, group: str) -> None:
        """Make a batch of a group whose time has come. Idempotent. Raises StoreUnavailable."""
        closing = read_group(group)
        if closing is None:
            self.log.warning("a message is not understood", queue="looks")
            return
        if not await self._is_closed(closing):
            if not await self.folder.close_for_good(closing.blob):
                return
            if (head := await self._head(closing)) is not None:
                await self._run(closing, head)
        if closing.due + LATE_SECONDS < self.clock():
            await self.folder.delete(closing.blob)

    async def _is_closed(self, group: Group) -> bool:
        """Whether it has become a batch, or has been refused."""
        if await self.rows.get(group.batch_id) is not None:
            return True
        index = await self._answers.index(group.batch_id)
        return index is not None and index.over is not None

    async def _run(self, group: Group, head: Head) -> None:
        refused: dict[str, ApiError] = {}
        try:
            principal = await self.payers.find(head.payer)
            if principal is None:
                raise errors.bad_request(
                    "The key that put this call off was revoked or has expired. Send the call again with another key.",
                    status=403,
                    code="key_not_active",
                )
            check_rights(principal, head.alias, head.url)
            file = await self._take(group, head, principal, refused)
            if refused:
                await self._answers.refuse(group.batch_id, refused)
            order = Order(head.url, source="defer", origin=group.name, batch_id=group.batch_id)
            await self.api.make(head.payer, file, order)
        except ApiError as error:
            self.log.warning("a group of deferred calls was refused", group=group.name, error=error.message)
            await self._answers.refuse(group.batch_id, refused, error)

    async def _take(self, group: Group, head: Head, principal: Principal, refused: dict[str, ApiError]) -> KeptFile:
        """Keep the input. A line that is refused now (its file was deleted, its rights are gone) is left out. Raises
        ApiError when none is left, StoreUnavailable."""
        while True:
            taken: list[str] = []
            lines = self._lines(group, refused, taken)
            name = f"deferred-{group.name}.jsonl"
            try:
                return await self.files.take(lines, principal, name, alias=head.alias, file_id=group.file_id)
            except ApiError as error:
                number = int(error.extra.get("line") or 0)
                if not 0 < number <= len(taken) or len(refused) >= _MOST_REFUSED:
                    raise
                message = error.message.removeprefix(f"Line {number}: ")
                refused[taken[number - 1]] = ApiError(error.status, message, code=error.code, param=error.param)

    async def _lines(self, group: Group, without: Mapping[str, Any], taken: list[str]) -> AsyncIterator[bytes]:
        """Each call once. taken: the tails of what was given, in order."""
        known = set(without)
        async with aclosing(lines_of(self.folder.read(group.blob))) as lines:
            async for line in lines:
                call = read_call(line[_ID_AT:_ID_END].decode("latin-1"))
                if call is not None and call.tail not in known:
                    known.add(call.tail)
                    taken.append(call.tail)
                    yield line + b"\n"

    async def _head(self, group: Group) -> Head | None:
        """None: there is no such group (any more), or nothing is in it."""
        try:
            async with aclosing(lines_of(self.folder.read(group.blob, 0, _MOST_HEAD))) as lines:
                async for line in lines:
                    told: Any = orjson.loads(line)
                    payer: dict[str, Any] = told["payer"]
                    payer["tags"] = tuple(payer["tags"])
                    return Head(Payer(**payer), told["alias"], told["url"])
        except NoBlob:
            pass
        return None

    async def after_end(self, batch: Batch) -> None:
        """Raises StoreUnavailable."""
        if batch.source == "defer":
            await self._answers.gather(batch)


_BEFORE_ID = b'{"custom_id":"'
_EXAMPLE = "deferred_" + "0" * 60
_ID_AT, _ID_END = len(_BEFORE_ID), len(_BEFORE_ID) + len(_EXAMPLE)
_MOST_HEAD = 65_536
"""Bytes: a payer has at most a few tags."""


def _line(call_id: str, url: str, body: bytes) -> bytes:
    return b'%b%b","method":"POST","url":"/v1%b","body":%b}\n' % (_BEFORE_ID, call_id.encode(), url.encode(), body)


def _body(call: Call) -> bytes:
    """As the client sent it, its ids sealed, without what the gateway alone understands."""
    body: Json = orjson.loads(call.request.body)
    take_wishes(body, {}, stream=False)
    if body.get("service_tier") == TIER:
        del body["service_tier"]
    return orjson.dumps({**body, "model": call.alias})


def _unnumbered(error: BadLine) -> str:
    return str(error).removeprefix(f"Line {error.line}: ")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
