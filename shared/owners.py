"""Who made what: the index by which a list shows the caller's own objects, and what is still owed for some of them.

An upstream lists everybody's objects; ids say whose they are, but only the index can be listed. It is written before
the answer is given. When its store is down the object is made all the same, and its id works: only lists lack it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import orjson

from shared import errors
from shared.call import Call
from shared.catalog import Deployment
from shared.ids import looks_sealed
from shared.objects import Registry
from shared.ports import CallLog, ObjectIndex, OwnedObject, StoreUnavailable, UnknownCursor
from shared.principals import Principal
from shared.transform import Answer
from shared.transform.relayed import RelayedAnswer
from shared.transform.stream import EventStream
from shared.types import Json, Usage
from shared.usage import read_usage

USUAL_LIMIT = 20
MOST = 100
"""Objects of one page; each is asked of its resource."""
OWED = "owed"
"""The kind under which work is noted whose usage is known only when it is done."""
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_ENDED = frozenset({"completed", "incomplete", "failed", "cancelled", "succeeded"})


@dataclass(frozen=True, slots=True)
class Page:
    items: list[OwnedObject]
    more: bool
    end: tuple[str, str] | None = None
    """Resource and upstream id of the object after which the next page begins."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Built once per configuration."""

    index: ObjectIndex
    registry: Registry
    log: CallLog
    clock: Callable[[], float]

    async def note(self, call: Call, deployment: Deployment, answer: Answer | EventStream) -> None:
        """What an answer says of objects that were made, deleted or finished. Never fails."""
        principal = call.principal
        if principal is None or not isinstance(answer, (RelayedAnswer, EventStream)):
            return
        try:
            await self._note(call, principal, deployment.resource, answer)
        except StoreUnavailable as error:
            self.log.warning("object index unavailable", request_id=call.request.id, error=str(error))

    async def _note(self, call: Call, principal: Principal, resource: str, answer: RelayedAnswer | EventStream) -> None:
        endpoint, said, owner = call.endpoint, answer.said, principal.owner
        if endpoint.method == "DELETE":
            if endpoint.kind:
                gone = unquote(call.operation.rpartition("/")[2])
                await self.index.remove(owner, endpoint.kind, resource, gone)
        elif endpoint.kind == "response" or endpoint.name in _MAY_END:
            await self._owe(call, owner, resource, answer)
        elif endpoint.kind and (made := self._made(call, principal, resource, said)):
            await self.index.add(owner, endpoint.kind, made)
            if endpoint.kind == "ftjob":
                await self.index.add(owner, OWED, made)

    def _made(self, call: Call, principal: Principal, resource: str, said: Json) -> OwnedObject | None:
        """What was made. The file of an upload lies within the answer, where ids are sealed by now."""
        if call.endpoint.name != "uploads_complete":
            return self._object(resource, said)
        file = said.get("file")
        made = self._object(resource, file) if isinstance(file, dict) else None
        return made and replace(made, upstream_id=self.registry.open(made.upstream_id, principal)[1])

    def _object(self, resource: str, made: Json, note: str = "") -> OwnedObject | None:
        purpose, upstream_id = made.get("purpose"), made.get("id")
        if not isinstance(upstream_id, str) or not upstream_id:
            return None
        return OwnedObject(
            resource, upstream_id, int(self.clock() * 1000), note or (purpose if isinstance(purpose, str) else "")
        )

    async def _owe(self, call: Call, owner: str, resource: str, answer: RelayedAnswer | EventStream) -> None:
        """Work in the background is charged once, by whoever sees first that it has ended."""
        said = answer.said
        if not (said.get("background") or "trained_tokens" in said):
            return
        if call.endpoint.kind == "response":
            if said.get("status") not in _ENDED and (made := self._object(resource, said, call.alias)):
                await self.index.add(owner, OWED, made)
                answer.charge(Usage())  # it is charged with the call that sees it end
        elif usage := await self._due(call, owner, resource, str(said.get("id")), said):
            answer.charge(usage)

    async def _due(self, call: Call, owner: str, resource: str, upstream_id: str, said: Json) -> Usage | None:
        """What is to be charged for an object that may have ended; the call is then one on the alias that made it."""
        if said.get("status") not in _ENDED:
            return None
        owed = await self.index.remove(owner, OWED, resource, upstream_id)
        if not owed:
            return None
        call.alias, call.known = owed.note, bool(owed.note)
        trained: Any = said.get("trained_tokens")
        return Usage(training_tokens=trained) if isinstance(trained, int) else read_usage(said.get("usage"))

    async def page(self, call: Call, beyond: tuple[str, str] | None = None) -> Page:
        """The objects that a list shows. `beyond`: the end of the page before, whose objects are all gone.
        Raises ApiError."""
        query, principal = dict(call.request.query), call.principal
        assert principal is not None
        limit = _limit(query.get("limit", ""))
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise errors.bad_request("'order' must be asc or desc.", param="order", code="invalid_value")
        purpose = query.get("purpose", "")
        if purpose and not _PURPOSE.fullmatch(purpose):
            raise errors.bad_request("'purpose' is not one that files have.", param="purpose", code="invalid_value")
        # what comes before an object is what comes after it in the opposite order
        backwards = bool(query.get("before")) and not query.get("after")
        cursor = query.get("before" if backwards else "after", "")
        try:
            items, more = await self.index.page(
                principal.owner,
                call.endpoint.kind,
                limit=limit,
                newest_first=(order == "desc") != backwards,
                after=beyond or (self.registry.open(cursor, principal) if cursor else None),
                note=purpose,
            )
        except UnknownCursor as error:
            if looks_sealed(cursor):
                raise errors.no_such_object() from error
            items, more = [], False  # an imported id: none of the caller's objects come after it
        except StoreUnavailable as error:
            self.log.warning("object index unavailable", request_id=call.request.id, error=str(error))
            raise errors.unavailable(
                "The gateway cannot list objects at the moment. Retry in a few seconds.", "object_index_unavailable"
            ) from error
        end = (items[-1].resource, items[-1].upstream_id) if items else None
        return Page(items[::-1] if backwards else items, more, end)

    async def show(self, call: Call, page: Page, found: list[Json | None]) -> bytes:
        """-> the list as the client sees it; objects that are gone are forgotten."""
        principal = call.principal
        assert principal is not None
        try:
            await self._see(call, principal.owner, page, found)
        except StoreUnavailable as error:
            self.log.warning("object index unavailable", request_id=call.request.id, error=str(error))
        rows = [value for value in found if value is not None]
        ids = [row.get("id") for row in rows]
        # never null: OpenAI's specification has strings here, also of an empty list (2026-08-21)
        ends: Json = {"first_id": ids[0] if ids else "", "last_id": ids[-1] if ids else ""}
        return orjson.dumps({"object": "list", "data": rows, **ends, "has_more": page.more})

    async def _see(self, call: Call, owner: str, page: Page, found: list[Json | None]) -> None:
        """What a list tells of objects that are gone, and of jobs that have ended."""
        trained = 0
        for item, value in zip(page.items, found, strict=True):
            if value is not None and call.endpoint.kind == "ftjob":
                due = await self._due(call, owner, item.resource, item.upstream_id, value)
                trained += due.training_tokens if due else 0
            elif value is None and item.resource in self.registry.keepers:
                await self.index.remove(owner, call.endpoint.kind, item.resource, item.upstream_id)
        if trained:
            call.usage = Usage(training_tokens=trained)


_MAY_END = frozenset({"responses_retrieve", "responses_cancel", "fine_tuning_jobs_retrieve"})


def _limit(text: str) -> int:
    if not text:
        return USUAL_LIMIT
    if not _NUMBER.fullmatch(text):
        raise errors.bad_request("'limit' must be a number.", param="limit", code="invalid_value")
    return min(int(text), MOST) or USUAL_LIMIT
