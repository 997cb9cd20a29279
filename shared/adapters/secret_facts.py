"""What Key Vault says of a secret besides its value: whether it is there, enabled, and when it ends.

Owns the request and its answers. The value comes along and is dropped here; whoever needs it asks vault.py.
Needs the role Key Vault Secrets User. Evidence: Key Vault REST API 7.5, "Get Secret"; error codes of its
"Authentication, requests and responses" page (2026-08).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from shared.addresses import is_loopback
from shared.errors import UpstreamFailed
from shared.ports import Tokens
from shared.types import Credential

if TYPE_CHECKING:
    import httpx

API_VERSION = "7.5"
_CLOUDS = (".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net")


class VaultRefused(Exception):
    """No facts. status: as HTTP has it, 0: there was no answer; code: Azure's word, the inner one if there is one."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status_code, self.error_code = status, code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class SecretFacts:
    enabled: bool
    expires: float | None
    """Unix seconds; None: never."""


def vault_scope(vault: str) -> str:
    """For whom a token has to be: the vault's own cloud."""
    host = urlsplit(vault).hostname or ""
    cloud = next((one for one in _CLOUDS if host.endswith(one)), _CLOUDS[0])
    return f"https://{cloud.removeprefix('.')}/.default"


async def secret_facts(
    http: httpx.AsyncClient, tokens: Tokens, credential: Credential, vault: str, name: str
) -> SecretFacts:
    """vault: its address. Raises VaultRefused."""
    import httpx

    host = urlsplit(vault).hostname or ""
    if not (host.endswith(_CLOUDS) or is_loopback(host)):
        raise VaultRefused(0, "NoVault", f"{host} is no address of a Key Vault: no token is sent there")
    try:
        token = await tokens.get(credential)
        answer = await http.get(
            f"{vault.rstrip('/')}/secrets/{quote(name, safe='')}",
            params={"api-version": API_VERSION},
            headers={"authorization": f"Bearer {token}"},
        )
    except UpstreamFailed as error:
        raise VaultRefused(0, "NoToken", f"no token: {error.detail}") from error
    except httpx.HTTPError as error:
        raise VaultRefused(0, "", f"the vault does not answer: {error or type(error).__name__}") from error
    if answer.status_code != 200:
        raise _refusal(answer)
    try:
        attributes: dict[str, Any] = answer.json()["attributes"]
        expires = attributes.get("exp")
        return SecretFacts(bool(attributes.get("enabled", True)), float(expires) if expires else None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VaultRefused(answer.status_code, "", "the vault's answer is not understood") from error


def _refusal(answer: httpx.Response) -> VaultRefused:
    try:
        error: dict[str, Any] = answer.json()["error"]
        inner: Any = error.get("innererror")
        code = str((inner.get("code") if isinstance(inner, dict) else "") or error.get("code") or "")
        return VaultRefused(answer.status_code, code, str(error.get("message") or code)[:300])
    except (KeyError, TypeError, ValueError, AttributeError):
        return VaultRefused(answer.status_code, "", f"the vault answers {answer.status_code}")
