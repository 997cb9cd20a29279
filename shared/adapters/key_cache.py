"""Callers in memory (ports.KeyStore over another): a warm key costs no table read, a revoked one ends within the bound.

Entries are renewed in the background after half the bound and asked anew after all of it. When the store is down,
a key that was good keeps its answer for STALE_SECONDS: an outage of the table must not stop every caller.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from shared.ports import CallLog, StoreUnavailable
from shared.principals import Principal

STALE_SECONDS = 600.0
PATIENCE_SECONDS = 2.0
"""How long a call with a key that was good waits for the store, whose own retries take much longer, to say so again."""
MOST_ENTRIES = 20_000


class Store[Asked](Protocol):
    """Callers by what they are asked by: a key's digest, or what an Entra token says."""

    async def get(self, asked: Asked, /) -> Principal | None:
        """Raises StoreUnavailable."""
        ...


@dataclass(slots=True)
class _Entry:
    principal: Principal | None
    read_at: float
    """When the store was asked, not when it answered: the answer is as old as the question."""
    patient_until: float = 0.0
    """The store is down: until then nobody waits for it."""


class CachedKeys[Asked: Hashable = str]:
    """`bound`: seconds after which a change of a key or of its team is seen at the latest."""

    def __init__(self, store: Store[Asked], bound: float, timer: Callable[[], float], log: CallLog) -> None:
        self._store = store
        self._bound = bound
        self._timer = timer
        self._log = log
        self._entries: OrderedDict[Asked, _Entry] = OrderedDict()
        self._flights: dict[Asked, asyncio.Task[Principal | None]] = {}

    async def get(self, asked: Asked) -> Principal | None:
        entry = self._entries.get(asked)
        if entry is None:
            return await self._read(asked)
        now = self._timer()
        age = now - entry.read_at
        # an unknown key is asked for again soon: it may just have been created
        bound = self._bound if entry.principal else min(self._bound, 5.0)
        if age < bound:
            if age > bound / 2 and entry.principal:
                self._renew(asked)
            return entry.principal
        if entry.principal is None or age > STALE_SECONDS:
            return await self._read(asked)
        if now < entry.patient_until:
            self._renew(asked)
            return entry.principal
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._read(asked)
        except (StoreUnavailable, TimeoutError) as error:
            self._log.warning("key store unavailable, serving from memory", error=str(error) or "no answer in time")
            entry.patient_until = self._timer() + bound / 2
            return entry.principal

    def _renew(self, asked: Asked) -> None:
        if asked not in self._flights:
            self._start(asked)

    async def _read(self, asked: Asked) -> Principal | None:
        return await asyncio.shield(self._flights.get(asked) or self._start(asked))

    def _start(self, asked: Asked) -> asyncio.Task[Principal | None]:
        flight = asyncio.ensure_future(self._fetch(asked))
        self._flights[asked] = flight
        flight.add_done_callback(lambda _: self._flights.pop(asked, None))
        flight.add_done_callback(_ignore_failure)  # whoever waited for it may have gone
        return flight

    async def _fetch(self, asked: Asked) -> Principal | None:
        began = self._timer()
        principal = await self._store.get(asked)
        self._entries[asked] = _Entry(principal, began)
        self._entries.move_to_end(asked)
        while len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)
        return principal


def _ignore_failure(flight: asyncio.Task[Principal | None]) -> None:
    if not flight.cancelled():
        flight.exception()
