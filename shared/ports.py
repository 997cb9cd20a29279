"""Everything outside of the gateway, as the gateway sees it. One Protocol each; adapters implement them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.catalog import Deployment
from shared.principals import Principal
from shared.types import Cost, Credential, Need, RawHeaders, Row, UpstreamReply, UpstreamRequest, Usage, UsageRecord


class StoreUnavailable(Exception):
    """The table store did not answer; what was asked is neither true nor false."""


class ClientGone(Exception):
    """The client closed its connection before its request was complete: there is nobody to answer."""


class KeyStore(Protocol):
    """Keys by digest."""

    async def get(self, digest: str, /) -> Principal | None:
        """digest: of the secret that a caller sent. Raises StoreUnavailable when the store cannot be asked."""
        ...


class Callers(Protocol):
    """Callers who send a token of Entra ID instead of a key."""

    async def principal(self, token: str) -> Principal:
        """Raises ApiError 401, 403 for who is assigned to nothing, 503; StoreUnavailable."""
        ...


class Prices(Protocol):
    """What things cost. Pure and quick: asked at every call, before it and after it."""

    def cost(self, deployment: Deployment, usage: Usage, at: float) -> Cost:
        """By the prices in force at `at` (Unix seconds)."""
        ...

    def figures(self, deployment: Deployment, at: float) -> Mapping[str, float]:
        """-> what a model list shows, in USD, by the names that other gateways use."""
        ...


class Grant(Protocol):
    """What a call was granted of its key's and its team's limits."""

    shadow: str
    """The limit that would have refused the call, had it not been in shadow mode; empty: none."""

    def headers(self) -> RawHeaders:
        """x-ratelimit-… as they stand now."""
        ...


class Limiter(Protocol):
    """Rates, parallel calls and budgets of keys and teams, across all instances."""

    async def reserve(self, principal: Principal, need: Need) -> Grant | None:
        """-> None when nothing limits the caller. No storage is asked while the process holds a lease that is large
        enough. Raises ApiError 429, or 503 when the store is down and limits are closed then."""
        ...

    def settle(self, grant: Grant, spent: Need) -> None:
        """What the call has really taken; its parallel place is free again. Never fails. Called once."""
        ...


class Capacity(Protocol):
    """What is left of the tpm and rpm that the configuration gives deployments, across all instances.

    A bound that is kept softly: Azure decides, so that a figure which is late costs a 429 that another deployment
    serves. Nothing here waits for storage, and nothing fails."""

    def left(self, deployment: Deployment, now: float) -> float:
        """-> the share of the tighter limit that is left of this minute, 1 to 0, as far as is known; 1 without any."""
        ...

    def take(self, deployment: Deployment, tokens: int, now: float) -> None:
        """A call is being sent there that may take so many tokens."""
        ...

    def settle(self, deployment: Deployment, at: float, tokens: int, spent: int) -> None:
        """It has ended: at: the `now` of its `take`; tokens: what that took; spent: what it has really used."""
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

    async def intend(self, record: UsageRecord) -> None:
        """Write down that a call is about to be made, durably; `add` replaces it. Raises StoreUnavailable."""
        ...

    def add(self, record: UsageRecord | None) -> None:
        """A call has ended, with its record if it has one. Never blocks and never fails."""
        ...

    async def add_once(self, record: UsageRecord) -> None:
        """Write down work that any instance may find to have ended; `request_id` names the work, and however often it
        is written it counts once. Durable when this returns. Raises StoreUnavailable."""
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


type FieldEdit = Callable[[str, str], list[tuple[str, str]]]
"""`(name, value)` of a text field -> the fields that are sent in its place. May raise ApiError. Pure: a form may be
sent more than once."""


@dataclass(frozen=True, slots=True)
class FormFile:
    """One file of a form, as far as it has been read."""

    name: str
    """Of the field."""
    filename: str
    content_type: str
    """Empty when the client gave none."""
    size: int
    """Bytes so far; all of them once the form is complete."""


@dataclass(frozen=True, slots=True)
class EncodedForm:
    """A form written anew, for an upstream."""

    content_type: str
    length: int | None
    """Bytes; None while the client still sends."""
    chunks: AsyncIterable[bytes]
    """Every iteration begins at the start and reads on from the client where need be. Raises what Form.failure says."""


class Form(Protocol):
    """A client's multipart form, of which nothing is read before it is asked for. Reading raises ApiError 400, 413 or
    503 (the disk is full), and ClientGone."""

    failure: Exception | None
    """What ended the reading, from then on. Whoever sends a form asks for it when the sending fails: HTTP libraries
    wrap the errors of a body that they were given."""

    async def receive(self) -> MutableMapping[str, Any]:
        """The client's connection, for those who wait for it to close: silent until the body has been read."""
        ...

    @property
    def files(self) -> list[FormFile]: ...

    @property
    def complete(self) -> bool:
        """Everything has been read."""
        ...

    def head(self, number: int, count: int) -> bytes:
        """-> the first bytes of `files[number]`, as far as they have been read; nothing once it is discarded."""
        ...

    def content(self, number: int) -> AsyncIterator[bytes]:
        """The content of `files[number]`, for the gateway itself, in pieces of at most 256 KB: from the first byte,
        reading on from the client where need be."""
        ...

    async def fields_until(self, *names: str) -> Mapping[str, list[str]]:
        """Read until all these text fields are known and the next file begins, or to the end. Files that come before
        are spooled to disk.

        -> all text fields so far, by name, in the client's order: those before that file.
        """
        ...

    async def fields(self) -> Mapping[str, list[str]]:
        """Read to the end. -> all text fields."""
        ...

    def encode(self, edit: FieldEdit, first: Iterable[tuple[str, str]] = ()) -> EncodedForm:
        """The form for an upstream, each text field replaced by what `edit` says, after the fields `first`.

        Reads nothing itself. May be called again, for another attempt. Raises what `edit` raises.
        """
        ...

    async def discard(self) -> None:
        """Remove what is on disk. Always awaited; more than once does no harm."""
        ...


@dataclass(frozen=True, slots=True)
class OwnedObject:
    """One object that an upstream keeps for an owner. `resource` and `upstream_id` identify it."""

    resource: str
    upstream_id: str
    created_at: int
    """Milliseconds since 1970, by the gateway's clock: by Azure's seconds, two of one second would have no order."""
    note: str = ""
    """What a list may be filtered by, a file's purpose."""


class UnknownCursor(LookupError):
    """A page was asked for after an object that the owner never had."""


class ObjectIndex(Protocol):
    """Who owns what: upstreams list everybody's objects, and a list shows the caller's own rows only.

    `kind` is one of the gateway's own words. Everything raises StoreUnavailable.
    """

    async def add(self, owner: str, kind: str, made: OwnedObject) -> None:
        """Does nothing for an object that is there, or was: upstreams give no id twice."""
        ...

    async def remove(self, owner: str, kind: str, resource: str, upstream_id: str) -> OwnedObject | None:
        """-> the object, to one caller only: of several at once one gets it, all others None, as for an object that is
        not there. As a cursor it stays good."""
        ...

    async def page(
        self,
        owner: str,
        kind: str,
        *,
        limit: int,
        newest_first: bool = True,
        after: tuple[str, str] | None = None,
        note: str = "",
    ) -> tuple[list[OwnedObject], bool]:
        """-> at most `limit` objects, and whether there are more. `after`: resource and upstream id of the last one of
        the page before. `note`: only objects with that note. Raises UnknownCursor."""
        ...
