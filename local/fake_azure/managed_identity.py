"""The managed-identity endpoint of App Service and Functions (IDENTITY_ENDPOINT, api-version 2019-08-01).

Owns what that endpoint checks and how it answers. Plain HTTP, as on the platform.
"""

import time
from collections import Counter
from dataclasses import dataclass

from aiohttp import web

from .authority import meet_fault, token_lifetime
from .errors import ApiError
from .faults import IDENTITY, FaultQueue
from .tokens import TokenIssuer

PATH = "/msi/token"
_API_VERSION = "2019-08-01"


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    header: str  # what X-IDENTITY-HEADER has to say
    client_id: str
    tokens: TokenIssuer
    faults: FaultQueue
    requests: Counter[str]

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.token)]

    async def token(self, request: web.Request) -> web.Response:
        self.requests["managed_identity"] += 1
        await meet_fault(self.faults, IDENTITY)
        resource = self._check(request)
        lifetime = token_lifetime(self.faults)
        token = self.tokens.issue(
            resource, lifetime, appid=self.client_id, oid=self.client_id, sub=self.client_id, idtyp="app"
        )
        body = {
            "access_token": token,
            "expires_on": str(int(time.time() + lifetime)),  # a string, unlike anywhere else
            "resource": resource,
            "token_type": "Bearer",
            "client_id": self.client_id,
        }
        return web.json_response(body)

    def _check(self, request: web.Request) -> str:
        query = request.query
        if request.headers.get("X-IDENTITY-HEADER") != self.header:
            raise _refusal(401, "The X-IDENTITY-HEADER is missing or wrong.")
        if query.get("api-version") != _API_VERSION:
            raise _refusal(400, f"The api-version must be {_API_VERSION}.")
        if query.get("client_id", self.client_id) != self.client_id:
            raise _refusal(
                400,
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
            )
        resource = query.get("resource", "")
        if not resource:
            raise _refusal(400, "The resource parameter is missing.")
        return resource


def _refusal(status: int, message: str) -> ApiError:
    return ApiError(status, {"statusCode": status, "message": message, "correlationId": "fake-azure"})
