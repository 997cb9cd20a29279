"""Days that are over take less room: one row of totals for each model and team, full pages, sums by the hour.

Everything is computed anew from the ledger and written before anything is deleted; each step may be repeated, and two
processes may be at it at once (docs/adr/0009). A day is looked at again for a week: what a process could not write
while its storage was down, and work that ended late, comes after the first compaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import Field

from shared.adapters.book_tables import (
    COMPACTED,
    detail_row,
    detail_table,
    instance_of,
    mark,
    marks,
    place_of,
    remove,
    that_count,
    totals_row,
    unmark,
)
from shared.adapters.ledger import entries, key_ids
from shared.adapters.ledger_pages import Contended, is_merged, merge_pages
from shared.adapters.tables import Tables
from shared.adapters.usage_log import ledger_table, usage_table
from shared.books.days import between, day_name, shown_day
from shared.books.reports import Use
from shared.books.sums import Sums, add, counted, hour_of, nothing
from shared.operations import checking
from shared.operations.checking import CheckReport, KeyDay, Rows
from shared.operations.operation import Desk, Told

JOB = "ledger.compact"
EXPORTED = "ledger.export"
LEAST_AGE = 2
"""Days. Yesterday's totals are still in the memory of those who write them."""
LOOK_BACK = 31
LOOK_AGAIN = 8


class CompactReport(Told):
    days: list[str] = Field(default_factory=list[str], description="Days of which something was compacted.")
    keys: int = Field(default=0, description="Keys with something to compact.")
    events: int = Field(default=0, description="Events that were moved into full pages.")


@dataclass(slots=True)
class _Whole:
    """One key's day from its ledger."""

    sums: KeyDay = field(default_factory=KeyDay)
    hours: dict[tuple[Any, ...], Sums] = field(default_factory=dict[tuple[Any, ...], Sums])

    def add(self, event: Mapping[str, Any], day: str) -> None:
        self.sums.add(event)
        place = (
            hour_of(event, day),
            *(str(event.get(name) or "") for name in ("alias", "deployment", "endpoint", "team", "engine")),
            tuple(sorted(event.get("tags") or ())),
        )
        add(self.hours.setdefault(place, nothing()), counted(event))

    def uses(self, key_id: str, day: str) -> list[Use]:
        return [
            Use(sums, key_id, self.sums.key_name, team, alias, day, hour, deployment, endpoint, tags, engine=engine)
            for (hour, alias, deployment, endpoint, team, engine, tags), sums in self.hours.items()
        ]


async def compact_days(desk: Desk, now: datetime) -> CompactReport:
    """Raises StoreUnavailable."""
    report = CompactReport()
    last = now.date() - timedelta(days=LEAST_AGE)
    first = now.date() - timedelta(days=LOOK_BACK)
    done = await marks(desk.tables, JOB, day_name(first), day_name(last))
    again = now.date() - timedelta(days=LOOK_AGAIN)
    there = set(await desk.tables.table_names("tollgate"))
    for day in between(first, last):
        month = f"{day:%Y%m}"
        if not there & {ledger_table(month), usage_table(month)}:
            continue
        if day_name(day) not in done or day >= again:
            await compact_day(desk, day, now, report, first_time=day_name(day) not in done)
    return report


async def compact_day(desk: Desk, day: date, now: datetime, report: CompactReport, *, first_time: bool) -> None:
    name, tables, before = day_name(day), desk.tables, report.keys
    if first_time and not await marks(tables, checking.JOB, name, name):
        await checking.check_day(desk, day, now, CheckReport())
    found: dict[str, Rows] = {}
    async for row in tables.query(usage_table(name[:6]), f"day eq '{name}'"):
        found.setdefault(str(row["PartitionKey"]).rpartition("|")[0], []).append(row)
    keys = {key async for key in key_ids(tables, ledger_table(name[:6]))} | set(found)
    for key_id in sorted(keys):
        rows = found.get(key_id, [])
        tidy = all(instance_of(row) == COMPACTED for row in rows)
        if tidy and await is_merged(tables, key_id, name):
            continue
        try:
            moved = await _compact(tables, key_id, day, now)
        except Contended:
            desk.log.warning("another process is compacting the same day", day=shown_day(name), key_id=key_id[:12])
            return
        report.keys += 1
        report.events += moved
        if moved and not first_time:
            await unmark(tables, EXPORTED, name)  # the export lacks what came late
    if report.keys > before:
        report.days.append(shown_day(name))
    await mark(tables, JOB, name, at=now.timestamp())


async def _compact(tables: Tables, key_id: str, day: date, now: datetime) -> int:
    """One key's day: its pages, then what is made of them."""
    name = day_name(day)
    moved = await merge_pages(tables, key_id, name)
    whole = _Whole()
    async for entry in entries(tables, day, day, now, key=key_id):
        if entry.key_id == key_id:
            whole.add(entry.event, name)
    await _write_hours(tables, key_id, name, whole)
    await _write_totals(tables, key_id, name, whole.sums)
    return moved


async def _write_hours(tables: Tables, key_id: str, day: str, whole: _Whole) -> None:
    rows = [detail_row(use) for use in whole.uses(key_id, day)]
    await tables.write(rows)
    kept = {str(row.values["RowKey"]) for row in rows}
    table, partition = detail_table(day[:6]), f"{key_id}|{day}"
    stale = [
        str(row["RowKey"])
        async for row in tables.query(table, f"PartitionKey eq '{partition}'", select=["RowKey"])
        if row["RowKey"] not in kept
    ]
    await remove(tables, table, partition, stale)


async def _write_totals(tables: Tables, key_id: str, day: str, ledger: KeyDay) -> None:
    """The rows that stand for all others first; from then on the others do not count, and can go one by one."""
    rows = await checking.partition_totals(tables, key_id, day)
    names = {place_of(row): str(row.get("key_name") or "") for row in that_count(rows)}
    compacted = [
        totals_row(
            key_id, names.get(place) or ledger.key_name, place[1], place[0], day, COMPACTED,
            ledger.sums.get(place) or nothing(),
        )
        for place in sorted(set(names) | set(ledger.sums))
    ]  # fmt: skip
    await tables.write(compacted)
    superseded = [str(row["RowKey"]) for row in rows if instance_of(row) != COMPACTED]
    await remove(tables, usage_table(day[:6]), f"{key_id}|{day}", superseded)
