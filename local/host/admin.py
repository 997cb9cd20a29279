"""The host's own endpoints under /admin: state, functions, and running one by hand.

Unlike the real host, POST /admin/functions/NAME answers when the function has ended (202, or 500 when it failed),
because a developer and a test want to know. Knows nothing of routes or how functions are run.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from .body_limit import answer
from .contract import Function, Receive, Scope, Send
from .keys import Keys

type RunByHand = Callable[[Function, str], Awaitable[bool]]
_JSON = ((b"content-type", b"application/json"),)


class Admin:
    """Answers for /admin/..., with the master key only."""

    def __init__(self, functions: list[Function], keys: Keys, run: RunByHand) -> None:
        self._functions, self._keys, self._run = functions, keys, run
        self._started = time.monotonic()

    async def answer(self, scope: Scope, path: str, shown: str, receive: Receive, send: Send) -> None:
        if path == "/admin/host/ping":
            await answer(send, 200)
            return
        if self._keys.enforced:
            self._keys.load()  # the first to ask needs a key to exist
            if self._keys.level(shown, None) < 2:
                await answer(send, 401)
                return
        wanted = re.fullmatch(r"/admin/functions/([\w-]+)", path)
        if path == "/admin/host/status":
            uptime = int((time.monotonic() - self._started) * 1000)
            await answer(send, 200, json.dumps({"state": "Running", "processUptime": uptime}).encode(), _JSON)
        elif path == "/admin/functions":
            await answer(send, 200, json.dumps([_described(f) for f in self._functions]).encode(), _JSON)
        elif wanted:
            await self._one(wanted.group(1), scope["method"], receive, send)
        else:
            await answer(send, 404)

    async def _one(self, name: str, method: str, receive: Receive, send: Send) -> None:
        function = next((f for f in self._functions if f.name.lower() == name.lower()), None)
        if function is None or method not in ("GET", "POST"):
            await answer(send, 404)
        elif method == "GET":
            await answer(send, 200, json.dumps(_described(function)).encode(), _JSON)
        elif function.kind == "httpTrigger":
            await answer(send, 400, b"call an HTTP function by its route")
        elif (given := _input(await _body(receive))) is None:
            await answer(send, 400, b'the body must be JSON: {"input": "..."}')
        else:
            await answer(send, 202 if await self._run(function, given) else 500)


def _described(function: Function) -> dict[str, Any]:
    return {"name": function.name, "config": {"bindings": function.bindings}}


def _input(body: bytes) -> str | None:
    """The input for the function; None when the body is no such JSON."""
    try:
        value: Any = json.loads(body or b"{}")
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    given = cast("dict[str, Any]", value).get("input") or ""
    return given if isinstance(given, str) else json.dumps(given)


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
