"""Many processes with limiters over one store in memory, in virtual time, and what they have admitted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from shared.errors import ApiError
from shared.limits import LeaseLimiter, Threshold
from shared.limits.grant import LeaseGrant
from shared.principals import Principal
from shared.types import Need
from tests.support.doubles import Lines
from tests.support.leases import MemoryLeases, MemoryRowsByEtag

START = 1_795_445_100.0
"""A full minute: 2026-11-23T14:45:00Z."""


def hms(seconds: float) -> float:
    return START + seconds


class Fleet:
    """Made inside a running VirtualLoop. skew: how far clocks are off, at most."""

    def __init__(
        self, count: int = 8, seed: int = 1, *, skew: float = 0.0, delay: float = 0.02, lost: float = 0.0,
        start: float = START, **options: Any,
    ) -> None:  # fmt: skip
        self.rng, self.rows, self.log = Random(seed), MemoryRowsByEtag(), Lines()
        self.loop, self.start = asyncio.get_running_loop(), start
        self.told: list[Threshold] = []
        self.stores = [MemoryLeases(self.rows, self.rng, delay, lost) for _ in range(count)]
        self.limiters = [
            LeaseLimiter(
                store, f"i{n}", self._clock(self.rng.uniform(-skew, skew)), self.log, rng=self.rng,
                on_threshold=self.told.append, **options,
            )
            for n, store in enumerate(self.stores)
        ]  # fmt: skip
        self.admitted: Counter[int] = Counter()
        """Calls by the window that they were taken from."""
        self.tokens: Counter[int] = Counter()
        """What they reserved, by the same."""
        self.refused: Counter[str | None] = Counter()
        self.settled = 0
        """Nano-dollars."""
        self.by_process: Counter[int] = Counter()
        self.running = self.most = 0
        self.busy_seconds = 0.0
        self._changed_at = self.loop.time()

    def _clock(self, off: float) -> Callable[[], float]:
        return lambda: self.start + self.loop.time() + off

    @property
    def now(self) -> float:
        return self.start + self.loop.time()

    @property
    def operations(self) -> int:
        return sum(store.operations for store in self.stores)

    def row(self, partition: str, key: str) -> dict[str, Any]:
        return self.rows.rows[partition, key][1]

    async def call(
        self, n: int, who: Principal, need: Need, spent: Need | None = None, seconds: float = 0.0
    ) -> LeaseGrant | None:
        """One call at one process: -> its grant, which is settled. Raises ApiError."""
        grant = await self.limiters[n].reserve(who, need)
        if not isinstance(grant, LeaseGrant):
            return None
        if grant.rates:
            self.admitted[grant.rates[0].win] += 1
            self.tokens[grant.rates[0].win] += need.tokens
        self._run(1)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._run(-1)
            spent = spent or need
            self.settled += spent.nanos
            self.by_process[n] += spent.nanos
            self.limiters[n].settle(grant, spent)
        return grant

    async def hammer(
        self, who: Principal, seconds: float, *, callers: int = 20, need: Callable[[Random], Need] = lambda _: Need(),
        spend: Callable[[Random, Need], Need] = lambda _, need: need, lasts: float = 0.1, again: float = 1.0,
        think: float = 0.0,
    ) -> None:  # fmt: skip
        """Callers at every process that call again at once, or after a while when they were refused."""
        end = self.loop.time() + seconds

        async def caller(n: int) -> None:
            await asyncio.sleep(self.rng.uniform(0, 0.2))
            while self.loop.time() < end:
                wanted = need(self.rng)
                try:
                    await self.call(n, who, wanted, spend(self.rng, wanted), lasts * self.rng.uniform(0.5, 1.5))
                except ApiError as error:
                    self.refused[error.type] += 1
                    await asyncio.sleep(again * self.rng.uniform(0.5, 1.5))
                if think:
                    await asyncio.sleep(self.rng.expovariate(1 / think))

        await asyncio.gather(*(caller(n) for n in range(len(self.limiters)) for _ in range(callers)))

    async def close(self) -> None:
        for limiter in self.limiters:
            await limiter.close()

    def _run(self, change: int) -> None:
        self.busy_seconds += self.running * (self.loop.time() - self._changed_at)
        self._changed_at = self.loop.time()
        self.running += change
        self.most = max(self.most, self.running)
