"""Where batches are kept and what runs them, as shared.batches sees it. One Protocol each; adapters implement them.

Everything raises StoreUnavailable when the storage account does not answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.batches.batch import Batch, Chunk, OpenBatch, Payer
from shared.batches.kept import KeptFile, KeptUpload
from shared.principals import Principal
from shared.types import ApiRequest, Json, UsageRecord

Queue = Literal["looks", "lines"]
"""`looks`: batches to be advanced, callbacks to be sent. `lines`: chunks for the own engine."""


class NoBlob(LookupError):
    """There is no such blob (any more)."""


@dataclass(frozen=True, slots=True)
class BlobFacts:
    name: str
    size: int
    etag: str
    modified: float
    """Unix seconds."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class BlobFolder(Protocol):
    """One container. It is made when something is first written. Bytes are never held whole."""

    async def write(
        self,
        name: str,
        chunks: AsyncIterable[bytes],
        content_type: str = "application/jsonl",
        metadata: Mapping[str, str] | None = None,
        *,
        replace: bool = True,
    ) -> int:
        """A block blob, complete or not at all: when `chunks` raises, nothing is left and the error goes on.
        -> its size. replace=False: raises FileExistsError when there is one."""
        ...  # fmt: skip

    def read(self, name: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Pieces of up to 4 MiB; a download that breaks is taken up again. Raises NoBlob."""
        ...

    async def facts(self, name: str) -> BlobFacts | None: ...

    async def append(self, name: str, data: bytes, at: int, lease: str = "") -> bool:
        """Append at exactly this position of an append blob (0 makes it). -> False: the blob ends elsewhere, or
        somebody else holds it; read it again. At most 4 MiB."""
        ...

    async def lease(self, name: str, seconds: int) -> str | None:
        """Make the append blob if need be and hold it for so long. -> the lease's id; None: somebody else holds it."""
        ...

    async def renew(self, name: str, lease: str) -> bool:
        """-> False when it has been lost."""
        ...

    async def release(self, name: str, lease: str) -> None:
        """Never fails."""
        ...

    async def close_for_good(self, name: str) -> bool:
        """Nobody can append to it from now on (an infinite lease of a fixed id). Again does no harm.
        -> False: there is no such blob."""
        ...

    def list(self, prefix: str) -> AsyncIterator[BlobFacts]:
        """With metadata, in the order of names."""
        ...

    async def delete(self, name: str, etag: str = "") -> bool:
        """-> False: it is not there, or has another etag than the one given."""
        ...

    def address(self) -> str:
        """Of the container, as others name it: no right follows from it."""
        ...

    async def signed_url(self, name: str, seconds: int) -> str:
        """An address by which one may write this blob, and nothing else, for so long."""
        ...


class BatchRows(Protocol):
    """The rows of batches, files and uploads."""

    async def insert(self, batch: Batch) -> bool:
        """-> False when it is there already; then nothing is changed."""
        ...

    async def get(self, batch_id: str) -> Batch | None: ...

    async def change(self, batch_id: str, edit: Callable[[Batch], Batch | None]) -> Batch | None:
        """Read, edit, write unless somebody else has written, else again. `edit` -> None leaves it as it is and may be
        called more than once. -> the batch as it is now; None: there is none. What is `told` is open no more."""
        ...

    async def open(self) -> list[OpenBatch]:
        """All that still have something to do, oldest first."""
        ...

    async def page(
        self, limit: int, cursor: str = "", where: Mapping[str, str] | None = None
    ) -> tuple[list[Batch], str]:
        """Everybody's, newest first. where: equal columns (status, alias, engine, source). -> and the next cursor."""
        ...

    async def put_chunks(self, batch_id: str, chunks: Sequence[Chunk]) -> None: ...

    async def chunks(self, batch_id: str) -> list[Chunk]:
        """Those that were ever written, by number."""
        ...

    async def refer(self, kind: str, name: str, to: str) -> str:
        """Insert-if-absent: `name` of this kind leads to `to`. -> what it leads to now: `to`, or what was there."""
        ...

    async def referred(self, kind: str, name: str) -> str | None: ...

    async def forget(self, kind: str, name: str) -> None: ...

    async def put_file(self, file: KeptFile) -> None: ...

    async def file(self, file_id: str) -> KeptFile | None: ...

    async def put_upload(self, upload: KeptUpload) -> None: ...

    async def upload(self, upload_id: str) -> KeptUpload | None: ...

    def expired(self, now: float) -> AsyncIterator[KeptFile | KeptUpload]:
        """Files and uploads whose time is over, and files that were deleted."""
        ...

    async def drop_kept(self, kept: KeptFile | KeptUpload) -> None:
        """Its row; the blobs are the caller's business."""
        ...

    async def drop_batch(self, batch_id: str) -> None:
        """The row, its chunks and what refers to it by its own id."""
        ...


class Work(Protocol):
    """Messages to ourselves."""

    async def send(self, queue: Queue, message: Json, delay: float = 0.0) -> None:
        """delay: seconds, at most 7 days."""
        ...

    async def send_all(self, queue: Queue, messages: Sequence[Json], delay: float = 0.0) -> None:
        """All of them, several at a time. When this raises some may have been sent."""
        ...


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What one call for a line has come to."""

    status: int
    request_id: str
    body: Json
    """The answer, or `{"error": …}`."""
    record: UsageRecord | None
    """What it has used; None: nothing was asked of any deployment."""
    retry_after: float | None = None
    """Of a refusal that only says that there is no room now (429, 503): seconds until there may be; else None."""


class Lines(Protocol):
    """The gateway's own pipeline, at low priority: it leaves what calls that somebody waits for need. Nothing of such
    a call goes to the ledger by itself."""

    async def ask(self, request: ApiRequest, principal: Principal, tags: tuple[str, ...]) -> LineAnswer:
        """Never raises an ApiError: that is an answer."""
        ...


class Payers(Protocol):
    async def find(self, payer: Payer) -> Principal | None:
        """Who pays now, with today's limits and rights; None: the key was deleted, disabled or has run out."""
        ...

    async def named(self, name: str) -> Principal | None:
        """The key with this name or id, when it may be used."""
        ...
