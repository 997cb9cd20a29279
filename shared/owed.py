"""Work that goes on after its call has been answered: what is noted of it, and what is charged when it has ended.

Whoever finds the end writes it down, under a name that is made of the work itself: found twice, it counts once. The
note is taken away after that, so that a process which dies in between loses nothing. Knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.catalog import Catalog, Deployment
from shared.ports import Prices
from shared.types import NO_COST, Cost, Json, Outcome, Usage, UsageRecord
from shared.usage import read_usage

_OUTCOMES: Mapping[str, Outcome] = {
    "completed": "ok",
    "incomplete": "ok",
    "cancelled": "ok",
    "succeeded": "ok",
    "failed": "upstream_error",
}
"""How work ends, in the words of responses and fine-tuning jobs."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One piece of work, and all that is needed to charge it when nothing else is known any more."""

    resource: str
    upstream_id: str
    at: float
    """When it was begun, Unix seconds; by the prices of then it is charged."""
    endpoint: str
    """The row of ENDPOINTS by which it was begun."""
    key_id: str
    key_name: str
    team: str
    alias: str
    deployment: str
    """The id of the one that does it; empty for a fine-tuning job."""
    tags: tuple[str, ...] = ()
    user: str = ""

    @property
    def name(self) -> str:
        return work_name(self.resource, self.upstream_id)


def work_name(resource: str, upstream_id: str) -> str:
    """The same for everybody who finds the work; the request id of its event."""
    return "work-" + hashlib.sha256(f"{resource}\n{upstream_id}".encode()).hexdigest()[:32]


class OwedStore(Protocol):
    """What is still to be charged. Everything raises StoreUnavailable."""

    async def add(self, work: Owed) -> None: ...

    async def find(self, resource: str, upstream_id: str) -> Owed | None: ...

    async def remove(self, resource: str, upstream_id: str) -> None:
        """Does nothing when it is not there."""
        ...


class OnceLog(Protocol):
    """Of ports.UsageLog, what is used here."""

    async def add_once(self, record: UsageRecord) -> None: ...


@dataclass(frozen=True, slots=True)
class Charges:
    """Built once per configuration."""

    store: OwedStore
    usage: OnceLog
    prices: Prices
    catalog: Catalog

    async def found(self, resource: str, upstream_id: str, said: Json) -> None:
        """An object was seen: if it has ended and is owed for, it is charged. Raises StoreUnavailable."""
        if has_ended(said) and (work := await self.store.find(resource, upstream_id)):
            await self.charge(work, said)

    async def charge(self, work: Owed, said: Json) -> None:
        """What has ended. Raises StoreUnavailable; then it is still owed."""
        usage = _usage(said)
        if usage is not None:
            await self.usage.add_once(self._record(work, said, usage))
        await self.store.remove(work.resource, work.upstream_id)

    def _record(self, work: Owed, said: Json, usage: Usage) -> UsageRecord:
        """Nothing in it depends on who finds it, or when."""
        deployment = self._deployment(work)
        cost = NO_COST if usage == Usage() else Cost(priced=False)
        return UsageRecord(
            request_id=work.name,
            at=_ended_at(said, work.at),
            key_id=work.key_id,
            key_name=work.key_name,
            team=work.team,
            alias=work.alias,
            endpoint=work.endpoint,
            deployment=work.deployment,
            label=deployment.label if deployment else "",
            upstream_model=deployment.model if deployment else "",
            status=200,
            outcome=_OUTCOMES[str(said["status"])],
            stream=False,
            attempts=0,
            usage=usage,
            latency=0.0,
            first_token=None,
            cost=self.prices.cost(deployment, usage, work.at) if deployment else cost,
            tags=work.tags,
            user=work.user,
        )

    def _deployment(self, work: Owed) -> Deployment | None:
        """None for a job, which no deployment does, and for a deployment that has been taken out of the
        configuration."""
        return self.catalog.find(work.deployment, work.alias)


def _ended_at(said: Json, begun: float) -> float:
    """The day it counts for: a fine-tuning job may run for days, and says when it was finished."""
    finished = said.get("finished_at")
    return float(finished) if isinstance(finished, int) and finished > begun else begun


def has_ended(said: Json) -> bool:
    return str(said.get("status")) in _OUTCOMES


def _usage(said: Json) -> Usage | None:
    """None when there is nothing to charge: Azure reports nothing of what was cancelled or has failed."""
    trained: Any = said.get("trained_tokens")
    if isinstance(trained, int) and not isinstance(trained, bool):
        return Usage(training_tokens=trained)
    return read_usage(said.get("usage"), said.get("service_tier"))
