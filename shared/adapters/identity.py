"""Entra ID tokens (ports.Tokens) from azure-identity's credentials: one flight per credential, refreshed ahead.

azure-identity caches tokens but fetches inline and once per waiting call (measured: 50 calls, 50 requests). So here:
at most one fetch per credential at a time, started in the background before a token ends, and the old token served
while it lives. No call waits for a token but the very first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shared.errors import UpstreamFailed
from shared.ports import CallLog
from shared.types import Credential

REFRESH_SECONDS = 600.0
"""A token is renewed when so little of its life is left, or a fifth of it if that is less."""
RETRY_SECONDS = 30.0
"""Between two attempts to renew a token that still lives."""
FETCH_SECONDS = 30.0
PUBLIC_AUTHORITIES = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn")


@dataclass(slots=True)
class _Cached:
    token: str = ""
    expires: float = 0.0
    renew_at: float = 0.0
    flight: asyncio.Task[None] | None = None
    refused: set[str] = field(default_factory=set[str])


class EntraTokens:
    """Tokens by credential. `environ` is what DefaultAzureCredential reads; `clock` gives Unix seconds."""

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Callable[[], float],
        log: CallLog,
        rng: Random,
        secret_of: Callable[[str], Awaitable[str]],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """options: for every class of azure-identity, such as `connection_verify` or `retry_total`."""
        self._environ = environ
        self._clock = clock
        self._log = log
        self._rng = rng
        self._secret_of = secret_of
        self._options = dict(options or {})
        self._cache: dict[Credential, _Cached] = {}
        self._sources: dict[Credential, Any] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self, credential: Credential) -> str:
        """-> a token. Raises UpstreamFailed("credential")."""
        if credential.kind == "static_token":
            secret = credential.secret
            return await self._secret_of(secret.vault_name) if secret.vault_name else secret.reveal()
        cached = self._cache.get(credential)
        if cached is None:
            cached = self._cache[credential] = _Cached()
        now = self._clock()
        if now < cached.expires:
            if now >= cached.renew_at and cached.flight is None:
                self._start(credential, cached)
            return cached.token
        flight = cached.flight or self._start(credential, cached)
        await asyncio.shield(flight)
        return cached.token

    def refuse(self, credential: Credential, token: str) -> None:
        cached = self._cache.get(credential)
        if cached and cached.token == token:
            cached.expires = 0.0

    def _discard(self, source: Any) -> None:
        closing = asyncio.ensure_future(_close(source))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _start(self, credential: Credential, cached: _Cached) -> asyncio.Task[None]:
        flight = asyncio.ensure_future(self._fetch(credential, cached))
        cached.flight = flight
        flight.add_done_callback(lambda done: self._landed(cached, done))
        return flight

    def _landed(self, cached: _Cached, flight: asyncio.Task[None]) -> None:
        cached.flight = None
        if not flight.cancelled() and (error := flight.exception()):
            cached.renew_at = self._clock() + RETRY_SECONDS
            self._log.warning("no token from Entra ID", error=str(error))

    async def _fetch(self, credential: Credential, cached: _Cached) -> None:
        # azure-identity answers from a cache of its own until five minutes before a token ends, a refused one included,
        # and hides that a renewal failed: so each fetch but the first is made by a new source
        if cached.token and (old := self._sources.pop(credential, None)):
            self._discard(old)
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                source = self._sources.get(credential)
                if source is None:
                    source = self._sources[credential] = await self._make(credential)
                found = await source.get_token(credential.scope)
        except Exception as error:
            text = str(error).partition("\n")[0] or type(error).__name__
            raise UpstreamFailed("credential", f"{credential.kind}: {text}") from error
        now = self._clock()
        cached.token, cached.expires = found.token, float(found.expires_on)
        ahead = min(REFRESH_SECONDS, (cached.expires - now) / 5)
        cached.renew_at = cached.expires - ahead * self._rng.uniform(0.9, 1.1)

    async def _make(self, credential: Credential) -> Any:
        """The azure-identity class for a credential. Imported here: it costs 170 ms that an api key never needs."""
        from azure.identity import aio

        options = authority_options(credential.authority) | self._options
        secret = credential.secret
        value = await self._secret_of(secret.vault_name) if secret.vault_name else secret.reveal()
        tenant, client = credential.tenant_id, credential.client_id
        if credential.kind == "client_secret":
            return aio.ClientSecretCredential(tenant, client, value, **options)
        if credential.kind == "password":
            return _PasswordCredential(tenant, client, credential.username, value, options)
        if credential.kind == "federated":
            return self._federated(credential, options)
        if client:
            options["managed_identity_client_id"] = client
        return aio.DefaultAzureCredential(exclude_interactive_browser_credential=True, **options)

    def _federated(self, credential: Credential, options: dict[str, Any]) -> Any:
        from azure.identity import aio

        tenant, client, file = credential.tenant_id, credential.client_id, credential.token_file
        if file.startswith("env:"):
            name = file.removeprefix("env:")
            return aio.ClientAssertionCredential(tenant, client, lambda: self._environ.get(name, ""), **options)
        return aio.WorkloadIdentityCredential(tenant_id=tenant, client_id=client, token_file_path=file, **options)

    async def close(self) -> None:
        for cached in self._cache.values():
            if cached.flight:
                cached.flight.cancel()
        for source in self._sources.values():
            await _close(source)
        self._sources.clear()


def authority_options(authority: str) -> dict[str, Any]:
    """azure-identity's options for an authority other than the public cloud's."""
    if not authority:
        return {}
    host = authority.removeprefix("https://").rstrip("/")
    # a private cloud's authority is not in Microsoft's list: asking that list about it can only fail
    return {"authority": authority, "disable_instance_discovery": host not in PUBLIC_AUTHORITIES}


async def _close(source: Any) -> None:
    await source.close()


class _PasswordCredential:
    """Username and password: azure-identity has this flow in its synchronous half only, so it runs in a thread."""

    def __init__(self, tenant: str, client: str, username: str, password: str, options: dict[str, Any]) -> None:
        import warnings

        from azure.identity import UsernamePasswordCredential

        with warnings.catch_warnings():  # Entra ID advises against this flow; the operator has chosen it
            warnings.simplefilter("ignore", DeprecationWarning)
            self._inner = UsernamePasswordCredential(client, username, password, tenant_id=tenant, **options)

    async def get_token(self, scope: str) -> Any:
        return await asyncio.to_thread(self._inner.get_token, scope)

    async def close(self) -> None:
        await asyncio.to_thread(self._inner.close)
