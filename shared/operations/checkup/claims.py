"""What a token of Entra ID says of whom it is for, read without checking it: for the eyes of the operator. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MANAGED = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Empty where the token does not say."""

    audience: str
    object_id: str
    client_id: str
    tenant: str
    expires: float
    user: str
    """Of a person: the name to sign in with."""
    resource: str
    """Of a managed identity: its resource id in Azure, or that of what it belongs to."""

    @property
    def kind(self) -> str:
        """As `az role assignment create` calls it."""
        return "User" if self.user else "ServicePrincipal"

    @property
    def called(self) -> str:
        if self.user:
            return f"user {self.user}"
        name = self.resource.rpartition("/")[2]
        if MANAGED.lower() in self.resource.lower():
            return f"managed identity {name}"
        return f"the own identity of {name}" if name else "application"


def _user(text: Mapping[str, str]) -> str:
    """Guests have no upn. A token with `scp` is a person's, whatever they are called."""
    if text.get("idtyp") == "app":
        return ""
    named = next((text[name] for name in ("upn", "preferred_username", "unique_name", "email") if name in text), "")
    return named or ("without a name" if "scp" in text else "")


def claims_of(token: str) -> TokenClaims | None:
    """None: the token cannot be looked into."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        said: Any = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        text = {name: str(value) for name, value in said.items() if isinstance(value, str)}
        expires = float(said.get("exp") or 0)
    except (ValueError, AttributeError, TypeError):
        return None
    return TokenClaims(
        audience=text.get("aud", ""),
        object_id=text.get("oid", ""),
        client_id=text.get("appid") or text.get("azp", ""),
        tenant=text.get("tid", ""),
        expires=expires,
        user=_user(text),
        resource=text.get("xms_mirid", ""),
    )
