"""One examination at a time in a process, and what it found told again for some seconds: whoever asks in a loop must
not become load on storage, on Azure and on every deployment.

Owns the turns. What is examined is ../doctor.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

KEEP_SECONDS = 10.0
WAIT_SECONDS = 25.0
"""So long one waits for the examinations of others: with one's own that is less than the command line waits."""


class _Row(Protocol):
    @property
    def subject(self) -> str: ...


class Busy(Exception):
    """Others are being examined for, one after the other."""


class Turns[Row: _Row]:
    """One per process, for one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._known: list[tuple[float, frozenset[str], list[Row]]] = []
        """When it ended, of what, and what it found."""

    async def take(self, subjects: Sequence[str], examine: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
        """Raises Busy."""
        wanted = frozenset(subjects)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Busy from error
        try:
            if (known := self._still_good(wanted)) is not None:
                return known
            rows = await examine()
            self._known.append((self._now(), wanted, rows))
            return rows
        finally:
            self._turn.release()

    def _still_good(self, wanted: frozenset[str]) -> list[Row] | None:
        """Also out of an examination of more."""
        end = self._now() - KEEP_SECONDS
        self._known = [one for one in self._known if one[0] > end]
        for _, subjects, rows in reversed(self._known):
            if wanted <= subjects:
                return [row for row in rows if row.subject in wanted]
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
