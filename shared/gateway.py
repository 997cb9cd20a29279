"""The one pipeline: a client's call in, an answer out.

Call order: relay → admission.admit → _answer → _ask_in_turn → _attempt → _open → delivery.reply. Everything outside is
a port; what a body or an event looks like is the transforms' business, never this module's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import cast
from urllib.parse import unquote, urlencode

from shared import auth, errors, routing
from shared.accounts import Accounts
from shared.admission import Admission
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.delivery import Delivery, Refused, Served
from shared.endpoints import ANTHROPIC, ENDPOINTS
from shared.errors import ApiError, UpstreamFailed
from shared.objects import NOWHERE
from shared.owners import Owners
from shared.ports import Callers, CallLog, Client, KeyStore, OwnedObject, StoreUnavailable, Upstream
from shared.principals import Principal
from shared.pump import read_all
from shared.submitted import poll
from shared.tagging import tags_of, user_of
from shared.transform import Asked, Exchange, Joining, Part, exchange
from shared.transform.models import describe_model, list_models
from shared.transform.relayed import finisher, parse
from shared.transform.surfaces import url_of
from shared.types import ApiRequest, Json, Outcome, Reply, UpstreamReply, UpstreamRequest
from shared.upstream_errors import from_upstream
from shared.usage import estimate_usage


@dataclass(slots=True)
class Gateway:
    """Built once per configuration; holds no state of single calls."""

    catalog: Catalog
    admission: Admission
    owners: Owners
    keys: KeyStore
    callers: Callers | None
    upstream: Upstream
    delivery: Delivery
    accounts: Accounts
    log: CallLog
    pepper: bytes
    clock: Callable[[], float]
    """Unix seconds."""
    rng: Random
    without_usage: set[str] = field(default_factory=set[str])
    """Deployments (by id) whose api-version does not know stream_options."""

    async def authenticate(self, request: ApiRequest) -> Principal:
        """Raises ApiError 401, 403, or 503 when the key store or Entra's signing keys cannot be asked."""
        try:
            principal = await self._principal(request.headers)
        except StoreUnavailable as error:
            self.log.warning("key store unavailable", error=str(error))
            raise errors.unavailable(
                "The gateway cannot check keys at the moment. Retry in a few seconds.", "key_store_unavailable"
            ) from error
        principal = auth.check(principal, self.clock())
        endpoint = ENDPOINTS[request.endpoint]
        if endpoint.shape != "models" and not principal.may_call(endpoint.name, endpoint.path):
            raise errors.endpoint_not_allowed(endpoint.path)
        return principal

    async def _principal(self, headers: Mapping[str, str]) -> Principal | None:
        if self.callers is not None and (token := auth.token_of(headers)):
            return await self.callers.principal(token)
        return await self.keys.get(auth.key_digest(self.pepper, auth.key_of(headers)))

    def models(self, request: ApiRequest, principal: Principal) -> bytes:
        """The models that the key may use, or one of them, as JSON. Raises ApiError."""
        allowed = [a for a in self.catalog.aliases() if principal.may_use(a)]
        if request.endpoint == "models_list":
            return list_models(self.catalog, allowed, self._costs)
        alias = unquote(request.path_params.get("alias", ""))
        if alias not in allowed:
            raise errors.model_not_found(alias)
        return describe_model(self.catalog, alias, self._costs)

    def _costs(self, deployment: Deployment) -> Mapping[str, float]:
        return self.accounts.prices.figures(deployment, self.clock())

    async def relay(self, request: ApiRequest, principal: Principal, client: Client) -> Reply:
        """Answer one call by a deployment. Raises ApiError; then the record has been written already."""
        call = Call(request, ENDPOINTS[request.endpoint], client, self.delivery.timer(), self.clock())
        call.principal = principal
        self.accounts.usage.begin()
        try:
            call.tags = tags_of(request.headers, principal.tags)
            await self.admission.admit(call)
            call.user = user_of(call.body)
            await self.accounts.reserve(call)
            return await self._answer(call)
        except ApiError as error:
            error.headers.update(call.grant_headers())
            call.status = error.status
            if call.outcome == "ok":
                call.outcome = "client_error" if error.status < 500 else "upstream_error"
            await self.accounts.settle_early(call)
            await self.accounts.settle(call)
            raise
        except BaseException:
            call.status, call.outcome = 500, "gateway_error"
            await self.accounts.settle(call)
            raise

    async def _answer(self, call: Call) -> Reply:
        """Ask one deployment after the other until one answers. All of it happens before the client's first byte."""
        stop: Callable[[], None] | None = None
        try:
            async with asyncio.timeout(self.delivery.limits.first_byte) as deadline:
                if not self.delivery.limits.drain:
                    stop = call.client.when_gone(lambda: deadline.reschedule(0))
                if call.endpoint.target == "list":
                    return await self._list(call)
                return await self._ask_in_turn(call)
        except TimeoutError:
            if call.client.gone:
                call.outcome = "client_closed"
                call.usage = estimate_usage(call.body, 0)
                raise ApiError(499, "The client closed the connection.", code="client_closed") from None
            raise errors.from_failure(UpstreamFailed("timeout")) from None
        finally:
            if stop:
                stop()

    async def _ask_in_turn(self, call: Call) -> Reply:
        failure: ApiError | None = None
        outcome: Outcome = "upstream_error"
        for deployment in routing.plan(call.choices, self.rng):
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
        asked = self._asked(call, deployment)
        plan = exchange(asked)
        if (data := plan.local()) is not None:
            return self.delivery.local(call, data)
        ask_usage = deployment.id not in self.without_usage
        parts = plan.parts(ask_usage=ask_usage)
        if len(parts) > 1:
            return await self._in_parts(call, Served(plan, asked, deployment), parts)
        reply = await self._open(call, deployment, plan, parts[0])
        if reply.status == 202 and "operation-location" in reply.headers:
            reply = await poll(reply, deployment, self.upstream)
        if reply.status >= 400:
            body = await read_all(reply, self.delivery.limits.error_body)
            if reply.status == 400 and ask_usage and call.stream and b"stream_options" in body:
                # An old api-version: usage is counted by our own rule from now on, rather than not served at all.
                self.without_usage.add(deployment.id)
                self.delivery.note_failure(call, "400", "stream_options is not known to this api-version")
                return await self._attempt(call, deployment)
            raise self._refused(call, deployment, reply, body)
        return await self.delivery.reply(call, Served(plan, asked, deployment), reply)

    def _refused(self, call: Call, deployment: Deployment, reply: UpstreamReply, body: bytes) -> Refused:
        if reply.status == 404 and call.endpoint.target in ("id", "resource") and call.opener and call.opener.opened:
            return Refused(404, errors.no_such_object())
        hidden = deployment.hidden_names() | dict(call.opener.opened if call.opener else ())
        return Refused(reply.status, from_upstream(reply.status, reply.headers, body, hidden))

    def _asked(self, call: Call, deployment: Deployment) -> Asked:
        principal = call.principal
        assert principal is not None
        shape = call.endpoint.shape
        named = shape == "stored"
        # what was translated nobody keeps; and who could have ids of their own text sealed could open anybody's
        kept = call.endpoint.name != "files_content" and (shape != "responses" or shape in deployment.serves)
        return Asked(
            endpoint=call.endpoint,
            operation=call.operation,
            body=call.body,
            deployment=deployment,
            stream=call.stream,
            seal=self.admission.registry.sealer(deployment.resource if kept else NOWHERE, principal),
            open=call.opener.on(deployment.resource) if call.opener and call.request.form else None,
            form=call.request.form,
            raw=call.request.body,
            raw_type=call.raw_type,
            now=int(call.at),
            names=self.admission.names_on(deployment.resource, principal) if named else {},
            headers=call.request.headers if shape in ANTHROPIC else {},
        )

    async def _in_parts(self, call: Call, served: Served, parts: list[Part]) -> Reply:
        """A call that is split: what was answered before one part failed is paid for all the same."""
        answers: list[bytes] = []
        try:
            for part in parts:
                answers.append(await self._whole(call, served.deployment, served.plan, part))
        except (Refused, UpstreamFailed):
            call.paid.append((served.deployment, cast("Joining", served.plan.answer()).paid(answers)))
            raise
        return await self.delivery.joined(call, served, answers)

    async def _whole(self, call: Call, deployment: Deployment, plan: Exchange, part: Part) -> bytes:
        """One of several requests that make up a call."""
        reply = await self._open(call, deployment, plan, part)
        limits = self.delivery.limits
        body = await read_all(reply, limits.answer_body if reply.status < 400 else limits.error_body)
        if reply.status >= 400:
            raise self._refused(call, deployment, reply, body)
        return body

    async def _open(self, call: Call, deployment: Deployment, plan: Exchange, part: Part) -> UpstreamReply:
        request = UpstreamRequest(
            method=call.endpoint.method,
            url=url_of(deployment, part.operation, stored=plan.stored, query=_query(call, deployment)),
            body=part.body,
            credential=deployment.credential,
            auth_header=deployment.surface.auth_header,
            content_type=part.content_type,
            length=part.length,
            headers=plan.headers,
        )
        form = call.request.form
        try:  # a client that is slow to send is not a deployment that is slow to answer
            return await self.upstream.open(request, deployment.timeout if form is None or form.complete else None)
        except UpstreamFailed:
            if form is not None and form.failure is not None:
                raise form.failure from None  # the client's own upload broke off, or was refused
            raise

    async def _list(self, call: Call) -> Reply:
        """The caller's own objects of one kind: the index says which, their resources what they are."""
        page = await self.owners.page(call)
        while True:
            found = await asyncio.gather(*(self._object(call, item) for item in page.items))
            shown = await self.owners.show(call, page, list(found))
            if any(found) or not page.more:
                return self.delivery.local(call, shown)
            page = await self.owners.page(call, page.end)  # an SDK would take an empty page for the last one

    async def _object(self, call: Call, item: OwnedObject) -> Json | None:
        """One object as the client sees it; None when its resource does not have it any more. Raises ApiError."""
        keeper = self.admission.registry.keepers.get(item.resource)
        if keeper is None:
            return None
        asked = replace(self._asked(call, keeper), operation=f"{call.endpoint.path}/{item.upstream_id}")
        reply = await self._open(call, keeper, exchange(asked), Part(asked.operation, b"", ""))
        body = await read_all(reply, self.delivery.limits.answer_body)
        if reply.status == 404:
            return None
        if reply.status >= 400:
            hidden = keeper.hidden_names() | {item.upstream_id: "an object of the list"}
            raise from_upstream(reply.status, reply.headers, body, hidden)
        value = parse(body)
        finisher(asked)(value)
        return value


def _query(call: Call, deployment: Deployment) -> str:
    """An SDP offer has no other place for the model than the address."""
    return urlencode({"model": deployment.name}) if call.raw_type else call.query
