"""Keys in memory (ports.KeyStore over another): a warm key costs no table read, a revoked key ends within the bound.

Entries are renewed in the background after half the bound and asked anew after all of it. When the store is down,
a key that was good keeps its answer for STALE_SECONDS: an outage of the table must not stop every caller.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from shared.ports import CallLog, KeyStore, StoreUnavailable
from shared.principals import Principal

STALE_SECONDS = 600.0
PATIENCE_SECONDS = 2.0
"""How long a call with a key that was good waits for the store, whose own retries take much longer, to say so again."""
MOST_ENTRIES = 20_000


@dataclass(slots=True)
class _Entry:
    principal: Principal | None
    read_at: float


class CachedKeys:
    """`bound`: seconds after which a revoked, expired or newly made key is seen at the latest."""

    def __init__(self, store: KeyStore, bound: float, timer: Callable[[], float], log: CallLog) -> None:
        self._store = store
        self._bound = bound
        self._timer = timer
        self._log = log
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Principal | None]] = {}

    async def get(self, digest: str) -> Principal | None:
        entry = self._entries.get(digest)
        if entry is None:
            return await self._read(digest)
        age = self._timer() - entry.read_at
        # an unknown key is asked for again soon: it may just have been created
        bound = self._bound if entry.principal else min(self._bound, 5.0)
        if age < bound:
            if age > bound / 2 and entry.principal:
                self._renew(digest)
            return entry.principal
        if entry.principal is None or age > STALE_SECONDS:
            return await self._read(digest)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._read(digest)
        except (StoreUnavailable, TimeoutError) as error:
            self._log.warning("key store unavailable, serving from memory", error=str(error) or "no answer in time")
            entry.read_at = self._timer() - bound / 2  # do not wait for the store at every call
            return entry.principal

    def _renew(self, digest: str) -> None:
        if digest not in self._flights:
            self._start(digest)

    async def _read(self, digest: str) -> Principal | None:
        return await asyncio.shield(self._flights.get(digest) or self._start(digest))

    def _start(self, digest: str) -> asyncio.Task[Principal | None]:
        flight = asyncio.ensure_future(self._fetch(digest))
        self._flights[digest] = flight
        flight.add_done_callback(lambda _: self._flights.pop(digest, None))
        flight.add_done_callback(_ignore_failure)  # whoever waited for it may have gone
        return flight

    async def _fetch(self, digest: str) -> Principal | None:
        principal = await self._store.get(digest)
        self._entries[digest] = _Entry(principal, self._timer())
        self._entries.move_to_end(digest)
        while len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)
        return principal


def _ignore_failure(flight: asyncio.Task[Principal | None]) -> None:
    if not flight.cancelled():
        flight.exception()
