"""httpx's transport interface over aiohttp's connections, without anything that a gateway has no use for.

A third of the CPU of httpx_aiohttp's transport and a tenth of httpx's own (docs/adr/0001): no URL is parsed twice, no
time-out built per call, no cookie, redirect or decompression. A request names its target as a yarl.URL in the extension
`target` and its time-outs in `patience`; an answer gives its headers as a case-insensitive mapping in the extension
`headers`.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, AsyncIterator

import aiohttp
import httpx
import yarl

HEAD_SECONDS = 300.0
"""Longest silence before an answer, for whoever sets no bound of his own: above the 240 s after which the Functions
proxy gives up on us."""
KEEP_ALIVE_SECONDS = 60.0
DNS_SECONDS = 60

_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that aiohttp would add by itself: ours are complete."""


class Message(httpx.Request):
    """A request whose parts are ready. httpx's own constructor looks each header up to add host and length, which
    aiohttp does anyway: a fifth of the cost of a whole call."""

    def __init__(  # pyright: ignore[reportMissingSuperCall]
        self,
        method: str,
        url: httpx.URL,
        target: yarl.URL,
        headers: list[tuple[bytes, bytes]],
        body: bytes | AsyncIterable[bytes],
        patience: tuple[float, float],
    ) -> None:
        """patience: seconds until there must be a connection, and of silence within the answer."""
        self.method = method
        self.url = url
        self.headers = httpx.Headers(headers)
        self.extensions = {"target": target, "body": body or None, "patience": patience}
        if isinstance(body, bytes):
            self.stream = httpx.ByteStream(body)
            self._content = body


class Transport(httpx.AsyncBaseTransport):
    """One pool of connections. Used inside one event loop."""

    def __init__(self, *, use_proxy: bool = False) -> None:
        self._use_proxy = use_proxy

    @functools.cached_property
    def _session(self) -> aiohttp.ClientSession:
        # certificates are checked by the context that aiohttp makes at import; another would cost 40 ms of every start
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_SECONDS)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=self._use_proxy,
            skip_auto_headers=_SKIPPED,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.TransportError's children, as every transport does."""
        connect, idle = request.extensions["patience"]
        try:
            response = await self._session.request(
                request.method,
                request.extensions["target"],
                data=request.extensions["body"],
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                allow_redirects=False,
                timeout=_timeout(connect, max(idle, HEAD_SECONDS)),
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _mapped(error) from error
        if idle < HEAD_SECONDS:
            _expect(response, idle)
        return httpx.Response(response.status, stream=_Body(response), extensions={"headers": response.headers})

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


class _Body(httpx.AsyncByteStream):
    """An answer's body, in the pieces in which it arrives."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _mapped(error) from error

    async def aclose(self) -> None:
        """A body that has been read to its end has given its connection back; any other takes its connection along."""
        self._response.close()


def _mapped(error: BaseException) -> httpx.TransportError:
    """aiohttp's exceptions in httpx's words, the most specific first."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout("no connection in time")
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no byte in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError(str(error))
    return httpx.ReadError(type(error).__name__)
