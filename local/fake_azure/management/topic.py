"""An Event Grid custom topic whose input schema is CloudEvents 1.0. Owns what it refuses and what it has taken."""

import threading
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from ..errors import ApiError
from ..faults import FaultQueue
from ..tokens import TokenIssuer, TokenRefused

PATH = "/api/events"
AUDIENCE = "https://eventgrid.azure.net"
_TYPE = "application/cloudevents-batch+json"
_API_VERSION = "2018-01-01"
_LARGEST = 1024 * 1024
_REQUIRED = ("id", "source", "type")


class Topic:
    def __init__(self, key: str, tokens: TokenIssuer, faults: FaultQueue) -> None:
        self.key = key
        self._tokens, self._faults = tokens, faults
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._events)

    def clear(self) -> None:
        with self._lock:
            self._events.clear()

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.publish)]

    async def publish(self, request: web.Request) -> web.Response:
        fault = self._faults.take(frozenset({"status"}), "topic")
        if fault is not None:
            raise _refused(fault.status, "ordered by a fault")
        self._authorise(request)
        if request.query.get("api-version") != _API_VERSION:
            raise _refused(400, "The api-version is not valid.")
        if request.content_type != _TYPE:
            raise _refused(400, f"The content type {request.content_type} does not fit the topic's input schema.")
        body = await request.read()
        if len(body) > _LARGEST:
            raise _refused(413, "The maximum size (1 MB) has been exceeded.")
        taken = [_checked(event) for event in _list(body)]
        with self._lock:
            self._events += taken
        return web.Response(status=200)

    def _authorise(self, request: web.Request) -> None:
        given = request.headers.get("aeg-sas-key")
        if given is not None:
            if given != self.key:
                raise _refused(401, "The request authorization key is not authorized for the topic.")
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise TokenRefused("there is neither a key nor a token")
            self._tokens.verify(token, {AUDIENCE})
        except TokenRefused as refused:
            raise _refused(401, f"The request is not authorized: {refused}.") from refused


def _list(body: bytes) -> list[Any]:
    try:
        events: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _refused(400, "The body is not valid JSON.") from error
    if not isinstance(events, list):
        raise _refused(400, "The body must be a list of events.")
    return events


def _checked(event: Any) -> dict[str, Any]:
    found: Mapping[str, Any] = event if isinstance(event, dict) else {}
    if found.get("specversion") != "1.0" or not all(
        isinstance(found.get(name), str) and found[name] for name in _REQUIRED
    ):
        raise _refused(400, "The event does not have the attributes of CloudEvents 1.0.")
    return dict(found)


def _refused(status: int, message: str) -> ApiError:
    codes = {400: "BadRequest", 401: "Unauthorized", 413: "RequestEntityTooLarge"}
    return ApiError(status, {"error": {"code": codes.get(status, "InternalServerError"), "message": message}})
