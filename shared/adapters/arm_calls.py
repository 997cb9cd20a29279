"""Requests to Azure Resource Manager: the token, patience with 429, pages, and refusals in words for the operator.

Owns how it is asked; knows none of its resources (resource_manager.py does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from shared.errors import UpstreamFailed
from shared.ports import Tokens
from shared.redact import redact
from shared.types import Credential

if TYPE_CHECKING:
    import httpx

_SCOPE = "https://management.azure.com/.default"
_OTHER_CLOUDS = ("management.usgovcloudapi.net", "management.chinacloudapi.cn")
_ATTEMPTS = 4
_LONGEST_PAUSE = 30.0
_MOST_PAGES = 200
_MOST_TEXT = 500


class ArmFailed(Exception):
    """Azure Resource Manager gave no answer that can be used; the text says why, for the operator."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        """As HTTP has it; 0: it was not reached, or there is no token for it."""
        self.code = code
        """Azure's word, such as `AuthorizationFailed`; empty: none."""
        self.message = message
        super().__init__(message)


def arm_scope(url: str) -> str:
    """For whom a token has to be. url: Resource Manager's, whose cloud it says."""
    return f"{url.rstrip('/')}/.default" if urlsplit(url).hostname in _OTHER_CLOUDS else _SCOPE


class ArmCalls:
    """`url` is Resource Manager's, which differs by cloud."""

    def __init__(self, http: httpx.AsyncClient, url: str, tokens: Tokens) -> None:
        self._http, self._url, self._tokens = http, url.rstrip("/"), tokens
        self._credential = Credential("default", scope=arm_scope(url))

    async def one(self, path: str, version: str, **query: str) -> Mapping[str, Any]:
        """The resource at a path from /subscriptions on."""
        return await self._get(self._address(path), {"api-version": version, **query})

    async def rows(self, path: str, version: str, **query: str) -> list[Mapping[str, Any]]:
        """Every row of a list, over all its pages."""
        address, asked = self._address(path), {"api-version": version, **query}
        found: list[Mapping[str, Any]] = []
        for _ in range(_MOST_PAGES):
            page = await self._get(address, asked)
            value = page.get("value")
            if not isinstance(value, list):
                raise not_understood("a list without rows")
            found += [row for row in value if isinstance(row, dict)]
            address, asked = str(page.get("nextLink") or ""), {}
            if not address:
                return found
            if _origin(address) != _origin(self._url):  # the token would go there, too
                raise not_understood("the next page is on another host")
        raise not_understood(f"a list of more than {_MOST_PAGES} pages")

    def _address(self, path: str) -> str:
        return f"{self._url}/{quote(path.strip('/'), safe="/()!$&'*+,;=:@~")}"

    async def _get(self, address: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        import httpx

        attempt = 0
        while True:
            attempt += 1
            try:
                token = await self._tokens.get(self._credential)
                headers = {"authorization": f"Bearer {token}"}
                # no query at all for the address of a next page, which has its own
                answer = await self._http.get(address, params=query or None, headers=headers)
            except UpstreamFailed as error:
                raise ArmFailed(0, "NoToken", f"no token for Azure Resource Manager: {error.detail}") from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                text = f"Azure Resource Manager does not answer: {type(error).__name__}"
                raise ArmFailed(0, "NotReached", text) from error
            if answer.status_code == 200:
                return _object(answer)
            again = answer.status_code in (401, 429) or answer.status_code >= 500
            if not again or attempt == _ATTEMPTS:
                raise _refusal(answer)
            if answer.status_code == 401:
                self._tokens.refuse(self._credential, token)
            else:
                await asyncio.sleep(_pause(answer.headers.get("retry-after", ""), attempt))


def not_understood(what: str) -> ArmFailed:
    return ArmFailed(200, "NotUnderstood", f"Azure Resource Manager's answer is not understood: {what}")


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise not_understood("no JSON") from error
    if not isinstance(found, dict):
        raise not_understood("no object")
    return found


def _refusal(answer: httpx.Response) -> ArmFailed:
    code, said = "", "no reason"
    try:
        error: Any = answer.json()["error"]
        code, said = str(error.get("code") or ""), str(error.get("message") or "no reason")
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # a proxy's page, or nothing
    reason = ": ".join(part for part in (code, redact(said, {})[:_MOST_TEXT]) if part)
    return ArmFailed(answer.status_code, code, f"Azure Resource Manager answered {answer.status_code}: {reason}")


def _origin(address: str) -> tuple[str, str, int | None]:
    """The port may be written or not. What is no address has the origin of nothing."""
    try:
        split = urlsplit(address)
        return split.scheme, split.hostname or "", split.port or {"https": 443, "http": 80}.get(split.scheme)
    except ValueError:
        return "", "", None


def _pause(retry_after: str, attempt: int) -> float:
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = 0.25 * 2**attempt
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
