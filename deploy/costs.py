"""`python3 dev.py costs`: what a gateway costs a month, worked out from what it is to do, without the models' tokens.

Owns the formula that docs/operations.md explains. Prices are price_list.py's. What a gateway does by itself, and what
one call takes of storage and logs, was measured on this machine; what only Azure knows is assumed, and said to be.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass
from typing import Any

from deploy.price_list import GRANTS, HOURS, PAGES, PRICES

TIMER_RUNS = HOURS * 12 + HOURS + HOURS / 24
"""A month's runs of timer_minutes, timer_hour and timer_day."""
TIMER_OPERATIONS = (HOURS * 12 * 27 + HOURS * 31 + HOURS / 24 * 70) / 1e6
"""Their table operations in millions, as counted in Azurite's log with nothing to do (2026-11): 27, 31 and 70 a run."""
QUEUES = 5
"""Queue triggers of function_app.py."""
RULES_5, RULES_15 = 3, 7
"""Alert rules of infra/modules/alerts.bicep that are on, by how often they are asked."""
ENDPOINTS, ZONES = 4, 7
"""Private endpoints of storage and vault, and DNS zones, of infra/modules/network.bicep; each account is one more."""
LEAST_SECONDS = 1.0
"""What Azure counts at least for an instance that has begun to work."""
RARELY = 0.001
"""The share of the time in which more instances than `peak` may be at work."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a gateway is to do in a month. The defaults of the command line."""

    calls: float = 1_000_000
    seconds: float = 5.0
    hours: float = HOURS
    concurrency: int = 32
    memory: int = 2048
    always_ready: int = 0
    max_instances: int = 40
    operations_per_call: float = 4.0
    ledger_kb: float = 0.6
    retention_months: int = 24
    log_kb: float = 3.0
    log_share: float = 1.0
    answer_kb: float = 4.0
    blobs: float = 1_000
    blob_gb: float = 1.0
    timer_seconds: float = 2.0
    queue_polls: float = 6.0
    vault_operations: float = 10_000
    alerts: bool = True
    private: bool = False
    accounts: int = 1
    nat: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    price: str
    quantity: float
    """In the unit of the price."""

    @property
    def usd(self) -> float:
        return self.quantity * PRICES[self.price].usd


@dataclass(frozen=True, slots=True)
class Active:
    """Instance-seconds in which at least one call is under way."""

    on_demand: float
    ready: float
    peak: int
    """Instances at once, but for a thousandth of the time."""


def active(use: Use) -> Active:
    """Calls come evenly within the hours, by chance. The number under way is then a Poisson number, whatever their
    lengths; instance k is at work while more than (k-1) x concurrency are."""
    load = use.calls * max(LEAST_SECONDS, use.seconds) / (use.hours * 3600)
    if not load:
        return Active(0.0, 0.0, 0)
    width = 12 * math.sqrt(load) + 40
    low, high = max(0, int(load - width)), int(load + width)
    tail, above = 0.0, dict[int, float]()
    for number in range(high, low - 1, -1):
        above[number] = tail
        tail += math.exp(number * math.log(load) - load - math.lgamma(number + 1))
    always = -(-low // use.concurrency)  # instances that are never without a call
    shares = [above[k * use.concurrency] for k in range(always, high // use.concurrency + 1)]
    busy = use.hours * 3600
    total = busy * (always + sum(shares))
    ready = busy * (min(use.always_ready, always) + sum(shares[: max(0, use.always_ready - always)]))
    return Active(max(0.0, total - ready), ready, always + sum(share > RARELY for share in shares))


def items(use: Use) -> list[Item]:
    """Every line of the bill; those that are 0 too."""
    work, gb, millions = active(use), use.memory / 1024, use.calls / 1e6
    table_gb = use.calls * use.ledger_kb / 1e6 * use.retention_months
    polls = QUEUES * use.queue_polls * HOURS * 60 / 1e6
    log_gb = (use.calls * use.log_share + TIMER_RUNS) * use.log_kb / 1e6
    through = use.calls * (use.answer_kb + use.ledger_kb) / 1e6
    return [
        Item("calls, on demand", "execution", work.on_demand * gb),
        Item("calls, on instances that are always ready", "ready_execution", work.ready * gb),
        Item("instances that are always ready", "baseline", use.always_ready * gb * HOURS * 3600),
        Item("executions", "executions", millions + TIMER_RUNS / 1e6),
        Item("timers", "execution", TIMER_RUNS * max(LEAST_SECONDS, use.timer_seconds) * gb),
        Item("table operations", "table_operations", millions * use.operations_per_call + TIMER_OPERATIONS),
        Item("ledger and totals, once retention is full", "table_data", table_gb),
        Item("looking for messages", "queue_operations", polls),
        Item("blobs kept", "blob_data", use.blob_gb),
        Item("blobs written", "blob_writes", use.blobs / 1e6),
        Item("blobs read", "blob_reads", use.blobs / 1e6),
        Item("Event Grid", "events", use.blobs / 1e6),
        Item("logs", "logs", log_gb),
        Item("alert rules, every 5 minutes", "rule_5", RULES_5 * use.alerts),
        Item("alert rules, every 15 minutes", "rule_15", RULES_15 * use.alerts),
        Item("vault", "vault", use.vault_operations / 1e6),
        Item("private endpoints", "endpoint", (ENDPOINTS + use.accounts) * HOURS * use.private),
        Item("data through private endpoints", "endpoint_data", 2 * through * use.private),
        Item("private DNS zones", "zone", ZONES * use.private),
        Item("NAT gateway", "nat", HOURS * use.nat),
        Item("its address", "address", HOURS * use.nat),
        Item("answers to the internet", "out", use.calls * use.answer_kb / 1e6),
    ]


def granted(lines: list[Item]) -> list[Item]:
    """What is free of it every month, as lines below zero."""
    free: list[Item] = []
    for price, most in GRANTS.items():
        used = sum(line.quantity for line in lines if line.price == price)
        free.append(Item(f"free: {PRICES[price].what}", price, -min(used, most)))
    return free


def sum_of(lines: list[Item]) -> float:
    return sum(line.usd for line in lines)


def at_least(use: Use) -> float:
    """US dollars of compute if every instance had all its places taken all the time: no traffic reaches it."""
    return use.calls * use.seconds / use.concurrency * use.memory / 1024 * PRICES["execution"].usd


def text(use: Use, free_grants: bool) -> str:
    """For people: a line for each item of half a cent or more."""
    lines = items(use) + (granted(items(use)) if free_grants else [])
    shown = [line for line in lines if abs(line.usd) >= 0.005]
    named = max(len(line.name) for line in shown)
    rows = [f"{line.name:<{named}}  {line.usd:>9,.2f}  {_quantity(line)}" for line in shown]
    total = sum_of(lines)
    end = [f"{'sum, US dollars a month':<{named}}  {total:>9,.2f}"]
    if use.calls:
        end[0] += f"  {total / use.calls * 1e6:,.2f} for a million calls"
        end += ["", *_about(use)]
    return "\n".join([*rows, *end])


def _quantity(line: Item) -> str:
    price = PRICES[line.price]
    amount = f"{line.quantity:,.0f}" if abs(line.quantity) >= 100 else f"{line.quantity:,.3g}"
    unit = {"month": "rules" if line.price.startswith("rule") else "zones"}.get(price.per, price.per)
    return f"{amount} {unit}{'s' if unit in ('GB-second', 'hour') else ''} at ${_dollars(price.usd)}"


def _dollars(usd: float) -> str:
    """Neither 2.6e-05 nor 0.400000."""
    return f"{usd:f}".rstrip("0").rstrip(".")


def _about(use: Use) -> list[str]:
    work = active(use)
    load = use.calls * use.seconds / (use.hours * 3600)
    least = f"Were every place always taken, the calls on demand would cost {at_least(use):,.2f}."
    said = [
        f"{load:,.1f} calls are under way on average, on up to {work.peak:,} instance{'s' * (work.peak != 1)}. {least}"
    ]
    if work.peak > use.max_instances:
        said.append(
            f"That is more than maximumInstanceCount, {use.max_instances:,}: calls would wait. Raise that, or the "
            "concurrency."
        )
    return said


def as_json(use: Use, free_grants: bool) -> dict[str, Any]:
    lines, free = items(use), granted(items(use))
    work = active(use)
    return {
        "use": asdict(use),
        "items": [{**asdict(line), "unit": PRICES[line.price].per, "usd": line.usd} for line in lines],
        "free_grants": [{**asdict(line), "unit": PRICES[line.price].per, "usd": line.usd} for line in free],
        "sum_usd": sum_of(lines) + (sum_of(free) if free_grants else 0.0),
        "compute_at_least_usd": at_least(use),
        "instances_at_once": work.peak,
    }


def price_table() -> str:
    """The price list, as docs/operations.md has it."""
    rows = [
        f"| {one.what} | {_dollars(one.usd)} | {one.per} | [{one.page}]({PAGES}{one.page}/) | {one.seen} | {one.note} |"
        for one in PRICES.values()
    ]
    return "\n".join(["| what | US dollars | per | page | seen | |", "|---|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    from deploy import costs_options

    sys.exit(costs_options.main(sys.argv[1:]))
