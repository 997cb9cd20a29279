"""The gateway as a transport of the OpenAI SDK: its HTTP requests are answered by the pipeline, and no socket is opened.

So the SDK's own code makes bodies and forms, parses answers and streams, raises its exceptions and retries. Owns the
way from an httpx request to an ApiRequest and back from a Reply, time-outs, and that every Reply is finished.
"""

from __future__ import annotations

import asyncio
import secrets
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol

import httpx

from shared.adapters.form import MultipartForm, open_form
from shared.adapters.web import takes_form
from shared.client.connections import Made
from shared.client.ports import CALLER, Waiting
from shared.delivery import CutFile
from shared.errors import ApiError
from shared.routes import find
from shared.types import ApiRequest, Reply


class Loop(Protocol):
    """An event loop of another thread."""

    def run[T](self, work: Coroutine[Any, Any, T]) -> T: ...


class AsyncGateway(httpx.AsyncBaseTransport):
    """For clients that live on the gateway's own event loop."""

    def __init__(self, made: Made) -> None:
        self._made = made

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await _answered(self._made, request, await request.aread(), _AsyncBody)


class SyncGateway(httpx.BaseTransport):
    """For clients of other threads: the work is done on the gateway's event loop, and waited for."""

    def __init__(self, made: Made, loop: Loop) -> None:
        self._made = made
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        return self._loop.run(_answered(self._made, request, body, lambda rest: _SyncBody(rest, self._loop)))


async def _answered(made: Made, request: httpx.Request, body: bytes, stream: Callable[[Rest], Any]) -> httpx.Response:
    """Raises httpx.TransportError where no upstream has answered: the SDK then retries, or says so."""
    asked = _api_request(request, body)
    patience: float | None = request.extensions.get("timeout", {}).get("read")
    try:
        reply = await _relayed(made, asked, patience)
    except BaseException as error:
        if asked.form:
            await asked.form.discard()
        if isinstance(error, ApiError):
            return _refused(error, asked.id, made.notes.take(asked.id))
        raise
    finally:
        made.notes.take(asked.id)
    headers = [*reply.headers, (b"content-type", reply.content_type.encode())]
    rest = Rest(reply, asked.form, patience)
    if isinstance(reply.body, bytes):
        await rest.close()
        return httpx.Response(reply.status, headers=headers, content=reply.body)
    return httpx.Response(reply.status, headers=headers, stream=stream(rest))


def _api_request(request: httpx.Request, body: bytes) -> ApiRequest:
    path = request.url.raw_path.partition(b"?")[0].decode()
    found = find(request.method, path)
    assert found is not None
    assert found.endpoint is not None
    content_type = request.headers.get("content-type", "")
    form = None
    if takes_form(found.endpoint, content_type):
        form = open_form(_received(body), content_type, found.endpoint.body_limit, announced=len(body))
    return ApiRequest(
        id="req_" + secrets.token_hex(12),
        endpoint=found.endpoint.name,
        method=request.method,
        headers={"content-type": content_type},
        path_params=found.params,
        body=b"" if form else body,
        query=tuple(request.url.params.multi_items()),
        form=form,
    )


def _received(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _relayed(made: Made, asked: ApiRequest, patience: float | None) -> Reply:
    """Raises ApiError, httpx.ReadTimeout."""
    caller = Waiting()
    timer = asyncio.get_running_loop().call_later(patience, caller.leave) if patience is not None else None
    try:
        return await made.gateway.relay(asked, CALLER, caller)
    except ApiError:
        if caller.gone:
            raise httpx.ReadTimeout(f"no answer within {patience} s") from None
        raise
    finally:
        if timer:
            timer.cancel()


_BROKEN: dict[str | None, type[httpx.TransportError]] = {
    "upstream_unreachable": httpx.ConnectError,
    "upstream_disconnected": httpx.ReadError,
    "upstream_timeout": httpx.ReadTimeout,
}
"""Errors by which the gateway says that it has had no answer: to a program they are what they are."""


def _refused(error: ApiError, request_id: str, detail: str) -> httpx.Response:
    if error.status in (502, 504) and (broken := _BROKEN.get(error.code)):
        raise broken(detail or error.message) from error
    status = error.status
    if error.code == "upstream_auth_failed":  # a gateway's clients cannot help it; here it is the caller's credential
        status = 401
        error.message = "The credential of this call was not accepted, or no token could be had for it." + (
            f" ({detail})" if detail and not detail.startswith("upstream_") else ""
        )
    headers = {**error.headers, "content-type": "application/json", "x-request-id": request_id}
    return httpx.Response(status, headers=headers, content=error.body())


class Rest:
    """What is still to come of a reply, and its end: finished once, whoever ends it."""

    def __init__(self, reply: Reply, form: Any, patience: float | None) -> None:
        self._chunks = reply.body
        self._finish = reply.finish
        self._form: MultipartForm | None = form
        self._patience = patience
        self._whole = isinstance(reply.body, bytes)
        self._closed = False
        self._ending: asyncio.Task[None] | None = None
        self.loop = asyncio.get_running_loop()

    async def next(self) -> bytes | None:
        """-> the next chunk, None at the end. Raises httpx.TransportError."""
        assert not isinstance(self._chunks, bytes)
        try:
            async with asyncio.timeout(self._patience):
                return await anext(self._chunks)
        except StopAsyncIteration:
            self._whole = True
            return None
        except TimeoutError:
            raise httpx.ReadTimeout(f"no byte within {self._patience} s") from None
        except CutFile as error:
            raise httpx.ReadError("the answer was cut off") from error

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if not isinstance(self._chunks, bytes):
                await self._chunks.aclose()  # type: ignore[attr-defined]  # a generator, as delivery.py makes it
        finally:
            await self._finish(not self._whole)
            if self._form:
                await self._form.discard()

    def abandon(self) -> None:
        """Nobody holds the answer any more. Called by the garbage collector, in whatever thread."""
        if not self._closed and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ending = self.loop.create_task(self.close())


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        weakref.finalize(self, rest.abandon).atexit = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._rest.next()) is not None:
            yield chunk

    async def aclose(self) -> None:
        await self._rest.close()


class _SyncBody(httpx.SyncByteStream):
    def __init__(self, rest: Rest, loop: Loop) -> None:
        self._rest = rest
        self._loop = loop
        weakref.finalize(self, rest.abandon).atexit = False

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self._loop.run(self._rest.next())) is not None:
            yield chunk

    def close(self) -> None:
        self._loop.run(self._rest.close())
