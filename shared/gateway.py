"""The one pipeline: a client's call in, an answer out, and exactly one usage record for it.

Call order is name order: relay → _admit → _answer → _attempt → _reply → _settle. Everything outside is a port;
what a body or an event looks like is the transforms' business, never this module's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import unquote

from shared import auth, errors, routing
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError, UpstreamFailed
from shared.payload import read_json
from shared.ports import CallLog, Client, KeyStore, StoreUnavailable, Upstream, UsageLog
from shared.pump import Pump, read_all
from shared.transform import chat
from shared.transform.models import describe_model, list_models
from shared.transform.surfaces import url_of
from shared.types import (
    ApiRequest,
    Principal,
    RawHeaders,
    Reply,
    UpstreamReply,
    UpstreamRequest,
)
from shared.usage import estimate_usage


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in bytes. The Functions front end ends a call that has not begun after 230 s."""

    first_byte: float = 210.0
    stream_peek: float = 10.0
    """How long the first event of a stream is waited for before the client gets its status; then silence is filled."""
    stream_end: float = 1.0
    error_body: int = 256 * 1024
    answer_body: int = 64 * 1024 * 1024
    drain: float = 0.0
    """How long a stream is read on after its client has left; 0: it is closed at once and counted by our own rule."""
    flush_each: bool = False
    """USAGE_FLUSH=request: the record is durable before the last byte of an answer is sent."""


@dataclass(slots=True)
class Gateway:
    """Built once per configuration; holds no state of single calls."""

    catalog: Catalog
    keys: KeyStore
    upstream: Upstream
    usage: UsageLog
    log: CallLog
    pepper: bytes
    clock: Callable[[], float]
    """Unix seconds."""
    timer: Callable[[], float]
    """Monotonic seconds."""
    rng: Random
    limits: Limits = Limits()
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
        call = Call(request, ENDPOINTS[request.endpoint], client, self.timer(), self.clock())
        call.principal = await self.authenticate(request)
        self.usage.begin()
        try:
            self._admit(call)
            return await self._answer(call)
        except ApiError as error:
            call.status = error.status
            if call.outcome == "ok":
                call.outcome = "client_error" if error.status < 500 else "upstream_error"
            await self._settle(call)
            raise
        except BaseException:
            call.status, call.outcome = 500, "gateway_error"
            await self._settle(call)
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
        serving = [d for d in self.catalog.of(call.alias) if d.mode in ("chat", "batch")]
        if not serving:
            raise errors.bad_request(
                f"The model '{call.alias}' does not serve /{call.endpoint.operation}.",
                param="model",
                code="unsupported_operation",
            )
        stop: Callable[[], None] | None = None
        try:
            async with asyncio.timeout(self.limits.first_byte) as deadline:
                if not self.limits.drain:
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
        for deployment in routing.plan(serving, self.rng):
            call.attempts += 1
            call.deployment = deployment
            try:
                return await self._attempt(call, deployment)
            except UpstreamFailed as error:
                failure = errors.from_failure(error)
                self._note_failure(call, error.kind, error.detail)
            except _Refused as error:
                failure = error.public
                self._note_failure(call, str(error.status), failure.code or "")
                if error.status not in routing.RETRY_ELSEWHERE:
                    break
        assert failure is not None
        raise failure

    def _note_failure(self, call: Call, kind: str, detail: str) -> None:
        label = call.deployment.label if call.deployment else ""
        self.log.warning("attempt failed", request_id=call.request.id, deployment=label, reason=kind, detail=detail)

    async def _attempt(self, call: Call, deployment: Deployment) -> Reply:
        """One deployment, asked once. Raises UpstreamFailed, _Refused, ApiError."""
        ask_usage = deployment.id not in self.without_usage
        reply = await self._open(call, deployment, ask_usage)
        if reply.status >= 400:
            body = await read_all(reply, self.limits.error_body)
            if reply.status == 400 and ask_usage and call.stream and b"stream_options" in body:
                # An old api-version: usage is counted by our own rule from now on, rather than not served at all.
                self.without_usage.add(deployment.id)
                self._note_failure(call, "400", "stream_options is not known to this api-version")
                return await self._attempt(call, deployment)
            public = errors.from_upstream(reply.status, reply.headers, body, deployment.hidden_names())
            raise _Refused(reply.status, public)
        return await self._reply(call, deployment, reply)

    async def _open(self, call: Call, deployment: Deployment, ask_usage: bool) -> UpstreamReply:
        body = chat.chat_request(call.body, deployment, ask_usage=ask_usage)
        request = UpstreamRequest(
            method=call.endpoint.method,
            url=url_of(deployment, call.endpoint.operation),
            body=body,
            credential=deployment.credential,
            auth_header=deployment.surface.auth_header,
        )
        return await self.upstream.open(request, deployment.timeout)

    async def _reply(self, call: Call, deployment: Deployment, upstream: UpstreamReply) -> Reply:
        """The head is good: read the body, or the beginning of the stream. Raises as `_attempt`."""
        headers = _client_headers(call.request.id, upstream.headers)
        if not call.stream:
            answer = chat.ChatAnswer(call.body, deployment)
            body = await read_all(upstream, self.limits.answer_body)
            try:
                data = answer.read(body)
            except ApiError as error:
                raise _Refused(error.status, error) from error
            call.answer = answer
            await self._settle_early(call)
            return Reply(200, headers, data, lambda gone: self._finish(call, None, gone))
        stream = chat.ChatStream(call.body, deployment)
        pump = Pump(upstream)
        try:
            first = await self._peek(call, stream, pump)
        except BaseException:
            await upstream.close()
            raise
        call.answer = stream
        events = self._events(call, stream, pump, first)
        return Reply(200, headers, events, lambda gone: self._finish(call, upstream, gone), self.limits.drain)

    async def _peek(self, call: Call, stream: chat.ChatStream, pump: Pump) -> bytes:
        """The first events, if they come soon: a stream that begins with an error still has its real status."""
        first = b""
        while not first and not pump.ended and (chunk := await pump.next_within(self.limits.stream_peek)) is not None:
            first = stream.feed(chunk)
            if stream.error and not first:
                raise _Refused(stream.error.status, stream.error)
        if pump.ended and not first:
            raise UpstreamFailed("reset", "the stream ended before its first event")
        if first:
            call.first_token = self.timer() - call.began
        return first

    async def _events(self, call: Call, stream: chat.ChatStream, pump: Pump, out: bytes) -> AsyncIterator[bytes]:
        """The events for the client, to the end. A stream that is cut ends in an error event, never in [DONE]."""
        try:
            while True:
                if out:
                    if call.first_token is None:
                        call.first_token = self.timer() - call.began
                    if stream.ended:
                        await self._settle_early(call)
                    yield out
                if stream.done:
                    # the end of the body belongs to the last event: read, the connection can serve another call
                    await pump.next_within(self.limits.stream_end)
                    break
                if stream.error or (chunk := await pump.next()) is None:
                    break
                out = stream.feed(chunk)
        except UpstreamFailed as error:
            if not stream.ended:
                self._note_failure(call, error.kind, error.detail)
        if stream.error:
            call.outcome = "upstream_error"
            yield stream.error.event()
        elif not stream.ended:
            call.outcome = "upstream_cut"
            yield errors.stream_cut().event()

    async def _settle_early(self, call: Call) -> None:
        """USAGE_FLUSH=request: a client that has the whole answer has been counted, whatever happens next."""
        if self.limits.flush_each:
            await self._settle(call)
            try:
                await self.usage.flush()
            except StoreUnavailable as error:
                self.log.warning("usage not yet durable", request_id=call.request.id, error=str(error))

    async def _finish(self, call: Call, upstream: UpstreamReply | None, client_closed: bool) -> None:
        if upstream is not None:
            await upstream.close()
        if client_closed and call.outcome == "ok" and (self.limits.drain or not call.complete):
            call.outcome = "client_closed"
        await self._settle(call)

    async def _settle(self, call: Call) -> None:
        """Write the record of a call, once."""
        if call.settled:
            return
        call.settled = True
        record = call.record(self.timer())
        self.usage.add(record)
        self.log.call(record)


class _Refused(Exception):
    """The upstream answered with an error: its own status for the router, `public` for the client."""

    def __init__(self, status: int, public: ApiError) -> None:
        super().__init__(status)
        self.status = status
        self.public = public


_PASSED = (
    "openai-processing-ms",
    "openai-version",
    "azureml-model-session",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)
"""Upstream headers that reach the client. Everything else, deployment names and regions included, does not."""


def _client_headers(request_id: str, upstream: Mapping[str, str]) -> RawHeaders:
    headers: RawHeaders = [(b"x-request-id", request_id.encode())]
    for name in _PASSED:
        if (value := upstream.get(name)) is not None:
            headers.append((name.encode(), value.encode("latin-1")))
    return headers
