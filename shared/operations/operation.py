"""The form of an operation: what it is called, what it asks and answers, and what it works with.

Each module beside this one owns a group of them (`OPERATIONS`). The API (api.py) and the command line
(shared/manage) are made from these rows and know nothing of single operations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from shared.adapters.tables import Tables
from shared.catalog import Catalog
from shared.ports import CallLog
from shared.settings import Settings

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
    """What operations work with. Built in bootstrap."""

    settings: Settings
    tables: Tables
    log: CallLog
    clock: Callable[[], float]
    """Unix seconds."""

    async def catalog(self) -> Catalog:
        """The configured deployments. Raises ConfigError."""
        ...


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
