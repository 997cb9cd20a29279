"""What a batch, or a part of one, has used: written into the ledger once, however often it is found.

Nothing in a record depends on who writes it, or when: written again, it is the same row. Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from shared.batches.batch import Batch, Figures
from shared.deferral import BY_URL
from shared.owed import OnceLog
from shared.types import NO_COST, Cost, Outcome, Usage, UsageRecord

BATCH_TIER = "batch"
_NOTHING = Usage()
_SUMMED = tuple(f.name for f in fields(Usage) if f.name not in ("image_kind", "tier", "estimated"))


@dataclass(frozen=True, slots=True)
class Settling:
    once: OnceLog
    """Counts in budgets as well."""
    ledger: OnceLog
    """The ledger alone: of calls whose limits were settled when they were made."""


@dataclass(slots=True)
class Tally:
    """What lines have used, added up."""

    calls: int = 0
    """Lines that something was asked for: not those that a cancelled or expired batch has left."""
    failed: int = 0
    refused: int = 0
    """Those of the failed that were wrong themselves (4xx, but no 429)."""
    usage: Usage = _NOTHING
    cost: Cost = NO_COST

    def add(self, status: int, usage: Usage, cost: Cost) -> None:
        """One line, with the status of its answer."""
        self.calls += 1
        self.failed += status >= 400
        self.refused += 400 <= status < 500 and status != 429
        self.usage = plus(self.usage, usage)
        nanos, priced = self.cost.nanos + cost.nanos, self.cost.priced and cost.priced
        self.cost = Cost(nanos, priced, self.cost.basis or cost.basis)

    @property
    def figures(self) -> Figures:
        used = self.usage
        return Figures(
            used.input_tokens, used.output_tokens, used.cached_input_tokens, used.reasoning_tokens, self.cost.nanos,
            not self.cost.priced,
        )  # fmt: skip

    @property
    def outcome(self) -> Outcome:
        """Of all lines together: one that is answered makes it a success."""
        if self.failed < self.calls:
            return "ok"
        return "client_error" if self.refused == self.failed else "upstream_error"


def plus(one: Usage, other: Usage) -> Usage:
    """Their sum. Tier and kind of image are those of the first that has any."""
    sums = {name: getattr(one, name) + getattr(other, name) for name in _SUMMED}
    return replace(
        one,
        **sums,
        tier=one.tier or other.tier,
        image_kind=one.image_kind or other.image_kind,
        estimated=one.estimated or other.estimated,
    )


@dataclass(frozen=True, slots=True)
class Server:
    """What has answered, as a record names it (types.UsageRecord)."""

    deployment: str = ""
    label: str = ""
    upstream_model: str = ""


def batch_record(batch: Batch, tally: Tally, server: Server, at: float, part: str = "") -> UsageRecord:
    """The record of a batch or of a part of it. at: Unix seconds, the same whenever it is written; part: names the
    part within the batch, empty for the whole."""
    payer = batch.payer
    return UsageRecord(
        request_id=f"{batch.id}-{part}" if part else batch.id,
        at=at,
        key_id=payer.key_id,
        key_name=payer.key_name,
        team=payer.team,
        alias=batch.alias,
        endpoint=endpoint_of(batch.endpoint),
        deployment=server.deployment,
        label=server.label,
        upstream_model=server.upstream_model,
        status=200,
        outcome=tally.outcome,
        stream=False,
        attempts=0,
        usage=tally.usage,
        latency=0.0,
        first_token=None,
        cost=tally.cost,
        tags=payer.tags,
        user=payer.user,
        calls=tally.calls,
        calls_failed=tally.failed,
        batch=batch.id,
        engine=batch.engine,
    )


def endpoint_of(url: str) -> str:
    """The row of ENDPOINTS that a line's url (with or without /v1) asks for; empty: there is none."""
    row = BY_URL.get(url.removeprefix("/v1"))
    return row.name if row else ""
