"""What was used on some days, as finely as the books know it: hourly sums of days that were compacted, the ledger's
events of the others. Knows nothing of what is made of it (usage.py, ptu.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime

from shared.adapters.book_tables import detail, marks
from shared.adapters.ledger import Entry, entries
from shared.adapters.tables import Tables
from shared.books.days import day_name
from shared.books.reports import Use
from shared.books.sums import counted, hour_of
from shared.operations import compaction


async def uses(
    tables: Tables, days: Iterable[date], now: datetime, key_id: str = "", *, people: bool = False
) -> AsyncIterator[Use]:
    """key_id: an id, or its beginning. people: with the end users, of whom no sums are kept. Raises
    StoreUnavailable."""
    wanted = {day_name(day): day for day in sorted(days)}
    if not wanted:
        return
    summed: set[str] = set()
    if not people:
        summed = set(await marks(tables, compaction.JOB, min(wanted), max(wanted))) & set(wanted)
        async for use in detail(tables, summed, key_id):
            yield use
    for begin, end in _runs([day for name, day in wanted.items() if name not in summed]):
        async for entry in entries(tables, begin, end, now, key=key_id):
            yield use_of(entry)


def _runs(days: list[date]) -> list[tuple[date, date]]:
    """Days that follow each other, as their first and last."""
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and (day - runs[-1][1]).days == 1:
            runs[-1] = runs[-1][0], day
        else:
            runs.append((day, day))
    return runs


def use_of(entry: Entry) -> Use:
    event = entry.event

    def text(name: str) -> str:
        return str(event.get(name) or "")

    return Use(
        counted(event), entry.key_id, text("key_name"), text("team"), text("alias"), entry.day,
        hour_of(event, entry.day), text("deployment"), text("endpoint"), tuple(event.get("tags") or ()),
        text("user"), text("engine"),
    )  # fmt: skip
