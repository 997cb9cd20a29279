"""From a trigger to an answer: which endpoint does what, errors at the border, and the configuration in force.

Owns the life of the catalog: read on first use, read again when its source has changed, the last good one kept when
the new one is refused. The pipeline itself is gateway.py's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from shared import auth, errors
from shared.adapters.catalog_reader import read_catalog
from shared.adapters.collector import settle
from shared.adapters.reply_response import ReplyResponse
from shared.adapters.telemetry import JsonLog
from shared.adapters.web import Connection, Cors, error_response, json_response, read_body, read_head
from shared.catalog import Catalog
from shared.endpoints import ANTHROPIC, ENDPOINTS, Endpoint
from shared.errors import ApiError, ConfigError
from shared.gateway import Gateway
from shared.health import live, ready
from shared.parts import Parts, Served, Unconfigured, make_served
from shared.ports import ClientGone, Form, StoreUnavailable
from shared.routes import find
from shared.settings import Settings
from shared.types import ApiRequest, RawHeaders

SETTLED_SECONDS = 2.0
"""After so long a process has loaded what it needs."""


class Service:
    """Built once per process, on the first request."""

    def __init__(self, parts: Parts | Unconfigured, log: JsonLog, settings: Settings | None) -> None:
        self._parts = parts
        self._log = log
        self._settings = settings
        self._cors = Cors(settings.cors_origins if settings else ())
        self._served: Served | None = None
        self._refused: ConfigError | StoreUnavailable | None = None
        self._version = ""
        self._checked_at = float("-inf")
        self._loading: asyncio.Task[None] | None = None

    async def serve(self, name: str, request: Request) -> Response:
        endpoint = ENDPOINTS[name]
        cors = self._cors.headers(request) if self._cors.enabled else []
        request_id = ""
        try:
            if endpoint.shape == "none":
                if request.method == "OPTIONS":
                    return self._cors.preflight(request)
                endpoint = _found(request)
            if endpoint.shape == "gone":
                raise _not_here(endpoint)
            if endpoint.shape == "manage":
                cors = []  # the operator's side is for no browser of another origin
                return await self._manage(endpoint, request)
            if endpoint.shape == "webhook":
                return await self._webhook(endpoint, request)
            if endpoint.shape == "health":
                return await self._health(endpoint, request, cors)
            gateway = await self.gateway()
            api_request = read_head(endpoint, request)
            request_id = api_request.id
            return await self._dispatch(endpoint, gateway, api_request, request, cors)
        except ApiError as error:
            return error_response(error, cors, request_id, anthropic=endpoint.shape in ANTHROPIC)
        except ClientGone:
            return Response(status_code=499)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"  # not repr(): that of a UnicodeError holds the whole text
            self._log.error("unexpected failure", endpoint=name, request_id=request_id, error=told)
            return error_response(errors.internal_error(), cors, request_id, anthropic=endpoint.shape in ANTHROPIC)

    async def _dispatch(
        self, endpoint: Endpoint, gateway: Gateway, api_request: ApiRequest, request: Request, cors: RawHeaders
    ) -> Response:
        principal = await gateway.authenticate(api_request)  # before a byte of the body is taken
        if endpoint.shape == "models":
            headers = [*cors, (b"x-request-id", api_request.id.encode())]
            return json_response(gateway.models(api_request, principal), headers)
        await read_body(endpoint, request, api_request)
        form = api_request.form
        connection = Connection(form.receive if form else request.receive)
        try:
            reply = await gateway.relay(api_request, principal, connection)
        except BaseException:
            connection.close()
            if form:
                await form.discard()
            raise
        if form:
            reply.finish = _and_discard(reply.finish, form)
        return ReplyResponse(reply, connection, cors)

    async def _manage(self, endpoint: Endpoint, request: Request) -> Response:
        if isinstance(self._parts, Unconfigured):
            raise _misconfigured()
        head = read_head(endpoint, request)
        read = partial(read_body, endpoint, request, head)
        answer = await self._parts.manage().answer(head, _raw_path(request), read)
        response = Response(answer.body, answer.status)
        response.raw_headers += answer.headers
        return response

    async def _webhook(self, endpoint: Endpoint, request: Request) -> Response:
        await self.gateway()
        assert self._served is not None
        head = read_head(endpoint, request)
        await read_body(endpoint, request, head)
        await self._served.batches().webhooks.take(head.headers, head.body)
        return Response(status_code=204)

    async def work(self, function: str, body: bytes, tries: int) -> None:
        """A message of a queue. Raises what makes the host hand it out again."""
        await self.gateway()
        assert self._served is not None
        batches = self._served.batches()
        match function:
            case "queue_batch_looks":
                await batches.on_look(body)
            case "queue_batch_looks_poison":
                await batches.on_looks_poison(body)
            case "queue_batch_lines":
                await batches.on_lines(body, tries)
            case "queue_batch_lines_poison":
                await batches.on_lines_poison(body)
            case "queue_batch_drops":
                await batches.drops.on_event(body)
            case _:
                raise ValueError(f"no queue starts {function!r}")

    async def _health(self, endpoint: Endpoint, request: Request, cors: RawHeaders) -> Response:
        if endpoint.name == "health_live":
            return json_response(live(), cors)
        headers = {k: v for k, v in request.headers.items() if k in ("authorization", "api-key")}
        admin = self._settings is not None and auth.is_admin(headers, self._settings.admin_key.reveal())
        keys = self._parts.keys if isinstance(self._parts, Parts) else None
        await self._check_config()
        status, body = await ready(
            self._served.gateway.catalog if self._served else None, self._refused, keys, detailed=admin
        )
        return json_response(body, cors, status)

    async def gateway(self) -> Gateway:
        """The gateway for the configuration in force. Raises ApiError 503 while there is none that works."""
        stale = time.monotonic() - self._checked_at
        if self._served is None or (self._settings and 0 < self._settings.config_refresh_seconds <= stale):
            await self._check_config()
        if self._served is None or isinstance(self._parts, Unconfigured):
            raise _misconfigured()
        self._parts.price_store.nudge()
        self._parts.board.nudge()
        return self._served.gateway

    async def _check_config(self) -> None:
        """Look for a new configuration: waited for only while there is none."""
        if time.monotonic() - self._checked_at < 1.0:
            return
        if self._loading is None:
            self._loading = asyncio.ensure_future(self._load())
            self._loading.add_done_callback(self._loaded)
        if self._served is None:
            await asyncio.shield(self._loading)

    def _loaded(self, _: asyncio.Task[None]) -> None:
        self._loading = None
        self._checked_at = time.monotonic()

    async def _load(self) -> None:
        try:
            if isinstance(self._parts, Unconfigured):
                raise self._parts.error
            found = await self._parts.config.read(self._version)
            if found is None:
                return
            text, version = found
            catalog = await self._catalog(self._parts, text)
            if self._served is None:
                asyncio.get_running_loop().call_later(SETTLED_SECONDS, settle)
            assert self._settings is not None
            self._served = make_served(self._parts, self._settings, catalog, self._log)
            self._version, self._refused = version, None
        except (ConfigError, StoreUnavailable) as error:
            if str(error) != str(self._refused):
                problems = [str(p) for p in error.problems] if isinstance(error, ConfigError) else [str(error)]
                kept = "the last good one stays in force" if self._served else "nothing is served"
                self._log.error(f"configuration refused, {kept}", problems=problems)
            self._refused = error

    async def _catalog(self, parts: Parts, text: str) -> Catalog:
        settings = self._settings
        trusted = settings.trusted_hosts if settings else ()
        catalog = await read_catalog(text, parts.environ, parts.vault, trusted)
        for warning in catalog.warnings:
            self._log.warning("configuration", detail=warning)
        return catalog


def _and_discard(finish: Callable[[bool], Awaitable[None]], form: Form) -> Callable[[bool], Awaitable[None]]:
    """What is on disk of an upload is kept until the answer has been given: it may still be on its way."""

    async def finished(client_closed: bool) -> None:
        try:
            await finish(client_closed)
        finally:
            await form.discard()

    return finished


def _misconfigured() -> ApiError:
    return errors.unavailable(
        "The gateway's configuration is refused. Its operator finds the reasons in the log and with "
        "'python3 -m shared.manage config check'.",
        "gateway_misconfigured",
        retry_after=30,
    )


def _not_here(endpoint: Endpoint) -> ApiError:
    """What stands in place of an operation that clients know and that this gateway does not serve."""
    return errors.no_websockets() if endpoint.path == "realtime" else errors.retired(endpoint.path.partition("/")[0])


def _found(request: Request) -> Endpoint:
    """The endpoint that another spelling of an address names. Raises ApiError 404 or 405."""
    found = find(request.method, _raw_path(request))
    if found is None or found.endpoint is None or found.endpoint.shape == "none":
        if found and found.allowed:
            raise errors.method_not_allowed(request.method, found.allowed)
        raise errors.route_not_found(request.method, request.scope["path"])
    request.path_params.clear()
    request.path_params.update(found.params)
    return found.endpoint


def _raw_path(request: Request) -> str:
    """As it was sent, percent-encoded."""
    path: str = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or request.scope["path"]
    return path
