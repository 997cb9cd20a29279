"""The one pipeline: a client's call in, an answer out.

Call order is name order: relay → _admit → _answer → _ask_in_turn → _attempt → _open → delivery.reply. Everything
outside is a port; what a body or an event looks like is the transforms' business, never this module's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from urllib.parse import unquote

from shared import auth, errors, routing
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.delivery import Delivery, Refused
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError, UpstreamFailed
from shared.payload import read_json
from shared.ports import CallLog, Client, KeyStore, StoreUnavailable, Upstream
from shared.pump import read_all
from shared.transform import SHAPES
from shared.transform.models import describe_model, list_models
from shared.transform.surfaces import url_of
from shared.types import (
    ApiRequest,
    Outcome,
    Principal,
    Reply,
    UpstreamReply,
    UpstreamRequest,
)
from shared.upstream_errors import from_upstream
from shared.usage import estimate_usage


@dataclass(slots=True)
class Gateway:
    """Built once per configuration; holds no state of single calls."""

    catalog: Catalog
    keys: KeyStore
    upstream: Upstream
    delivery: Delivery
    log: CallLog
    pepper: bytes
    clock: Callable[[], float]
    """Unix seconds."""
    rng: Random
    without_usage: set[str] = field(default_factory=set[str])
    """Deployments (by id) whose api-version does not know stream_options."""

    async def authenticate(self, request: ApiRequest) -> Principal:
        """Raises ApiError 401, or 503 when the key store cannot be asked."""
        digest = auth.key_digest(self.pepper, auth.key_of(request.headers))
        try:
            principal = await self.keys.get(digest)
        except StoreUnavailable as error:
            self.log.warning("key store unavailable", error=str(error))
            raise errors.unavailable(
                "The gateway cannot check keys at the moment. Retry in a few seconds.", "key_store_unavailable"
            ) from error
        return auth.check(principal, self.clock())

    async def models(self, request: ApiRequest) -> bytes:
        """The models that the key may use, or one of them, as JSON. Raises ApiError."""
        principal = await self.authenticate(request)
        allowed = [a for a in self.catalog.aliases() if principal.may_use(a)]
        if request.endpoint == "models_list":
            return list_models(allowed)
        alias = unquote(request.path_params.get("alias", ""))
        if alias not in allowed:
            raise errors.model_not_found(alias)
        return describe_model(alias)

    async def relay(self, request: ApiRequest, client: Client) -> Reply:
        """Answer one call by a deployment. Raises ApiError; then the record has been written already."""
        call = Call(request, ENDPOINTS[request.endpoint], client, self.delivery.timer(), self.clock())
        call.principal = await self.authenticate(request)
        self.delivery.usage.begin()
        try:
            self._admit(call)
            return await self._answer(call)
        except ApiError as error:
            call.status = error.status
            if call.outcome == "ok":
                call.outcome = "client_error" if error.status < 500 else "upstream_error"
            await self.delivery.settle(call)
            raise
        except BaseException:
            call.status, call.outcome = 500, "gateway_error"
            await self.delivery.settle(call)
            raise

    def _admit(self, call: Call) -> None:
        """Read the body and find the alias. Raises ApiError 4xx."""
        request, principal = call.request, call.principal
        assert principal is not None
        alias = unquote(request.path_params.get("alias", ""))  # the host leaves %2F as it is
        call.alias = alias
        call.body = read_json(call.endpoint, request.body, request.headers.get("content-type", ""))
        if not alias:
            alias = call.body.get("model")
            if not alias:
                raise errors.bad_request(
                    "Missing required parameter: 'model'. GET /v1/models lists the models that your key may use.",
                    param="model",
                    code="missing_required_parameter",
                )
            call.alias = alias
        call.known = bool(self.catalog.of(alias))
        if not call.known:
            raise errors.model_not_found(alias)
        if not principal.may_use(alias):
            raise errors.model_not_allowed(alias)

    async def _answer(self, call: Call) -> Reply:
        """Ask one deployment after the other until one answers. All of it happens before the client's first byte."""
        modes = SHAPES[call.endpoint.shape].modes
        serving = [d for d in self.catalog.of(call.alias) if d.mode in modes]
        if not serving:
            raise errors.bad_request(
                f"The model '{call.alias}' does not serve /{call.endpoint.operation}.",
                param="model",
                code="unsupported_operation",
            )
        stop: Callable[[], None] | None = None
        try:
            async with asyncio.timeout(self.delivery.limits.first_byte) as deadline:
                if not self.delivery.limits.drain:
                    stop = call.client.when_gone(lambda: deadline.reschedule(0))
                return await self._ask_in_turn(call, serving)
        except TimeoutError:
            if call.client.gone:
                call.outcome = "client_closed"
                call.usage = estimate_usage(call.body, 0)
                raise ApiError(499, "The client closed the connection.", code="client_closed") from None
            raise errors.from_failure(UpstreamFailed("timeout")) from None
        finally:
            if stop:
                stop()

    async def _ask_in_turn(self, call: Call, serving: list[Deployment]) -> Reply:
        failure: ApiError | None = None
        outcome: Outcome = "upstream_error"
        for deployment in routing.plan(serving, self.rng):
            call.attempts += 1
            call.deployment = deployment
            try:
                return await self._attempt(call, deployment)
            except UpstreamFailed as error:
                failure = errors.from_failure(error)
                self.delivery.note_failure(call, error.kind, error.detail)
            except Refused as error:
                failure = error.public
                self.delivery.note_failure(call, str(error.status), failure.code or "")
                if error.status not in routing.RETRY_ELSEWHERE:
                    outcome = "client_error" if error.status < 500 else "upstream_error"
                    break
        assert failure is not None
        call.outcome = outcome
        raise failure

    async def _attempt(self, call: Call, deployment: Deployment) -> Reply:
        """One deployment, asked once. Raises UpstreamFailed, Refused, ApiError."""
        ask_usage = deployment.id not in self.without_usage
        reply = await self._open(call, deployment, ask_usage)
        if reply.status >= 400:
            body = await read_all(reply, self.delivery.limits.error_body)
            if reply.status == 400 and ask_usage and call.stream and b"stream_options" in body:
                # An old api-version: usage is counted by our own rule from now on, rather than not served at all.
                self.without_usage.add(deployment.id)
                self.delivery.note_failure(call, "400", "stream_options is not known to this api-version")
                return await self._attempt(call, deployment)
            public = from_upstream(reply.status, reply.headers, body, deployment.hidden_names())
            raise Refused(reply.status, public)
        return await self.delivery.reply(call, deployment, reply)

    async def _open(self, call: Call, deployment: Deployment, ask_usage: bool) -> UpstreamReply:
        body = SHAPES[call.endpoint.shape].request(call.body, deployment, ask_usage=ask_usage)
        request = UpstreamRequest(
            method=call.endpoint.method,
            url=url_of(deployment, call.endpoint.operation),
            body=body,
            credential=deployment.credential,
            auth_header=deployment.surface.auth_header,
        )
        return await self.upstream.open(request, deployment.timeout)
