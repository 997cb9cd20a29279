"""The manage API, /manage/…: who asks, which operation is meant, what it is given, how it is answered.

Made from the rows of the registry; knows no single operation. How a request is read from HTTP is service.py's.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from shared import errors
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError, ConfigError
from shared.operations import audit
from shared.operations.access import Access, may_not_write
from shared.operations.asking import Misunderstood, fields_of, fits, from_query, path_fields, understand
from shared.operations.openapi import document
from shared.operations.operation import Actor, Asked, Desk, Operation
from shared.operations.registry import operations
from shared.operations.rendering import as_csv, as_json, is_list, next_link, plain
from shared.payload import read_json
from shared.ports import StoreUnavailable
from shared.types import ApiRequest, RawHeaders

PREFIX = "manage"
_DOCUMENT = ["openapi.json"]
_MOST_PROBLEMS = 20
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class ManageAnswer:
    status: int
    headers: RawHeaders
    body: bytes


class Api:
    """One per process, made when the first such request comes."""

    def __init__(self, access: Access, desk: Desk) -> None:
        self._access = access
        self._desk = desk
        self._name = f"burst-{secrets.token_hex(4)}"

    async def answer(self, request: ApiRequest, path: str, read: Callable[[], Awaitable[None]]) -> ManageAnswer:
        """path: as it was sent, percent-encoded. `read` reads the body into the request; it is called once it is known
        who asks. Raises what `read` raises besides ApiError."""
        headers = [(b"x-request-id", request.id.encode()), (b"cache-control", b"no-store")]
        try:
            answer = await self._answer(request, path, read)
        except ApiError as error:
            told = [(name.encode(), value.encode("latin-1")) for name, value in error.headers.items()]
            answer = ManageAnswer(error.status, [_JSON, *told], error.body())
        return ManageAnswer(answer.status, [*answer.headers, *headers], answer.body)

    async def _answer(self, request: ApiRequest, path: str, read: Callable[[], Awaitable[None]]) -> ManageAnswer:
        if self._desk.settings.manage_api == "off":
            raise errors.route_not_found(request.method, path)
        if not self._access.possible:
            raise ApiError(
                403,
                "Nobody may use /manage yet. Its operator sets ADMIN_KEY, or ENTRA_TENANTS and ENTRA_AUDIENCES, or "
                "uses the command line: python3 -m shared.manage.",
                code="manage_off",
            )
        actor = await self._actor(request)
        parts = [unquote(part) for part in path.split("/") if part][1:]
        if parts == _DOCUMENT and request.method == "GET":
            return ManageAnswer(200, [_JSON], _document())
        operation = find(request.method, parts)
        if operation.changes and not actor.may_write:
            await audit.refused(operation, actor, self._desk, request.id, 403)
            raise may_not_write()
        if operation.method in ("POST", "PATCH"):
            await read()
        wants_csv, query = _format(operation, request)
        asked = _asked(operation, request, parts, query)
        return await self._carry_out(operation, asked, actor, request, parts, wants_csv)

    async def _actor(self, request: ApiRequest) -> Actor:
        known = self._access.burst
        try:
            return await self._access.actor(request.headers)
        except ApiError:
            burst = self._access.burst
            if burst != known and burst.count & (burst.count - 1) == 0:  # at 1, 2, 4, 8, …: storage is not flooded
                await audit.refused_credentials(self._desk, burst.began, f"{self._name}-{burst.number}", burst.count)
            raise

    async def _carry_out(
        self, operation: Operation, asked: Asked, actor: Actor, request: ApiRequest, parts: list[str], wants_csv: bool
    ) -> ManageAnswer:
        try:
            told = await audit.carry_out(operation, asked, actor, self._desk, request.id)
        except StoreUnavailable as error:
            self._desk.log.warning("manage: storage", operation=operation.name, request_id=request.id, error=str(error))
            raise errors.unavailable(
                "The gateway's storage does not answer. Retry in a few seconds.", "storage_unavailable"
            ) from error
        except ConfigError as error:
            raise errors.unavailable(
                f"The gateway's configuration is refused: {error.problems[0]}", "gateway_misconfigured", 30
            ) from error
        headers: RawHeaders = []
        if is_list(operation.answers) and (cursor := getattr(told, "next", "")):
            headers.append((b"link", next_link(parts, request.query, cursor).encode("ascii")))
        if not wants_csv:
            return ManageAnswer(200, [_JSON, *headers], as_json(told))
        headers += [
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"content-disposition", f'attachment; filename="{operation.name}.csv"'.encode()),
        ]
        return ManageAnswer(200, headers, as_csv(operation, plain(told)).encode())


def find(method: str, parts: list[str]) -> Operation:
    """Raises ApiError 404 or 405, which say what there is. A path of words goes before one with parameters."""
    fitting = [row for row in operations() if fits(row, parts) is not None]
    fitting.sort(key=lambda row: len(path_fields(row)))
    if not fitting:
        groups = ", ".join(dict.fromkeys(row.path.partition("/")[0] for row in operations()))
        raise ApiError(
            404,
            f"There is nothing at this address. Below /{PREFIX} there are: {groups}. GET /{PREFIX}/openapi.json "
            "describes all of it.",
            code="unknown_url",
        )
    for row in fitting:
        if row.method == method:
            return row
    raise errors.method_not_allowed(method, {row.method for row in fitting})


def _format(operation: Operation, request: ApiRequest) -> tuple[bool, list[tuple[str, str]]]:
    """Whether CSV is wanted, and the rest of the query. An operation may have a field `format` of its own."""
    if "format" in fields_of(operation.asks):
        return False, list(request.query)
    given = [value for name, value in request.query if name == "format"]
    query = [(name, value) for name, value in request.query if name != "format"]
    if given and (given[0] not in ("json", "csv") or (given[0] == "csv" and not is_list(operation.answers))):
        usual = "json or csv" if is_list(operation.answers) else "json: this is no list"
        raise errors.bad_request(f"format: write {usual}.", param="format", code="invalid_value")
    accepts = request.headers.get("accept", "").partition(";")[0].partition(",")[0].strip().lower()
    return is_list(operation.answers) and (given[:1] or [accepts])[0] in ("csv", "text/csv"), query


def _asked(operation: Operation, request: ApiRequest, parts: list[str], query: list[tuple[str, str]]) -> Asked:
    """Raises ApiError 400 with everything that is wrong."""
    in_path = fits(operation, parts) or {}
    try:
        if operation.method in ("POST", "PATCH"):
            given = _body(request)
            if query:
                raise Misunderstood([(query[0][0], "belongs into the body, as JSON.")])
        else:
            given = from_query(operation.asks, query)
        if double := next((name for name in given if name in in_path), ""):
            raise Misunderstood([(double, "stands in the path; leave it out here.")])
        return understand(operation, {**given, **in_path}, typed=operation.method in ("POST", "PATCH"))
    except Misunderstood as error:
        told = [f"{name}: {text}" if name else text for name, text in error.problems[:_MOST_PROBLEMS]]
        first = error.problems[0][0] if error.problems else ""
        raise errors.bad_request(" ".join(told), param=first or None, code="invalid_value") from error


def _body(request: ApiRequest) -> dict[str, Any]:
    """Raises ApiError 400 or 415."""
    if not request.body.strip():
        return {}
    return read_json(ENDPOINTS[PREFIX], request.body, request.headers.get("content-type", ""))


@functools.cache
def _document() -> bytes:
    return orjson.dumps(document(operations()))
