"""What is in Azure, by Azure Resource Manager: accounts of models, deployments, quota, roles, how the app scales.

Owns the paths, the api-versions and the form of the answers, which become the values of shared/inventory.py. Every
method raises ArmFailed. Reader on what is asked for is enough; so are Monitoring Reader and the Cognitive Services
roles for accounts and deployments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.adapters.arm_calls import ArmCalls, ArmFailed, not_understood
from shared.inventory import Account, Assignment, Deployed, Quota, Scaling
from shared.ports import Tokens

if TYPE_CHECKING:
    import httpx

__all__ = ("ArmFailed", "ResourceManager")

_SUBSCRIPTIONS = "2022-12-01"
_COGNITIVE = "2025-12-01"
_AUTHORIZATION = "2022-04-01"
_WEB = "2025-03-01"
_ACCOUNTS = "providers/Microsoft.CognitiveServices/accounts"
_OPEN = ("enabled", "warned", "pastdue")
"""States of a subscription in which what is in it can be used."""
Row = Mapping[str, Any]


class ResourceManager:
    """`url` is Resource Manager's, which differs by cloud (RESOURCE_MANAGER_URL)."""

    def __init__(self, http: httpx.AsyncClient, url: str, tokens: Tokens) -> None:
        self._ask = ArmCalls(http, url, tokens)

    async def subscriptions(self) -> list[tuple[str, str]]:
        """Id and name of each that the caller can see and that is in use."""
        rows = await self._ask.rows("subscriptions", _SUBSCRIPTIONS)
        seen = [row for row in rows if str(row.get("state", "Enabled")).lower() in _OPEN]
        return _each(seen, lambda row: (str(row["subscriptionId"]), str(row.get("displayName") or "")))

    async def accounts(self, subscription: str, group: str = "") -> list[Account]:
        """Of every kind, Content Safety and Speech among them."""
        within = f"subscriptions/{subscription}" + (f"/resourceGroups/{group}" if group else "")
        return _each(await self._ask.rows(f"{within}/{_ACCOUNTS}", _COGNITIVE), _account)

    async def account(self, resource_id: str) -> Account:
        return _each([await self._ask.one(resource_id, _COGNITIVE)], _account)[0]

    async def deployments(self, account_id: str) -> list[Deployed]:
        """When each retires is on another list; without the right to that one it is not said."""
        rows, ends = await asyncio.gather(
            self._ask.rows(f"{account_id}/deployments", _COGNITIVE), self._retirements(account_id)
        )
        return _each(rows, lambda row: _deployed(row, account_id, ends))

    async def _retirements(self, account_id: str) -> Mapping[tuple[str, str, str], str]:
        """By model, version and SKU, and by model and version alone (an empty SKU)."""
        try:
            rows = await self._ask.rows(f"{account_id}/models", _COGNITIVE)
        except ArmFailed:
            return {}
        ends: dict[tuple[str, str, str], str] = {}
        for row in rows:
            of = str(row.get("name") or "").lower(), str(row.get("version") or "")
            ends[*of, ""] = _day((row.get("deprecation") or {}).get("inference"))
            for sku in row.get("skus") or ():
                ends[*of, str(sku.get("name") or "").lower()] = _day(sku.get("deprecationDate"))
        return ends

    async def quotas(self, subscription: str, location: str) -> list[Quota]:
        path = f"subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/usages"
        return _each(await self._ask.rows(path, _COGNITIVE), _quota)

    async def assignments(self, scope: str, principal_id: str) -> list[Assignment]:
        """In force at the scope: those given above it and by way of groups as well, those given below it not."""
        wanted = principal_id.replace("'", "''")
        rows = await self._ask.rows(
            f"{scope}/providers/Microsoft.Authorization/roleAssignments",
            _AUTHORIZATION,
            **{"$filter": f"atScope() and assignedTo('{wanted}')"},
        )
        return _each(rows, _assignment)

    async def scaling(self, site_id: str) -> Scaling:
        return _each([await self._ask.one(site_id, _WEB)], _scaling)[0]


def _each[T](rows: Iterable[Row], form: Callable[[Row], T]) -> list[T]:
    try:
        return [form(row) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_understood(f"{type(error).__name__} {error}") from error


def _account(row: Row) -> Account:
    identity: str = row["id"]
    parts = identity.strip("/").split("/")
    properties: Row = row.get("properties") or {}
    endpoints = {str(name): str(url) for name, url in (properties.get("endpoints") or {}).items()}
    return Account(
        id=identity,
        name=row["name"],
        group=parts[3],
        subscription=parts[1],
        location=str(row.get("location") or "").replace(" ", "").lower(),
        kind=str(row.get("kind") or ""),
        endpoints={**endpoints, "": str(properties.get("endpoint") or "")},
        custom_domain=bool(properties.get("customSubDomainName")),
        local_auth=not properties.get("disableLocalAuth"),
        public=str(properties.get("publicNetworkAccess") or "Enabled").lower() == "enabled",
        private_endpoints=tuple(_approved(properties)),
        state=str(properties.get("provisioningState") or "Succeeded"),
    )


def _approved(properties: Row) -> Iterable[str]:
    for one in properties.get("privateEndpointConnections") or ():
        inner: Row = one.get("properties") or {}
        status = (inner.get("privateLinkServiceConnectionState") or {}).get("status")
        if str(status).lower() == "approved":
            yield str((inner.get("privateEndpoint") or {}).get("id") or one["id"])


def _deployed(row: Row, account_id: str, ends: Mapping[tuple[str, str, str], str]) -> Deployed:
    properties: Row = row["properties"]
    model: Row = properties["model"]
    sku: Row = row.get("sku") or {}
    limits = {str(one.get("key")): _per_minute(one) for one in properties.get("rateLimits") or ()}
    name, version, sold = str(model["name"]), str(model.get("version") or ""), str(sku.get("name") or "")
    of = name.lower(), version
    return Deployed(
        account=account_id,
        name=row["name"],
        format=str(model.get("format") or ""),
        model=name,
        version=version,
        sku=sold,
        capacity=int(sku.get("capacity") or 0),
        state=str(properties.get("provisioningState") or ""),
        upgrades=str(properties.get("versionUpgradeOption") or ""),
        tpm=limits.get("token", 0),
        rpm=limits.get("request", 0),
        retires=ends.get((*of, sold.lower())) or ends.get((*of, "")) or "",
    )


def _per_minute(limit: Row) -> int:
    """Azure counts requests in stretches of 10 seconds, tokens in minutes."""
    return round(float(limit.get("count") or 0) * 60 / float(limit.get("renewalPeriod") or 60))


def _day(text: Any) -> str:
    """The day of a time; empty for what is none."""
    try:
        return datetime.fromisoformat(str(text or "")).date().isoformat()
    except ValueError:
        return ""


def _quota(row: Row) -> Quota:
    return Quota(str(row["name"]["value"]), float(row.get("currentValue") or 0), float(row.get("limit") or 0))


def _assignment(row: Row) -> Assignment:
    properties: Row = row["properties"]
    role = str(properties["roleDefinitionId"]).rstrip("/").rpartition("/")[2].lower()
    created = properties.get("createdOn")
    at = datetime.fromisoformat(str(created)) if created else None
    return Assignment(role, str(properties["scope"]), str(properties.get("principalId") or ""), at)


def _scaling(row: Row) -> Scaling:
    properties: Row = row["properties"]
    config: Row = properties.get("functionAppConfig") or {}
    scale: Row = config.get("scaleAndConcurrency") or {}
    runtime: Row = config.get("runtime") or {}
    http: Row = (scale.get("triggers") or {}).get("http") or {}
    at_once = http.get("perInstanceConcurrency")
    ready = {str(one["name"]): int(one["instanceCount"]) for one in scale.get("alwaysReady") or ()}
    return Scaling(
        per_instance=int(at_once) if at_once else None,
        memory_mb=int(scale.get("instanceMemoryMB") or 0),
        most_instances=int(scale.get("maximumInstanceCount") or 0),
        always_ready=ready,
        runtime=f"{runtime.get('name') or ''} {runtime.get('version') or ''}".strip(),
        https_only=bool(properties.get("httpsOnly")),
    )
