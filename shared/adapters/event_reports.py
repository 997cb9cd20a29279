"""What the gateway's own parts report while they serve becomes events: models without a price, budgets used up.

Owns which fact is which event, and that a fact which is met at every call costs a look into a set. Knows nothing of
how events are kept or sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from shared.adapters.outbox import Outbox
from shared.books.days import iso
from shared.limits.money import Threshold
from shared.money import in_usd
from shared.types import UsageRecord

if TYPE_CHECKING:
    from shared.batches.batch import Batch

_MOST_SEEN = 1000


class Adding(Protocol):
    """The outbox, as far as it is needed here."""

    def add(self, kind: str, subject: str, data: Mapping[str, Any], unique: str) -> None: ...


class UnpricedModels:
    """Calls whose cost is not known, once per alias, deployment and day: `model.unpriced`."""

    def __init__(self, outbox: Adding) -> None:
        self._outbox = outbox
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def observe(self, record: UsageRecord) -> None:
        """Called with every record. Never fails."""
        if record.cost.priced:
            return
        day = datetime.fromtimestamp(record.at, UTC).date().isoformat()
        seen = record.alias, record.deployment, day
        if seen in self._seen:
            return
        self._seen[seen] = None
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        data = {
            "model": record.alias,
            "deployment": record.deployment,
            "upstream_model": record.upstream_model,
            "tier": record.usage.tier,
            "day": day,
            "request_id": record.request_id,
        }
        self._outbox.add("model.unpriced", f"models/{record.alias}", data, "unpriced|" + "|".join(seen))


class BudgetThresholds:
    """`budget.threshold`, once per budget, period and share of it. A budget that is changed is another budget."""

    def __init__(self, outbox: Adding) -> None:
        self._outbox = outbox

    def observe(self, reached: Threshold) -> None:
        """May be called as often as one likes. Never fails."""
        budget, _, digits = reached.period.partition("-")
        data = {
            "scope": reached.scope,
            "id": reached.id,
            "name": reached.name,
            "budget": budget,
            "period": "-".join(filter(None, (digits[:4], digits[4:6], digits[6:]))) or "total",
            "percent": reached.percent,
            "limit_usd": in_usd(reached.limit_nanos),
            "spent_usd": in_usd(reached.spent_nanos),
            "hard": reached.hard,
        }
        parts = (
            "budget",
            reached.scope,
            reached.id,
            reached.period,
            reached.percent,
            reached.limit_nanos,
            reached.hard,
        )
        self._outbox.add("budget.threshold", f"{reached.scope}s/{reached.id}", data, "|".join(map(str, parts)))


class BatchEnds:
    """`batch.done`, once per batch."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def tell(self, batch: Batch) -> None:
        """May be called as often as one likes. Raises StoreUnavailable."""
        payer, used = batch.payer, batch.figures
        data = {
            "id": batch.id,
            "status": batch.status,
            "model": batch.alias,
            "endpoint": batch.endpoint,
            "engine": batch.engine,
            "source": batch.source,
            "origin": batch.origin,
            "key": payer.key_name,
            "key_id": payer.key_id[:12],
            "team": payer.team,
            "lines": batch.lines,
            "completed": batch.completed,
            "failed": batch.failed,
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "cost_usd": in_usd(used.cost_nanos),
            "unpriced": used.unpriced,
            "created_at": iso(batch.created_at),
            "ended_at": iso(batch.ended_at),
        }
        await self._outbox.add_now("batch.done", f"batches/{batch.id}", data, f"batch|{batch.id}")
