"""The Entra ID endpoints: tokens for client secrets, federated assertions and passwords, and the metadata about them.

Owns who may sign in and how Entra words a refusal. Issuing itself is `tokens.py`.
"""

import asyncio
import base64
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from .errors import ApiError
from .faults import AUTHORITY, SIGNING_KEYS, TOKEN_LIFETIME, Fault, FaultQueue
from .tokens import DEFAULT_LIFETIME, TokenIssuer, TokenRefused

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FEDERATED_AUDIENCE = "api://AzureADTokenExchange"
FEDERATED_SUBJECT = "system:serviceaccount:dev:app"
"""Whoever the cluster says that a caller is: its assertions are rotated, this stays."""
_ANY_TENANT = ("common", "organizations")


@dataclass(frozen=True, slots=True)
class Directory:
    """Who exists in the tenant."""

    tenant_id: str
    clients: Mapping[str, str]  # client id: secret
    users: Mapping[str, str]  # username: password
    federated_assertion: str


class Authority:
    def __init__(
        self, url: str, directory: Directory, tokens: TokenIssuer, faults: FaultQueue, requests: Counter[str]
    ) -> None:
        self._url = url
        self._directory = directory
        self._tokens = tokens
        self._faults = faults
        self._requests = requests

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/{tenant}/oauth2/v2.0/token", self.token),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self.openid_configuration),
            web.get("/{tenant}/discovery/v2.0/keys", self.keys),
            web.get("/common/discovery/instance", self.instance),
            web.get("/common/userrealm/{username}", self.user_realm),
        ]

    async def token(self, request: web.Request) -> web.Response:
        await meet_fault(self._faults, AUTHORITY)
        self._check_tenant(request.match_info["tenant"])
        form = {name: str(value) for name, value in (await request.post()).items()}
        client_id, audience = form.get("client_id", ""), _audience(form.get("scope", ""))
        match form:
            case {"grant_type": "password"}:
                return self._issue_to_user(form, client_id, audience)
            case {"grant_type": "client_credentials", "client_assertion": assertion}:
                self._requests["client_assertion"] += 1
                self._check_assertion(client_id, assertion, form.get("client_assertion_type", ""))
            case {"grant_type": "client_credentials"}:
                self._requests["client_secret"] += 1
                self._check_secret(client_id, form.get("client_secret", ""))
            case _:
                message = "The provided grant_type is missing or not supported."
                raise _refusal(400, "unsupported_grant_type", 70003, message)
        return self._answer(audience, appid=client_id, azp=client_id, oid=client_id, sub=client_id, idtyp="app")

    def _issue_to_user(self, form: Mapping[str, str], client_id: str, audience: str) -> web.Response:
        self._requests["password"] += 1
        username = form.get("username", "")
        if client_id not in self._directory.clients:
            raise self._unknown_client(client_id)
        if self._directory.users.get(username) != form.get("password"):
            message = "Error validating credentials due to invalid username or password."
            raise _refusal(400, "invalid_grant", 50126, message)
        oid = str(uuid.uuid5(uuid.NAMESPACE_URL, username))
        id_token = self._tokens.issue(client_id, sub=oid, oid=oid, preferred_username=username)
        client_info = orjson.dumps({"uid": oid, "utid": self._directory.tenant_id})
        user = {"appid": client_id, "azp": client_id, "oid": oid, "sub": oid, "upn": username, "idtyp": "user"}
        extra = {
            "scope": f"{audience}/.default",
            "id_token": id_token,
            "client_info": base64.urlsafe_b64encode(client_info).decode().rstrip("="),
        }
        return self._answer(audience, extra, **user)

    def _answer(self, audience: str, extra: Mapping[str, str] | None = None, **claims: str) -> web.Response:
        lifetime = token_lifetime(self._faults)
        body = {
            "token_type": "Bearer",
            "expires_in": int(lifetime),
            "ext_expires_in": int(lifetime),
            "access_token": self._tokens.issue(audience, lifetime, **claims),
            **(extra or {}),
        }
        return web.json_response(body, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})

    def _check_tenant(self, tenant: str) -> None:
        if tenant not in (self._directory.tenant_id, *_ANY_TENANT):
            raise _refusal(
                400,
                "invalid_request",
                90002,
                f"Tenant '{tenant}' not found. Check to make sure you have "
                "the correct tenant ID and are signing into the correct cloud.",
            )

    def _check_secret(self, client_id: str, secret: str) -> None:
        if client_id not in self._directory.clients:
            raise self._unknown_client(client_id)
        if self._directory.clients[client_id] != secret:
            message = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{client_id}'."
            )
            raise _refusal(401, "invalid_client", 7000215, message)

    def _check_assertion(self, client_id: str, assertion: str, kind: str) -> None:
        if client_id not in self._directory.clients:
            raise self._unknown_client(client_id)
        if kind != _ASSERTION_TYPE or not self._vouched(assertion):
            message = "No matching federated identity record found for presented assertion."
            raise _refusal(401, "invalid_client", 700213, message)

    def _vouched(self, assertion: str) -> bool:
        """The first assertion is good for ever; those that take its place are as good as any token."""
        if assertion == self._directory.federated_assertion:
            return True
        try:
            return self._tokens.verify(assertion, {FEDERATED_AUDIENCE}).get("sub") == FEDERATED_SUBJECT
        except TokenRefused:
            return False

    def _unknown_client(self, client_id: str) -> ApiError:
        message = f"Application with identifier '{client_id}' was not found in the directory 'Fake Azure'."
        return _refusal(400, "unauthorized_client", 700016, message)

    async def openid_configuration(self, request: web.Request) -> web.Response:
        self._check_tenant(request.match_info["tenant"])
        root = f"{self._url}/{self._directory.tenant_id}"
        body = {
            "issuer": self._tokens.issuer,
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        }
        return web.json_response(body)

    async def keys(self, request: web.Request) -> web.Response:
        await meet_fault(self._faults, SIGNING_KEYS)
        self._check_tenant(request.match_info["tenant"])
        return web.json_response(self._tokens.public_keys())

    async def instance(self, _request: web.Request) -> web.Response:
        host = self._url.removeprefix("https://")
        names = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
        endpoint = f"{self._url}/{self._directory.tenant_id}/v2.0/.well-known/openid-configuration"
        return web.json_response({"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": [names]})

    async def user_realm(self, request: web.Request) -> web.Response:
        login = request.match_info["username"]
        body = {"ver": "1.0", "account_type": "Managed", "domain_name": login.rpartition("@")[2]}
        return web.json_response({**body, "cloud_instance_name": "microsoftonline.com"})


async def meet_fault(faults: FaultQueue, kinds: frozenset[str]) -> Fault | None:
    """The faults that every identity endpoint has in common: slow, or a status instead of an answer. -> another one."""
    fault = faults.take(kinds)
    if fault is None or fault.kind.endswith("_role"):
        return fault
    if fault.kind.endswith("_slow"):
        await asyncio.sleep(fault.seconds)
        return None
    headers = {**(fault.headers or {}), **dict(fault.retry_headers())}
    body = fault.body or {"error": "temporarily_unavailable", "error_description": "ordered by a fault"}
    raise ApiError(fault.status, body.encode() if isinstance(body, str) else body, headers)


def token_lifetime(faults: FaultQueue) -> float:
    fault = faults.take(frozenset({TOKEN_LIFETIME}))
    return fault.seconds if fault else DEFAULT_LIFETIME


def _audience(scopes: str) -> str:
    """The resource of a v2 scope. Entra wants exactly one besides OpenID's own scopes."""
    for scope in scopes.split():
        resource, dot, _ = scope.partition("/.default")
        if dot and "://" in resource:
            return resource
    message = f"The provided value for scope {scopes} is not valid. It must end in /.default for this flow."
    raise _refusal(400, "invalid_scope", 1002012, message)


def _refusal(status: int, error: str, code: int, message: str) -> ApiError:
    trace, correlation = uuid.uuid4(), uuid.uuid4()
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    description = f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
    body: dict[str, Any] = {
        "error": error,
        "error_description": description,
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": str(trace),
        "correlation_id": str(correlation),
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }
    return ApiError(status, body, content_type="application/json; charset=utf-8")
