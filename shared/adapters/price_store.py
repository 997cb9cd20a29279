"""Where the price book is: the one of the package, and the refreshed one in a row of the tables, which is looked for
once an hour. A table, because its SDK is loaded in any case: that of blobs costs 0.3 s and 18 MB.

Knows nothing of what prices mean. The refreshed book is written by operations/prices.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

from shared import prices
from shared.adapters.tables import STATE_TABLE, Tables
from shared.ports import CallLog, StoreUnavailable
from shared.prices import PriceBook, PriceList
from shared.types import Row

PLACE = "prices", "book"
"""Partition and row."""
PART = 60_000
"""Bytes: a property holds 64 KiB."""
LOOK_SECONDS = 3600.0
AGAIN_SECONDS = 60.0
"""After storage has not answered."""
_SHIPPED = Path(prices.__file__).with_name("book.json")


def shipped_book() -> PriceBook:
    """The book of the package, as docs/prices.md says it was made. 3 ms."""
    return PriceBook.from_bytes(_SHIPPED.read_bytes())


class PriceStore:
    """clock: seconds that only grow."""

    def __init__(self, price_list: PriceList, tables: Tables, log: CallLog, clock: Callable[[], float]) -> None:
        self._list = price_list
        self._tables = tables
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
            data = await _read(self._tables)
            if data is None or (digest := hashlib.sha256(data).digest()) == self._seen:
                return
            self._list.replace(await asyncio.to_thread(_whole, data))
            self._seen = digest
        except StoreUnavailable as error:
            self._due = now + AGAIN_SECONDS
            self._log.warning("refreshed prices not read; the last ones stay", error=str(error))
        except ValueError as error:
            self._log.warning("refreshed prices not understood; the last ones stay", error=str(error))


async def stored_book(tables: Tables) -> PriceBook:
    """The refreshed book, else that of the package. Raises StoreUnavailable."""
    data = await _read(tables)
    if data is None:
        return await asyncio.to_thread(shipped_book)
    try:
        return await asyncio.to_thread(_whole, data)
    except ValueError:
        return await asyncio.to_thread(shipped_book)  # replaced by what is written next


async def store_book(tables: Tables, book: PriceBook) -> None:
    """Raises StoreUnavailable."""
    packed = zlib.compress(book.to_bytes(), 9)
    parts = {f"part{n}": packed[n * PART : (n + 1) * PART] for n in range(-(-len(packed) // PART))}
    await tables.write([Row(STATE_TABLE, {"PartitionKey": PLACE[0], "RowKey": PLACE[1], **parts})])


async def _read(tables: Tables) -> bytes | None:
    """The stored book, packed. Raises StoreUnavailable."""
    row = await tables.get(STATE_TABLE, *PLACE)
    if row is None:
        return None
    parts = (row.get(f"part{n}") for n in range(len(row)))
    return b"".join(part for part in parts if isinstance(part, bytes))


def _whole(data: bytes) -> PriceBook:
    """A stored book, with what the package knows besides: it may be newer. Raises ValueError."""
    try:
        stored, shipped = PriceBook.from_bytes(zlib.decompress(data)), shipped_book()
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not set(shipped.sources) <= set(stored.sources):
        stored.absorb(shipped)
    return stored
