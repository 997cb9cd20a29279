"""One resource's door: who may come in, by which surface, which faults meet them, and how an answer leaves.

Owns the surfaces (dated, v1, Foundry's /models, plain OpenAI) and their paths. Every operation of the fake is a handler
that a part (see `resource_app.PARTS`) puts behind this door; what the operations do is theirs.

    def routes(door: Door) -> list[web.RouteDef]:
        async def speech(request: web.Request, surface: Surface) -> web.StreamResponse:
            asked = await door.asked(request, surface, "audioSpeech", form=False)   # body read, model found or refused
            fault = await door.fault(request, asked)                                # strikes, or is for the answer
            return await door.send_bytes(request, b"...", "audio/mpeg", fault, headers=answer_headers(asked, 0))
        return door.deployed("audio/speech", speech)
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
from aiohttp import web

from . import asked as reading
from . import errors
from .api_version import check_dated, check_v1
from .asked import ASKED_OF, LEFT, OF_BATCH, Asked, Form
from .batch_desk import BatchDesk
from .chat.request import Surface
from .delivery import drop, send_body, send_stream
from .errors import ApiError
from .faults import BATCH_LINE, BEFORE_ANSWER, DURING_ANSWER, Fault, FaultQueue
from .headers import azure_headers, openai_headers
from .models import Model, Resource
from .quota import Left, Quotas
from .recorder import entry_of
from .served import Served
from .store import Store
from .tokens import COGNITIVE_AUDIENCES, TokenIssuer, TokenRefused

Handler = Callable[[web.Request, Surface], Awaitable[web.StreamResponse]]
_FAULTS = BEFORE_ANSWER | DURING_ANSWER


class Door:
    def __init__(
        self,
        resource: Resource,
        tokens: TokenIssuer,
        faults: FaultQueue,
        served: Served,
        quotas: Quotas,
        batches: BatchDesk,
    ) -> None:
        self.resource = resource
        self.store = Store()  # what the resource keeps: parts refer to each other's rows
        self.batches = batches
        self.operations: dict[str, Handler] = {}  # what is asked for by POST: lines of batches ask for it as well
        self._tokens = tokens
        self._faults = faults
        self._served = served
        self._quotas = quotas

    # Routes.

    def both(self, operation: str, handler: Handler, *methods: str, since: str = "") -> list[web.RouteDef]:
        """An operation of the resource, by POST unless told otherwise: at /openai/v1, /openai, or plain /v1.

        `since`: the first dated api-version that has it.
        """
        if "POST" in (methods or ("POST",)):
            self.operations[operation] = handler
        if self.resource.kind == "plain":
            return self.at(f"/v1/{operation}", "plain", handler, *methods)
        return [
            *self.at(f"/openai/v1/{operation}", "v1", handler, *methods),
            *self.at(f"/openai/{operation}", "dated", handler, *methods, since=since),
        ]

    def deployed(self, operation: str, handler: Handler, *, since: str = "") -> list[web.RouteDef]:
        """A POST to a deployment: named in the path (dated) or by `model` (v1, Foundry's /models, plain)."""
        self.operations[operation] = handler
        if self.resource.kind == "plain":
            return self.at(f"/v1/{operation}", "plain", handler)
        routes = [
            *self.at(f"/openai/deployments/{{deployment}}/{operation}", "dated", handler, since=since),
            *self.at(f"/openai/v1/{operation}", "v1", handler),
        ]
        if self.resource.kind == "foundry":
            routes += self.at(f"/models/{operation}", "models", handler)
        return routes

    def at(self, path: str, surface: Surface, handler: Handler, *methods: str, since: str = "") -> list[web.RouteDef]:
        """One path on one surface."""

        async def come_in(request: web.Request) -> web.StreamResponse:
            self.enter(request, surface, since)
            return await handler(request, surface)

        return [web.route(method, path, come_in) for method in methods or ("POST",)]

    # Who may come in.

    def enter(self, request: web.Request, surface: Surface, since: str = "") -> None:
        """Authorises as the surface does and checks its api-version. Raises ApiError."""
        if surface == "plain":
            if request.headers.get("Authorization") != f"Bearer {self.resource.key}":
                raise errors.openai_wrong_key()
            return
        self.authorise(request, key_as_bearer=surface != "dated")
        if surface == "v1":
            check_v1(request)
        else:
            check_dated(request, since)

    def authorise(self, request: web.Request, *, key_as_bearer: bool = True) -> None:
        key = request.headers.get("api-key")
        if key is not None:
            if key != self.resource.key:
                raise errors.wrong_key()
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise errors.bad_token()
        if key_as_bearer and token == self.resource.key:
            return
        try:
            self._tokens.verify(token, COGNITIVE_AUDIENCES)
        except TokenRefused as refused:
            raise errors.bad_token() if token.count(".") == 2 or not key_as_bearer else errors.wrong_key() from refused

    # What is asked for.

    async def read_json(self, request: web.Request) -> dict[str, Any]:
        return await reading.read_json(request)

    async def read_form(self, request: web.Request) -> Form:
        return await reading.read_form(request)

    async def asked(self, request: web.Request, surface: Surface, operation: str, *, form: bool = False) -> Asked:
        """Reads the body and finds the model, which has to do `operation` (Azure's word, as in `Model.operations`)."""
        content = await self.read_form(request) if form else None
        body: Mapping[str, Any]
        if content is None:
            body = await self.read_json(request)
        else:
            body = {name: values[0] for name, values in content.fields.items()}
        deployment = request.match_info.get("deployment") or str(body.get("model") or "")
        return Asked(request, surface, deployment, self.model(deployment, surface, operation), body, content)

    def model(self, deployment: str, surface: Surface, operation: str) -> Model:
        model = self.resource.model(deployment)
        if model is None:
            match surface:
                case "models":
                    raise errors.partner_model_not_found(deployment)
                case "plain":
                    raise errors.openai_model_not_found(deployment)
                case _:
                    raise errors.deployment_not_found()
        if operation not in model.operations:
            raise errors.operation_not_supported(operation, model.version)
        return model

    # Faults.

    async def fault(self, request: web.Request, asked: Asked | None = None) -> Fault | None:
        """Takes the fault that waits for this resource, or for what was asked of it; then its share of a quota.

        What strikes before an answer strikes here; a fault of the answer itself comes back, to be sent along with it.
        A line of a batch has faults of its own, and takes from no quota of calls.
        """
        if OF_BATCH in request:
            fault = self._faults.take(BATCH_LINE, self.resource.name, asked.deployment if asked else "")
            if fault is not None:
                raise _status_error(fault)
            return None
        fault = self._faults.take(_FAULTS, self.resource.name, asked.deployment if asked else "")
        if fault is not None:
            await _meet(request, fault, asked)
        if asked is not None:
            size = len(entry_of(request).raw)
            left = self._quotas.take(self.resource.name, asked.deployment, asked.body, size)
            if fault is not None and fault.kind == "spilled_over":
                left = Left(str(fault.body or asked.deployment), asked.deployment)
            request[LEFT] = left
        return fault

    # Answers.

    async def send_json(
        self,
        request: web.Request,
        value: Any,
        fault: Fault | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        return await self.send_bytes(request, orjson.dumps(value), "application/json", fault, status, headers)

    async def send_bytes(
        self,
        request: web.Request,
        data: bytes,
        content_type: str,
        fault: Fault | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        known = self._headers() if headers is None else headers
        if status == 200 and ASKED_OF in request:
            self._served.body(self.resource.name, request[ASKED_OF], data)
        return await send_body(request, data, known, fault, status=status, content_type=content_type)

    async def send_stream(
        self,
        request: web.Request,
        events: Iterator[bytes],
        fault: Fault | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """`events`: each of them whole. An event stream, unless the headers say another Content-Type."""
        if ASKED_OF in request:
            events = self._served.stream(self.resource.name, request[ASKED_OF], events)
        return await send_stream(request, events, self._headers() if headers is None else headers, fault)

    def _headers(self) -> dict[str, str]:
        return openai_headers() if self.resource.kind == "plain" else azure_headers()


async def _meet(request: web.Request, fault: Fault, asked: Asked | None) -> None:
    """The faults that strike before an answer begins. Those of the answer itself pass."""
    match fault.kind:
        case "slow_first_byte":
            await asyncio.sleep(fault.seconds)
        case "reset":
            drop(request, reset=True)
        case "html":
            raise errors.bad_gateway_page()
        case "content_filter":
            raise errors.prompt_filtered()
        case "no_role":
            raise errors.no_role()
        case "insufficient_quota":
            raise errors.insufficient_quota()
        case "context_length":
            raise errors.context_length_exceeded()
        case "foundry_429":
            raise errors.partner_rate_limited(asked.model.version if asked else "the model")
        case "reject_stream_options" if asked and "stream_options" in asked.body:
            raise errors.invalid("Unrecognized request argument supplied: stream_options")
        case "status":
            raise _status_error(fault)
        case "error_event" if not (asked and asked.stream):
            raise errors.of_status(500)
        case _:
            pass


def _status_error(fault: Fault) -> ApiError:
    usual = errors.of_status(fault.status)
    headers = {**(fault.headers or {}), **dict(fault.retry_headers())}
    if fault.body is None:
        body = usual.body
        if fault.retry_after is not None:
            body = body.replace(b"after 6 seconds", f"after {fault.retry_after} seconds".encode())
        return ApiError(fault.status, body, headers, usual.content_type)
    body = fault.body.encode() if isinstance(fault.body, str) else fault.body
    given_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "application/json")
    return ApiError(fault.status, body if isinstance(body, bytes) else orjson.dumps(body), headers, given_type)
