"""The least that a gateway does, as a floor under every figure: a bare ASGI app on uvicorn with aiohttp as its client.

It parses the JSON body, looks up the model, rewrites the URL, attaches the key, relays the answer as it comes and
reads the usage. No authentication, limits, retries, ledger or Functions worker. It runs on asyncio's own loop, as the
worker does.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

import aiohttp
import orjson
import uvicorn

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Floor:
    """The ASGI app: one model, one deployment."""

    def __init__(self, upstream: str) -> None:
        self.models = {
            "gpt-4o": f"{upstream}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        }
        self.session: aiohttp.ClientSession | None = None
        self.tokens = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message.get("body", b"")
        url = self.models.get(orjson.loads(body).get("model")) if body else None
        if url is None:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        await self.relay(url, body, send)

    async def relay(self, url: str, body: bytes, send: Send) -> None:
        assert self.session is not None
        own = {"api-key": "k", "content-type": "application/json"}
        async with self.session.post(url, data=body, headers=own) as reply:
            kind = reply.headers["content-type"].encode()
            headers = [(b"content-type", kind)]
            start = {"type": "http.response.start", "status": reply.status, "headers": headers}
            if not kind.startswith(b"text/event-stream"):
                answer = await reply.read()
                self.tokens += orjson.loads(answer)["usage"]["total_tokens"]
                headers.append((b"content-length", str(len(answer)).encode()))
                await send(start)
                await send({"type": "http.response.body", "body": answer})
                return
            await send(start)
            async for chunk in reply.content.iter_any():
                if b'"usage":{' in chunk:
                    self.tokens += orjson.loads(b'{"usage":' + chunk.split(b'"usage":')[-1].split(b"\n")[0])["usage"][
                        "total_tokens"
                    ]
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.session.close()
        await send({"type": "lifespan.shutdown.complete"})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--upstream", required=True)
    given = arguments.parse_args()
    config = uvicorn.Config(
        Floor(given.upstream),
        "127.0.0.1",
        given.port,
        http="httptools",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
