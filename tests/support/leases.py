"""Rows of limits in memory (limits.LeaseStore), with the delays, conflicts and lost answers of a real store; and
callers with limits."""

from __future__ import annotations

import asyncio
import copy
from random import Random
from typing import Any

from shared.limits.lease import Contended, Edit, Place
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Budget, Principal, Team


class MemoryRowsByEtag:
    """What all processes share."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
        self.down = False


class MemoryLeases:
    """One process's way to it. delay: the longest time of one operation; lost: how often in 1 of an answer is lost
    after a write was done, and the write repeated, or given up."""

    def __init__(self, shared: MemoryRowsByEtag, rng: Random, delay: float = 0.01, lost: float = 0.0) -> None:
        self.shared, self.rng, self.delay, self.lost = shared, rng, delay, lost
        self.operations = 0
        self.dead = False
        """The process has vanished, as far as the store can tell."""

    async def change[T](self, place: Place, edit: Edit[T]) -> T:
        name = (place.partition, place.key)
        for _ in range(30):
            version, row = await self._read(name)
            place.answered = True
            changed, said = edit(copy.deepcopy(row))
            if changed is None or await self._write(name, version, changed):
                return said
            await asyncio.sleep(self.rng.uniform(0, self.delay))
        raise Contended(str(name))

    async def _read(self, name: tuple[str, str]) -> tuple[int, dict[str, Any] | None]:
        await self._operation()
        version, row = self.shared.rows.get(name, (0, None))
        return version, row

    async def _write(self, name: tuple[str, str], version: int, row: dict[str, Any]) -> bool:
        await self._operation()
        if self.shared.rows.get(name, (0, None))[0] != version:
            return False
        if self.lost and self.rng.random() < self.lost / 2:
            raise StoreUnavailable("lost before it was done")
        self.shared.rows[name] = (version + 1, copy.deepcopy(row))
        if self.lost and self.rng.random() < self.lost:
            if self.rng.random() < 0.5:
                raise StoreUnavailable("lost after it was done")
            return False  # a library that repeats the write finds it done, and takes it for somebody else's
        return True

    async def _operation(self) -> None:
        self.operations += 1
        if self.shared.down or self.dead:
            raise StoreUnavailable("down")
        await asyncio.sleep(self.rng.uniform(0, self.delay))
        if self.shared.down or self.dead:
            raise StoreUnavailable("down")


def a_key(name: str = "ci", team: Team | None = None, **limits: Any) -> Principal:
    """A caller with limits of its own."""
    return Principal(f"id-of-{name}", name, team.name if team else "", Allowance(**limits), team)


def a_team(name: str = "data", contact: str = "", **limits: Any) -> Team:
    return Team(name, Allowance(**limits), contact)


def hard(period: Any, usd: float) -> Budget:
    return Budget(period, round(usd * 1e9))


def soft(period: Any, usd: float) -> Budget:
    return Budget(period, round(usd * 1e9), hard=False)
