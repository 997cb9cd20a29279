"""Callers who send a token of Entra ID instead of a key (ports.Callers): which key or team they are assigned to.

It is looked up as keys are, with the same bound on its age. What a token says is entra_tokens.py's business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.adapters.key_cache import CachedKeys
from shared.adapters.key_store import Bound, TableKeys
from shared.errors import ApiError
from shared.ports import CallLog
from shared.principals import Principal
from shared.settings import Settings

if TYPE_CHECKING:
    import httpx

    from shared.adapters.entra_tokens import Claims, EntraVerifier

_MOST_ROLES = 50


class EntraKeys:
    """To which key or team a caller is assigned: by the application first, then by the roles in its token."""

    def __init__(self, keys: TableKeys, log: CallLog) -> None:
        self._keys = keys
        self._log = log

    async def get(self, asked: Claims) -> Principal | None:
        """-> None when it is assigned to nothing, or its roles to several things. Raises StoreUnavailable."""
        bound = await self._keys.bound(f"app:{asked.app_id}") if asked.app_id else None
        if bound is None:
            roles = sorted(asked.roles)[:_MOST_ROLES]
            found = await asyncio.gather(*(self._keys.bound(f"role:{role}") for role in roles))
            places = {_place(one): one for one in found if one}
            if len(places) > 1:
                self._log.warning("an Entra caller's roles lead to several keys or teams", caller=asked.name)
            if len(places) != 1:
                return None
            (bound,) = places.values()
        if bound.key is not None:
            return bound.key.principal if bound.key.fault else await self._keys.with_team(bound.key.principal)
        assert bound.team is not None
        team = bound.team.team
        return Principal(asked.key_id, asked.name, team.name, of_team=team)


def _place(bound: Bound) -> tuple[str, str]:
    if bound.key is not None:
        return "key", bound.key.principal.key_id
    return "team", bound.team.team.name if bound.team else ""


@dataclass(frozen=True, slots=True)
class EntraCallers:
    """ports.Callers."""

    verifier: EntraVerifier
    keys: CachedKeys[Claims]
    contact: str = ""

    async def principal(self, token: str) -> Principal:
        """Raises ApiError 401, 403 or 503; StoreUnavailable."""
        claims = await self.verifier.verify(token)
        principal = await self.keys.get(claims)
        if principal is None:
            raise not_assigned(claims, self.contact)
        return principal


def not_assigned(claims: Claims, contact: str) -> ApiError:
    """The token is genuine: its caller may know what to ask for."""
    who = f"the user {claims.name} ({claims.user})" if claims.user else f"the application {claims.app_id}"
    roles = ", ".join(sorted(claims.roles)[:10]) or "none"
    return ApiError(
        403,
        f"Your Entra token is good, but {who} is not assigned to a team here, or its roles belong to several. "
        f"Ask {contact or 'your platform team'} to assign app:{claims.app_id} to your team, or to give {who} the app "
        f"role of exactly one team in Entra ID (roles in your token: {roles}).",
        code="caller_not_assigned",
    )


def entra_callers(
    settings: Settings,
    authority: str,
    keys: TableKeys,
    log: CallLog,
    *,
    clock: Callable[[], float] = time.time,
    timer: Callable[[], float] = time.monotonic,
) -> EntraCallers | None:
    """As the settings say; None when no tenant's tokens are accepted. authority: empty is the public cloud's."""
    if not settings.entra_tenants:
        return None
    from shared.adapters.entra_tokens import EntraVerifier

    verifier = EntraVerifier(
        settings.entra_tenants, settings.entra_audiences, authority, _client, clock, log, timer
    )  # fmt: skip
    cached: CachedKeys[Claims] = CachedKeys(EntraKeys(keys, log), settings.key_cache_seconds, timer, log)
    return EntraCallers(verifier, cached, settings.contact)


def _client() -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(timeout=5.0)
