"""The form of an operation: what it is called, what it asks and answers, and what it works with.

Each module beside this one owns a group of them (`OPERATIONS`). The API (api.py) and the command line
(shared/manage) are made from these rows and know nothing of single operations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from shared.catalog import Catalog
from shared.errors import ConfigError
from shared.ports import CallLog, Tokens, Upstream
from shared.settings import Settings

if TYPE_CHECKING:
    import httpx

    from shared.adapters.blob_folder import BlobFolders
    from shared.adapters.blobs import Blobs
    from shared.adapters.event_sinks import Sink
    from shared.adapters.outbox import Outbox
    from shared.adapters.tables import Tables
    from shared.prices import PriceList

Method = Literal["GET", "POST", "PATCH", "DELETE"]


class Asked(BaseModel):
    """What an operation is given. An unknown field is an error: a misspelt limit must not be no limit."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Told(BaseModel):
    """What an operation answers."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, as the audit has it: `admin-key`, `cli`, `timer`, or an Entra caller's name."""

    name: str
    may_write: bool = True


class Desk(Protocol):
    """What operations work with; desk.py opens each part when it is first used."""

    @property
    def settings(self) -> Settings: ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The process's, for the doctor: what the platform says of itself."""
        ...

    def part[T](self, name: str, make: Callable[[], T], /) -> T:
        """What an operation keeps for as long as the process lives, made when it is first asked for."""
        ...

    @property
    def log(self) -> CallLog: ...

    def clock(self) -> float:
        """Unix seconds."""
        ...

    @property
    def tables(self) -> Tables: ...

    @property
    def blobs(self) -> Blobs: ...

    @property
    def folders(self) -> BlobFolders:
        """What is kept for clients."""
        ...

    def queue(self, name: str, /) -> Any:
        """The SDK's client for a queue."""
        ...

    @property
    def prices(self) -> PriceList: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def sink(self) -> Sink | None:
        """Where events go; None: nowhere."""
        ...

    @property
    def http(self) -> httpx.AsyncClient:
        """For everything outside that is no deployment: prices, metrics, events."""
        ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def upstream(self) -> Upstream: ...

    async def catalog(self) -> Catalog:
        """The configured deployments. Raises ConfigError."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something has come."""

    name: str
    done: int
    failed: int
    """Of those that are done."""
    of: int
    state: str
    over: bool
    """Nothing will change any more."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row. `act` raises ApiError for what the caller can mend, StoreUnavailable when storage does not answer."""

    name: str
    """Group and verb: `keys_create`. The command line says `keys create`."""
    method: Method
    path: str
    """Below /manage, with fields of `asks` in braces: `keys/{key}`."""
    summary: str
    """One sentence, shown by --help and in the OpenAPI document."""
    asks: type[Asked]
    answers: type[Told]
    act: Callable[[Any, Actor, Any], Awaitable[Any]]
    columns: tuple[str, ...] = ()
    """Fields of a row (of `rows` in the answer, else of the answer) that a table shows."""
    example: str = ""
    """Arguments of the command line, as one would type them."""
    reads: bool = False
    """It changes nothing although it is no GET: what it asks does not fit into an address."""
    progress: Callable[[Mapping[str, Any]], Progress] | None = None
    """Of a row as it was told; with it the command line can watch."""
    lines: Callable[[Mapping[str, Any], int], Iterable[str]] | None = None
    """What was told, for a terminal of so many columns, in place of a table."""
    failed: Callable[[Mapping[str, Any]], bool] | None = None
    """Of what was told: whether the command line ends with exit code 1."""

    without_settings: Callable[[Any, Mapping[str, str], ConfigError], Told] | None = None
    """What the command line tells where the settings are refused, by the environment; None: nothing can be done."""

    @property
    def changes(self) -> bool:
        """Whether it is for those who may write, and written down."""
        return self.method != "GET" and not self.reads
