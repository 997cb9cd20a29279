"""The tables that the books are kept in, besides the ledger: their rows, and which of them count.

    tollgateusageYYYYMM    KEY|DAY          ALIAS|TEAM|INSTANCE     totals (written by usage_log.py)
    tollgatedetailYYYYMM   KEY|DAY          HOUR|DIGEST             hourly sums of days that were compacted
    tollgateptuYYYYMM      DEPLOYMENT|DAY   HOUR|DIGEST             shares of fixed costs
    tollgatestate          JOB              ITEM                    how far a job has come

Of the totals of one key, day, alias and team, the row whose instance is COMPACTED stands for all others: they are on
their way out. It sorts behind them, so that a reader who comes by while they are deleted has either seen them or sees
it. Otherwise all rows count, and REPAIR with them: what the ledger has more (or less) than the instances' rows.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

import orjson

from shared.adapters.tables import STATE_TABLE, Tables, in_filter
from shared.adapters.usage_log import usage_table
from shared.books.days import day_name, months
from shared.books.ptu import Payer
from shared.books.reports import Use
from shared.books.sums import COUNTERS, Sums
from shared.types import Row

COMPACTED = "~compacted"
REPAIR = "repair"
IDLE = "idle"
_LAST = "~"
_MOST_PER_BATCH = 100


def detail_table(month: str) -> str:
    return f"tollgatedetail{month}"


def ptu_table(month: str) -> str:
    return f"tollgateptu{month}"


# Totals


def totals_row(key_id: str, key_name: str, team: str, alias: str, day: str, instance: str, sums: Sums) -> Row:
    values: dict[str, Any] = {
        "PartitionKey": f"{key_id}|{day}",
        "RowKey": f"{quote(alias, safe='')}|{quote(team, safe='')}|{instance}",
        "key_name": key_name,
        "team": team,
        "alias": alias,
        "day": day,
        "instance": instance,
    }
    return Row(usage_table(day[:6]), values | sums)


def instance_of(row: Mapping[str, Any]) -> str:
    return str(row["RowKey"]).rpartition("|")[2]


def place_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """Alias and team of a row of totals."""
    return str(row.get("alias") or ""), str(row.get("team") or "")


def that_count(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of one partition's totals those that are not superseded."""
    closed = {place_of(row) for row in rows if instance_of(row) == COMPACTED}
    return [row for row in rows if instance_of(row) == COMPACTED or place_of(row) not in closed]


async def totals(tables: Tables, first: date, last: date, key: str = "") -> AsyncIterator[Use]:
    """key: an id, or its beginning. Raises StoreUnavailable."""
    wanted = f"day ge '{day_name(first)}' and day le '{day_name(last)}'"
    if key:
        wanted = f"PartitionKey ge '{in_filter(key)}' and PartitionKey lt '{in_filter(key)}{_LAST}' and {wanted}"
    for month in months(first, last):
        partition: list[Mapping[str, Any]] = []
        async for row in tables.query(usage_table(month), wanted):
            if partition and partition[0]["PartitionKey"] != row["PartitionKey"]:
                for use in _uses(partition):
                    yield use
                partition = []
            partition.append(row)
        for use in _uses(partition):
            yield use


def _uses(partition: Sequence[Mapping[str, Any]]) -> Iterable[Use]:
    for row in that_count(partition):
        key_id, _, day = str(row["PartitionKey"]).rpartition("|")
        alias, team = place_of(row)
        yield Use(counters(row), key_id, str(row.get("key_name") or ""), team, alias, day)


def counters(row: Mapping[str, Any]) -> Sums:
    return {name: int(row.get(name) or 0) for name in COUNTERS}


# Detail


def detail_row(use: Use) -> Row:
    """The same use has the same row for ever: writing it again changes nothing."""
    named = (use.alias, use.deployment, use.endpoint, use.team, list(use.tags), *([use.engine] if use.engine else []))
    values: dict[str, Any] = {
        "PartitionKey": f"{use.key_id}|{use.day}",
        "RowKey": f"{use.hour:02d}|{_digest(named)}",
        "key_name": use.key_name,
        "team": use.team,
        "alias": use.alias,
        "deployment": use.deployment,
        "endpoint": use.endpoint,
        "tags": orjson.dumps(use.tags).decode(),
        "engine": use.engine,
        "day": use.day,
        "hour": use.hour,
    }
    return Row(detail_table(use.day[:6]), values | dict(use.sums))


async def detail(tables: Tables, days: Iterable[str], key: str = "") -> AsyncIterator[Use]:
    """Hourly sums of days that were compacted. Raises StoreUnavailable."""
    for month, group in itertools.groupby(sorted(days), key=lambda day: day[:6]):
        wanted_days = set(group)
        wanted = f"day ge '{min(wanted_days)}' and day le '{max(wanted_days)}'"
        if key:
            wanted = f"PartitionKey ge '{in_filter(key)}' and PartitionKey lt '{in_filter(key)}{_LAST}' and {wanted}"
        async for row in tables.query(detail_table(month), wanted):
            if row["day"] in wanted_days:
                yield _detailed(row)


def _detailed(row: Mapping[str, Any]) -> Use:
    return Use(
        counters(row), str(row["PartitionKey"]).rpartition("|")[0], str(row["key_name"]), str(row["team"]),
        str(row["alias"]), str(row["day"]), int(row["hour"]), str(row["deployment"]), str(row["endpoint"]),
        tuple(orjson.loads(row["tags"])), engine=str(row.get("engine") or ""),
    )  # fmt: skip


# Shares of fixed costs


@dataclass(frozen=True, slots=True)
class Share:
    """What one payer pays of one hour of a provisioned deployment; no payer: nobody used it."""

    deployment: str
    label: str
    day: str
    hour: int
    nanos: int
    payer: Payer | None = None
    tokens: int = 0
    """Weighted (books/ptu.py)."""


def share_row(share: Share) -> Row:
    payer = share.payer
    named = (payer.key_id, payer.key_name, payer.team, payer.alias, payer.tags) if payer else None
    values: dict[str, Any] = {
        "PartitionKey": f"{quote(share.deployment, safe='')}|{share.day}",
        "RowKey": f"{share.hour:02d}|{_digest(named) if named else IDLE}",
        "deployment": share.deployment,
        "label": share.label,
        "day": share.day,
        "hour": share.hour,
        "cost_nanos": share.nanos,
        "tokens": share.tokens,
        "key_id": payer.key_id if payer else "",
        "key_name": payer.key_name if payer else "",
        "team": payer.team if payer else "",
        "alias": payer.alias if payer else "",
        "tags": orjson.dumps(payer.tags if payer else ()).decode(),
        "idle": payer is None,
    }
    return Row(ptu_table(share.day[:6]), values)


async def shares(tables: Tables, first: date, last: date) -> AsyncIterator[Share]:
    """Raises StoreUnavailable."""
    wanted = f"day ge '{day_name(first)}' and day le '{day_name(last)}'"
    for month in months(first, last):
        async for row in tables.query(ptu_table(month), wanted):
            yield share_of(row)


def share_of(row: Mapping[str, Any]) -> Share:
    payer = None
    if not row["idle"]:
        tags = tuple(orjson.loads(row["tags"]))
        payer = Payer(str(row["key_id"]), str(row["key_name"]), str(row["team"]), str(row["alias"]), tags)
    return Share(
        str(row["deployment"]), str(row["label"]), str(row["day"]), int(row["hour"]), int(row["cost_nanos"]), payer,
        int(row["tokens"]),
    )  # fmt: skip


# How far a job has come


async def marks(tables: Tables, job: str, first: str = "", last: str = _LAST) -> dict[str, dict[str, Any]]:
    """What a job has noted, by item. Raises StoreUnavailable."""
    wanted = f"PartitionKey eq '{job}' and RowKey ge '{in_filter(first)}' and RowKey le '{in_filter(last)}'"
    return {row["RowKey"]: row async for row in tables.query(STATE_TABLE, wanted)}


async def mark(tables: Tables, job: str, item: str, **values: str | int | float | bool) -> None:
    await tables.write([Row(STATE_TABLE, {"PartitionKey": job, "RowKey": item, **values})])


async def unmark(tables: Tables, job: str, item: str) -> None:
    await tables.delete(STATE_TABLE, job, item)


async def remove(tables: Tables, table: str, partition: str, keys: Sequence[str]) -> None:
    """Delete rows of one partition; those that are gone already are no error. Raises StoreUnavailable.

    A hundred at a time: one by one, the rows of a busy day would take the SDK minutes.
    """
    from azure.core.exceptions import AzureError

    for some in itertools.batched(keys, _MOST_PER_BATCH, strict=False):
        operations = [("delete", {"PartitionKey": partition, "RowKey": key}) for key in some]
        try:
            await tables.table(table).submit_transaction(operations)
        except AzureError:  # one that is gone fails them all
            for key in some:
                await tables.delete(table, partition, key)


def _digest(named: Any) -> str:
    return hashlib.sha256(orjson.dumps(named)).hexdigest()[:24]
