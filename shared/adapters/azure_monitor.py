"""What Azure itself has counted: Azure Monitor's metrics of a Foundry or Azure OpenAI account, by deployment and day.

Owns what is asked, its names and its answers; knows nothing of the ledger that it is compared with. Needs the role
Monitoring Reader on the account.

Names: Microsoft's page "Supported metrics for Microsoft.CognitiveServices/accounts", read 2026-08; api-version
2023-10-01 of "Metrics - List". An OpenAI model counts under the first set of names, and where the account knows the
second set, under both; a partner's model only under the second: so the sets are alternatives and never summed. Users
report (Azure/azure-sdk-for-python#37982 and others, 2024 to 2026): no more than ten series unless `top` is given;
dimensions in small letters; `__Empty` for models whose deployment Azure does not say (whisper, dall-e).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from shared.adapters.arm_calls import ArmCalls, ArmFailed
from shared.ports import Tokens

if TYPE_CHECKING:
    import httpx

API_VERSION = "2023-10-01"
UNNAMED = "__Empty"
NAMES = (
    {"ProcessedPromptTokens": "input_tokens", "GeneratedTokens": "output_tokens", "AzureOpenAIRequests": "requests"},
    {"InputTokens": "input_tokens", "OutputTokens": "output_tokens", "ModelRequests": "requests"},
)
_TOP = 1000


class MetricsFailed(Exception):
    """Azure Monitor gave no figures; the text says why, for the operator."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What Azure has counted for one deployment on one day."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Metrics(Protocol):
    async def day(self, resource_id: str, day: date) -> Mapping[str, Measured]:
        """By deployment; those that were not used are left out. Raises MetricsFailed."""
        ...


class AzureMonitor:
    """`url` is Azure Resource Manager's."""

    def __init__(self, http: httpx.AsyncClient, url: str, tokens: Tokens) -> None:
        self._arm = ArmCalls(http, url, tokens)

    async def day(self, resource_id: str, day: date) -> Mapping[str, Measured]:
        found: dict[str, Measured] = {}
        unknown: list[str] = []
        for names in NAMES:
            try:
                found = {**await self._ask(resource_id, day, names), **found}
            except _UnknownMetric as error:
                unknown.append(str(error))
        if len(unknown) == len(NAMES):
            raise MetricsFailed(unknown[0])
        return {name: counted for name, counted in found.items() if counted != Measured()}

    async def _ask(self, resource_id: str, day: date, names: Mapping[str, str]) -> dict[str, Measured]:
        query = {
            "metricnames": ",".join(names),
            "timespan": f"{day.isoformat()}T00:00:00Z/{(day + timedelta(days=1)).isoformat()}T00:00:00Z",
            "interval": "P1D",
            "aggregation": "Total",
            "$filter": "ModelDeploymentName eq '*'",
            "top": str(_TOP),
        }
        try:
            body = await self._arm.one(f"{resource_id}/providers/Microsoft.Insights/metrics", API_VERSION, **query)
        except ArmFailed as error:
            unknown = error.status == 400 and "metric" in error.message.lower()
            raise (_UnknownMetric if unknown else MetricsFailed)(str(error)) from error
        found: dict[str, Measured] = {}
        try:
            for metric in body["value"]:
                field = names.get(metric["name"]["value"])
                for deployment, count in _series(metric) if field else ():
                    known = found.get(deployment, Measured())
                    found[deployment] = replace(known, **{field or "": getattr(known, field or "") + count})
        except (KeyError, TypeError, ValueError) as error:
            raise MetricsFailed(f"Azure Monitor's answer is not understood: {type(error).__name__}") from error
        return found


class _UnknownMetric(MetricsFailed):
    """This kind of account does not know the names."""


def _series(metric: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for series in metric["timeseries"]:
        named = {each["name"]["value"].lower(): each["value"] for each in series["metadatavalues"]}
        total = sum(float(point.get("total") or 0) for point in series["data"])
        yield str(named.get("modeldeploymentname") or UNNAMED), round(total)
