"""Tokens of Entra ID: whether one is genuine, and what it says of its caller.

A token is verified once and remembered by its SHA-256 until it ends. None is ever logged or kept.
Sources: Microsoft's pages on access tokens and their claims (2026-09); RFC 7519, RFC 8725.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from shared import errors
from shared.adapters.entra_signers import Signers, SignersUnavailable
from shared.auth import entra_digest
from shared.ports import CallLog

if TYPE_CHECKING:
    import httpx

LEEWAY_SECONDS = 60.0
"""Clocks differ by so much."""
PUBLIC_AUTHORITY = "https://login.microsoftonline.com"
_OLD_ISSUERS = {
    "login.chinacloudapi.cn": "sts.chinacloudapi.cn",
    "login.partner.microsoftonline.cn": "sts.chinacloudapi.cn",
}
"""Hosts in the issuer of version 1 tokens, where they are not sts.windows.net, by the authority's host."""
_LONGEST = 16 * 1024
_MOST_TOKENS = 10_000
_TOLD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Claims:
    """What a genuine token says of its caller."""

    tenant: str
    subject: str
    """The object id of the application's service principal, or of the person."""
    app_id: str
    roles: frozenset[str]
    name: str
    """For people to read: a person's sign-in name, or the application's id."""
    expires_at: float
    user: str = ""
    """The person's object id; empty when an application calls for itself."""

    @property
    def key_id(self) -> str:
        """Under which its usage is kept, unless it is assigned to a key."""
        return entra_digest(self.tenant, self.user or self.app_id)


class EntraVerifier:
    """Tokens of the given tenants for the given audiences. `http` makes a client for one fetch."""

    def __init__(
        self,
        tenants: Iterable[str],
        audiences: Iterable[str],
        authority: str,
        http: Callable[[], httpx.AsyncClient],
        clock: Callable[[], float],
        log: CallLog,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audiences = frozenset(audiences)
        self._clock = clock
        self._log = log
        self._issuers: dict[str, tuple[str, Signers]] = {}
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()
        self._told: dict[str, float] = {}
        base = _authority(authority)
        for tenant in (tenant.lower() for tenant in tenants):
            signers = Signers(f"{base}/{tenant}/discovery/v2.0/keys", tenant, http, timer, log)
            old = _OLD_ISSUERS.get(base.removeprefix("https://"), "sts.windows.net")
            for issuer in (f"{base}/{tenant}/v2.0", f"https://{old}/{tenant}/"):
                self._issuers[issuer] = tenant, signers

    async def verify(self, token: str) -> Claims:
        """Raises ApiError 401, as for a wrong key, or 503 when Entra's keys cannot be fetched."""
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = await self._check(token)
            self._verified[digest] = claims
            while len(self._verified) > _MOST_TOKENS:
                self._verified.popitem(last=False)
            return claims
        if self._clock() >= claims.expires_at + LEEWAY_SECONDS:
            del self._verified[digest]
            raise errors.invalid_key()
        self._verified.move_to_end(digest)
        return claims

    async def _check(self, token: str) -> Claims:
        jwt = await asyncio.to_thread(_jwt)  # imported once, for 60 ms
        issuer, kid = _signed_by(jwt, token)
        if issuer not in self._issuers:
            raise errors.invalid_key()
        tenant, signers = self._issuers[issuer]
        try:
            key = await signers.key(kid)
        except SignersUnavailable:
            raise errors.unavailable(
                "The gateway cannot fetch the keys that prove Entra ID's tokens. Retry in a few seconds.",
                "entra_unavailable",
            ) from None
        said = _proven(jwt, token, key)
        if problem := self._wrong(said, tenant):
            self._tell(problem, tenant)
            raise errors.invalid_key()
        return _claims(said, tenant)

    def _wrong(self, said: Mapping[str, Any], tenant: str) -> str:
        """What is wrong with a token that Entra ID has signed; empty: nothing."""
        now, ends, begins = self._clock(), said.get("exp"), said.get("nbf", 0)
        if not _moment(ends) or not _moment(begins):
            return "exp or nbf is no number"
        if now >= ends + LEEWAY_SECONDS:
            return "it has expired"
        if now < begins - LEEWAY_SECONDS:
            return "it is not valid yet"
        audience = said.get("aud")
        if not isinstance(audience, str) or audience not in self._audiences:
            return f"its audience {str(audience)[:100]!r} is not in ENTRA_AUDIENCES"
        if str(said.get("tid", "")).lower() != tenant:
            return "tid is not the issuer's tenant"
        if not _app_of(said):
            return "it does not name its caller (an ID token?)"
        return ""

    def _tell(self, problem: str, tenant: str) -> None:
        """The operator, once a minute for each problem; the caller learns nothing."""
        now = self._clock()
        if now - self._told.get(problem, float("-inf")) >= _TOLD_SECONDS:
            if len(self._told) > 100:
                self._told.clear()
            self._told[problem] = now
            self._log.warning("an Entra token was refused", problem=problem, tenant=tenant)


_SIGNATURE_ONLY = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip
"""Everything else is checked here, by our own clock."""


def _jwt() -> Any:
    import jwt

    return jwt


def _signed_by(jwt: Any, token: str) -> tuple[str, str]:
    """Whose token it says it is, and the name of its key. Raises ApiError 401."""
    if len(token) > _LONGEST:
        raise errors.invalid_key()
    try:
        unproven = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise errors.invalid_key() from None
    header, issuer = unproven["header"], unproven["payload"].get("iss")
    if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str) or not isinstance(issuer, str):
        raise errors.invalid_key()
    return issuer, header["kid"]


def _proven(jwt: Any, token: str, key: Any | None) -> Mapping[str, Any]:
    """What a token says that the key has signed. Raises ApiError 401."""
    if key is None:
        raise errors.invalid_key()
    try:
        return jwt.decode(token, key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
    except (jwt.PyJWTError, ValueError):
        raise errors.invalid_key() from None


def _authority(text: str) -> str:
    host = (text or PUBLIC_AUTHORITY).removeprefix("https://").strip("/")
    return f"https://{host}"


def _moment(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _app_of(said: Mapping[str, Any]) -> str:
    """`azp` in version 2, `appid` in version 1."""
    return str(said.get("azp") or said.get("appid") or "").lower()


def _user_of(said: Mapping[str, Any]) -> str:
    """A person signed in where there are scopes; `idtyp` says so as well, where it is configured."""
    if said.get("scp") or said.get("idtyp") == "user":
        return str(said.get("oid") or said.get("sub") or "")
    return ""


def _claims(said: Mapping[str, Any], tenant: str) -> Claims:
    app_id, user = _app_of(said), _user_of(said)
    names = (said.get(name) for name in ("preferred_username", "upn", "unique_name", "name"))
    name = next((str(one) for one in names if one), user) if user else app_id
    given: Any = said.get("roles") or ()
    roles = frozenset(str(role) for role in given) if isinstance(given, list | tuple) else frozenset[str]()
    subject = str(said.get("oid") or said.get("sub") or "")
    return Claims(tenant, subject, app_id, roles, name[:200], float(said["exp"]), user)
