"""What Azure's storage and vault say when they refuse, in words for the operator: which role is missing, or what else.

Owns the text of ports.StoreUnavailable for errors of Azure's SDKs. Knows no call and no client: what is told here is
for the log and the operator's own screen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from shared.ports import StoreUnavailable

type Service = Literal["table", "blob", "queue", "vault"]
ROLES: Mapping[Service, str] = {
    "table": "Storage Table Data Contributor",
    "blob": "Storage Blob Data Owner",
    "queue": "Storage Queue Data Contributor",
    "vault": "Key Vault Secrets User",
}
"""What the app's identity needs to do all that it does there; shared/roles.json is the list of them."""
_PLACES: Mapping[Service, str] = {
    "table": "the storage account", "blob": "the storage account", "queue": "the storage account",
    "vault": "the key vault",
}  # fmt: skip
_ROLE_CODES = frozenset({"AuthorizationPermissionMismatch", "InsufficientAccountPermissions", "ForbiddenByRbac"})
_REMEDIES: Mapping[str, str] = {
    "AuthorizationFailure": "the network rules of the storage account do not let the app in: add the app's subnet or a "
    "private endpoint, or permit public access",
    "ForbiddenByFirewall": "the firewall of the key vault does not let the app in: add the app's subnet or a private "
    "endpoint, or permit public access",
    "ForbiddenByConnection": "the key vault takes private connections alone: check its private endpoint and DNS zone",
    "KeyBasedAuthenticationNotPermitted": "the storage account takes no keys, and the app setting AzureWebJobsStorage "
    "holds one: set AzureWebJobsStorage__blobServiceUri and its like instead",
    "InvalidAuthenticationInfo": "the token was refused: check that the storage account is in the identity's tenant",
}
_CODES = (
    re.compile(r'"innererror":\s*\{\s*"code":\s*"(\w+)"'),
    re.compile(r'"code":\s*"(\w+)"'),
    re.compile(r"ErrorCode:(\w+)"),
)


def unavailable(error: BaseException, service: Service) -> StoreUnavailable:
    return StoreUnavailable(told(error, service))


def told(error: BaseException, service: Service) -> str:
    """One line: what is wrong, and for a refusal what to do about it."""
    first = str(error).strip().partition("\n")[0][:300] or type(error).__name__
    if getattr(error, "status_code", None) not in (401, 403):
        return first
    code = _said(error)
    if code in _ROLE_CODES or (service == "vault" and code == "Forbidden"):
        return (
            f"the app's identity lacks the role {ROLES[service]} on {_PLACES[service]}: assign it (a role that was "
            f"just assigned takes up to 10 minutes) [{code}]"
        )
    return f"{_REMEDIES[code]} [{code}]" if code in _REMEDIES else first


def code_of(error: BaseException | None) -> str:
    """Azure's word for what is wrong, as far as the SDK has understood it; else empty."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _said(error: Any) -> str:
    """The most exact code: in the body the vault has one within another."""
    response = getattr(error, "response", None)
    try:
        text = f"{response.text() if response is not None else ''}\n{error}"
    except Exception:  # a body that was not read, or that is no text
        text = str(error)
    if found := _CODES[0].search(text):
        return found[1]
    return code_of(error) or next((found[1] for pattern in _CODES[1:] if (found := pattern.search(text))), "")
