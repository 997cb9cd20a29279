"""HTTP to the deployments (ports.Upstream), and the only place where a credential meets a request.

httpx's request, response and transport interface over aiohttp's connections, without httpx's client layer: cookies,
redirects and its own authentication are things that a gateway must not do, and cost five times the transport's CPU
(docs/adr/0001). Headers are built from nothing: no header of a client reaches an upstream.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from shared.errors import UpstreamFailed
from shared.ports import Secrets, Tokens
from shared.types import UpstreamReply, UpstreamRequest

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 300.0
"""Longest silence inside an answer: above the 240 s after which the Functions proxy gives up on us."""
KEEP_ALIVE_SECONDS = 60.0
_BASE_HEADERS = [
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
    (b"accept-encoding", b"identity"),  # what is relayed must not have to be unpacked first
    (b"user-agent", b"tollgate/0.1"),
]
_EXTENSIONS = {"timeout": {"connect": CONNECT_SECONDS, "read": IDLE_SECONDS}}


class HttpUpstream:
    """One pool of connections for the process. Made inside the running loop."""

    def __init__(self, tokens: Tokens, secrets: Secrets, *, use_proxy: bool = False) -> None:
        self._tokens = tokens
        self._secrets = secrets
        self._use_proxy = use_proxy

    @functools.cached_property
    def _transport(self) -> AiohttpTransport:
        context = ssl.create_default_context()
        return AiohttpTransport(verify=context, client=self._session(context))

    def _session(self, context: ssl.SSLContext) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=60)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=self._use_proxy
        )

    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        if timeout is None:
            return await self._open_signed(request)
        try:
            async with asyncio.timeout(timeout):
                return await self._open_signed(request)
        except TimeoutError as error:
            raise UpstreamFailed("timeout", f"no answer within {timeout} s") from error

    async def _open_signed(self, request: UpstreamRequest) -> UpstreamReply:
        """Once more with a fresh token when the first was refused: it may have been revoked or replaced."""
        credential = request.credential
        if credential.kind == "api_key":
            return await self._send(request, await self._key(request))
        token = await self._tokens.get(credential)
        reply = await self._send(request, _bearer(token))
        if reply.status != 401:
            return reply
        self._tokens.refuse(credential, token)
        renewed = await self._tokens.get(credential)
        if renewed == token:
            return reply
        await reply.close()
        return await self._send(request, _bearer(renewed))

    async def _key(self, request: UpstreamRequest) -> tuple[bytes, bytes]:
        secret = request.credential.secret
        key = await self._secrets.get(secret.vault_name) if secret.vault_name else secret.reveal()
        return (b"api-key", key.encode()) if request.auth_header == "api-key" else _bearer(key)

    async def _send(self, request: UpstreamRequest, auth: tuple[bytes, bytes]) -> UpstreamReply:
        message = httpx.Request(
            request.method,
            _url(request.url),
            headers=[*_BASE_HEADERS, auth],
            content=request.body,
            extensions=_EXTENSIONS,
        )
        try:
            response = await self._transport.handle_async_request(message)
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise _failure(error) from error
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        return UpstreamReply(
            status=response.status_code,
            headers={k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers.raw},
            chunks=_chunks(stream),
            close=stream.aclose,
        )

    async def close(self) -> None:
        if "_transport" in self.__dict__:
            await self._transport.aclose()


def _bearer(token: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token.encode()


@functools.lru_cache(maxsize=1024)
def _url(url: str) -> httpx.URL:
    return httpx.URL(url)


async def _chunks(stream: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    try:
        async for chunk in stream:
            yield chunk
    except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
        raise _failure(error) from error


def _failure(error: BaseException) -> UpstreamFailed:
    """By aiohttp's own exception where there is one: the transport takes any lost connection for a time-out."""
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError | TimeoutError) else error
    detail = type(cause).__name__
    if isinstance(cause, TimeoutError | httpx.ReadTimeout):
        return UpstreamFailed("timeout", detail)
    if isinstance(cause, aiohttp.ClientConnectorError | httpx.ConnectError | ssl.SSLError):
        return UpstreamFailed("unreachable", f"{detail}: {cause}")
    return UpstreamFailed("reset", detail)
