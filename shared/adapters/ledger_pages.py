"""A closed day's pages become full ones, and no moment of it loses or doubles an event.

    1. What the compacted pages hold is read, then the other rows. Events that no compacted page holds are written to
       new ones, behind the last: a compacted page is only ever added, never changed.
    2. When all of them are written, the rows that were read are deleted.

Whoever reads meanwhile, or after a process that ended on the way, finds some events twice, under the same request id;
readers let each through once (ledger.py). Compacted pages sort behind all others, so that a reader who comes by while
rows are deleted has either seen them or sees what replaced them. Of two processes at once, one finds its next number
taken and begins again. A row with an event that has no outcome stays where it is: its outcome would replace it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.adapters.book_tables import remove
from shared.adapters.ledger import events_of
from shared.adapters.ledger_rows import PAGE_CHARACTERS
from shared.adapters.tables import Tables
from shared.adapters.usage_log import ledger_table
from shared.books.sums import UNFINISHED

PAGES = "~compacted-"
_ATTEMPTS = 8


class Contended(Exception):
    """Another process is at the same pages, again and again: it will have done the work."""


@dataclass(slots=True)
class _Numbered:
    """Where the next compacted page goes."""

    table: str
    partition: str
    number: int
    lines: list[str] = field(default_factory=list[str])
    size: int = 0
    written: int = 0


async def merge_pages(tables: Tables, key_id: str, day: str) -> int:
    """-> how many events went into compacted pages. Raises StoreUnavailable, Contended."""
    for _ in range(_ATTEMPTS):
        done = await _merge(tables, ledger_table(day[:6]), f"{key_id}|{day}")
        if done is not None:
            return done
    raise Contended(f"{key_id[:12]}|{day}")


async def is_merged(tables: Tables, key_id: str, day: str) -> bool:
    """Whether there are compacted pages and no others."""
    partition = f"PartitionKey eq '{key_id}|{day}'"
    rows, _ = await tables.page(ledger_table(day[:6]), f"{partition} and RowKey lt '{PAGES}'", 1, select=["RowKey"])
    return not rows


async def _merge(tables: Tables, table: str, partition: str) -> int | None:
    """None: somebody else has written pages meanwhile."""
    held, last = await _held(tables, table, partition)
    pages = _Numbered(table, partition, last)
    merged: list[str] = []
    wanted = f"PartitionKey eq '{partition}' and RowKey lt '{PAGES}'"
    async for row in tables.query(table, wanted, select=["RowKey", "events"]):
        events = list(events_of(row))
        if any(event.get("outcome") == UNFINISHED for event in events):
            continue
        merged.append(str(row["RowKey"]))
        for event in events:
            name = str(event["request_id"])
            if name not in held:
                held.add(name)
                if not await _put(tables, pages, orjson.dumps(event).decode()):
                    return None
    if pages.lines and not await _write(tables, pages):
        return None
    await remove(tables, table, partition, merged)
    return pages.written


async def _held(tables: Tables, table: str, partition: str) -> tuple[set[str], int]:
    """The request ids in the compacted pages, and the last page's number."""
    held: set[str] = set()
    last = 0
    wanted = f"PartitionKey eq '{partition}' and RowKey ge '{PAGES}'"
    async for row in tables.query(table, wanted, select=["RowKey", "events"]):
        held.update(_names(events_of(row)))
        last = int(str(row["RowKey"]).removeprefix(PAGES))
    return held, last


def _names(events: Iterable[dict[str, Any]]) -> Iterable[str]:
    return (str(event["request_id"]) for event in events)


async def _put(tables: Tables, pages: _Numbered, line: str) -> bool:
    if pages.lines and pages.size + len(line) > PAGE_CHARACTERS and not await _write(tables, pages):
        return False
    pages.lines.append(line)
    pages.size += len(line) + 1
    return True


async def _write(tables: Tables, pages: _Numbered) -> bool:
    """-> False when the number is taken by other events. Our own, whose answer was lost, are no others."""
    pages.number += 1
    key = f"{PAGES}{pages.number:06d}"
    row = {
        "PartitionKey": pages.partition,
        "RowKey": key,
        "count": len(pages.lines),
        "events": "\n".join(pages.lines),
    }
    if not await tables.insert(pages.table, row):
        there = await tables.get(pages.table, pages.partition, key)
        if there is None or there["events"] != row["events"]:
            return False
    pages.written += len(pages.lines)
    pages.lines, pages.size = [], 0
    return True
