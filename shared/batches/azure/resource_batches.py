"""The files and batches of one resource, asked for by the credential of one of its deployments.

Owns the requests and what a refusal means: whether it may pass. Which resource is asked, and what becomes of the
answer, is the engine's business. Everything raises UpstreamFailed when the resource does not answer, Refused when it
does not do what it was asked.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import orjson

from shared.batches.azure.upstream_status import Told, read_batch
from shared.catalog import Deployment
from shared.errors import ApiError, UpstreamFailed
from shared.ports import Upstream
from shared.pump import read_all
from shared.transform.surfaces import SURFACES, url_of
from shared.types import Json, UpstreamReply, UpstreamRequest
from shared.upstream_errors import from_upstream

HEAD_SECONDS = 30.0
"""In which an answer must have begun, but to an upload."""
_IDLE_SECONDS = 120.0
_LIMIT = 16 * 1024 * 1024
_PAGE, _MOST_PAGES = 100, 30
_KEPT = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "2592000"}
"""A file that nobody deletes goes after 30 days; of those that never go a resource keeps 500 (Azure, 2025-11)."""
_CLOCKS_DIFFER = 300.0
_PASSING = frozenset({401, 403, 408, 409, 429})
"""401 and 403: a key or a role that an operator is about to set right."""
PASSING_CODES = frozenset({"token_limit_exceeded", "quotaexceeded", "quota_exceeded", "rate_limit_exceeded"})
"""In lower case: a queue is full, and will have room again."""
_NO_ANSWER = (500, 502, 503, 504)


class Refused(Exception):
    """The resource answers, and says no. `public` may be shown to a client."""

    def __init__(self, status: int, public: ApiError) -> None:
        super().__init__(status)
        self.status = status
        self.public = public

    @property
    def code(self) -> str:
        return self.public.code or ""

    @property
    def passes(self) -> bool:
        """Whether the same may be taken another time."""
        return self.status in _PASSING or self.code.lower() in PASSING_CODES

    @property
    def reason(self) -> str:
        """For the operator."""
        return f"{self.status} {self.code}".strip()


@dataclass(frozen=True, slots=True)
class ThereFile:
    id: str
    ready: bool
    """It can be used; a new one may be taken in slowly."""
    broken: bool


@dataclass(frozen=True, slots=True)
class ResourceBatches:
    """Of the resource of one deployment."""

    upstream: Upstream
    deployment: Deployment

    async def upload(self, filename: str, lines: AsyncIterable[bytes]) -> ThereFile:
        """lines: may be iterated more than once; what it raises goes on."""
        form = _Form(filename, lines, expires=self.deployment.surface.version != "dated")
        try:
            found = await self._json("POST", "files", form, kind=form.content_type, seconds=None)
        except UpstreamFailed:
            if form.failure is not None:  # it was our own side that failed: HTTP libraries wrap that
                raise form.failure from None
            raise
        return _file(found)

    async def file(self, file_id: str) -> ThereFile:
        return _file(await self._json("GET", f"files/{quote(file_id, safe='')}"))

    async def find_file(self, filename: str, since: float) -> ThereFile | None:
        """An upload of which the answer was lost. since: when it was begun, Unix seconds."""
        async for row in self._rows("files", {"purpose": "batch"}, since):
            if row.get("filename") == filename:
                return _file(row)
        return None

    async def find_batch(self, input_file: str, since: float, but: Container[str] = ()) -> Told | None:
        """The newest that was made of a file. but: ids of those that are not meant."""
        async for row in self._rows("batches", {}, since):
            told = self._told(row)
            if told.input_file == input_file and told.id not in but:
                return told
        return None

    async def create(self, input_file: str, endpoint: str) -> Told:
        body = {"input_file_id": input_file, "endpoint": endpoint, "completion_window": "24h"}
        return self._batch(await self._json("POST", "batches", orjson.dumps(body)))

    async def batch(self, batch_id: str) -> Told:
        return self._batch(await self._json("GET", f"batches/{quote(batch_id, safe='')}"))

    async def cancel(self, batch_id: str) -> Told:
        return self._batch(await self._json("POST", f"batches/{quote(batch_id, safe='')}/cancel", b"{}"))

    async def content(self, file_id: str) -> AsyncIterator[bytes]:
        """The bytes of a file; nothing when it is empty or gone."""
        reply = await self._open("GET", f"files/{quote(file_id, safe='')}/content", b"")
        try:
            if reply.status >= 400:
                raise self._refused(reply, await read_all(reply, _LIMIT))
            async for chunk in reply.chunks:
                yield chunk
        finally:
            await reply.close()

    async def delete(self, file_id: str) -> None:
        """Also when it is gone."""
        try:
            await self._json("DELETE", f"files/{quote(file_id, safe='')}")
        except Refused as refused:
            if refused.status != 404:
                raise

    @property
    def v1(self) -> bool:
        """Whether operations are named with /v1: OpenAI's own are, Azure's need not be."""
        return self.deployment.surface.name == "openai"

    def _batch(self, said: Json) -> Told:
        told = self._told(said)
        if not told.id:
            raise UpstreamFailed("reset", "a batch without an id")
        return told

    def _told(self, said: Json) -> Told:
        return read_batch(said)

    async def _rows(self, operation: str, query: Mapping[str, str], since: float) -> AsyncIterator[Json]:
        """Newest first, as far as they are young enough."""
        after = ""
        for _ in range(_MOST_PAGES):
            asked = "&".join(
                f"{k}={quote(v, safe='')}" for k, v in {**query, "limit": str(_PAGE), "after": after}.items() if v
            )
            page = await self._json("GET", operation, query=asked)
            rows = [row for row in page.get("data") or () if isinstance(row, dict)]
            for row in rows:
                yield row
            created = [read_batch(row).created_at for row in rows]
            after = str(rows[-1].get("id") or "") if rows else ""
            if not page.get("has_more") or not after or max(created, default=0.0) < since - _CLOCKS_DIFFER:
                return

    async def _json(
        self,
        method: str,
        operation: str,
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        kind: str = "application/json",
        query: str = "",
        seconds: float | None = HEAD_SECONDS,
    ) -> Json:
        reply = await self._open(method, operation, body, kind=kind, query=query, seconds=seconds)
        data = await read_all(reply, _LIMIT)
        if reply.status >= 400:
            raise self._refused(reply, data)
        try:
            found: Any = orjson.loads(data) if data else {}
        except orjson.JSONDecodeError as error:
            raise UpstreamFailed("reset", "the answer is not JSON") from error
        if not isinstance(found, dict):
            raise UpstreamFailed("reset", "the answer is no JSON object")
        return found

    async def _open(
        self,
        method: str,
        operation: str,
        body: bytes | AsyncIterable[bytes],
        *,
        kind: str = "application/json",
        query: str = "",
        seconds: float | None = HEAD_SECONDS,
    ) -> UpstreamReply:
        deployment = _on_v1(self.deployment)
        request = UpstreamRequest(
            method,
            url_of(deployment, operation, stored=True, query=query),
            body,
            deployment.credential,
            deployment.surface.auth_header,
            kind if body else "",
            idle=_IDLE_SECONDS,
        )
        return await self.upstream.open(request, seconds)

    def _refused(self, reply: UpstreamReply, body: bytes) -> Exception:
        """An upstream that fails is one that does not answer."""
        public = from_upstream(reply.status, reply.headers, body, self.deployment.hidden_names())
        if reply.status in _NO_ANSWER or (reply.status >= 500 and public.code is None):
            return UpstreamFailed("reset", f"status {reply.status}")
        return Refused(reply.status, public)


class _Form:
    """A file with the purpose `batch`, as multipart/form-data; as often as it is iterated."""

    def __init__(self, filename: str, lines: AsyncIterable[bytes], *, expires: bool) -> None:
        self._boundary = secrets.token_hex(16)
        self._filename = filename
        self._lines = lines
        self._expires = expires
        self.content_type = f"multipart/form-data; boundary={self._boundary}"
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        mark = f"--{self._boundary}\r\n"
        kept = _KEPT if self._expires else {}  # dated routes of before it was there may refuse what they do not know
        for name, value in {"purpose": "batch", **kept}.items():
            yield f'{mark}Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        yield (
            f'{mark}Content-Disposition: form-data; name="file"; filename="{self._filename}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        try:
            async for piece in self._lines:
                yield piece
        except Exception as error:
            self.failure = error
            raise
        yield f"\r\n--{self._boundary}--\r\n".encode()


def _on_v1(deployment: Deployment) -> Deployment:
    """Dated routes know batches since 2024-07-01-preview only; one resource's files and batches are asked for on one
    surface."""
    if deployment.surface.version != "dated":
        return deployment
    return replace(deployment, surface=SURFACES["v1"], api_version="v1")


def _file(row: Json) -> ThereFile:
    status = str(row.get("status") or "processed").lower()
    if not isinstance(row.get("id"), str):
        raise UpstreamFailed("reset", "a file without an id")
    return ThereFile(row["id"], status in ("processed", "uploaded"), status in ("error", "failed", "deleted"))
