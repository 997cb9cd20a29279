"""The transport of those who have a proxy on the way out (HTTPS_PROXY): aiohttp, behind the same small interface.

Loaded in that case only: proxies, their credentials and TLS within TLS are aiohttp's business (docs/adr/0012).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Self

import aiohttp
import yarl

from shared.adapters.connection import HEAD_SECONDS
from shared.adapters.dialing import DNS_SECONDS
from shared.adapters.request import Message
from shared.adapters.transport import KEEP_ALIVE_SECONDS
from shared.errors import UpstreamFailed

_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that aiohttp would add by itself: ours are complete."""


class ProxiedTransport:
    """One pool of connections. Used inside one event loop."""

    @functools.cached_property
    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=int(DNS_SECONDS))
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=True,
            skip_auto_headers=_SKIPPED,
        )

    async def handle_async_request(self, message: Message) -> ProxiedAnswer:
        """-> the answer, of which nothing but the head has come. Raises UpstreamFailed, ValueError."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers]
        if message.length is not None and not isinstance(message.body, bytes):
            headers.append(("content-length", str(message.length)))
        try:
            response = await self._session.request(
                message.method,
                yarl.URL(message.target.url, encoded=True),
                data=message.body or None,
                headers=headers,
                allow_redirects=False,
                timeout=_timeout(message.connect, max(message.idle, HEAD_SECONDS)),
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _failure(error) from error
        if message.idle < HEAD_SECONDS:
            _expect(response, message.idle)
        return ProxiedAnswer(response)

    async def aclose(self) -> None:
        if "_session" in self.__dict__:
            await self._session.close()


@functools.lru_cache(maxsize=64)
def _timeout(connect: float, read: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


def _expect(response: aiohttp.ClientResponse, seconds: float) -> None:
    """From now on: aiohttp's own bound on silence holds for the wait for the head as well, which may be long."""
    connection = response.connection
    if connection is not None and (protocol := connection.protocol) is not None:  # else everything is here already
        protocol.read_timeout = seconds
        protocol.start_timeout()


class ProxiedAnswer:
    """An asynchronous iterator of the body's pieces, as they arrive."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _failure(error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """A body that has been read to its end has given its connection back; any other takes its connection along."""
        self._response.close()


def _failure(error: BaseException) -> UpstreamFailed:
    """The most specific of aiohttp's exceptions first."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamFailed("unreachable", "no connection in time")
    if isinstance(error, TimeoutError):
        return UpstreamFailed("timeout", "no byte in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamFailed("unreachable", type(error).__name__)
    return UpstreamFailed("reset", type(error).__name__)
