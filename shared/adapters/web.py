"""HTTP in and out: a Starlette request becomes an ApiRequest, an ApiError or a JSON answer becomes an ASGI response.

Owns the client's connection: bounded reading, and noticing that the client has left. How an answer is relayed is
reply_response.py's business.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from shared import errors
from shared.adapters.form import open_form
from shared.anthropic_errors import anthropic_body, request_id_headers
from shared.endpoints import Endpoint
from shared.errors import ApiError
from shared.payload import check_size
from shared.ports import ClientGone
from shared.types import ApiRequest, RawHeaders

WATCH_AFTER_SECONDS = 0.25
"""A call that is answered sooner is not watched: watching costs a task, and there is nothing to save."""


def read_head(endpoint: Endpoint, request: Request) -> ApiRequest:
    """The request without its body: enough to know who calls."""
    query = request.scope.get("query_string", b"")
    return ApiRequest(
        id="req_" + secrets.token_hex(12),
        endpoint=endpoint.name,
        method=request.scope["method"],
        headers={k.decode("latin-1"): v.decode("latin-1") for k, v in request.scope["headers"]},
        path_params=request.path_params,
        body=b"",
        query=tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else (),
    )


async def read_body(endpoint: Endpoint, request: Request, into: ApiRequest) -> None:
    """Read the whole body, or open the form that it is. Raises ApiError 413 as soon as it is too large, 415 when it is
    no form where one is asked for, ClientGone when it never ends."""
    if endpoint.method == "GET":
        return
    content_type, length = into.headers.get("content-type", ""), into.headers.get("content-length", "")
    announced = int(length) if length.isdigit() else 0
    check_size(endpoint, announced)
    if takes_form(endpoint, content_type):
        into.form = open_form(request.receive, content_type, endpoint.body_limit, announced=announced)
    else:
        into.body = await _read_body(endpoint, request.receive)


def takes_form(endpoint: Endpoint, content_type: str) -> bool:
    """Whether the body is multipart: where a form is all there is, another type is refused by its reader."""
    if endpoint.body == "form":
        return True
    return endpoint.body in ("json_or_form", "sdp") and content_type.lower().startswith("multipart/")


async def _read_body(endpoint: Endpoint, receive: Receive) -> bytes:
    message = await receive()
    if not message.get("more_body") and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        check_size(endpoint, len(body))
        return body
    pieces: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        check_size(endpoint, size)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)
        message = await receive()


class Connection:
    """The client's side of a call, for those who want to know whether anybody still waits (ports.Client)."""

    __slots__ = ("_act", "_receive", "_task", "_timer", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._act: Callable[[], None] | None = None
        self.gone = False

    def when_gone(self, act: Callable[[], None], after: float = WATCH_AFTER_SECONDS) -> Callable[[], None]:
        """Call `act` once when the client leaves. -> a function that ends the watch."""
        self._act = act
        if self.gone:
            act()
        elif self._task is None and after:
            self._timer = asyncio.get_running_loop().call_later(after, self._start)
        else:
            self._start()
        return self._stop_watching

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._act:
            self._act()

    def _stop_watching(self) -> None:
        self._act = None
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self._stop_watching()
        if self._task:
            self._task.cancel()


def json_response(body: bytes, headers: RawHeaders, status: int = 200) -> Response:
    response = Response(body, status, media_type="application/json")
    response.raw_headers += headers
    return response


def error_response(error: ApiError, headers: RawHeaders, request_id: str = "", *, anthropic: bool = False) -> Response:
    """An ApiError in OpenAI's or Anthropic's shape, with its headers and the id by which it is found in the log."""
    body = anthropic_body(error, request_id) if anthropic else error.body()
    response = json_response(body, headers, error.status)
    if request_id:
        response.raw_headers += request_id_headers(request_id, anthropic=anthropic)
    for name, value in error.headers.items():
        response.raw_headers.append((name.encode(), value.encode("latin-1")))
    return response


class Cors:
    """Cross-origin answers for browser clients; off unless origins are configured."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        self.enabled = bool(self._origins)

    def headers(self, request: Request) -> RawHeaders:
        """What every answer to that request's origin carries."""
        origin = request.headers.get("origin")
        if not origin or not (origin in self._origins or "*" in self._origins):
            return []
        allowed = b"*" if "*" in self._origins else origin.encode("latin-1")
        exposed = b"x-request-id, retry-after, retry-after-ms, openai-processing-ms"
        headers = [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", exposed)]
        return headers if allowed == b"*" else [*headers, (b"vary", b"origin")]

    def preflight(self, request: Request) -> Response:
        """The answer to OPTIONS. Raises ApiError 403 when the origin is not allowed or CORS is off."""
        headers = self.headers(request)
        if not headers:
            raise errors.bad_request(
                "Cross-origin calls are not allowed from here. The operator allows origins by the app setting "
                "CORS_ORIGINS.",
                status=403,
                code="cors_not_allowed",
            )
        asked = request.headers.get("access-control-request-headers", "authorization, content-type")
        response = Response(status_code=204)
        response.raw_headers += [
            *headers,
            (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]
        return response
