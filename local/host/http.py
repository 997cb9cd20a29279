"""The host's front door, an ASGI application: routing, keys, limits, then the worker.

Knows the platform's HTTP rules, and nothing of how the worker runs the app or where the bytes come from.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from .admin import Admin
from .body_limit import BodyLimit, answer
from .classic import whole_request
from .contract import Function, Outcome, Receive, Scope, Send, Worker
from .keys import Keys
from .route_table import RouteTable
from .running import Running
from .settings import Settings

log = logging.getLogger("local.host")
type WriteOutputs = Callable[[Function, Outcome, dict[str, str]], Awaitable[None]]


class Front:
    """One request after another to the function whose route it matches."""

    def __init__(
        self,
        routes: RouteTable,
        worker: Worker,
        keys: Keys,
        settings: Settings,
        admin: Admin,
        running: Running,
        write_outputs: WriteOutputs,
    ) -> None:
        self._find, self._worker, self._keys, self._admin = routes.find, worker, keys, admin
        self._most_body, self._most_at_once = settings.body_limit, settings.most_at_once
        self._running, self._write_outputs = running, write_outputs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["raw_path"].decode("latin-1")
        if path.startswith("/admin/"):
            await self._admin.answer(scope, path, self._shown_key(scope), receive, send)
            return
        found = self._find(scope["method"], path)
        if found is None:
            await answer(send, 404)
            return
        route, params = found
        if route.level and self._keys.enforced:
            level = self._keys.level(self._shown_key(scope), route.function.name)
            if level < route.level:
                await answer(send, 401)
                return
        refused, counted = self._body_of(scope)
        if refused or 0 <= self._most_at_once <= len(self._running):
            await answer(send, refused or 429)
            return
        if counted:
            limit = BodyLimit(self._most_body, receive, send)
            receive, send = limit.receive, limit.send
        await self._run(route.function, params, scope, receive, send)

    def _body_of(self, scope: Scope) -> tuple[int, bool]:
        """(the status to refuse with or 0, whether the body has to be counted as it comes)."""
        counted = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                try:
                    return (413 if int(value) > self._most_body else 0), False
                except ValueError:
                    return 400, False
            if name == b"transfer-encoding":
                counted = True
        return 0, counted

    def _shown_key(self, scope: Scope) -> str:
        """The key of the request: the header first, then `?code=`."""
        for name, value in scope["headers"]:
            if name == b"x-functions-key" and value:
                return value.decode("latin-1")
        query: bytes = scope["query_string"]
        return parse_qs(query.decode("latin-1")).get("code", [""])[0] if b"code=" in query else ""

    async def _run(
        self, function: Function, params: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        number = self._running.begin(function.name)
        try:
            if not function.streaming:
                outcome = await whole_request(self._worker, function, params, scope, receive, send)
            else:
                outcome = await self._worker.http(function, params, scope, receive, send)
        except asyncio.CancelledError:
            if not self._running.is_overdue(number):
                raise
            outcome = Outcome("the function ran longer than functionTimeout")
        finally:
            took = self._running.end(number)
        if outcome.failure:
            log.error("Executed '%s' (Failed, %.0f ms)\n%s", function.name, took * 1e3, outcome.failure.rstrip())
        elif log.isEnabledFor(logging.INFO):
            log.info("Executed '%s' (Succeeded, %.0f ms)", function.name, took * 1e3)
        if outcome.outputs:
            await self._write_outputs(function, outcome, params)
