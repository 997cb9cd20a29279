"""Everything outside of the gateway, as the gateway sees it. One Protocol each; adapters implement them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from shared.types import Credential, Principal, Row, UpstreamReply, UpstreamRequest, UsageRecord


class StoreUnavailable(Exception):
    """The table store did not answer; what was asked is neither true nor false."""


class KeyStore(Protocol):
    """Keys by digest."""

    async def get(self, digest: str) -> Principal | None:
        """Raises StoreUnavailable when the store cannot be asked."""
        ...


class Client(Protocol):
    """The connection of the caller."""

    @property
    def gone(self) -> bool: ...

    def when_gone(self, act: Callable[[], None]) -> Callable[[], None]:
        """Call `act` once when the client closes its connection. -> a function that ends the watch."""
        ...


class Upstream(Protocol):
    """Opens a request at a deployment and returns before the body is read."""

    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        """timeout: seconds until the head of the answer must be there. Raises UpstreamFailed."""
        ...


class Tokens(Protocol):
    """Entra ID tokens for the upstream."""

    async def get(self, credential: Credential) -> str:
        """Raises UpstreamFailed("credential")."""
        ...

    def refuse(self, credential: Credential, token: str) -> None:
        """The upstream did not accept this token: the next `get` fetches a new one."""
        ...


class Secrets(Protocol):
    """Key Vault."""

    async def get(self, name: str) -> str:
        """Raises UpstreamFailed("secret")."""
        ...


class UsageLog(Protocol):
    """Where usage records go."""

    def begin(self) -> None:
        """A call has begun: there is something in flight."""
        ...

    def add(self, record: UsageRecord | None) -> None:
        """A call has ended, with its record if it has one. Never blocks and never fails."""
        ...

    async def flush(self) -> None:
        """Make everything that was added durable. Raises StoreUnavailable."""
        ...


class CallLog(Protocol):
    """The operator's log: one structured line per call, and warnings."""

    def call(self, record: UsageRecord) -> None: ...

    def warning(self, message: str, **fields: object) -> None: ...


class RowStore(Protocol):
    """Durable rows. Writing replaces, so that every write may be repeated without changing the result."""

    async def write(self, rows: Iterable[Row]) -> None:
        """Raises StoreUnavailable; rows written before that stay written."""
        ...
