"""Who made what: the index by which a list shows the caller's own objects, and the note of what is still owed for.

An upstream lists everybody's objects; ids say whose they are, but only the index can be listed. It is written before
the answer is given. When its store is down the object is made all the same, and its id works: only lists lack it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

import orjson

from shared import errors
from shared.call import Call
from shared.catalog import Deployment
from shared.ids import looks_sealed
from shared.objects import HERE, Registry
from shared.owed import Charges, Owed, has_ended
from shared.ports import CallLog, ObjectIndex, OwnedObject, StoreUnavailable, UnknownCursor
from shared.principals import Principal
from shared.transform import Answer
from shared.transform.relayed import RelayedAnswer
from shared.transform.stream import EventStream
from shared.types import Json, Usage

USUAL_LIMIT = 20
MOST = 100
"""Objects of one page; each is asked of its resource."""
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,63}")


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
    charges: Charges | None = None
    """Of work that goes on in the background; None in a program of its own, which keeps nothing."""

    async def note(self, call: Call, deployment: Deployment, answer: Answer | EventStream) -> None:
        """What an answer says of objects that were made, deleted or finished. Never fails."""
        principal = call.principal
        if principal is None or not isinstance(answer, (RelayedAnswer, EventStream)):
            return
        try:
            await self._note(call, principal, deployment, answer)
        except StoreUnavailable as error:
            self.log.warning("object index unavailable", request_id=call.request.id, error=str(error))

    async def _note(
        self, call: Call, principal: Principal, deployment: Deployment, answer: RelayedAnswer | EventStream
    ) -> None:
        endpoint, said, owner, resource = call.endpoint, answer.said, principal.owner, deployment.resource
        if endpoint.method == "DELETE":
            if endpoint.kind:
                gone = unquote(call.operation.rpartition("/")[2])
                await self.index.remove(owner, endpoint.kind, resource, gone)
        elif endpoint.kind == "response" or endpoint.name in _MAY_END:
            await self._owe(call, principal, deployment, answer)
        elif endpoint.kind and (made := self._made(call, principal, resource, said)):
            await self.index.add(owner, endpoint.kind, made)
            if endpoint.kind == "ftjob" and self.charges:
                await self.charges.store.add(_owed(call, principal, resource, made.upstream_id))

    def _made(self, call: Call, principal: Principal, resource: str, said: Json) -> OwnedObject | None:
        """What was made. The file of an upload lies within the answer, where ids are sealed by now."""
        if call.endpoint.name != "uploads_complete":
            return self._object(resource, said)
        file = said.get("file")
        made = self._object(resource, file) if isinstance(file, dict) else None
        return made and replace(made, upstream_id=self.registry.open(made.upstream_id, principal)[1])

    def _object(self, resource: str, made: Json) -> OwnedObject | None:
        purpose, upstream_id = made.get("purpose"), made.get("id")
        if not isinstance(upstream_id, str) or not upstream_id:
            return None
        note = purpose if isinstance(purpose, str) else ""
        return OwnedObject(resource, upstream_id, int(self.clock() * 1000), note)

    async def _owe(
        self, call: Call, principal: Principal, deployment: Deployment, answer: RelayedAnswer | EventStream
    ) -> None:
        """Work in the background is charged when somebody has seen that it has ended."""
        said, upstream_id = answer.said, answer.said.get("id")
        if not (said.get("background") or "trained_tokens" in said) or not isinstance(upstream_id, str):
            return
        if self.charges is None:
            return
        if call.endpoint.kind != "response":
            await self.charges.found(deployment.resource, upstream_id, said)
        elif upstream_id and not has_ended(said):
            work = _owed(call, principal, deployment.resource, upstream_id, deployment.id)
            await self.charges.store.add(work)
            answer.charge(Usage())

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
        for item, value in zip(page.items, found, strict=True):
            if value is not None and call.endpoint.kind == "ftjob":
                if self.charges:
                    await self.charges.found(item.resource, item.upstream_id, value)
            elif value is None and (item.resource == HERE or item.resource in self.registry.keepers):
                await self.index.remove(owner, call.endpoint.kind, item.resource, item.upstream_id)


def _owed(call: Call, principal: Principal, resource: str, upstream_id: str, deployment: str = "") -> Owed:
    return Owed(
        resource=resource,
        upstream_id=upstream_id,
        at=call.at,
        endpoint=call.endpoint.name,
        key_id=principal.key_id,
        key_name=principal.name,
        team=principal.team,
        alias=call.alias if call.known else "",
        deployment=deployment,
        tags=call.tags,
        user=call.user,
    )


_MAY_END = frozenset({"responses_retrieve", "responses_cancel", "fine_tuning_jobs_retrieve"})


def _limit(text: str) -> int:
    if not text:
        return USUAL_LIMIT
    if not _NUMBER.fullmatch(text):
        raise errors.bad_request("'limit' must be a number.", param="limit", code="invalid_value")
    return min(int(text), MOST) or USUAL_LIMIT
