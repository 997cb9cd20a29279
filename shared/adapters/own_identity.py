"""The app's own identity, for storage and vault: managed identity, and on a developer's machine whatever else
DefaultAzureCredential finds. Deployments have credentials of their own (identity.py).

Owns what the SDKs' clients sign in with: one credential for all of them, so that a process asks for each token once,
ahead of its end, and goes on with the old one while the identity endpoint fails. A credential of azure-identity for
each client would ask for each client, and inline.
"""

from __future__ import annotations

import functools
import time
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from shared.adapters.identity import EntraTokens, authority_options
from shared.adapters.telemetry import JsonLog
from shared.errors import UpstreamFailed
from shared.types import Credential

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken


_ASKED_AGAIN = 300.0
"""The SDKs ask for another token in the last seconds of the one that they have."""


class OwnCredential:
    """azure-core's AsyncTokenCredential. It has no connections of its own: nobody needs to close it, and it may be used
    by several event loops."""

    def __init__(self, tokens: EntraTokens, authority: str, client_id: str) -> None:
        self._tokens = tokens
        self._authority, self._client_id = authority, client_id
        self._given: dict[Credential, tuple[str, float]] = {}

    async def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **_: Any
    ) -> AccessToken:
        """Raises azure.core's ClientAuthenticationError, as credentials do."""
        from azure.core.credentials import AccessToken
        from azure.core.exceptions import ClientAuthenticationError

        (scope,) = scopes
        wanted, usual = self._wanted(scope, tenant_id or ""), self._wanted(scope, "")
        if claims or (tenant_id and self._is_challenge(usual, wanted)):
            for refused in (usual, wanted):
                self._tokens.refuse(refused, self._given.get(refused, ("", 0.0))[0])
        try:
            token, expires = await self._tokens.living(wanted)
        except UpstreamFailed as failed:
            raise ClientAuthenticationError(message=f"no token for the app's own identity: {failed.detail}") from failed
        self._given[wanted] = token, expires
        return AccessToken(token, int(expires))

    def _is_challenge(self, usual: Credential, wanted: Credential) -> bool:
        """Storage names a tenant only after it has refused what it was given without one. The vault names one always,
        but its client asks again for a token that lives on only when that was refused."""
        return usual in self._given or self._given.get(wanted, ("", 0.0))[1] > time.time() + _ASKED_AGAIN

    def _wanted(self, scope: str, tenant: str) -> Credential:
        return Credential(
            "default", tenant_id=tenant, client_id=self._client_id, authority=self._authority, scope=scope
        )

    async def close(self) -> None: ...

    async def __aenter__(self) -> OwnCredential:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@functools.cache
def own_credential(authority: str, client_id: str, told: tuple[tuple[str, str], ...] = ()) -> OwnCredential:
    """The one of this process. authority: AZURE_AUTHORITY_HOST; client_id: of a user-assigned identity, else empty;
    told: by platform_identity, of the environment."""

    async def no_secret(name: str) -> str:
        raise UpstreamFailed("secret", f"the app's own identity has no secret {name}")

    tokens = EntraTokens(dict(told), time.time, JsonLog(""), SystemRandom(), no_secret)
    return OwnCredential(tokens, authority, client_id)


def own_credential_at_exit(authority: str, client_id: str) -> Any:
    """The same for an interpreter that ends: it starts no threads, and asyncio connects with their help."""
    from azure.identity import DefaultAzureCredential

    options = authority_options(authority)
    if client_id:
        options["managed_identity_client_id"] = client_id
    return DefaultAzureCredential(exclude_interactive_browser_credential=True, **options)
