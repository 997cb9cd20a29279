"""What Azure's SDKs send their requests with: the gateway's own transport behind azure-core's interface.

azure-core would take aiohttp, which costs a cold start 100 ms of CPU (docs/adr/0015). Owns how a request of azure-core
becomes one of ours, and our failures its errors. Retries, tokens and signatures are policies of the SDK's pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, Self

from azure.core.exceptions import (
    AzureError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import AsyncHttpTransport

# not public by its name, but what transports outside of azure-core are built on; requirements.txt pins azure-core
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl  # pyright: ignore[reportPrivateUsage]
from azure.core.utils import case_insensitive_dict
from yarl import URL

from shared.adapters.answer import Answer
from shared.adapters.request import Message, Target, target_of
from shared.adapters.transport import Transport
from shared.errors import UpstreamFailed

_OURS = frozenset({"host", "content-length", "transfer-encoding"})
"""Headers that follow from the rest of a request."""


class SdkTransport(AsyncHttpTransport[Any, Any]):
    """One pool of connections for the event loop that uses it. It goes through no proxy."""

    def __init__(self, connect: float, read: float) -> None:
        """connect: seconds until there must be a connection; read: of silence after which an answer is given up."""
        self._connect, self._read = connect, read
        self._pool: Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> SdkResponse:
        """Raises azure.core's ServiceRequestError (which its policies repeat) and ServiceResponseTimeoutError."""
        connect = min(self._connect, options.get("connection_timeout", self._connect))
        read = min(self._read, options.get("read_timeout", self._read))
        message = _message(request, connect, read)
        try:
            async with asyncio.timeout(connect + read):
                answer = await self._own().handle_async_request(message)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError("no answer in time", error=error) from error
        except UpstreamFailed as failed:
            raise _failure(failed) from failed
        response = SdkResponse(request, answer)
        if not stream:
            try:
                await response.read()
            except BaseException:
                await response.close()
                raise
        return response

    def _own(self) -> Transport:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            self._pool, self._loop = Transport(), loop
        return self._pool

    async def open(self) -> None:
        """Connections are made when they are needed."""

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and self._loop is asyncio.get_running_loop():
            await pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Body:
    """What azure-core calls the transport's own response: it closes it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def close(self) -> None:
        await self.answer.aclose()


class SdkResponse(AsyncHttpResponseImpl):
    """azure.core.rest.AsyncHttpResponse."""

    def __init__(self, request: Any, answer: Answer) -> None:
        headers = case_insensitive_dict(dict(answer.headers))
        super().__init__(
            request=request,
            internal_response=_Body(answer),
            status_code=answer.status,
            headers=headers,
            reason=_reason(answer.status),
            content_type=headers.get("content-type"),
            stream_download_generator=_pieces,
        )

    def body(self) -> bytes:
        """azure-core's older name, by which it takes an answer to a transaction apart."""
        return self.content


async def _pieces(response: Any, **_: Any) -> AsyncIterator[bytes]:
    """Nothing is compressed: nobody asked for it."""
    try:
        async for piece in response._internal_response.answer:
            yield piece
    except UpstreamFailed as failed:
        if failed.kind == "timeout":
            raise _failure(failed) from failed
        raise IncompleteReadError(str(failed), error=failed) from failed


def _message(request: Any, connect: float, read: float) -> Message:
    headers = [
        (name.encode("latin-1"), str(value).encode("latin-1"))
        for name, value in request.headers.items()
        if name.lower() not in _OURS
    ]
    data = request.data or b""
    if isinstance(data, str):
        data = data.encode()
    if not isinstance(data, bytes) or request.files:
        raise ValueError("this transport sends bodies that are held in memory")
    return Message(request.method, _target(request.url), headers, data, None, connect, read)


def _target(url: str) -> Target:
    """The SDK for tables signs the path as yarl spells it."""
    return target_of.__wrapped__(str(URL(url)))


def _failure(failed: UpstreamFailed) -> AzureError:
    if failed.kind == "timeout":
        return ServiceResponseTimeoutError(str(failed), error=failed)
    return ServiceRequestError(str(failed), error=failed)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
