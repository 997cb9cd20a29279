"""config.yaml from a blob that is read with a token: one GET through azure-core's pipeline.

azure-storage-blob would do the same, after 150 ms of importing (docs/adr/0015): it is for those who give a connection
string, and for all other blobs, which no call to a model waits for. Knows nothing of what is in the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.adapters.azure_errors import unavailable

_VERSION = "2021-12-02"
STORAGE_SCOPE = "https://storage.azure.com/.default"
_CONNECT, _READ = 5.0, 10.0
_RETRIES: dict[str, Any] = {"retry_total": 3, "retry_backoff_factor": 0.2}


class TokenBlobSource:
    """config_source.ConfigSource. url: of the blob; `credential` makes the SDK's credential."""

    def __init__(self, url: str, credential: Callable[[], Any]) -> None:
        self._url = url
        self._credential = credential

    async def read(self, known: str) -> tuple[str, str] | None:
        from azure.core.exceptions import AzureError

        headers = {"x-ms-version": _VERSION} | ({"If-None-Match": known} if known else {})
        try:
            response = await self._get(headers)
        except AzureError as error:
            raise unavailable(error, "blob") from error
        if response.status_code == 304:
            return None
        if response.status_code != 200:
            raise unavailable(_refusal(response), "blob")
        return response.content.decode("utf-8-sig"), response.headers.get("etag", "")

    async def _get(self, headers: dict[str, str]) -> Any:
        from azure.core.pipeline import AsyncPipeline
        from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, AsyncRetryPolicy
        from azure.core.rest import HttpRequest

        from shared.adapters.sdk_transport import SdkTransport

        signing_in = AsyncBearerTokenCredentialPolicy(self._credential(), STORAGE_SCOPE)
        policies = [AsyncRetryPolicy(**_RETRIES), signing_in]
        async with AsyncPipeline[Any, Any](SdkTransport(_CONNECT, _READ), policies) as pipeline:
            return (await pipeline.run(HttpRequest("GET", self._url, headers=headers))).http_response


def _refusal(response: Any) -> Exception:
    """As azure-storage-blob would raise it."""
    from azure.core.exceptions import HttpResponseError

    code = response.headers.get("x-ms-error-code", "")
    error: Any = HttpResponseError(f"{response.status_code} {response.reason} {code}".rstrip(), response)
    error.error_code = code
    return error
