"""Azure Monitor's metrics of Azure OpenAI and Foundry accounts, on Resource Manager's paths.

Owns what that API checks and how it answers, api-version 2023-10-01. Names of metrics: Microsoft's page "Supported
metrics for Microsoft.CognitiveServices/accounts", as of 2026-08; only those that a gateway has a use for. That names
of dimensions come back in small letters, and no more than ten series unless `top` says so, is as users report it.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from ..errors import ApiError
from ..faults import FaultQueue
from ..models import Resource
from ..served import Served, Tokens
from ..tokens import TokenIssuer
from .signing_in import authorise, error_body

SUBSCRIPTION = str(uuid.uuid5(uuid.NAMESPACE_DNS, "subscription.fake-azure.example"))
GROUP = "fake-azure"
_API_VERSION = "2023-10-01"
_OPENAI = {"ProcessedPromptTokens": "input", "GeneratedTokens": "output", "AzureOpenAIRequests": "requests"}
_MODELS = {"InputTokens": "input", "OutputTokens": "output", "ModelRequests": "requests"}
_PATH = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{account}"
_USUAL_TOP = 10


def resource_id(name: str, group: str = GROUP) -> str:
    return _PATH.format(subscription=SUBSCRIPTION, group=group, account=name)


class Monitor:
    def __init__(
        self, resources: Mapping[str, Resource], served: Served, tokens: TokenIssuer, faults: FaultQueue
    ) -> None:
        self._resources, self._served, self._tokens, self._faults = resources, served, tokens, faults

    def routes(self) -> list[web.RouteDef]:
        return [web.get(_PATH + "/providers/{provider}/metrics", self.metrics)]

    async def metrics(self, request: web.Request) -> web.Response:
        fault = self._faults.take(frozenset({"status"}), "monitor")
        if fault is not None:
            headers = {**(fault.headers or {}), **dict(fault.retry_headers())}
            raise ApiError(fault.status, error_body("Throttled", "ordered by a fault"), headers)
        authorise(request, self._tokens)
        resource, query = self._find(request), request.query
        if query.get("api-version") != _API_VERSION:
            raise _refused("NoRegisteredProviderFound", f"The api-version {query.get('api-version')!r} is not known.")
        known = {**_OPENAI, **(_MODELS if resource.kind == "foundry" else {})}
        names = query.get("metricnames", "").split(",")
        for name in names:
            if name not in known:
                valid = ",".join(known)
                raise _refused(
                    "BadRequest",
                    "Failed to find metric configuration for provider: Microsoft.CognitiveServices, resource Type: "
                    f"accounts, metric: {name}, Valid metrics: {valid}",
                )
        if query.get("$filter") != "ModelDeploymentName eq '*'" or query.get("aggregation", "").lower() != "total":
            raise _refused("BadRequest", "The filter or the aggregation is not supported.")
        first, days = _days(query.get("timespan", ""), query.get("interval", ""))
        top = int(query.get("top", _USUAL_TOP))
        value = [self._metric(resource, name, known[name], days, top) for name in names]
        body = {"cost": 0, "timespan": query["timespan"], "interval": "P1D", "value": value}
        return web.json_response({**body, "namespace": "Microsoft.CognitiveServices/accounts", "resourceregion": first})

    def _metric(self, resource: Resource, name: str, field: str, days: list[str], top: int) -> dict[str, Any]:
        by_deployment: dict[str, list[dict[str, Any]]] = {}
        for day in days:
            for deployment, tokens in self._served.on(resource.name, day).items():
                point = {"timeStamp": f"{day}T00:00:00Z", "total": float(getattr(tokens, field))}
                by_deployment.setdefault(deployment, []).append(point)
        series = [{"metadatavalues": [_dimension(of)], "data": data} for of, data in sorted(by_deployment.items())]
        return {
            "id": f"{resource_id(resource.name)}/providers/Microsoft.Insights/metrics/{name}",
            "type": "Microsoft.Insights/metrics",
            "name": {"value": name, "localizedValue": name},
            "unit": "Count",
            "timeseries": series[:top],
            "errorCode": "Success",
        }

    def _find(self, request: web.Request) -> Resource:
        asked = request.match_info
        resource = self._resources.get(asked["account"])
        if resource is None or resource.kind == "plain" or asked["subscription"] != SUBSCRIPTION:
            text = f"The Resource 'Microsoft.CognitiveServices/accounts/{asked['account']}' was not found."
            raise ApiError(404, error_body("ResourceNotFound", text))
        if asked["provider"].lower() != "microsoft.insights":
            raise ApiError(404, error_body("InvalidResourceType", "The resource type could not be found."))
        return resource


def as_dict(tokens: Tokens) -> dict[str, int]:
    return {"requests": tokens.requests, "input": tokens.input, "output": tokens.output}


def _days(timespan: str, interval: str) -> tuple[str, list[str]]:
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT00:00:00Z)/(\d{4}-\d\d-\d\dT00:00:00Z)", timespan)
    if not found or interval != "P1D":
        raise _refused("BadRequest", "Here a timespan is of whole days and the interval P1D.")
    start, end = (datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) for text in found.groups())
    days = [(start + timedelta(days=n)).date().isoformat() for n in range((end - start).days)]
    return "eastus2", days


def _dimension(deployment: str) -> dict[str, Any]:
    return {"name": {"value": "modeldeploymentname", "localizedValue": "modeldeploymentname"}, "value": deployment}


def _refused(code: str, message: str) -> ApiError:
    return ApiError(400, error_body(code, message))
