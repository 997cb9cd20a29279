"""Key Vault's secrets: the bearer challenge, reading the current and older versions, rotation.

Owns the secrets. Who a caller is, is `tokens.py`'s business.
"""

import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from .authority import meet_fault
from .errors import ApiError
from .faults import VAULT, FaultQueue
from .tokens import VAULT_AUDIENCE, TokenIssuer, TokenRefused


@dataclass(frozen=True, slots=True)
class _Version:
    name: str
    value: str
    created: int


class Vault:
    def __init__(
        self, url: str, secrets: Mapping[str, str], tokens: TokenIssuer, faults: FaultQueue, reads: Counter[str]
    ) -> None:
        self._url = url
        self._tokens = tokens
        self._faults = faults
        self._reads = reads
        self._secrets: dict[str, list[_Version]] = {}
        for name, value in secrets.items():
            self.put(name, value)

    def put(self, name: str, value: str) -> None:
        """A new version of the secret, which is the current one from now on."""
        self._secrets.setdefault(name, []).append(_Version(uuid.uuid4().hex, value, int(time.time())))

    def current(self) -> dict[str, str]:
        return {name: versions[-1].value for name, versions in self._secrets.items()}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/secrets/{name}", self.read),
            web.get("/secrets/{name}/", self.read),  # the SDK asks for the current version with an empty one
            web.get("/secrets/{name}/{version}", self.read),
        ]

    async def read(self, request: web.Request) -> web.Response:
        fault = await meet_fault(self._faults, VAULT)
        self._authorise(request.headers.get("Authorization", ""))
        if fault is not None and fault.kind == "vault_no_role":
            raise _no_role()
        if not request.query.get("api-version"):
            raise _error(400, "BadParameter", "api-version must be specified")
        self._reads["vault_reads"] += 1
        name, version = request.match_info["name"], request.match_info.get("version")
        found = self._find(name, version)
        if found is None:
            message = (
                f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret "
                "you may be able to recover it using the correct recovery command."
            )
            raise _error(404, "SecretNotFound", message)
        attributes = {"enabled": True, "created": found.created, "updated": found.created, "recoverableDays": 90}
        body = {
            "value": found.value,
            "id": f"{self._url}/secrets/{name}/{found.name}",
            "attributes": {**attributes, "recoveryLevel": "Recoverable+Purgeable"},
            "tags": {},
        }
        return web.json_response(body)

    def _find(self, name: str, version: str | None) -> _Version | None:
        versions = self._secrets.get(name, [])
        if version is None:
            return versions[-1] if versions else None
        return next((known for known in versions if known.name == version), None)

    def _authorise(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise self._challenge("AKV10000: Request is missing a Bearer or PoP token.")
        try:
            self._tokens.verify(token, {VAULT_AUDIENCE})
        except TokenRefused as refused:
            raise self._challenge(f"AKV10022: Invalid token: {refused}.") from refused

    def _challenge(self, message: str) -> ApiError:
        authority = f"{self._url}/{self._tokens.tenant_id}"
        error = _error(401, "Unauthorized", message)
        error.headers["WWW-Authenticate"] = f'Bearer authorization="{authority}", resource="{VAULT_AUDIENCE}"'
        return error


def _no_role() -> ApiError:
    message = (
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
        "definitions were changed recently, please observe propagation time.\r\nAction: "
        "'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nAssignment: (not found)\r\n"
    )
    error = {"code": "Forbidden", "message": message, "innererror": {"code": "ForbiddenByRbac"}}
    return ApiError(403, {"error": error}, content_type="application/json; charset=utf-8")


def _error(status: int, code: str, message: str) -> ApiError:
    return ApiError(
        status, {"error": {"code": code, "message": message}}, content_type="application/json; charset=utf-8"
    )
