"""Work that an old route only accepts (202): its operation is asked for until it has ended.

Azure's image routes of 2023 answer with `operation-location`; the result then is in the operation's `result`.
Source: Azure OpenAI REST reference 2023-06-01-preview, "Submit an image generation".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

from shared.catalog import Deployment
from shared.errors import UpstreamFailed
from shared.ports import Upstream
from shared.pump import read_all
from shared.types import UpstreamReply, UpstreamRequest

_USUAL_WAIT = 2.0
_LONGEST_WAIT = 10.0
_LIMIT = 1024 * 1024


async def poll(
    accepted: UpstreamReply,
    deployment: Deployment,
    upstream: Upstream,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> UpstreamReply:
    """-> the result, as if it had been the answer. Raises UpstreamFailed. The caller's time limit ends the waiting."""
    await read_all(accepted, _LIMIT)
    url = _here(accepted.headers["operation-location"], deployment.root)
    wait = _wait(accepted)
    while True:
        await sleep(wait)
        request = UpstreamRequest("GET", url, b"", deployment.credential, deployment.surface.auth_header, "")
        reply = await upstream.open(request, deployment.timeout)
        body = await read_all(reply, _LIMIT)
        if reply.status >= 400:
            return _reply(reply.status, reply, body)
        try:
            found: Any = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UpstreamFailed("reset", "the operation's state is not JSON") from error
        status = str(found.get("status", "")).lower() if isinstance(found, dict) else ""
        if status == "succeeded":
            return _reply(200, reply, orjson.dumps(found.get("result") or {}))
        if status not in ("notrunning", "running", ""):
            return _reply(400, reply, orjson.dumps({"error": found.get("error") or {"code": status}}))
        wait = _wait(reply)


def _here(location: str, root: str) -> str:
    """-> the operation's URL, at the deployment's own host and no other: the credential goes along.

    Raises UpstreamFailed. The host is taken from the configuration, so that two readings of one URL make no difference.
    """
    own = urlsplit(root)
    try:
        found = urlsplit(location)
        same = (found.scheme, found.hostname, found.port) == (own.scheme, own.hostname, own.port)
    except ValueError as error:
        raise UpstreamFailed("reset", "the operation's address is not valid") from error
    if not same:
        raise UpstreamFailed("reset", "the operation is at another host")
    return own._replace(path=found.path, query=found.query, fragment="").geturl()


def _wait(reply: UpstreamReply) -> float:
    """Seconds, as Retry-After says within reason."""
    text = reply.headers.get("retry-after") or ""
    return min(float(text), _LONGEST_WAIT) if text.isdigit() and int(text) else _USUAL_WAIT


def _reply(status: int, like: UpstreamReply, body: bytes) -> UpstreamReply:
    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async def close() -> None:
        return None

    return UpstreamReply(status, {**like.headers, "content-type": "application/json"}, chunks(), close)
