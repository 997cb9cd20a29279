"""Azure Resource Manager: subscriptions, accounts, deployments, models, quota, role assignments, a Functions app.

Owns what that API checks and how it answers; its accounts and deployments are those that the fake serves, as `Arranged`
has them. Names and forms: Microsoft.CognitiveServices 2025-12-01, Microsoft.Authorization 2022-04-01, Microsoft.Web
2025-03-01. Pages are far shorter than Azure's, so that whoever reads meets a second one.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from ..errors import ApiError
from ..faults import FaultQueue
from ..tokens import TokenIssuer
from .arranged import Arranged, Deployment
from .monitor import SUBSCRIPTION, resource_id
from .signing_in import authorise, error_body

_VERSIONS = {
    "subscriptions": "2022-12-01",
    "cognitive": "2025-12-01",
    "authorization": "2022-04-01",
    "web": "2025-03-01",
}
_COGNITIVE = "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices"
_IN_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers"
_ACCOUNTS = _IN_GROUP + "/Microsoft.CognitiveServices/accounts"
_ROLES = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
_PAGE = 10
_FILTER = re.compile(r"(atScope\(\))?(?: and )?(?:assignedTo\('((?:[^']|'')+)'\))?")
Json = dict[str, Any]


class ResourceManager:
    def __init__(self, arranged: Arranged, tokens: TokenIssuer, faults: FaultQueue) -> None:
        self._arranged, self._tokens, self._faults = arranged, tokens, faults

    def routes(self) -> list[web.RouteDef]:
        found: Sequence[tuple[str, str, Callable[[web.Request], Json | list[Json]]]] = (
            ("/subscriptions", "subscriptions", self._subscriptions),
            (_COGNITIVE + "/accounts", "cognitive", self._accounts),
            (_ACCOUNTS, "cognitive", self._accounts),
            (_ACCOUNTS + "/{account}", "cognitive", self._account),
            (_ACCOUNTS + "/{account}/deployments", "cognitive", self._deployments),
            (_ACCOUNTS + "/{account}/models", "cognitive", self._models),
            (_COGNITIVE + "/locations/{location}/usages", "cognitive", self._usages),
            ("/{scope:.+}/providers/Microsoft.Authorization/roleAssignments", "authorization", self._assignments),
            (_IN_GROUP + "/Microsoft.Web/sites/{site}", "web", self._site),
        )
        return [web.get(path, self._answering(provider, told)) for path, provider, told in found]

    def _answering(
        self, provider: str, told: Callable[[web.Request], Json | list[Json]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            self._check(request, provider)
            found = told(request)
            return web.json_response(found if isinstance(found, dict) else _page(request, found))

        return answer

    def _check(self, request: web.Request, provider: str) -> None:
        fault = self._faults.take(frozenset({"status"}), "arm", request.match_info.get("account"))
        if fault is not None:
            headers = {**(fault.headers or {}), **dict(fault.retry_headers())}
            raise ApiError(fault.status, fault.body or error_body("OrderedByAFault", "ordered by a fault"), headers)
        authorise(request, self._tokens)
        version = request.query.get("api-version")
        if version is None:
            text = "The api-version query parameter (?api-version=) is required for all requests."
            raise ApiError(400, error_body("MissingApiVersionParameter", text))
        if version != _VERSIONS[provider]:
            text = f"The api-version '{version}' is invalid. The supported versions are '{_VERSIONS[provider]}'."
            raise ApiError(400, error_body("InvalidApiVersionParameter", text))
        asked = request.match_info.get("subscription") or _subscription(request.match_info.get("scope", ""))
        if asked and asked.lower() != SUBSCRIPTION:
            text = f"The subscription '{asked}' could not be found."
            raise ApiError(404, error_body("SubscriptionNotFound", text))

    def _subscriptions(self, _request: web.Request) -> list[Json]:
        root = {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "state": "Enabled"}
        return [
            {
                **root,
                "displayName": "Fake Azure",
                "tenantId": self._tokens.tenant_id,
                "authorizationSource": "RoleBased",
            }
        ]

    def _accounts(self, request: web.Request) -> list[Json]:
        group = request.match_info.get("group", "")
        names = [
            name for name, account in self._arranged.accounts.items() if group.lower() in ("", account.group.lower())
        ]
        return [self._account_row(name) for name in names]

    def _account(self, request: web.Request) -> Json:
        return self._account_row(self._found(request))

    def _found(self, request: web.Request) -> str:
        name, group = request.match_info["account"], request.match_info["group"]
        account = self._arranged.accounts.get(name)
        if account is None or account.group.lower() != group.lower():
            text = (
                f"The Resource 'Microsoft.CognitiveServices/accounts/{name}' under resource group '{group}' was not "
                "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
            )
            raise ApiError(404, error_body("ResourceNotFound", text))
        return name

    def _account_row(self, name: str) -> Json:
        account = self._arranged.accounts[name]
        endpoints = {} if account.kind == "ContentSafety" else {"OpenAI Language Model Instance API": account.url}
        if account.kind == "AIServices":
            endpoints |= {"AI Foundry API": account.url, "Content Safety": account.url}
        connections = [
            {
                "id": f"{resource_id(name, account.group)}/privateEndpointConnections/{endpoint}",
                "properties": {
                    "privateEndpoint": {"id": _endpoint_id(account.group, endpoint)},
                    "privateLinkServiceConnectionState": {"status": status},
                    "groupIds": ["account"],
                },
            }
            for endpoint, status in account.private_endpoints.items()
        ]
        return {
            "id": resource_id(name, account.group),
            "name": name,
            "type": "Microsoft.CognitiveServices/accounts",
            "location": account.location,
            "kind": account.kind,
            "sku": {"name": "S0"},
            "properties": {
                "endpoint": account.url,
                "endpoints": endpoints,
                **({"customSubDomainName": name} if account.custom_domain else {}),
                "disableLocalAuth": not account.local_auth,
                "publicNetworkAccess": "Enabled" if account.public else "Disabled",
                "privateEndpointConnections": connections,
                "provisioningState": account.state,
            },
        }

    def _deployments(self, request: web.Request) -> list[Json]:
        name = self._found(request)
        root = resource_id(name, self._arranged.accounts[name].group)
        return [_deployment_row(root, one) for one in self._arranged.deployments(name)]

    def _models(self, request: web.Request) -> list[Json]:
        """What the account offers: here what is deployed in it."""
        rows: dict[tuple[str, str], Json] = {}
        for one in self._arranged.deployments(self._found(request)):
            row = rows.setdefault((one.model, one.version), _model_row(one))
            row["skus"].append({"name": one.sku, "usageName": one.usage, "deprecationDate": f"{one.retires}T00:00:00Z"})
        return list(rows.values())

    def _usages(self, request: web.Request) -> list[Json]:
        return [
            {
                "name": {"value": name, "localizedValue": name},
                "currentValue": used,
                "limit": limit,
                "unit": "Count",
            }
            for name, (used, limit) in self._arranged.quotas(request.match_info["location"]).items()
        ]

    def _assignments(self, request: web.Request) -> list[Json]:
        asked = request.query.get("$filter", "")
        found = _FILTER.fullmatch(asked)
        if not found:
            raise ApiError(400, error_body("UnsupportedQuery", f"The filter '{asked}' is not supported."))
        at_scope = found[1]
        principal = found[2] and found[2].replace("''", "'")
        scope = f"/{request.match_info['scope']}".lower()
        rows: list[Json] = []
        for role in self._arranged.roles:
            given = role.scope.lower()
            above, below = (scope + "/").startswith(given + "/"), given.startswith(scope + "/")
            if (above or (below and not at_scope)) and principal in (None, role.principal or principal):
                rows.append(_assignment_row(role.id, role.scope, role.principal or principal or "", role.created))
        return rows

    def _site(self, request: web.Request) -> Json:
        path, scaling = request.path, self._arranged.scaling
        triggers = {"http": {"perInstanceConcurrency": scaling.per_instance}} if scaling.per_instance else None
        return {
            "id": path,
            "name": request.match_info["site"],
            "type": "Microsoft.Web/sites",
            "kind": "functionapp,linux",
            "location": "East US 2",
            "properties": {
                "state": "Running",
                "httpsOnly": scaling.https_only,
                "sku": "FlexConsumption",
                "functionAppConfig": {
                    "runtime": {"name": "python", "version": scaling.python},
                    "scaleAndConcurrency": {
                        "alwaysReady": [{"name": n, "instanceCount": c} for n, c in scaling.always_ready.items()]
                        or None,
                        "maximumInstanceCount": scaling.most_instances,
                        "instanceMemoryMB": scaling.memory_mb,
                        "triggers": triggers,
                    },
                },
            },
        }


def _deployment_row(account: str, one: Deployment) -> Json:
    return {
        "id": f"{account}/deployments/{one.name}",
        "name": one.name,
        "type": "Microsoft.CognitiveServices/accounts/deployments",
        "sku": {"name": one.sku, "capacity": one.capacity},
        "properties": {
            "model": {"format": one.format, "name": one.model, "version": one.version},
            "versionUpgradeOption": one.upgrades,
            "currentCapacity": one.capacity,
            "provisioningState": one.state,
            # requests are counted in stretches of 10 seconds
            "rateLimits": [
                {"key": "request", "renewalPeriod": 10, "count": one.rpm / 6},
                {"key": "token", "renewalPeriod": 60, "count": one.tpm},
            ],
        },
    }


def _model_row(one: Deployment) -> Json:
    return {
        "format": one.format,
        "name": one.model,
        "version": one.version,
        "lifecycleStatus": "GenerallyAvailable",
        "deprecation": {"inference": f"{one.retires}T00:00:00Z"},
        "skus": [],
    }


def _assignment_row(role: str, scope: str, principal: str, created: str) -> Json:
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{role} {scope} {principal}"))
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": f"{_ROLES}/{role}",
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "scope": scope,
            "createdOn": created,
            "updatedOn": created,
        },
    }


def _endpoint_id(group: str, name: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Network/privateEndpoints/{name}"


def _page(request: web.Request, rows: list[Json]) -> Json:
    first = int(request.query.get("$skiptoken", 0))
    found: Json = {"value": rows[first : first + _PAGE]}
    if len(rows) > first + _PAGE:
        found["nextLink"] = str(request.url.update_query({"$skiptoken": str(first + _PAGE)}))
    return found


def _subscription(scope: str) -> str:
    found = re.match(r"subscriptions/([^/]+)", scope)
    return found[1] if found else ""
