"""The public keys with which Entra ID signs the tokens of one tenant: fetched when they are first needed, kept for a
day, asked for again when a token names one that is not known, and kept on when they cannot be fetched.

Knows JSON Web Key Sets; what a token says is entra_callers.py's business. Public keys are no secrets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from shared.ports import CallLog

if TYPE_CHECKING:
    import httpx

KEEP_SECONDS = 86_400.0
AGAIN_SECONDS = 60.0
"""Between two fetches, whatever keys strangers' tokens name."""
RETRY_SECONDS = 5.0
"""After a failure, while there are no keys at all."""
FETCH_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
"""How long a call waits for newer keys when the old ones would do."""
_LARGEST = 1024 * 1024
_FEWEST_BITS = 2048
_NEVER = float("-inf")


class SignersUnavailable(Exception):
    """A key is not known, and the authority could not be asked about it."""


class Signers:
    """One tenant's. `http` makes a client for one fetch; `timer` counts seconds."""

    def __init__(
        self, url: str, tenant: str, http: Callable[[], httpx.AsyncClient], timer: Callable[[], float], log: CallLog
    ) -> None:
        self._url = url
        self._tenant = tenant
        self._http = http
        self._timer = timer
        self._log = log
        self._keys: dict[str, Any] = {}
        self._fetched_at = self._tried_at = _NEVER
        self._flight: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> Any | None:
        """-> the RSA public key; None when the tenant has none of that name. Raises SignersUnavailable."""
        found = self._keys.get(kid)
        if found is not None:
            if self._timer() - self._fetched_at >= KEEP_SECONDS:
                await self._refresh(PATIENCE_SECONDS)
            return self._keys.get(kid)
        await self._refresh(FETCH_SECONDS)
        found = self._keys.get(kid)
        if found is None and self._fetched_at < self._tried_at:
            raise SignersUnavailable
        return found

    async def _refresh(self, patience: float) -> None:
        """Ask the authority, unless it was asked just now. Never fails: what is known stays."""
        pause = AGAIN_SECONDS if self._keys else RETRY_SECONDS
        if self._flight is None:
            if self._timer() - self._tried_at < pause:
                return
            self._flight = asyncio.ensure_future(self._fetch())
            self._flight.add_done_callback(self._landed)
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(self._flight)
        except Exception:
            return  # _landed has told the log

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flight = None
        if not flight.cancelled() and (error := flight.exception()):
            self._log.warning(
                "Entra's signing keys could not be fetched", tenant=self._tenant, error=str(error) or repr(error)
            )

    async def _fetch(self) -> None:
        began = self._tried_at = self._timer()
        async with asyncio.timeout(FETCH_SECONDS):
            keys = await asyncio.to_thread(_read, await self._get(), self._tenant)
        if not keys:
            raise ValueError("the answer holds no key that could be used")
        self._keys, self._fetched_at = keys, began

    async def _get(self) -> bytes:
        client = await asyncio.to_thread(self._http)  # which reads the machine's certificates, for 40 ms
        async with client:
            answer = await client.get(self._url, headers={"accept": "application/json"})
            answer.raise_for_status()
            if len(answer.content) > _LARGEST:
                raise ValueError(f"the answer has {len(answer.content)} bytes")
            return answer.content


def _read(text: bytes, tenant: str) -> dict[str, Any]:
    """The RSA keys that may sign for the tenant, by name. What cannot be understood is left out."""
    import jwt

    found: dict[str, Any] = {}
    value: Any = orjson.loads(text)
    rows: Any = value.get("keys") if isinstance(value, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or not _usable(row, tenant):
            continue
        try:
            key: Any = jwt.PyJWK(row, algorithm="RS256").key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if key.key_size >= _FEWEST_BITS:
            found[str(row["kid"])] = key
    return found


def _usable(row: dict[str, Any], tenant: str) -> bool:
    """A key set may hold keys of other tenants: `issuer` names one, or `{tenantid}` for all of them."""
    issuer = str(row.get("issuer") or "{tenantid}").lower()
    signs = row.get("kty") == "RSA" and row.get("use", "sig") == "sig" and "d" not in row
    return signs and bool(row.get("kid")) and ("{tenantid}" in issuer or tenant in issuer)
