"""What operations work with (operation.Desk), opened part by part when it is first used, and closed together.

Knows which parts there are; how each is made is bootstrap's business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.catalog import Catalog
from shared.ports import CallLog, StoreUnavailable
from shared.settings import Settings

if TYPE_CHECKING:
    import httpx

    from shared.adapters.blob_folder import BlobFolders
    from shared.adapters.blobs import Blobs
    from shared.adapters.catalog_reader import CatalogReader
    from shared.adapters.event_sinks import Sink
    from shared.adapters.identity import EntraTokens
    from shared.adapters.outbox import Outbox
    from shared.adapters.price_store import PriceStore
    from shared.adapters.tables import Tables
    from shared.adapters.upstream import HttpUpstream
    from shared.adapters.vault import VaultSecrets
    from shared.prices import PriceBook, PriceList


@dataclass(frozen=True, slots=True)
class Makers:
    """How each part is made. Each is called once at the most."""

    tables: Callable[[], Tables]
    blobs: Callable[[], Blobs]
    book: Callable[[], PriceBook] | None
    """The prices to begin with; None: the refreshed ones, for which whoever asks for prices first waits."""
    vault: Callable[[], VaultSecrets]
    tokens: Callable[[VaultSecrets], EntraTokens]
    upstream: Callable[[EntraTokens, VaultSecrets], HttpUpstream]
    outbox: Callable[[Tables], Outbox]
    folders: Callable[[], BlobFolders]
    queue: Callable[[str], Any]
    """The SDK's client for a queue of this name."""
    http: Callable[[], httpx.AsyncClient]
    reader: Callable[[VaultSecrets], CatalogReader]


class LazyDesk:
    """One per process, and one per command of the command line. For one event loop."""

    def __init__(
        self,
        settings: Settings,
        log: CallLog,
        clock: Callable[[], float],
        make: Makers,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """environ: the process's."""
        self.settings, self.log = settings, log
        self.environ = environ or {}
        self.clock = clock
        self._make = make
        self._opened: dict[str, Any] = {}

    def _open[T](self, name: str, make: Callable[[], T]) -> T:
        if name not in self._opened:
            self._opened[name] = make()
        return self._opened[name]

    def part[T](self, name: str, make: Callable[[], T]) -> T:
        """What an operation keeps for as long as the process lives."""
        return self._open(f"part {name}", make)

    @property
    def tables(self) -> Tables:
        return self._open("tables", self._make.tables)

    @property
    def blobs(self) -> Blobs:
        return self._open("blobs", self._make.blobs)

    @property
    def folders(self) -> BlobFolders:
        return self._open("folders", self._make.folders)

    def queue(self, name: str) -> Any:
        """The SDK's client for a queue, made once."""
        return self._open(f"queue {name}", lambda: self._make.queue(name))

    @property
    def prices(self) -> PriceList:
        return self._open("prices", self._make_prices)

    def _make_prices(self) -> PriceList:
        from shared.prices import PriceList

        return PriceList(self._make.book or self._stored_book)

    def _stored_book(self) -> PriceBook:
        """Prices are asked for where nobody can await them: the row is read by a loop of its own."""
        from shared.adapters.price_store import shipped_book, stored_book

        async def read() -> PriceBook:
            tables = self._make.tables()
            try:
                return await stored_book(tables)
            except StoreUnavailable as error:
                self.log.warning("refreshed prices not read; those of the package are used", error=str(error))
                return shipped_book()
            finally:
                await tables.close()

        with ThreadPoolExecutor(1) as threads:
            return threads.submit(lambda: asyncio.run(read())).result()

    @property
    def price_store(self) -> PriceStore:
        """Which keeps the prices those that were refreshed last."""
        return self._open("price_store", self._make_price_store)

    def _make_price_store(self) -> PriceStore:
        from shared.adapters.price_store import PriceStore

        return PriceStore(self.prices, self.tables, self.log, time.monotonic)

    @property
    def outbox(self) -> Outbox:
        return self._open("outbox", lambda: self._make.outbox(self.tables))

    @property
    def sink(self) -> Sink | None:
        return self._open("sink", self._make_sink)

    def _make_sink(self) -> Sink | None:
        from shared.adapters.event_sinks import sink_of

        settings = self.settings
        return sink_of(settings.events, settings.events_key, lambda: self.http, self.tokens, self._make.queue)

    @property
    def http(self) -> httpx.AsyncClient:
        return self._open("http", self._make.http)

    @property
    def vault(self) -> VaultSecrets:
        return self._open("vault", self._make.vault)

    @property
    def tokens(self) -> EntraTokens:
        return self._open("tokens", lambda: self._make.tokens(self.vault))

    @property
    def upstream(self) -> HttpUpstream:
        return self._open("upstream", lambda: self._make.upstream(self.tokens, self.vault))

    @property
    def _reader(self) -> CatalogReader:
        return self._open("reader", lambda: self._make.reader(self.vault))

    async def catalog(self) -> Catalog:
        return await self._reader.read()

    async def close(self) -> None:
        """What is still to be written is written, then everything that was opened is closed."""
        opened = self._opened
        if "outbox" in opened:
            await self.outbox.written()
        if hasattr(opened.get("sink"), "close"):
            await opened["sink"].close()
        if "http" in opened:
            await self.http.aclose()
        for name in [name for name in opened if name.startswith("queue ")]:
            await opened[name].close()
        for name in ("upstream", "tokens", "vault", "blobs", "folders", "tables"):
            if name in opened:
                await opened[name].close()
