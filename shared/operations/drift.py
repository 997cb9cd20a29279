"""How far the ledger and Azure's own counts are apart: which deployments are compared, and what the difference means.

Pure: the figures are given. Which days are compared when, and what is told of them, is reconcile.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Literal

from pydantic import Field

from shared.adapters.azure_monitor import UNNAMED, Measured
from shared.books.days import day_name, iso, midnight
from shared.catalog import Catalog
from shared.operations.operation import Told

SETTLED = timedelta(days=3)
"""Azure's metrics may come late: until then a day is compared again."""
MOST_PERCENT, LEAST_TOKENS = 2.0, 1_000
MOST_TOKENS, LEAST_PERCENT = 10_000, 0.1
"""Apart are: more than two per cent, or more than ten thousand tokens. Less than a thousand tokens, or a thousandth,
never are: a call around midnight may stand in two days."""
Verdict = Literal["agrees", "drift", "unknown_use", "not_in_azure", "unattributed"]


@dataclass(slots=True)
class Account:
    """A resource in Azure, under all the hosts by which the configuration knows it."""

    resource_id: str
    hosts: set[str] = field(default_factory=set[str])
    deployments: set[str] = field(default_factory=set[str])

    @property
    def name(self) -> str:
        return self.resource_id.rstrip("/").rpartition("/")[2]

    def mark(self, day: date) -> str:
        return f"{sha256(self.resource_id.lower().encode()).hexdigest()[:16]}|{day_name(day)}"


class DriftRow(Told):
    day: str
    account: str = Field(description="The resource in Azure.")
    deployment: str
    configured: bool = Field(description="Whether the configuration names the deployment.")
    verdict: Verdict = Field(
        description="agrees; drift; unknown_use: Azure has counted what did not come through here; not_in_azure: "
        "Azure has not counted it (yet); unattributed: Azure does not say of which deployment it is."
    )
    ledger_tokens: int = Field(description="Input and output tokens in the ledger.")
    azure_tokens: int = Field(description="The same as Azure has counted them.")
    drift_tokens: int = Field(description="Azure's less the ledger's.")
    drift_percent: float = Field(description="Of Azure's tokens.")
    ledger_requests: int
    azure_requests: int = Field(description="Attempts that failed included.")
    final: bool = Field(description="Whether the day is compared no more.")
    compared_at: str


def accounts(catalog: Catalog) -> list[Account]:
    """Every account that a deployment names. What the others of its host have used counts as well."""
    by_id: dict[str, Account] = {}
    deployments = [each for alias in catalog.aliases() for each in catalog.of(alias)]
    for each in deployments:
        if each.terms.resource_id:
            account = by_id.setdefault(each.terms.resource_id.lower(), Account(each.terms.resource_id))
            account.hosts.add(each.resource)
    for account in by_id.values():
        account.deployments |= {each.name for each in deployments if each.resource in account.hosts}
    return list(by_id.values())


def is_final(day: date, now: datetime) -> bool:
    return now >= midnight(day + timedelta(days=1)) + SETTLED


def compare(
    account: Account,
    day: date,
    now: datetime,
    ours: Mapping[tuple[str, str], Measured],
    theirs: Mapping[str, Measured],
) -> list[DriftRow]:
    """ours: by day and `host/deployment`; theirs: the account's deployments on this day."""
    mine: dict[str, list[Measured]] = {}
    for (of, place), measured in ours.items():
        host, _, name = place.partition("/")
        if of == day_name(day) and host in account.hosts:
            mine.setdefault(name, []).append(measured)
    names = sorted({name for name, parts in mine.items() if any(_tokens(part) for part in parts)} | set(theirs))
    final = is_final(day, now)
    return [_row(account, day, name, mine.get(name, []), theirs.get(name), now, final) for name in names]


def _row(
    account: Account,
    day: date,
    name: str,
    mine: Iterable[Measured],
    theirs: Measured | None,
    now: datetime,
    final: bool,
) -> DriftRow:
    parts = list(mine)
    ledger, azure = sum(_tokens(part) for part in parts), _tokens(theirs or Measured())
    drift = azure - ledger
    percent = round(100 * drift / azure, 2) if azure else (-100.0 if drift else 0.0)
    return DriftRow(
        day=day.isoformat(),
        account=account.name,
        deployment=name,
        configured=name in account.deployments,
        verdict=_verdict(name, ledger, azure, percent),
        ledger_tokens=ledger,
        azure_tokens=azure,
        drift_tokens=drift,
        drift_percent=percent,
        ledger_requests=sum(part.requests for part in parts),
        azure_requests=theirs.requests if theirs else 0,
        final=final,
        compared_at=iso(now.timestamp()),
    )


def _tokens(measured: Measured) -> int:
    return measured.input_tokens + measured.output_tokens


def _verdict(name: str, ledger: int, azure: int, percent: float) -> Verdict:
    if name == UNNAMED:
        return "unattributed"
    apart = abs(azure - ledger)
    much = apart > MOST_TOKENS and abs(percent) > LEAST_PERCENT
    if not much and (apart < LEAST_TOKENS or abs(percent) <= MOST_PERCENT):
        return "agrees"
    if not ledger:
        return "unknown_use"
    return "drift" if azure else "not_in_azure"
