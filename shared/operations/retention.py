"""Months that are over are dropped whole, table by table: RETENTION_MONTHS."""

from __future__ import annotations

import re
from datetime import datetime

from pydantic import Field

from shared.books.days import months_before
from shared.operations.operation import Desk, Told

_MONTHLY = re.compile(r"tollgate(?:usage|detail|ledger|ptu|audit|events)([0-9]{6})", re.ASCII)


class DropReport(Told):
    tables: list[str] = Field(default_factory=list[str], description="The tables that were dropped.")


async def drop_months(desk: Desk, now: datetime) -> DropReport:
    """The running month and RETENTION_MONTHS before it stay; 0: all. Raises StoreUnavailable."""
    report, kept = DropReport(), desk.settings.retention_months
    if not kept:
        return report
    oldest = months_before(now.date(), kept)
    for name in await desk.tables.table_names("tollgate"):
        month = _MONTHLY.fullmatch(name)
        if month and month[1] < oldest:
            await desk.tables.delete_table(name)
            report.tables.append(name)
    if report.tables:
        desk.log.warning("months dropped", tables=report.tables, kept_months=kept)
    return report
