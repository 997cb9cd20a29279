"""Entra ID tokens (ports.Tokens) from azure-identity's credentials: one flight per credential, refreshed ahead.

azure-identity caches tokens but fetches inline and once per waiting call (measured: 50 calls, 50 requests). So here:
at most one fetch per credential at a time, started in the background before a token ends, and the old token served
while it lives. No call waits for a token but the very first. The app's own identity uses the same (own_identity.py).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from shared.adapters.platform_identity import PlatformIdentity, on_platform
from shared.errors import UpstreamFailed
from shared.ports import CallLog
from shared.types import Credential

REFRESH_SECONDS = 600.0
"""A token is renewed when so little of its life is left, or a fifth of it if that is less."""
RETRY_SECONDS = 30.0
"""Between two attempts to renew a token that still lives, and between two that were refused: an identity without a role
may be refused at every call."""
FETCH_SECONDS = 30.0
MARGIN_SECONDS = 5.0
"""A token is not used in its last seconds, or last tenth: it might end on its way."""
_RETRIES: Mapping[str, Any] = {"retry_total": 3, "retry_backoff_factor": 0.4}
"""Within 2.4 s, unless the identity endpoint says when to come back. The SDK's own pace would take minutes."""
_TRIED = re.compile(r"^\s+(\w+Credential): (.+)$", re.M)
_ABSENT = re.compile(r"unavailable|not found|could not be found|not installed|to be installed", re.I)
PUBLIC_AUTHORITIES = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn")


@dataclass(slots=True)
class _Cached:
    token: str = ""
    expires: float = 0.0
    renew_at: float = 0.0
    flight: asyncio.Task[None] | None = None
    refused_at: float = 0.0


class EntraTokens:
    """Tokens by credential. `environ` is what DefaultAzureCredential reads; `clock` gives Unix seconds."""

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Callable[[], float],
        log: CallLog,
        rng: Random,
        secret_of: Callable[..., Awaitable[str]],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """secret_of: of the vault, by name; `refused=` a value that was not accepted. options: for every class of
        azure-identity, such as `connection_verify` or `retry_total`."""
        self._environ = environ
        self._clock = clock
        self._log = log
        self._rng = rng
        self._secret_of = secret_of
        self._options = {**_RETRIES, **(options or {})}
        self._cache: dict[Credential, _Cached] = {}

    async def get(self, credential: Credential) -> str:
        """-> a token. Raises UpstreamFailed("credential")."""
        if credential.kind == "static_token":
            secret = credential.secret
            return await self._secret_of(secret.vault_name) if secret.vault_name else secret.reveal()
        return (await self.living(credential))[0]

    async def living(self, credential: Credential) -> tuple[str, float]:
        """-> a token, and the Unix second in which it ends. Raises UpstreamFailed("credential")."""
        cached = self._cache.get(credential)
        if cached is None:
            cached = self._cache[credential] = _Cached()
        now = self._clock()
        if now < cached.expires:
            if now >= cached.renew_at and cached.flight is None:
                self._start(credential, cached)
            return cached.token, cached.expires
        flight = cached.flight
        # a command's prices are read by a loop of its own: nobody can wait for another loop's work
        if flight is None or flight.get_loop() is not asyncio.get_running_loop():
            flight = self._start(credential, cached)
        await asyncio.shield(flight)
        return cached.token, cached.expires

    def refuse(self, credential: Credential, token: str) -> None:
        cached, now = self._cache.get(credential), self._clock()
        if cached and cached.token == token and now - cached.refused_at >= RETRY_SECONDS:
            cached.expires, cached.refused_at = 0.0, now

    def _start(self, credential: Credential, cached: _Cached) -> asyncio.Task[None]:
        flight = asyncio.ensure_future(self._fetch(credential, cached))
        cached.flight = flight
        flight.add_done_callback(lambda done: self._landed(cached, done))
        return flight

    def _landed(self, cached: _Cached, flight: asyncio.Task[None]) -> None:
        if cached.flight is flight:
            cached.flight = None
        if not flight.cancelled() and (error := flight.exception()):
            cached.renew_at = self._clock() + RETRY_SECONDS
            self._log.warning("no token from Entra ID", error=str(error))

    async def _fetch(self, credential: Credential, cached: _Cached) -> None:
        # by a new source each time: azure-identity answers from a cache of its own until five minutes before a token
        # ends, a refused one included, and hides that a renewal failed
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                found = await self._ask(credential)
        except TimeoutError as error:
            raise UpstreamFailed("credential", f"{credential.kind}: no answer within {FETCH_SECONDS:g} s") from error
        except Exception as error:
            raise UpstreamFailed("credential", f"{credential.kind}: {_reason(error)}") from error
        now = self._clock()
        left = float(found.expires_on) - now
        cached.token, cached.expires = found.token, now + left - min(MARGIN_SECONDS, max(left, 0.0) / 10)
        cached.renew_at = now + left - min(REFRESH_SECONDS, left / 5) * self._rng.uniform(0.9, 1.1)

    async def _ask(self, credential: Credential) -> Any:
        """Once more when the vault has another secret by now: secrets are rotated."""
        secret = credential.secret
        if not secret.vault_name:
            return await self._ask_with(credential, secret.reveal())
        value = await self._secret_of(secret.vault_name)
        try:
            return await self._ask_with(credential, value)
        except Exception:
            renewed = await self._secret_of(secret.vault_name, refused=value)
            if renewed == value:
                raise
            return await self._ask_with(credential, renewed)

    async def _ask_with(self, credential: Credential, value: str) -> Any:
        source = self._make(credential, value)
        try:
            return await source.get_token(credential.scope, **_tenant_of(credential))
        finally:
            await source.close()

    def _make(self, credential: Credential, value: str) -> Any:
        """The azure-identity class for a credential. Imported here: it costs 110 ms, which neither an api key nor the
        platform's own identity needs."""
        if credential.kind == "default" and on_platform(self._environ):
            return PlatformIdentity(self._environ, credential.client_id, self._options)
        from azure.identity import aio

        options = authority_options(credential.authority) | self._options
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


def authority_options(authority: str) -> dict[str, Any]:
    """azure-identity's options for an authority other than the public cloud's."""
    if not authority:
        return {}
    host = authority.removeprefix("https://").rstrip("/")
    # a private cloud's authority is not in Microsoft's list: asking that list about it can only fail
    return {"authority": authority, "disable_instance_discovery": host not in PUBLIC_AUTHORITIES}


def _tenant_of(credential: Credential) -> dict[str, str]:
    """Where whoever is signed in may be known in several tenants, the service that is asked says which it wants."""
    return {"tenant_id": credential.tenant_id} if credential.kind == "default" and credential.tenant_id else {}


def _reason(error: Exception) -> str:
    """DefaultAzureCredential tells a line of each way that it has tried, most of which nobody has set up."""
    text = str(error).strip()
    tried = [f"{name}: {why}" for name, why in _TRIED.findall(text)]
    if not tried:
        return text.partition("\n")[0][:500] or type(error).__name__
    failed = [line for line in tried if not _ABSENT.search(line)]
    return failed[0][:500] if failed else "nobody is signed in here: run az login"


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
