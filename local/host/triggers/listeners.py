"""All listeners of the app: started together, kept going, stopped in two steps.

Knows which kinds of trigger there are; nothing of how each works.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from ..contract import Function, HostError, Outcome, Worker, WorkerFailure
from ..running import Running
from ..settings import Settings, is_disabled
from .bindings import Invoker
from .blob import BlobListener
from .queue import QueueListener
from .timer import TimerListener
from .work import Listener, Work

log = logging.getLogger("local.host")
RETRY = 2.0
KINDS: Mapping[str, Callable[[Function, Invoker, Work], Listener]] = {
    "queueTrigger": QueueListener,
    "timerTrigger": TimerListener,
    "blobTrigger": BlobListener,
}


class Listeners:
    """Everything that runs functions without a request, and running one by hand."""

    def __init__(self, worker: Worker, functions: list[Function], settings: Settings, running: Running) -> None:
        self._invoker, self._work = Invoker(worker, settings, running), Work()
        self._listeners = {f.name: KINDS[f.kind](f, self._invoker, self._work) for f in functions if f.kind in KINDS}
        self._others = [f for f in functions if f.kind not in KINDS and f.kind != "httpTrigger"]
        self._loops: list[asyncio.Task[None]] = []

    def describe(self) -> list[str]:
        """A line for each listener; a HostError for what cannot work."""
        lines = [
            each.describe() + (" (disabled)" if is_disabled(name) else "") for name, each in self._listeners.items()
        ]
        return lines + [f"{f.name}: {f.kind or 'no trigger'} (this host runs it by hand only)" for f in self._others]

    def start(self) -> None:
        for name, each in self._listeners.items():
            if not is_disabled(name):
                self._loops.append(asyncio.create_task(self._forever(each), name=f"listener of {name}"))

    async def _forever(self, listener: Listener) -> None:
        """A listener that fails (storage not there yet, mostly) starts again; it says the same thing once."""
        said = ""
        while True:
            try:
                await listener.run()
            except Exception as error:
                text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                if text != said:
                    log.error("The listener of '%s' failed and is tried again: %s", listener.function.name, text)
                    log.debug("in full", exc_info=error)
                said = text
                await asyncio.sleep(RETRY)

    def stop_taking(self) -> None:
        """No new work from here on."""
        for loop in self._loops:
            loop.cancel()

    async def finish(self, limit: float) -> None:
        """Let what is under way end within the limit, then close everything."""
        self.stop_taking()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._work.finish(limit)
        await self._invoker.storage.close()

    async def write_outputs(self, function: Function, outcome: Outcome, params: dict[str, str]) -> None:
        """The output bindings of an HTTP function, whose answer has gone out."""
        try:
            await self._invoker.write_outputs(function, outcome.outputs, params)
        except (HostError, WorkerFailure) as error:
            log.error("The outputs of '%s' could not be written: %s", function.name, error)
        except Exception:
            log.exception("The outputs of '%s' could not be written", function.name)

    async def by_hand(self, function: Function, given: str) -> bool:
        listener = self._listeners.get(function.name)
        if listener is None:
            return await self._invoker.invoke(function, ("string", given))
        try:
            return await listener.by_hand(given)
        except HostError as error:
            log.error("%s", error)
            return False
