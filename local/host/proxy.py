"""Streams one request to the worker's web server and its answer back, as the .NET host's forwarder does.

Same path and query, x-ms-invocation-id and X-Forwarded-*, both directions as they come. Knows nothing of functions.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
from yarl import URL

from .body_limit import answer
from .contract import Receive, Scope, Send

ACTIVITY_TIMEOUT = 240.0  # the host's: so long may no byte move
CONNECT_TRIES = 10
_NOT_PASSED = frozenset(
    (
        b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-connection",
        b"expect", b"host", b"x-ms-invocation-id", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for",
    )
)  # fmt: skip
_OURS_ALONE = ("User-Agent", "Content-Type", "Accept", "Accept-Encoding")  # not to be made up by the client library


class _ClientLeft(Exception):
    """Ends the forwarded body unfinished, so that the worker sees a broken request and not a short one."""


class Upstream(Protocol):
    """Where to forward to."""

    http_uri: str
    gone: bool  # it will not come back: no use to connect again


class Proxy:
    """The host's connections to its worker."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),  # uvicorn closes idle ones after 5 s
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=ACTIVITY_TIMEOUT),
        )

    async def close(self) -> None:
        await self._session.close()

    async def forward(
        self, worker: Upstream, invocation_id: str, scope: Scope, receive: Receive, send: Send
    ) -> str | None:
        """Forward one request; why it failed, or None. A client that left is no failure."""
        exchange = _Exchange(self._session, worker, invocation_id, scope, receive, send)
        tasks = [asyncio.create_task(exchange.run()), asyncio.create_task(exchange.watch())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:  # leaving early closes the worker's connection: its generator is cancelled
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        error = None if tasks[0].cancelled() else tasks[0].exception()
        if error is None or exchange.left:
            return None
        if not exchange.started:
            status = 504 if isinstance(error, TimeoutError) else 502
            await answer(send, status)
            return f"{status}: the worker did not answer: {error!r}"
        return f"the worker's answer broke off: {error!r}"  # not completed, so the server drops the connection


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        worker: Upstream,
        invocation_id: str,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._worker = worker
        self._session, self._scope, self._receive, self._send = session, scope, receive, send
        query: str = scope["query_string"].decode("latin-1")
        path: str = scope["raw_path"].decode("latin-1")
        self._url = URL(f"{worker.http_uri}{path}?{query}" if query else worker.http_uri + path, encoded=True)
        self._headers = _forwarded(scope, invocation_id)
        self._has_body = any(k in (b"content-length", b"transfer-encoding") for k, _ in scope["headers"])
        self._body_done = asyncio.Event()
        self._touched = False  # part of the body has been taken, so that it cannot be sent once more
        self.started = self.left = False

    async def run(self) -> None:
        for attempt in range(CONNECT_TRIES):
            try:
                await self._once()
                return
            except aiohttp.ClientConnectorError:
                if self._touched or self._worker.gone or attempt == CONNECT_TRIES - 1:
                    raise
                await asyncio.sleep(random.uniform(0.05, 0.25))  # noqa: S311

    async def _once(self) -> None:
        async with self._session.request(
            self._scope["method"],
            self._url,
            headers=self._headers,
            allow_redirects=False,
            data=self._body() if self._has_body else None,
            skip_auto_headers=_OURS_ALONE,
        ) as reply:
            self.started = True
            headers = [(k.lower(), v) for k, v in reply.raw_headers if k.lower() not in _NOT_PASSED]
            await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
            async for chunk in reply.content.iter_any():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self._send({"type": "http.response.body", "body": b""})

    async def _body(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            self._touched = True
            if message["type"] == "http.disconnect":
                self.left = True
                raise _ClientLeft
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)
        self._body_done.set()

    async def watch(self) -> None:
        """Returns when the client is gone."""
        if self._has_body:
            await self._body_done.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True


def _forwarded(scope: Scope, invocation_id: str) -> list[tuple[str, str]]:
    headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"] if k not in _NOT_PASSED]
    host = next((v for k, v in scope["headers"] if k == b"host"), b"").decode("latin-1")
    client = scope.get("client") or ("127.0.0.1", 0)
    return [
        *headers,
        ("x-ms-invocation-id", invocation_id),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Proto", scope["scheme"]),
        ("X-Forwarded-For", client[0]),
    ]
