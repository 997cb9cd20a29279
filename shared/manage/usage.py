"""Usage reports: the totals of all instances, summed by key, model, team or day."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.adapters.tables import Tables
from shared.adapters.usage_log import COUNTERS, usage_table
from shared.manage.context import CommandError, Context
from shared.manage.output import print_rows

DIMENSIONS = ("key", "model", "team", "day")
_FIELD = {"key": "key_name", "model": "alias", "team": "team", "day": "day"}


async def report(options: Namespace, context: Context) -> int:
    today = datetime.now(UTC).date()
    first = _day(options.first) or today.replace(day=1)
    last = _day(options.last) or today
    if first > last:
        raise CommandError(f"--from {first} is after --to {last}.")
    sums = await totals(context.tables, first, last, options.by, options.key)
    columns = {options.by: options.by.upper(), "requests": "CALLS", "failed": "FAILED", "input_tokens": "INPUT",
               "cached_input_tokens": "CACHED", "output_tokens": "OUTPUT", "reasoning_tokens": "REASONING",
               "estimated": "ESTIMATED"}  # fmt: skip
    if not options.json:
        print(f"{first} to {last} (UTC), tokens; ESTIMATED: calls whose tokens the gateway had to count itself")
    empty = "No usage in these days."
    print_rows(sums, columns, as_json=options.json, empty=empty)
    return 0


async def totals(tables: Tables, first: date, last: date, by: str, key_name: str = "") -> list[dict[str, Any]]:
    """Sums of all counters, most calls first (days in their order). Raises StoreUnavailable."""
    sums: dict[str, dict[str, Any]] = {}
    async for row in _rows(tables, first, last):
        if key_name and row.get("key_name") != key_name:
            continue
        name = str(row.get(_FIELD[by]) or "")
        # two keys may share a name, but they are two lines
        place = f"{row['PartitionKey'].partition('|')[0]}|{name}" if by == "key" else name
        line = sums.setdefault(place, {by: _shown(by, name), **dict.fromkeys(COUNTERS, 0)})
        if by == "key":
            line["id"] = row["PartitionKey"][:12]
        for counter in COUNTERS:
            line[counter] += int(row.get(counter) or 0)
    order = (lambda line: line[by]) if by == "day" else (lambda line: (-line["requests"], line[by]))
    return sorted(sums.values(), key=order)


async def _rows(tables: Tables, first: date, last: date) -> AsyncIterator[dict[str, Any]]:
    low, high = first.strftime("%Y%m%d"), last.strftime("%Y%m%d")
    for month in _months(first, last):
        async for row in tables.query(usage_table(month), f"day ge '{low}' and day le '{high}'"):
            yield row


def _months(first: date, last: date) -> list[str]:
    months: list[str] = []
    day = first.replace(day=1)
    while day <= last:
        months.append(day.strftime("%Y%m"))
        day = (day + timedelta(days=32)).replace(day=1)
    return months


def _shown(by: str, name: str) -> str:
    if by == "day":
        return f"{name[:4]}-{name[4:6]}-{name[6:]}"
    return name or {"model": "(unknown model)", "team": "(no team)"}.get(by, "")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise CommandError(f"{text!r} is not a day: write YYYY-MM-DD.") from None
