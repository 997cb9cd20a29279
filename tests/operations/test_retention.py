"""Months that are over go as whole tables, and nothing else goes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.operations.ledger import drop_months
from shared.types import Row
from tests.support.desk import desk_at

NOW = datetime(1961, 3, 5, tzinfo=UTC)
"""Before the months of any other test, which are not to be dropped."""
KINDS = ("usage", "detail", "ledger", "ptu", "audit", "events")


@pytest.mark.parametrize(("kept", "gone"), [("2", ["196011", "196012"]), ("0", []), ("24", [])])
def test_months(azurite: Any, kept: str, gone: list[str]) -> None:
    async def work() -> None:
        async with desk_at(azurite.connection_string, now=NOW.timestamp(), RETENTION_MONTHS=kept) as desk:
            months = ("196011", "196012", "196101", "196102", "196103", "196104")
            names = [f"tollgate{kind}{month}" for kind in KINDS for month in months]
            others = ["tollgatekeys196001", "tollgateusage19601", "othertollgateusage196001"]
            rows = [Row(name, {"PartitionKey": "p", "RowKey": "r"}) for name in [*names, *others]]
            await desk.tables.write(rows)
            before = set(await desk.tables.table_names(""))
            report = await drop_months(desk, NOW)
            expected = {f"tollgate{kind}{month}" for kind in KINDS for month in gone}
            assert set(report.tables) == expected == before - set(await desk.tables.table_names(""))
            assert (await drop_months(desk, NOW)).tables == []
            for name in [*names, *others]:
                await desk.tables.delete_table(name)

    asyncio.run(work())
