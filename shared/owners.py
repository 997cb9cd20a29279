"""Who made what: the index by which a list shows the caller's own objects, and what is still owed for some of them.

An upstream lists everybody's objects; ids say whose they are, but only the index can be listed. It is written before
the answer is given. When its store is down the object is made all the same, and its id works: only lists lack it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from shared import errors
from shared.call import Call
from shared.catalog import Deployment
from shared.objects import Registry
from shared.ports import CallLog, ObjectIndex, OwnedObject, StoreUnavailable, UnknownCursor
from shared.transform import Answer
from shared.transform.relayed import RelayedAnswer
from shared.types import Json, Usage
from shared.usage import read_usage

USUAL_LIMIT = 20
MOST = 100
"""Objects of one page; each is asked of its resource."""
OWED = "owed"
"""The kind under which work is noted whose usage is known only when it is done."""
_ENDED = frozenset({"completed", "incomplete", "failed", "cancelled", "succeeded"})


@dataclass(frozen=True, slots=True)
class Page:
    items: list[OwnedObject]
    more: bool


@dataclass(frozen=True, slots=True)
class Owners:
    """Built once per configuration."""

    index: ObjectIndex
    registry: Registry
    log: CallLog
    clock: Callable[[], float]

    async def note(self, call: Call, deployment: Deployment, answer: Answer) -> None:
        """What an answer says of objects that were made, deleted or finished. Never fails."""
        principal = call.principal
        if principal is None or not isinstance(answer, RelayedAnswer):
            return
        try:
            await self._note(call, principal.owner, deployment.resource, answer)
        except StoreUnavailable as error:
            self.log.warning("object index unavailable", request_id=call.request.id, error=str(error))

    async def _note(self, call: Call, owner: str, resource: str, answer: RelayedAnswer) -> None:
        endpoint, said = call.endpoint, answer.said
        if endpoint.method == "DELETE":
            if endpoint.kind:
                await self.index.remove(owner, endpoint.kind, resource, call.operation.rpartition("/")[2])
        elif endpoint.kind == "response" or endpoint.name in _MAY_END:
            await self._owe(call, owner, resource, answer)
        elif endpoint.kind:
            made = said.get("file") if endpoint.name == "uploads_complete" else said
            if isinstance(made, dict) and isinstance(made.get("id"), str):
                await self.index.add(owner, endpoint.kind, self._object(resource, made))
        if endpoint.kind == "ftjob":
            await self.index.add(owner, OWED, self._object(resource, said, call.alias))

    def _object(self, resource: str, made: Json, note: str = "") -> OwnedObject:
        created = made.get("created_at")
        at = int(created) if isinstance(created, (int, float)) else int(self.clock())
        purpose = made.get("purpose")
        return OwnedObject(resource, made["id"], at, note or (purpose if isinstance(purpose, str) else ""))

    async def _owe(self, call: Call, owner: str, resource: str, answer: RelayedAnswer) -> None:
        """Work in the background is charged once, by whoever sees first that it has ended."""
        said = answer.said
        if not isinstance(said.get("id"), str) or not (said.get("background") or "trained_tokens" in said):
            return
        ended = said.get("status") in _ENDED
        if call.endpoint.kind == "response":
            if not ended:
                await self.index.add(owner, OWED, self._object(resource, said, call.alias))
            return
        if not ended or not (owed := await self.index.remove(owner, OWED, resource, said["id"])):
            return
        call.alias = owed.note
        call.known = bool(owed.note)
        trained: Any = said.get("trained_tokens")
        if isinstance(trained, int):
            answer.charge(Usage(training_tokens=trained))
        elif usage := read_usage(said.get("usage")):
            answer.charge(usage)

    async def page(self, call: Call) -> Page:
        """The objects that a list shows. Raises ApiError."""
        query, principal = dict(call.request.query), call.principal
        assert principal is not None
        limit = _limit(query.get("limit", ""))
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise errors.bad_request("'order' must be asc or desc.", param="order", code="invalid_value")
        if query.get("before"):
            raise errors.bad_request("'before' is not served: page on with 'after'.", param="before")
        after = self.registry.open(query["after"], principal) if query.get("after") else None
        try:
            items, more = await self.index.page(
                principal.owner,
                call.endpoint.kind,
                limit=limit,
                newest_first=order == "desc",
                after=after,
                note=query.get("purpose", ""),
            )
        except UnknownCursor as error:
            raise errors.no_such_object() from error
        except StoreUnavailable as error:
            self.log.warning("object index unavailable", request_id=call.request.id, error=str(error))
            raise errors.unavailable(
                "The gateway cannot list objects at the moment. Retry in a few seconds.", "object_index_unavailable"
            ) from error
        return Page(items, more)

    async def show(self, call: Call, page: Page, found: list[Json | None]) -> bytes:
        """-> the list as the client sees it; objects that are gone are forgotten."""
        principal = call.principal
        assert principal is not None
        for item, value in zip(page.items, found, strict=True):
            if value is None and item.resource in self.registry.keepers:
                try:
                    await self.index.remove(principal.owner, call.endpoint.kind, item.resource, item.upstream_id)
                except StoreUnavailable as error:
                    self.log.warning("object index unavailable", request_id=call.request.id, error=str(error))
        rows = [value for value in found if value is not None]
        ids = [row.get("id") for row in rows]
        ends: Json = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return orjson.dumps({"object": "list", "data": rows, **ends, "has_more": page.more})


_MAY_END = frozenset({"responses_retrieve", "responses_cancel", "fine_tuning_jobs_retrieve"})


def _limit(text: str) -> int:
    if not text:
        return USUAL_LIMIT
    if not text.isdigit() or int(text) < 1:
        raise errors.bad_request("'limit' must be a number from 1.", param="limit", code="invalid_value")
    return min(int(text), MOST)
