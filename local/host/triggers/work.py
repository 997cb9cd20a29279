"""The tasks that listeners start: kept until they end, so that stopping can wait for what is under way.

Knows nothing of what the tasks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from ..contract import Function


class Work:
    """Invocations under way. Unlike the listeners' loops they may go on for the grace when the host stops."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start[T](self, what: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, limit: float) -> None:
        """Let them end within the limit; cancel the others and let them clean up."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=max(limit, 0.01))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


class Listener(Protocol):
    """One function's trigger."""

    function: Function

    def describe(self) -> str:
        """The line printed at start. HostError when a setting is missing or wrong."""
        ...

    async def run(self) -> None:
        """Forever: look for work and start it."""
        ...

    async def by_hand(self, given: str) -> bool:
        """Run once with this input, as /admin/functions/NAME asks; whether it succeeded."""
        ...
