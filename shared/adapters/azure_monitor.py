"""What Azure itself has counted: Azure Monitor's metrics of a Foundry or Azure OpenAI account, by deployment and day.

Owns the request, its names and its answers; knows nothing of the ledger that it is compared with. Needs the role
Monitoring Reader on the account.

Names: Microsoft's page "Supported metrics for Microsoft.CognitiveServices/accounts", read 2026-08; api-version
2023-10-01 of "Metrics - List". An OpenAI model counts under the first set of names, and where the account knows the
second set, under both; a partner's model only under the second: so the sets are alternatives and never summed. Users
report (Azure/azure-sdk-for-python#37982 and others, 2024 to 2026): no more than ten series unless `top` is given;
dimensions in small letters; `__Empty` for models whose deployment Azure does not say (whisper, dall-e).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import UpstreamFailed
from shared.ports import Tokens
from shared.redact import redact
from shared.types import Credential

if TYPE_CHECKING:
    import httpx

MANAGEMENT_SCOPE = "https://management.azure.com/.default"
API_VERSION = "2023-10-01"
UNNAMED = "__Empty"
NAMES = (
    {"ProcessedPromptTokens": "input_tokens", "GeneratedTokens": "output_tokens", "AzureOpenAIRequests": "requests"},
    {"InputTokens": "input_tokens", "OutputTokens": "output_tokens", "ModelRequests": "requests"},
)
_TOP = 1000
_ATTEMPTS = 4
_LONGEST_PAUSE = 30.0


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
        self._http, self._url, self._tokens = http, url.rstrip("/"), tokens
        self._credential = Credential("default", scope=MANAGEMENT_SCOPE)

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
            "api-version": API_VERSION,
            "metricnames": ",".join(names),
            "timespan": f"{day.isoformat()}T00:00:00Z/{(day + timedelta(days=1)).isoformat()}T00:00:00Z",
            "interval": "P1D",
            "aggregation": "Total",
            "$filter": "ModelDeploymentName eq '*'",
            "top": str(_TOP),
        }
        address = f"{self._url}/{resource_id.strip('/')}/providers/Microsoft.Insights/metrics"
        body = await self._get(address, query)
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

    async def _get(self, address: str, query: Mapping[str, str]) -> Any:
        import httpx

        for attempt in itertools.count(1):
            try:
                token = await self._tokens.get(self._credential)
                answer = await self._http.get(address, params=query, headers={"authorization": f"Bearer {token}"})
            except UpstreamFailed as error:
                raise MetricsFailed(f"no token for Azure Resource Manager: {error.detail}") from error
            except httpx.HTTPError as error:
                raise MetricsFailed(f"Azure Resource Manager does not answer: {type(error).__name__}") from error
            if answer.status_code == 200:
                return answer.json()
            again = answer.status_code in (401, 429) or answer.status_code >= 500
            if not again or attempt == _ATTEMPTS:
                raise _refusal(answer)
            if answer.status_code == 401:
                self._tokens.refuse(self._credential, token)
            else:
                await asyncio.sleep(_pause(answer.headers.get("retry-after", ""), attempt))


class _UnknownMetric(MetricsFailed):
    """This kind of account does not know the names."""


def _series(metric: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for series in metric["timeseries"]:
        named = {each["name"]["value"].lower(): each["value"] for each in series["metadatavalues"]}
        total = sum(float(point.get("total") or 0) for point in series["data"])
        yield str(named.get("modeldeploymentname") or UNNAMED), round(total)


def _refusal(answer: httpx.Response) -> MetricsFailed:
    try:
        error: Any = answer.json()["error"]
        said = f"{error.get('code')}: {error.get('message')}"
    except (ValueError, KeyError, TypeError, AttributeError):
        said = "no reason"
    text = f"Azure Monitor answered {answer.status_code}: {redact(said, {})[:300]}"
    unknown = answer.status_code == 400 and "metric" in said.lower()
    return _UnknownMetric(text) if unknown else MetricsFailed(text)


def _pause(retry_after: str, attempt: int) -> float:
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = 0.25 * 2**attempt
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
