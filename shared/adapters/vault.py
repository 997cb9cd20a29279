"""Key Vault secrets (ports.Secrets) through azure-keyvault-secrets: cached, refreshed unseen, stale on error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shared.adapters.azure_errors import told
from shared.addresses import is_loopback
from shared.errors import UpstreamFailed
from shared.ports import CallLog

REFRESH_SECONDS = 600.0
RETRY_SECONDS = 30.0
"""Between two attempts to read a secret that is there, and between two of its values that were refused."""
FETCH_SECONDS = 20.0
_OPTIONS: Mapping[str, Any] = {
    "retry_total": 3, "retry_backoff_factor": 0.4, "connection_timeout": 5, "read_timeout": 10,
}  # fmt: skip
"""Three more tries within 2.4 s, unless the vault says when to come back: a call may be waiting."""


@dataclass(slots=True)
class _Cached:
    value: str | None = None
    renew_at: float = 0.0
    flight: asyncio.Task[None] | None = None
    refused_at: float = 0.0
    failure: str = ""


class VaultSecrets:
    """Secrets of one vault by name. A rotated secret is seen within REFRESH_SECONDS; an outage is not seen at all."""

    def __init__(
        self,
        url: str,
        credential: Callable[[], Any],
        clock: Callable[[], float],
        log: CallLog,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """options: for the SDK's SecretClient, such as `connection_verify` or `retry_total`."""
        self._url = url
        self._credential = credential
        self._clock = clock
        self._log = log
        self._options = {**_OPTIONS, **(options or {})}
        self._client: Any = None
        self._cache: dict[str, _Cached] = {}

    async def get(self, name: str, refused: str = "") -> str:
        """refused: a value that was not accepted. It may have been rotated: it is read anew at once, and waited for.
        Raises UpstreamFailed("secret")."""
        cached, now = self._cache.setdefault(name, _Cached()), self._clock()
        anew = bool(refused) and cached.value == refused
        if anew and now - cached.refused_at >= RETRY_SECONDS:
            cached.refused_at, cached.renew_at = now, 0.0
        if now >= cached.renew_at and cached.flight is None:
            cached.flight = asyncio.ensure_future(self._fetch(name, cached))
            cached.flight.add_done_callback(lambda done: self._landed(name, cached, done))
        if cached.flight and cached.value is None:
            await asyncio.shield(cached.flight)
        elif cached.flight and anew:
            await asyncio.wait({cached.flight})  # when it fails, the old one is all there is
        if cached.value is None:
            raise UpstreamFailed("secret", cached.failure or f"keyvault/{name} could not be read")
        return cached.value

    def _landed(self, name: str, cached: _Cached, flight: asyncio.Task[None]) -> None:
        cached.flight = None
        if not flight.cancelled() and (error := flight.exception()):
            cached.renew_at = self._clock() + (RETRY_SECONDS if cached.value is not None else 1.0)
            cached.failure = getattr(error, "detail", "")
            self._log.warning(
                "key vault secret not read", secret=name, stale=cached.value is not None, error=str(error)
            )

    async def _fetch(self, name: str, cached: _Cached) -> None:
        if not self._url:
            raise UpstreamFailed("secret", f"keyvault/{name} is configured, but AZURE_KEY_VAULT_URI is not set")
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                found = await self._vault().get_secret(name)
        except Exception as error:
            raise UpstreamFailed("secret", f"keyvault/{name}: {told(error, 'vault')}") from error
        cached.value = found.value or ""
        cached.renew_at = self._clock() + REFRESH_SECONDS

    def _vault(self) -> Any:
        if self._client is None:
            from azure.keyvault.secrets.aio import SecretClient

            # the check compares the vault's domain with the challenge's; a local stand-in has no domain
            verify = not is_loopback(urlsplit(self._url).hostname or "")
            self._client = SecretClient(
                self._url, self._credential(), verify_challenge_resource=verify, **self._options
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
