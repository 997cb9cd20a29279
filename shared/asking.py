"""One deployment, asked once: its request made, opened and judged; its answer handed to delivery.

Which deployment is asked, and whether another is, is attempts.py's business; what a body or an event looks like is the
transforms'.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import urlencode

from shared import errors
from shared.call import Call
from shared.catalog import Deployment
from shared.choices import Choices
from shared.delivery import Delivery, Refused, Served
from shared.endpoints import ANTHROPIC
from shared.errors import ApiError, UpstreamFailed
from shared.here import Here
from shared.objects import HERE, NOWHERE
from shared.owners import Owners
from shared.ports import OwnedObject, Upstream
from shared.pump import read_all
from shared.router_settings import RouterSettings
from shared.submitted import poll
from shared.transform import Asked, Exchange, Joining, Part, exchange
from shared.transform.relayed import finisher, parse
from shared.transform.surfaces import url_of
from shared.types import Json, Reply, UpstreamReply, UpstreamRequest
from shared.upstream_errors import from_upstream, remedy_of


class Unfit(Exception):
    """A deployment does not take what was asked, as the gateway itself knows: nothing was sent."""

    def __init__(self, public: ApiError) -> None:
        super().__init__(public.message)
        self.public = public


@dataclass(frozen=True, slots=True)
class Asking:
    """Built once per configuration."""

    choices: Choices
    owners: Owners
    upstream: Upstream
    delivery: Delivery
    router: RouterSettings
    here: Here | None = None
    """What keeps files and batches itself."""
    without_usage: set[str] = field(default_factory=set[str])
    """Deployments (by id) whose api-version does not know stream_options."""

    async def attempt(self, call: Call, deployment: Deployment, timeout: float | None) -> Reply:
        """timeout: seconds until the answer must have begun. Raises UpstreamFailed, Refused, Unfit, ApiError."""
        asked = self._asked(call, deployment)
        ask_usage = deployment.id not in self.without_usage
        try:
            plan = exchange(asked)
            parts = plan.parts(ask_usage=ask_usage)
        except ApiError as error:
            raise Unfit(error) from error
        if len(parts) > 1:
            return await self._in_parts(call, Served(plan, asked, deployment), parts, timeout)
        reply = await self._open(call, deployment, plan, parts[0], timeout)
        if reply.status == 202 and "operation-location" in reply.headers:
            reply = await poll(reply, deployment, self.upstream)
        if reply.status >= 400:
            body = await read_all(reply, self.delivery.limits.error_body)
            if reply.status == 400 and ask_usage and call.stream and b"stream_options" in body:
                # An old api-version: usage is counted by our own rule from now on, rather than not served at all.
                self.without_usage.add(deployment.id)
                self.delivery.note_failure(call, "400", "stream_options is not known to this api-version")
                return await self.attempt(call, deployment, timeout)
            raise _refused(call, deployment, reply, body)
        return await self.delivery.reply(call, Served(plan, asked, deployment), reply)

    def own_answer(self, call: Call) -> Reply | None:
        """The gateway's own, where it has one and nothing is to be asked."""
        if call.endpoint.shape != "count":
            return None
        call.deployment = call.choices[0]
        data = exchange(self._asked(call, call.deployment)).local()
        return None if data is None else self.delivery.local(call, data)

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
            seal=self.choices.registry.sealer(deployment.resource if kept else NOWHERE, principal),
            open=call.opener.on(deployment.resource) if call.opener and call.request.form else None,
            form=call.request.form,
            raw=call.request.body,
            raw_type=call.raw_type,
            now=int(call.at),
            names=self.choices.names_on(deployment.resource, principal) if named else {},
            headers=call.request.headers if shape in ANTHROPIC else {},
        )

    async def _in_parts(self, call: Call, served: Served, parts: list[Part], timeout: float | None) -> Reply:
        """A call that is split: what was answered before one part failed is paid for all the same."""
        answers: list[bytes] = []
        try:
            for part in parts:
                answers.append(await self._whole(call, served.deployment, served.plan, part, timeout))
            return await self.delivery.joined(call, served, answers)
        except BaseException:
            call.paid.append((served.deployment, cast("Joining", served.plan.answer()).paid(answers)))
            raise

    async def _whole(
        self, call: Call, deployment: Deployment, plan: Exchange, part: Part, timeout: float | None
    ) -> bytes:
        """One of several requests that make up a call."""
        reply = await self._open(call, deployment, plan, part, timeout)
        limits = self.delivery.limits
        body = await read_all(reply, limits.answer_body if reply.status < 400 else limits.error_body)
        if reply.status >= 400:
            raise _refused(call, deployment, reply, body)
        return body

    async def _open(
        self, call: Call, deployment: Deployment, plan: Exchange, part: Part, timeout: float | None
    ) -> UpstreamReply:
        request = UpstreamRequest(
            method=call.endpoint.method,
            url=url_of(deployment, part.operation, stored=plan.stored, query=_query(call, deployment)),
            body=part.body,
            credential=deployment.credential,
            auth_header=deployment.surface.auth_header,
            content_type=part.content_type,
            length=part.length,
            headers=plan.headers,
            connect=self.router.connect,
            idle=self.router.idle,
        )
        form = call.request.form
        try:  # a client that is slow to send is not a deployment that is slow to answer
            return await self.upstream.open(request, timeout if form is None or form.complete else None)
        except UpstreamFailed:
            if form is not None and form.failure is not None:
                raise form.failure from None  # the client's own upload broke off, or was refused
            raise

    async def list_own(self, call: Call) -> Reply:
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
        if item.resource == HERE and self.here is not None:
            return await self.here.shown(call, item)
        keeper = self.choices.registry.keepers.get(item.resource)
        if keeper is None:
            return None
        asked = replace(self._asked(call, keeper), operation=f"{call.endpoint.path}/{item.upstream_id}")
        part = Part(asked.operation, b"", "")
        try:
            reply = await self._open(call, keeper, exchange(asked), part, keeper.timeout)
            body = await read_all(reply, self.delivery.limits.answer_body)
        except UpstreamFailed as failed:
            call.outcome = "upstream_error"
            self.delivery.note_failure(call, failed.kind, failed.detail)
            raise errors.from_failure(failed) from failed
        if reply.status == 404:
            return None
        if reply.status >= 400:
            call.outcome = "upstream_error"
            hidden = keeper.hidden_names() | {item.upstream_id: "an object of the list"}
            raise from_upstream(reply.status, reply.headers, body, hidden)
        value = parse(body)
        finisher(asked)(value)
        return value


def _refused(call: Call, deployment: Deployment, reply: UpstreamReply, body: bytes) -> Refused:
    if reply.status == 404 and call.endpoint.target in ("id", "resource") and call.opener and call.opener.opened:
        return Refused(404, errors.no_such_object(), reply.headers)
    hidden = deployment.hidden_names() | dict(call.opener.opened if call.opener else ())
    public = from_upstream(reply.status, reply.headers, body, hidden)
    return Refused(reply.status, public, reply.headers, remedy_of(reply.status, body))


def _query(call: Call, deployment: Deployment) -> str:
    """An SDP offer has no other place for the model than the address."""
    return urlencode({"model": deployment.name}) if call.raw_type else call.query
