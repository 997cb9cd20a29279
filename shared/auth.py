"""Who is calling: the credential in a request, the digest under which its key is stored, and whether it may call.

Pure: the pepper, the clock and the random bytes are arguments. Where keys are stored, and how an Entra token is
checked, is an adapter's business.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from shared import errors
from shared.principals import Principal

KEY_BYTES = 32
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{43}")
_TOKEN = re.compile(r"ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def new_key(random: bytes) -> str:
    """`sk-` and 32 random bytes in base64url: 46 characters. A fast hash is right for 256 bits of entropy."""
    if len(random) != KEY_BYTES:
        raise ValueError(f"a key is made of {KEY_BYTES} random bytes")
    return "sk-" + urlsafe_b64encode(random).rstrip(b"=").decode()


def key_digest(pepper: bytes, key: str) -> str:
    """HMAC-SHA256 in hex: the name under which a key is stored. The key itself is stored nowhere."""
    return hmac.digest(pepper, key.encode(), hashlib.sha256).hex()


def entra_digest(*parts: str) -> str:
    """SHA-256 in hex: the name under which a caller without a key is kept. Its parts are no secrets."""
    return hashlib.sha256("|".join(("entra", *parts)).encode()).hexdigest()


def shown(key: str) -> str:
    """What may be displayed of a key."""
    return f"{key[:6]}…{key[-4:]}"


def key_of(headers: Mapping[str, str]) -> str:
    """The key that a client sent: `Authorization: Bearer` (OpenAI), `api-key` (Azure), `x-api-key` (Anthropic).

    Raises ApiError 401 when there is none or when it cannot be one of ours.
    """
    key = _bearer(headers)
    if key is None:
        key = headers.get("api-key") or headers.get("x-api-key") or ""
    if not _KEY.fullmatch(key):
        raise errors.invalid_key()
    return key


def token_of(headers: Mapping[str, str]) -> str:
    """What looks like an Entra token in `Authorization: Bearer`; empty where there is none."""
    given = _bearer(headers) or ""
    return given if _TOKEN.fullmatch(given) else ""


def _bearer(headers: Mapping[str, str]) -> str | None:
    given = headers.get("authorization", "")
    return given[7:].strip() if given[:7].lower() == "bearer " else None


def check(principal: Principal | None, now: float) -> Principal:
    """The principal of a key that is known, enabled and not expired, and whose team is not disabled.

    Raises ApiError 401, the same for all of them.
    """
    if principal is None or principal.disabled or (principal.of_team is not None and principal.of_team.disabled):
        raise errors.invalid_key()
    if principal.expires_at is not None and principal.expires_at <= now:
        raise errors.invalid_key()
    return principal


def is_admin(headers: Mapping[str, str], admin_key: str) -> bool:
    """Whether the request carries the operator's own key, compared in constant time."""
    given = headers.get("authorization", "")[7:].strip() or headers.get("api-key", "")
    return bool(admin_key) and hmac.compare_digest(given.encode(), admin_key.encode())
