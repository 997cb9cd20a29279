"""One HTTP request of the OpenAI SDK, answered by the pipeline: into an ApiRequest, and back from a Reply.

Owns time-outs, what an error means to a program that is its own operator, and that every Reply is finished. Knows
neither the SDK nor its HTTP library (sdk.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from shared.adapters.form import MultipartForm, open_form
from shared.adapters.web import takes_form
from shared.client.connections import Made
from shared.client.ports import CALLER, Waiting
from shared.delivery import CutFile
from shared.errors import ApiError
from shared.routes import find
from shared.types import ApiRequest, RawHeaders, Reply


@dataclass(frozen=True, slots=True)
class Question:
    """One request. `patience`: seconds until the answer must have begun, and from each piece of it to the next."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    content_type: str
    body: bytes
    patience: float | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer, or its head with the rest still to come: whoever holds that closes it."""

    status: int
    headers: RawHeaders
    body: bytes | Rest


class NoAnswer(Exception):
    """No upstream has answered, or it has broken off: what is a broken connection to the SDK, which then retries."""

    def __init__(self, kind: Literal["connect", "read", "timeout"], detail: str) -> None:
        super().__init__(detail)
        self.kind: Literal["connect", "read", "timeout"] = kind


async def answered(made: Made, question: Question) -> Answered:
    """Raises NoAnswer; every other error is an answer."""
    try:
        asked = _api_request(question)
    except ApiError as error:
        return _refused(error, "", "")
    try:
        reply = await _relayed(made, asked, question.patience)
    except BaseException as error:
        if asked.form:
            await asked.form.discard()
        if isinstance(error, ApiError):
            return _refused(error, asked.id, made.notes.take(asked.id))
        raise
    finally:
        made.notes.take(asked.id)
    headers = [*reply.headers, (b"content-type", reply.content_type.encode())]
    rest = Rest(reply, asked.form, question.patience)
    if isinstance(reply.body, bytes):
        await rest.close()
        return Answered(reply.status, headers, reply.body)
    made.open.add(rest)
    return Answered(reply.status, headers, rest)


def _api_request(question: Question) -> ApiRequest:
    """Raises ApiError 413 or 415."""
    found = find(question.method, question.path)
    assert found is not None
    assert found.endpoint is not None
    form = None
    if takes_form(found.endpoint, question.content_type):
        size = len(question.body)
        form = open_form(_received(question.body), question.content_type, found.endpoint.body_limit, announced=size)
    return ApiRequest(
        id="req_" + secrets.token_hex(12),
        endpoint=found.endpoint.name,
        method=question.method,
        headers={"content-type": question.content_type},
        path_params=found.params,
        body=b"" if form else question.body,
        query=question.query,
        form=form,
    )


def _received(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _relayed(made: Made, asked: ApiRequest, patience: float | None) -> Reply:
    """Raises ApiError, NoAnswer. Whoever is no longer waited for has its record, as a client who left."""
    caller = Waiting()
    timer = asyncio.get_running_loop().call_later(patience, caller.leave) if patience is not None else None
    work = asyncio.ensure_future(made.gateway.relay(asked, CALLER, caller))
    try:
        return await asyncio.shield(work)
    except ApiError:
        if caller.gone:
            raise NoAnswer("timeout", f"no answer within {patience} s") from None
        raise
    except asyncio.CancelledError:
        caller.leave()
        with contextlib.suppress(ApiError):
            await Rest(await work, asked.form, None).close()  # the answer came at the same moment
        raise
    finally:
        if timer:
            timer.cancel()


_BROKEN: dict[str | None, Literal["connect", "read", "timeout"]] = {
    "upstream_unreachable": "connect",
    "upstream_disconnected": "read",
    "upstream_timeout": "timeout",
}
"""Codes by which the gateway says that it has had no answer."""


def _refused(error: ApiError, request_id: str, detail: str) -> Answered:
    if error.status in (502, 504) and (kind := _BROKEN.get(error.code)):
        raise NoAnswer(kind, detail or error.message) from error
    status = error.status
    if error.code == "upstream_auth_failed":  # a gateway's clients cannot help it; here it is the caller's credential
        status, error.type = 401, "invalid_request_error"
        why = f" ({detail})" if detail and detail != error.code else ""
        error.message = f"The credential of this call was not accepted, or no token could be had for it{why}."
    headers = {**error.headers, "content-type": "application/json", "x-request-id": request_id}
    return Answered(status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], error.body())


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
        self._loop = asyncio.get_running_loop()

    async def next(self) -> bytes | None:
        """-> the next chunk, None at the end. Raises NoAnswer."""
        assert not isinstance(self._chunks, bytes)
        try:
            async with asyncio.timeout(self._patience):
                return await anext(self._chunks)
        except StopAsyncIteration:
            self._whole = not self._closed
            return None
        except TimeoutError:
            raise NoAnswer("timeout", f"no byte within {self._patience} s") from None
        except CutFile as error:
            raise NoAnswer("read", "the answer was cut off") from error

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with contextlib.suppress(RuntimeError):  # somebody is reading just now, and will find it closed
                await getattr(self._chunks, "aclose", _nothing)()
        finally:
            await self._finish(not self._whole)
            if self._form:
                await self._form.discard()

    def abandon(self) -> None:
        """Nobody holds the answer any more. Called by the garbage collector, in whatever thread."""
        if not self._closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ending = self._loop.create_task(self.close())


async def _nothing() -> None:
    return None
