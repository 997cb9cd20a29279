"""Do the totals say what the ledger says? Compares closed days, repairs the totals, and says so.

The ledger is the truth. A difference comes from a process that ended between writing the one and the other, or from a
call that was begun and never ended. The repair is a row of its own beside those of the instances, the whole difference
each time, so that no row of a living process is touched and repeating changes nothing (docs/ledger.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from pydantic import Field

from shared.adapters.book_tables import (
    COMPACTED,
    REPAIR,
    counters,
    instance_of,
    mark,
    marks,
    place_of,
    that_count,
    totals_row,
)
from shared.adapters.ledger import Entry, entries
from shared.adapters.tables import Tables
from shared.adapters.usage_log import usage_table
from shared.books.days import day_name, last_closed, shown_day
from shared.books.sums import UNFINISHED, Sums, add, counted, difference, is_nothing, nothing, total
from shared.money import in_usd
from shared.operations.operation import Desk, Told

JOB = "ledger.check"
AGAIN_AFTER = timedelta(hours=12)
type Place = tuple[str, str]
"""Alias and team."""
type Rows = list[Mapping[str, Any]]
_MOST_IN_AN_EVENT = 20


class RepairRow(Told):
    day: str
    key: str = Field(description="The key's name.")
    key_id: str
    model: str
    team: str
    requests: int = Field(description="What the ledger has more than the totals had; negative: less.")
    tokens: int = Field(description="The same of input and output tokens.")
    cost_usd: str


class CheckReport(Told):
    days: list[str] = Field(default_factory=list[str], description="The days that were compared.")
    events: int = Field(default=0, description="Calls in the ledger on these days.")
    unfinished: int = Field(default=0, description="Calls that were begun and never ended; they count as failed.")
    rows: list[RepairRow] = Field(default_factory=list[RepairRow], description="What was repaired.")


@dataclass(slots=True)
class KeyDay:
    """The ledger of one key and day, summed."""

    sums: dict[Place, Sums] = field(default_factory=dict[Place, Sums])
    key_name: str = ""
    unfinished: int = 0

    def add(self, event: Mapping[str, Any]) -> None:
        place = str(event.get("alias") or ""), str(event.get("team") or "")
        add(self.sums.setdefault(place, nothing()), counted(event))
        self.key_name = str(event.get("key_name") or self.key_name)
        self.unfinished += event.get("outcome") == UNFINISHED


@dataclass(frozen=True, slots=True)
class Repair:
    place: Place
    key_name: str
    lacking: Sums
    """What the totals lacked before."""
    row: Sums | None
    """The repair row as it has to be; None: it is not needed any more."""


async def check_days(desk: Desk, now: datetime, day: date | None = None, *, again: bool = False) -> CheckReport:
    """The two days that were closed last, or the one that is named. Raises StoreUnavailable.

    A day is read whole, so it is not read again within AGAIN_AFTER, unless somebody asks.
    """
    last = last_closed(now)
    report = CheckReport()
    days = [day] if day else [last - timedelta(days=1), last]
    checked = {} if day or again else await marks(desk.tables, JOB, day_name(days[0]), day_name(last))
    for one in days:
        known = checked.get(day_name(one))
        if known is None or now.timestamp() - float(known["at"]) >= AGAIN_AFTER.total_seconds():
            await check_day(desk, one, now, report)
    return report


async def check_day(desk: Desk, day: date, now: datetime, report: CheckReport) -> None:
    name = day_name(day)
    found = await _totals(desk.tables, name)  # read before the ledger, which is written before them
    seen: set[str] = set()
    repaired = len(report.rows)
    async for key_id, ledger in ledger_sums(entries(desk.tables, day, day, now)):
        seen.add(key_id)
        report.events += sum(sums["requests"] for sums in ledger.sums.values())
        report.unfinished += ledger.unfinished
        if repairs_of(found.get(key_id, []), ledger):
            await _repair(desk, key_id, day, now, report)
    for key_id, rows in found.items():
        if key_id not in seen and repairs_of(rows, KeyDay()):
            await _repair(desk, key_id, day, now, report)
    report.days.append(shown_day(name))
    await mark(desk.tables, JOB, name, at=now.timestamp(), repaired=len(report.rows) - repaired)


async def ledger_sums(found: AsyncIterator[Entry]) -> AsyncIterator[tuple[str, KeyDay]]:
    """The sums of each key. The entries are of one day."""
    key_id, ledger = "", KeyDay()
    async for entry in found:
        if entry.key_id != key_id:
            if key_id:
                yield key_id, ledger
            key_id, ledger = entry.key_id, KeyDay()
        ledger.add(entry.event)
    if key_id:
        yield key_id, ledger


async def partition_totals(tables: Tables, key_id: str, day: str) -> Rows:
    """All rows of totals of one key and day."""
    wanted = f"PartitionKey eq '{key_id}|{day}'"
    return [row async for row in tables.query(usage_table(day[:6]), wanted)]


async def _totals(tables: Tables, day: str) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    async for row in tables.query(usage_table(day[:6]), f"day eq '{day}'"):
        found.setdefault(str(row["PartitionKey"]).rpartition("|")[0], []).append(row)
    return found


def repairs_of(rows: Sequence[Mapping[str, Any]], ledger: KeyDay) -> list[Repair]:
    """rows: of one key's totals on one day."""
    repairs: list[Repair] = []
    current = that_count(rows)
    for place in sorted({place_of(row) for row in rows} | set(ledger.sums)):
        mine = [row for row in current if place_of(row) == place]
        wanted = ledger.sums.get(place) or nothing()
        lacking = difference(wanted, total(mine))
        if is_nothing(lacking):
            continue
        name = ledger.key_name or str(mine[0].get("key_name") or "" if mine else "")
        if any(instance_of(row) == COMPACTED for row in mine):
            repairs.append(Repair(place, name, lacking, wanted))
        else:
            written = total(counters(row) for row in mine if instance_of(row) != REPAIR)
            needed = difference(wanted, written)
            repairs.append(Repair(place, name, lacking, None if is_nothing(needed) else needed))
    return repairs


async def _repair(desk: Desk, key_id: str, day: date, now: datetime, report: CheckReport) -> None:
    """Looks once more before it changes anything: the first look took as long as the whole day's ledger takes.

    Said first and done then: if this process ends in between, the next one says the same, which is one event.
    """
    name = day_name(day)
    rows = await partition_totals(desk.tables, key_id, name)
    ledger = KeyDay()
    async for entry in entries(desk.tables, day, day, now, key=key_id):
        if entry.key_id == key_id:
            ledger.add(entry.event)
    repairs = repairs_of(rows, ledger)
    if not repairs:
        return
    told = [_told(key_id, name, repair) for repair in repairs]
    await _say(desk, key_id, name, told, ledger.unfinished)
    closed = {place_of(row) for row in rows if instance_of(row) == COMPACTED}
    for repair in repairs:
        alias, team = repair.place
        instance = COMPACTED if repair.place in closed else REPAIR
        row = totals_row(key_id, repair.key_name, team, alias, name, instance, repair.row or nothing())
        if repair.row is None:
            await desk.tables.delete(row.table, str(row.values["PartitionKey"]), str(row.values["RowKey"]))
        else:
            await desk.tables.write([row])
    report.rows += told


async def _say(desk: Desk, key_id: str, day: str, told: Sequence[RepairRow], unfinished: int) -> None:
    rows = [row.model_dump() for row in told]
    digest = hashlib.sha256(orjson.dumps(rows)).hexdigest()[:16]
    data = {"day": shown_day(day), "unfinished": unfinished, "repairs": rows[:_MOST_IN_AN_EVENT]}
    await desk.outbox.add_now(
        "ledger.repaired", f"ledger/{shown_day(day)}/{key_id[:12]}", data, f"ledger.repaired {day} {key_id} {digest}"
    )
    desk.log.warning(
        "totals differed from the ledger and were repaired",
        day=shown_day(day), key_id=key_id[:12], rows=len(told), requests=sum(row.requests for row in told),
        unfinished=unfinished,
    )  # fmt: skip


def _told(key_id: str, day: str, repair: Repair) -> RepairRow:
    lacking = repair.lacking
    return RepairRow(
        day=shown_day(day),
        key=repair.key_name,
        key_id=key_id[:12],
        model=repair.place[0],
        team=repair.place[1],
        requests=lacking["requests"],
        tokens=lacking["input_tokens"] + lacking["output_tokens"],
        cost_usd=in_usd(lacking["cost_nanos"]),
    )
