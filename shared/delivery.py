"""From an opened upstream to the client's answer, and exactly one usage record for it.

Owns what happens once a deployment has answered: reading the body or the beginning of the stream, relaying events,
ending a stream that breaks, closing the upstream, settling. Which deployment is asked is attempts.py's business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote

from shared import errors
from shared.accounts import Accounts
from shared.anthropic_errors import request_id_headers
from shared.call import Call
from shared.catalog import Deployment
from shared.endpoints import ANTHROPIC
from shared.errors import ApiError, UpstreamFailed
from shared.here import HereAnswer
from shared.owners import Owners
from shared.ports import CallLog, StoreUnavailable
from shared.pump import Pump, read_all
from shared.transform import Answer, Asked, Exchange, Joining, Stream
from shared.transform.owned import JsonLineSealer
from shared.transform.relayed import PassedStream
from shared.types import CutFile, RawHeaders, Reply, UpstreamReply

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
_UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in bytes. The Functions front end ends a call that has not begun after 230 s."""

    first_byte: float = 210.0
    stream_peek: float = 10.0
    """How long the first event of a stream is waited for before the client gets its status; then silence is filled."""
    stream_hold: float = 2.0
    """How long what comes before a stream's first content is held back, while another deployment could be asked."""
    stream_end: float = 1.0
    error_body: int = 256 * 1024
    answer_body: int = 64 * 1024 * 1024
    drain: float = 0.0
    """How long a stream is read on after its client has left; 0: it is closed at once and counted by our own rule."""


class Refused(Exception):
    """The upstream answered with an error: its own status and headers for the router, `public` for the client, `remedy`
    for the log."""

    def __init__(
        self, status: int, public: ApiError, headers: Mapping[str, str] | None = None, remedy: str = ""
    ) -> None:
        super().__init__(status)
        self.status = status
        self.public = public
        self.headers = headers or {}
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Served:
    """Which deployment answered, and what was agreed with it."""

    plan: Exchange
    asked: Asked
    deployment: Deployment


@dataclass(frozen=True, slots=True)
class Delivery:
    """Built once with the gateway; what belongs to one call is in its Call."""

    accounts: Accounts
    owners: Owners
    log: CallLog
    timer: Callable[[], float]
    """Monotonic seconds."""
    limits: Limits

    async def reply(self, call: Call, served: Served, upstream: UpstreamReply) -> Reply:
        """The head is good: read the body, or the beginning of the stream. Raises UpstreamFailed, Refused, ApiError."""
        kind = upstream.headers.get("content-type") or ""
        endpoint = call.endpoint
        call.status = upstream.status
        if endpoint.raw and (endpoint.shape == "stored" or not kind.startswith((JSON, "text/"))):
            rewrite = None
            if endpoint.name == "files_content" and served.asked.seal:  # which may be the output of a batch
                rewrite = JsonLineSealer(served.asked.seal)
            return await self._streamed(call, served, PassedStream(served.asked, rewrite), upstream, kind or _UNKNOWN)
        if call.stream and not kind.startswith((JSON, "text/plain")):  # a model that does not stream answers whole
            return await self._streamed(call, served, served.plan.stream(), upstream, EVENTS)
        answer = served.plan.answer()
        body = await read_all(upstream, self.limits.answer_body)
        return await self._whole(call, served, answer, lambda: answer.read(body), upstream, kind)

    async def joined(self, call: Call, served: Served, bodies: list[bytes]) -> Reply:
        """One answer of several of the upstream's."""
        answer = cast("Joining", served.plan.answer())
        none = UpstreamReply(200, {}, _nothing(), _done)
        return await self._whole(call, served, answer, lambda: answer.join(bodies), none, JSON)

    def local(self, call: Call, data: bytes) -> Reply:
        """An answer of the gateway's own."""
        return Reply(200, _client_headers(call, {}), data, lambda gone: self._finish(call, None, gone))

    def here(self, call: Call, answer: HereAnswer) -> Reply:
        """What the gateway keeps itself, or says itself."""
        call.status = answer.status
        body = answer.body if isinstance(answer.body, bytes) else self._unbroken(call, answer.body)
        headers = [*_client_headers(call, {}), *answer.headers]
        return Reply(answer.status, headers, body, lambda gone: self._finish(call, None, gone), answer.content_type)

    async def _unbroken(self, call: Call, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except StoreUnavailable as error:
            call.outcome = "gateway_error"
            self.log.warning("a file broke off", request_id=call.request.id, error=str(error))
            raise CutFile from error

    def _note_answer(self, call: Call, headers: Mapping[str, str]) -> None:
        """headers: of the upstream's answer, which has begun well."""
        if call.deployment is not None:
            billed = self.accounts.spillover.billed(call.deployment, headers)
            call.answered(self.accounts.clock(), headers, billed)

    async def _whole(
        self, call: Call, served: Served, answer: Answer, read: Callable[[], bytes], upstream: UpstreamReply, kind: str
    ) -> Reply:
        try:
            data = read()
        except ApiError as error:
            raise Refused(error.status, error) from error
        call.answer = answer
        self._note_answer(call, upstream.headers)
        if call.endpoint.kind or call.endpoint.shape == "stored":
            await self.owners.note(call, served.deployment, answer)
        await self.accounts.settle_early(call)
        headers = [*_client_headers(call, upstream.headers), *self.accounts.cost_header(call)]
        kind = kind if call.endpoint.raw and kind else JSON
        return Reply(upstream.status, headers, data, lambda gone: self._finish(call, None, gone), kind)

    async def _streamed(self, call: Call, served: Served, stream: Stream, upstream: UpstreamReply, kind: str) -> Reply:
        pump = Pump(upstream)
        try:
            first = await self._peek(call, stream, pump)
        except BaseException:
            await upstream.close()
            raise
        call.answer = stream
        self._note_answer(call, upstream.headers)
        events = self._events(call, stream, pump, first)
        headers = _client_headers(call, upstream.headers)
        if isinstance(stream, PassedStream) and stream.unchanged:
            headers += [(n.encode(), v.encode("latin-1")) for n in _OF_FILES if (v := upstream.headers.get(n))]
        if (place := upstream.headers.get("location")) and served.asked.seal:
            headers.append((b"location", _sealed_location(call, place, served.asked.seal)))
        drain = self.limits.drain
        return Reply(upstream.status, headers, events, lambda gone: self._finish(call, upstream, gone), kind, drain)

    async def _peek(self, call: Call, stream: Stream, pump: Pump) -> bytes:
        """The first events, if they come soon: a stream that begins with an error still has its real status. While
        another deployment could be asked, what is no content yet waits with them."""
        first, until = b"", self.timer() + self.limits.stream_peek
        may_go_on = bool(call.spares) or (call.journey is not None and call.journey.may_go_on)
        while not pump.ended and (not first or (may_go_on and not stream.begun)):
            if (chunk := await pump.next_within(until - self.timer())) is None:
                break
            if not first:
                until = min(until, self.timer() + self.limits.stream_hold)
            first += stream.feed(chunk)
            failure = stream.error or (stream.told if may_go_on else None)
            if failure and (not first or (may_go_on and not stream.begun)):
                raise Refused(failure.status, failure)
        if pump.ended and not first:
            if not isinstance(stream, PassedStream):
                raise UpstreamFailed("reset", "the stream ended before its first event")
            first = stream.end()  # an empty file
        elif pump.ended and may_go_on and not stream.begun and not stream.ended:
            raise UpstreamFailed("reset", "the stream ended before its first content")
        if first:
            call.first_token = self.timer() - call.began
        return first

    async def _events(self, call: Call, stream: Stream, pump: Pump, out: bytes) -> AsyncIterator[bytes]:
        """The events for the client, to the end. A stream that is cut ends in an error event, never in [DONE]."""
        try:
            while True:
                if out:
                    if call.first_token is None:
                        call.first_token = self.timer() - call.began
                    if stream.done or pump.ended:  # usage comes after the finish_reason: `ended` would be too early
                        await self.accounts.settle_early(call)
                    yield out
                if stream.done:
                    # the end of the body belongs to the last event: read, the connection can serve another call
                    await pump.next_within(self.limits.stream_end)
                    break
                if stream.error or pump.ended:
                    break
                chunk = await pump.next()
                out = stream.feed(chunk) if chunk is not None else stream.end()
        except UpstreamFailed as error:
            if not stream.ended:
                self.note_failure(call, error.kind, error.detail)
        if failure := _failure(call, stream):
            yield stream.error_event(failure)

    async def _finish(self, call: Call, upstream: UpstreamReply | None, client_closed: bool) -> None:
        if upstream is not None:
            await upstream.close()
        if client_closed and call.outcome == "ok" and (self.limits.drain or not call.complete):
            call.outcome = "client_closed"
        await self.accounts.settle(call)

    def note_failure(self, call: Call, kind: str, detail: str) -> None:
        label = call.deployment.label if call.deployment else ""
        self.log.warning("attempt failed", request_id=call.request.id, deployment=label, reason=kind, detail=detail)


def _failure(call: Call, stream: Stream) -> ApiError | None:
    """What is still to be said of a stream that did not end well; the call's outcome is noted. Raises CutFile."""
    if stream.error:
        call.outcome, call.blameless = "upstream_error", stream.error.status < 500  # the filter, a prompt too long
        return stream.error
    if not stream.ended:
        call.outcome = "upstream_cut"
        if isinstance(stream, PassedStream):
            raise CutFile  # the connection breaks, so that nobody takes what has come for the whole
        return errors.stream_cut()
    if stream.told:
        call.outcome, call.blameless = "upstream_error", stream.told.status < 500
    return None


_OF_FILES = ("content-length", "content-range", "accept-ranges")
"""Headers of a file that passes unchanged. Its name (content-disposition) may hold Azure's own id."""


def _sealed_location(call: Call, place: str, seal: Callable[[str], str]) -> bytes:
    """Where the client finds what was made: below the operation's own address, by an id of ours."""
    upstream_id = place.partition("?")[0].rstrip("/").rpartition("/")[2]
    return f"/v1/{call.endpoint.path}/{seal(unquote(upstream_id))}".encode()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _done() -> None:
    return None


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


def _client_headers(call: Call, upstream: Mapping[str, str]) -> RawHeaders:
    headers = request_id_headers(call.request.id, anthropic=call.endpoint.shape in ANTHROPIC)
    own = call.own_headers()
    headers += own
    limited = any(name.startswith(b"x-ratelimit") for name, _ in own)
    if call.endpoint.target == "model":
        headers.append((b"x-tollgate-tier", (call.capacity or "standard").encode()))
    for name in _PASSED:
        if limited and name.startswith("x-ratelimit"):
            continue  # what Azure grants the gateway says nothing of what the gateway grants its caller
        if (value := upstream.get(name)) is not None:
            headers.append((name.encode(), value.encode("latin-1")))
    return headers
