"""What the gateway answers itself of operations on files and batches, as the pipeline sees it (shared/batches does)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from shared.call import Call
from shared.ports import OwnedObject
from shared.types import Json, RawHeaders


@dataclass(frozen=True, slots=True)
class HereAnswer:
    """Before its first byte is sent; `headers` besides those of every answer."""

    body: bytes | AsyncIterator[bytes]
    """An iterator may raise StoreUnavailable: the connection then breaks off."""
    status: int = 200
    content_type: str = "application/json"
    headers: RawHeaders = field(default_factory=list[tuple[bytes, bytes]])


class Here(Protocol):
    async def answer(self, call: Call) -> HereAnswer:
        """An operation on what is kept here, or a call that is put off (`call.deferred`). Raises ApiError,
        StoreUnavailable."""
        ...

    async def shown(self, call: Call, item: OwnedObject) -> Json | None:
        """One row of a list of files or batches; None when it is gone. Raises ApiError, StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedLater:
    """Here, made when it is first asked for: no call to a model needs it."""

    open: Callable[[], Here]

    async def answer(self, call: Call) -> HereAnswer:
        return await self.open().answer(call)

    async def shown(self, call: Call, item: OwnedObject) -> Json | None:
        return await self.open().shown(call, item)
