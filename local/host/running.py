"""The invocations under way: how many, since when, and which have outlived functionTimeout.

One sweep a second looks for overdue ones, so that a request does not pay for a timer of its own.
Knows nothing of what an invocation does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

log = logging.getLogger("local.host")


class Running:
    """All invocations of the app that have begun and not ended."""

    def __init__(self, limit: float | None, restart_worker: Callable[[str], None] | None) -> None:
        self._limit, self._restart = limit, restart_worker
        self._began: dict[int, tuple[float, asyncio.Task[object] | None, str]] = {}
        self._overdue: set[int] = set()
        self._next = 0

    def __len__(self) -> int:
        return len(self._began)

    def begin(self, function: str) -> int:
        self._next = number = self._next + 1
        self._began[number] = (monotonic(), asyncio.current_task(), function)
        return number

    def end(self, number: int) -> float:
        """Seconds that it took."""
        self._overdue.discard(number)
        return monotonic() - self._began.pop(number)[0]

    def is_overdue(self, number: int) -> bool:
        return number in self._overdue

    async def sweep(self) -> None:
        """Forever: stop what runs longer than functionTimeout. The real host restarts the whole worker for it."""
        while self._limit is not None:
            await asyncio.sleep(min(1.0, self._limit / 4))
            late = monotonic() - self._limit
            for number, (began, task, function) in list(self._began.items()):
                if began < late and number not in self._overdue:
                    self._overdue.add(number)
                    self._stop(task, function)

    def _stop(self, task: asyncio.Task[object] | None, function: str) -> None:
        said = f"Timeout value of {self._limit:g} s was exceeded by function '{function}'"
        if self._restart is not None:
            self._restart(said)
        else:
            log.error("%s. In Azure the worker process is restarted now, and all its streams end.", said)
            if task is not None:
                task.cancel()
