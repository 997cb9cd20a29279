"""Waiting for a condition, never for a number of seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


def until[T](check: Callable[[], T], limit: float = 10, every: float = 0.01) -> T:
    """The first true value of the check; fails when there is none in time."""
    end = time.monotonic() + limit
    while True:
        if value := check():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"it did not happen within {limit} s; last seen: {value!r}")
        time.sleep(every)


async def eventually(check: Callable[[], Awaitable[bool]], limit: float = 10) -> None:
    """The same inside an event loop."""
    async with asyncio.timeout(limit):
        while True:
            if await check():
                return
            await asyncio.sleep(0.005)
