"""Where the price book is: the one of the package, and the refreshed one in a blob, which is looked for once an hour.

Knows nothing of what prices mean. The refreshed book is written by operations/prices.py.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

from shared import prices
from shared.adapters.blobs import Blobs
from shared.ports import CallLog, StoreUnavailable
from shared.prices import PriceBook, PriceList

CONTAINER, NAME = "tollgate-prices", "book.json"
LOOK_SECONDS = 3600.0
AGAIN_SECONDS = 60.0
"""After storage has not answered."""
_SHIPPED = Path(prices.__file__).with_name("book.json")


def shipped_book() -> PriceBook:
    """The book of the package, as docs/prices.md says it was made. 3 ms."""
    return PriceBook.from_bytes(_SHIPPED.read_bytes())


class PriceStore:
    """clock: seconds that only grow."""

    def __init__(self, price_list: PriceList, blobs: Blobs, log: CallLog, clock: Callable[[], float]) -> None:
        self._list = price_list
        self._blobs = blobs
        self._log = log
        self._clock = clock
        self._due = float("-inf")
        self._seen = b""
        self._looking: asyncio.Task[None] | None = None

    def nudge(self) -> None:
        """Look for a refreshed book in the background if that is due. Called at every request: costs nothing else."""
        if self._looking is None and self._clock() >= self._due:
            self._looking = asyncio.ensure_future(self.refresh_if_due())
            self._looking.add_done_callback(self._looked)

    def _looked(self, _: asyncio.Task[None]) -> None:
        self._looking = None

    async def refresh_if_due(self) -> None:
        """Use the refreshed book if there is a new one. Never fails: prices stay as they are."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + LOOK_SECONDS
        try:
            data = await self._blobs.read(CONTAINER, NAME)
            if data is None or (digest := hashlib.sha256(data).digest()) == self._seen:
                return
            self._list.replace(await asyncio.to_thread(_whole, data))
            self._seen = digest
        except StoreUnavailable as error:
            self._due = now + AGAIN_SECONDS
            self._log.warning("refreshed prices not read; the last ones stay", error=str(error))
        except ValueError as error:
            self._log.warning("refreshed prices not understood; the last ones stay", error=str(error))


async def stored_book(blobs: Blobs) -> PriceBook:
    """The refreshed book, else that of the package. Raises StoreUnavailable."""
    data = await blobs.read(CONTAINER, NAME)
    if data is None:
        return await asyncio.to_thread(shipped_book)
    try:
        return await asyncio.to_thread(_whole, data)
    except ValueError:
        return await asyncio.to_thread(shipped_book)  # replaced by what is written next


async def store_book(blobs: Blobs, book: PriceBook) -> None:
    """Raises StoreUnavailable."""
    await blobs.write(CONTAINER, NAME, book.to_bytes(), "application/json")


def _whole(data: bytes) -> PriceBook:
    """A stored book, with what the package knows besides: it may be newer. Raises ValueError."""
    stored, shipped = PriceBook.from_bytes(data), shipped_book()
    if not set(shipped.sources) <= set(stored.sources):
        stored.absorb(shipped)
    return stored
