"""Tokens of the managed identity from the endpoint that Azure Functions gives each instance (IDENTITY_ENDPOINT).

Stands for azure-identity's ManagedIdentityCredential where that would be what DefaultAzureCredential finds: the same
request, by the same pipeline of azure-core, without the 110 ms and 280 modules of azure-identity (docs/adr/0015). Owns
that one request; when tokens are fetched is identity.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

_VERSION = "2019-08-01"
_SECONDS = 10.0
_OTHERS = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_USERNAME",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS",
    "IDENTITY_SERVER_THUMBPRINT",
)
"""With any of these DefaultAzureCredential may sign in as somebody else, or in another way."""


def told(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What of the environment is read here, as a value that can be compared."""
    names = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID", *_OTHERS)
    return tuple((name, environ[name]) for name in names if environ.get(name))


def on_platform(environ: Mapping[str, str]) -> bool:
    """Whether DefaultAzureCredential would take the platform's managed identity, and nothing else."""
    if any(environ.get(name) for name in _OTHERS):
        return False
    return bool(environ.get("IDENTITY_ENDPOINT") and environ.get("IDENTITY_HEADER"))


class PlatformIdentity:
    """A source of tokens, used once. options: of azure-core's retry policy."""

    def __init__(self, environ: Mapping[str, str], client_id: str, options: Mapping[str, Any]) -> None:
        from azure.core.pipeline import AsyncPipeline
        from azure.core.pipeline.policies import AsyncRetryPolicy

        from shared.adapters.sdk_transport import SdkTransport

        self._endpoint, self._header = environ["IDENTITY_ENDPOINT"], environ["IDENTITY_HEADER"]
        self._client_id = client_id or environ.get("AZURE_CLIENT_ID", "")
        self._pipeline = AsyncPipeline[Any, Any](SdkTransport(_SECONDS, _SECONDS), [AsyncRetryPolicy(**options)])

    async def get_token(self, scope: str, **_: Any) -> AccessToken:
        """Raises azure.core's ClientAuthenticationError and whatever its pipeline raises."""
        from azure.core.credentials import AccessToken
        from azure.core.exceptions import ClientAuthenticationError
        from azure.core.rest import HttpRequest

        asked = {"api-version": _VERSION, "resource": scope.removesuffix("/.default")}
        if self._client_id:
            asked["client_id"] = self._client_id
        request = HttpRequest("GET", self._endpoint, params=asked, headers={"X-IDENTITY-HEADER": self._header})
        response = (await self._pipeline.run(request)).http_response
        found = _said(response)
        if response.status_code != 200 or not found.get("access_token") or not found.get("expires_on"):
            why = found.get("message") or found.get("Message") or "no token"
            raise ClientAuthenticationError(message=f"managed identity: {response.status_code}: {why}")
        return AccessToken(found["access_token"], int(found["expires_on"]))

    async def close(self) -> None:
        await self._pipeline.__aexit__()


def _said(response: Any) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
