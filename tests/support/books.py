"""Books to test with: random calls, written by the real usage log, as several processes would; and what they must sum to.

Every test takes a month of its own: all tests share one table service.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import orjson

from shared.adapters.tables import Tables
from shared.adapters.usage_log import TableUsageLog
from shared.books.days import midnight
from shared.books.sums import COUNTERS, Sums, counted, nothing
from shared.types import CapacityTier, Cost, Row, Usage, UsageRecord
from tests.support.doubles import Clock, Lines, a_record

KEYS = {f"{n}" * 64: (f"key-{n}", team) for n, team in ((1, "red"), (2, "red"), (3, "blue"), (4, ""))}
ALIASES = {"gpt-4o": "main/gpt-4o", "gpt-4o-mini": "main/mini", "team/image": "eu/image"}
OUTCOMES = ("ok", "ok", "ok", "ok", "client_closed", "upstream_error", "client_error")
CAPACITIES: tuple[CapacityTier, ...] = ("", "", "ptu", "spill", "azure-spill")
TAGS: tuple[tuple[str, ...], ...] = ((), (), ("alpha",), ("alpha", "project=x"), ("beta",))
_months = itertools.count(0)


def a_month() -> date:
    """The first day of a month that no other test has. With room before it: jobs look back a month."""
    number = next(_months) * 3
    return date(1980 + number // 12, number % 12 + 1, 1)


def random_call(rng: Random, number: int, day: date, keys: int = 4) -> UsageRecord:
    key_id = rng.choice(list(KEYS)[:keys])
    alias = rng.choice(list(ALIASES))
    image = alias == "team/image"
    seconds = rng.random() * 86400
    given = rng.randrange(2000)
    talk = Usage(
        given, rng.randrange(500), rng.randrange(given + 1), rng.randrange(50), estimated=rng.random() < 0.1,
        tier=rng.choice(("", "priority")), cache_write_1h_tokens=rng.choice((0, 0, 7)),
    )  # fmt: skip
    usage = Usage(images=rng.randrange(1, 4), image_kind="1024x1024") if image else talk
    unpriced = image and rng.random() < 0.5
    return a_record(
        number,
        at=midnight(day).timestamp() + seconds,
        key_id=key_id,
        key_name=KEYS[key_id][0],
        team=KEYS[key_id][1],
        alias=alias,
        deployment=ALIASES[alias],
        endpoint="images_generations" if image else rng.choice(("chat_completions", "responses")),
        outcome=rng.choice(OUTCOMES),
        usage=usage,
        latency=rng.random() * 5,
        cost=Cost(0, False) if unpriced else Cost(rng.randrange(10**9), True, "azure-retail 2026-08-11"),
        tags=rng.choice(TAGS),
        user=rng.choice(("", "ann", "bob")),
        capacity=rng.choice(CAPACITIES),
        served_alias=rng.choice(("", "", "gpt-4o-mini")),
    )


class Store:
    """Rows into the real tables. `only`: which tables' rows land; a process that ends half-way writes one kind."""

    def __init__(self, tables: Tables, only: str = "tollgate") -> None:
        self._tables, self._only = tables, only

    async def write(self, rows: Iterable[Row]) -> None:
        await self._tables.write([row for row in rows if row.table.startswith(self._only)])


def log_of(tables: Tables | Store, instance: str, now: datetime, only: str = "tollgate") -> TableUsageLog:
    store = tables if isinstance(tables, Store) else Store(tables, only)
    return TableUsageLog(store, instance, Clock(now.timestamp()), Lines(), 0.003)


async def write(log: TableUsageLog, records: Iterable[UsageRecord]) -> None:
    for record in records:
        log.begin()
        log.add(record)
    await written(log)


async def written(log: TableUsageLog) -> None:
    """The ledger, and the totals after it. Raises StoreUnavailable."""
    await log.flush()
    while log.pending():
        await asyncio.sleep(0.003)


async def random_days(
    tables: Tables, seed: int, days: Iterable[date], calls: int = 30, instances: int = 3, keys: int = 4
) -> list[UsageRecord]:
    """Calls of these days by several processes, each of which writes several times. All of it lands."""
    rng = Random(seed)
    records = [random_call(rng, n, day, keys) for n, day in enumerate(d for d in days for _ in range(calls))]
    now = midnight(max(date_of(record) for record in records)) + timedelta(hours=12)
    logs = [log_of(tables, f"{seed:08x}{n:08x}", now) for n in range(instances)]
    for start in range(0, len(records), 20):
        await write(rng.choice(logs), records[start : start + 20])
    return records


def date_of(record: UsageRecord) -> date:
    return datetime.fromtimestamp(record.at, UTC).date()


def sums_of(records: Iterable[UsageRecord]) -> Sums:
    """By brute force, without the code that is tested."""
    sums = nothing()
    for record in records:
        usage = record.usage
        found = {
            "requests": 1,
            "failed": record.outcome not in ("ok", "client_closed"),
            "estimated": usage.estimated,
            "unpriced": not record.cost.priced,
            "spilled": record.capacity in ("spill", "azure-spill"),
            "cost_nanos": record.cost.nanos,
            "spill_nanos": record.cost.nanos if record.capacity in ("spill", "azure-spill") else 0,
            "audio_ms": round(usage.audio_seconds * 1000),
            "video_ms": round(usage.video_seconds * 1000),
            "latency_ms": round(round(record.latency * 1000, 1)),
        }
        for name in COUNTERS:
            sums[name] += int(found[name] if name in found else getattr(usage, name))
    return sums


async def rows_of(tables: Tables, table: str, day: date) -> list[dict[str, Any]]:
    return [r async for r in tables.query(table) if str(r["PartitionKey"]).endswith(f"|{day:%Y%m%d}")]


async def events_in(tables: Tables, day: date) -> list[dict[str, Any]]:
    """Every event of every page, duplicates included."""
    rows = await rows_of(tables, f"tollgateledger{day:%Y%m}", day)
    return [orjson.loads(line) for row in rows for line in row["events"].split("\n")]


def summed(events: Iterable[dict[str, Any]]) -> Sums:
    sums = nothing()
    for event in events:
        for name, value in counted(event).items():
            sums[name] += value
    return sums
