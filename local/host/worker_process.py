"""The worker as in Azure: a process of its own with its own web server, restarted when it ends unexpectedly.

Owns the restarts and what requests are told meanwhile. Knows nothing of routes, keys or triggers.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from .body_limit import answer
from .child_process import ChildProcess, exit_reason
from .contract import Function, HostError, Outcome, Receive, Scope, Send, Typed, WorkerFailure, WorkerGone
from .proxy import Proxy
from .worker import invocation_ids

log = logging.getLogger("local.host")
MOST_TRIES = 5
HEALTHY = 30.0  # seconds after which an end counts as a new story
LONGEST_DELAY = 4.0


class WorkerProcess:
    """Keeps one child running, and talks to whichever it is."""

    def __init__(self, grace: float, restarted: Callable[[int], None], give_up: Callable[[str], None]) -> None:
        self._grace, self._restarted, self._give_up = grace, restarted, give_up
        self._app_dir = ""
        self._child: ChildProcess | None = None
        self._ready = asyncio.Event()
        self._stopping = self._ordered = False
        self._keeper: asyncio.Task[None] | None = None
        self._proxy: Proxy | None = None
        self._ids, self._id_head = invocation_ids(), str(uuid.uuid4())[:24]
        self.pid = 0

    async def start(self, app_dir: str) -> list[Function]:
        self._app_dir = app_dir
        self._proxy = Proxy()
        child = await ChildProcess.start(app_dir, self._grace)
        self._use(child)
        self._keeper = asyncio.create_task(self._keep(child))
        return child.functions

    def _use(self, child: ChildProcess) -> None:
        self._child, self.pid = child, child.process.pid
        self._ready.set()

    async def _keep(self, child: ChildProcess) -> None:
        """Restart the child whenever it ends, with growing delays; give up when it never lasts."""
        tries = 0
        while True:
            code = await child.ended()
            self._child = None
            self._ready.clear()
            if self._stopping:
                return
            if not self._ordered:
                log.error("The worker process %d ended unexpectedly (%s).", child.process.pid, exit_reason(code))
            tries = 0 if self._ordered or time.monotonic() - child.began > HEALTHY else tries
            found = await self._again(tries, child.functions)
            if found is None:
                self._give_up(f"The worker process did not stay up in {MOST_TRIES} tries; see above for why.")
                return
            child, tries = found

    async def _again(self, tries: int, before: list[Function]) -> tuple[ChildProcess, int] | None:
        while tries < MOST_TRIES:
            tries += 1
            delay = 0.0 if self._ordered else min(0.25 * 2 ** (tries - 1), LONGEST_DELAY)
            self._ordered = False
            log.warning("Starting the worker process again in %g s (try %d of %d).", delay, tries, MOST_TRIES)
            await asyncio.sleep(delay)
            try:
                child = await ChildProcess.start(self._app_dir, self._grace)
            except HostError as error:
                log.error("%s", error)
                continue
            if [f.bindings for f in child.functions] != [f.bindings for f in before]:
                log.warning("The app's functions have changed; start the host anew to use the new ones.")
            self._use(child)
            log.warning("The worker process is back as %d.", child.process.pid)
            self._restarted(child.process.pid)
            return child, tries
        return None

    def restart(self, reason: str) -> None:
        """End the child now, with all that runs in it, and start another: what the host does on a timeout."""
        child = self._child
        if child is None or self._ordered:
            return
        log.error("%s. Restarting the worker process; all its streams end.", reason)
        self._ordered = True
        child.process.kill()

    async def http(
        self, function: Function, params: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> Outcome:
        child = self._child
        if child is None:
            await answer(send, 503, b"the worker process is being restarted", ((b"retry-after", b"1"),))
            return Outcome("503: the worker process is being restarted")
        invocation_id = f"{self._id_head}{next(self._ids):012x}"
        reply = child.ask_later("http", invocation_id, function.id, params)
        assert self._proxy is not None
        failure = await self._proxy.forward(child, invocation_id, scope, receive, send)
        try:
            failed, outputs = await reply
        except WorkerFailure as error:
            return Outcome(failure or str(error))
        return Outcome(failed or failure, outputs)

    async def call(self, function: Function, inputs: dict[str, Typed], metadata: dict[str, Typed]) -> dict[str, Typed]:
        await self._ready.wait()
        child = self._child
        if child is None:
            raise WorkerGone("the worker process has ended")
        result: dict[str, Any] = await child.ask("call", function.id, inputs, metadata)
        return result

    async def stop(self) -> None:
        self._stopping = True
        if self._child is not None:
            await self._child.stop(self._grace)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._child is not None and self._child.process.returncode is None:  # born while we were stopping
            await self._child.kill()
        if self._proxy is not None:
            await self._proxy.close()
