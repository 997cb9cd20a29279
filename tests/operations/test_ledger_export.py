"""A day's files: read back they sum to the ledger, and making them again changes nothing."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from shared.adapters.book_tables import Share, share_row
from shared.adapters.tables import Tables
from shared.books import charges, focus
from shared.books.days import day_name, midnight
from shared.books.ptu import Payer
from shared.errors import ApiError
from shared.money import from_usd
from shared.operations.exporting import ExportAsked, export_days, export_text, ledger_export
from tests.support import books
from tests.support.desk import ADMIN, TestDesk, desk_at

CONFIG = """
model_list:
- model_name: gpt-4o
  litellm_params: {model: azure/gpt-4o, api_base: 'https://main.openai.azure.com', api_key: secret-key-1, region: swedencentral}
- model_name: gpt-4o-mini
  litellm_params: {model: azure/mini, api_base: 'https://main.openai.azure.com', api_key: secret-key-1}
"""
FEE = 12_345_678_901


def play(
    azurite: Any, work: Callable[[TestDesk, date, datetime], Awaitable[None]], container: str = "exports", **more: str
) -> None:
    async def whole() -> None:
        day = books.a_month() + timedelta(days=9)
        now = midnight(day + timedelta(days=1)) + timedelta(hours=3)
        if container:
            more["EXPORT_CONTAINER"] = f"{container}-{day_name(day)}"
        async with desk_at(azurite.connection_string, now=now.timestamp(), config=CONFIG, **more) as desk:
            await work(desk, day, now)

    asyncio.run(whole())


async def with_shares(tables: Tables, day: date) -> None:
    payer = Payer("1" * 64, "key-1", "red", "gpt-4o", ("alpha",))
    parts = [
        Share("main/gpt-4o", "gpt-4o#1", day_name(day), hour, nanos, owner, 10)
        for hour in range(3)
        for nanos, owner in ((FEE, payer), (1, None))
    ]
    await tables.write([share_row(part) for part in parts])


def read(data: bytes | str | None) -> list[dict[str, str]]:
    assert data is not None
    return list(csv.DictReader(io.StringIO(data.decode() if isinstance(data, bytes) else data, newline="")))


def test_files_of_a_day(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 41, [day])
        await with_shares(desk.tables, day)
        report = await export_days(desk, now)
        names = [f"{kind}/{day:%Y/%m}/{kind}-{day:%Y%m%d}.csv" for kind in ("usage", "focus")]
        assert report.blobs == names
        wanted = books.sums_of(records)
        container = desk.settings.export_container

        plain = read(await desk.blobs.read(container, names[0]))
        assert list(plain[0]) == list(charges.COLUMNS)
        for name in charges.NUMBERS:
            assert sum(int(row[name]) for row in plain) == wanted[name], name
        assert sum(from_usd(row["cost_usd"]) for row in plain) == wanted["cost_nanos"]
        assert sum(from_usd(row["spill_cost_usd"]) for row in plain) == wanted["spill_nanos"] > 0
        assert {(row["capacity"] in ("spill", "azure-spill"), row["spilled"] > "0") for row in plain} == {
            (False, False),
            (True, True),
        }
        assert {row["served_model"] for row in plain} == {"", "gpt-4o-mini"}
        assert sum(from_usd(row["ptu_cost_usd"]) for row in plain) == 3 * FEE + 3
        assert [from_usd(row["ptu_cost_usd"]) for row in plain if row["key"] == "(idle PTU)"] == [3]

        rows = read(await desk.blobs.read(container, names[1]))
        assert list(rows[0]) == list(focus.COLUMNS)
        for cost in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
            assert sum(from_usd(row[cost]) for row in rows) == wanted["cost_nanos"] + 3 * FEE + 3
        assert sum(int(row["x_Requests"]) for row in rows) == len(records)
        assert sum(int(row["x_Unpriced"]) for row in rows) == wanted["unpriced"] > 0
        spilled = [row for row in rows if row["x_Capacity"] in ("spill", "azure-spill")]
        assert sum(int(row["x_Spilled"]) for row in spilled) == wanted["spilled"] > 0
        assert sum(from_usd(row["BilledCost"]) for row in spilled) == wanted["spill_nanos"]
        assert sum(from_usd(row["x_SpillCost"]) for row in rows) == wanted["spill_nanos"]
        assert {row["x_ServedModel"] for row in rows} == {"", "gpt-4o-mini"}

        assert (await export_days(desk, now)).blobs == []
        again = await ledger_export(ExportAsked.model_validate({"from": day, "to": day}), ADMIN, desk)
        assert again.blobs == names[:1]
        assert read(await desk.blobs.read(container, names[0])) == plain

    play(azurite, work)


def test_rows_of_focus(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        record = books.a_record(
            1, at=midnight(day).timestamp(), key_id="1" * 64, key_name="=cmd", team="red", tags=("alpha", "project=x"),
            deployment="main/gpt-4o", cost=books.Cost(70_000, True, "azure-retail 2026-08-11"),
        )  # fmt: skip
        await books.write(books.log_of(desk.tables, "one", now), [record])
        await with_shares(desk.tables, day)
        text = "".join([part async for part in export_text(desk, day, day, "focus", now)])
        used, idle, shared = sorted(read(text), key=lambda row: row["BilledCost"])[:3]
        used, idle, shared = (
            next(row for row in read(text) if row["ChargeFrequency"] == "Usage-Based"),
            next(row for row in read(text) if row["CapacityReservationStatus"] == "Unused"),
            next(row for row in read(text) if row["CapacityReservationStatus"] == "Used"),
        )
        month = day.replace(day=1)
        assert used["BillingPeriodStart"] == f"{month}T00:00:00Z"
        assert used["ChargePeriodStart"] == f"{day}T00:00:00Z"
        assert used["ChargePeriodEnd"] == f"{day + timedelta(days=1)}T00:00:00Z"
        assert (used["BilledCost"], used["ConsumedQuantity"], used["ConsumedUnit"]) == ("0.00007", "5", "Tokens")
        assert (used["ResourceId"], used["RegionId"], used["SubAccountId"]) == ("gpt-4o#1", "swedencentral", "red")
        assert (used["ServiceCategory"], used["SkuId"]) == (
            "AI and Machine Learning",
            "gpt-4o-2024-11-20 GlobalStandard",
        )
        assert json.loads(used["Tags"]) == {"alpha": True, "project": "x", "tollgate/key": "=cmd"}
        assert used["x_KeyName"] == "'=cmd"  # no spreadsheet runs it
        assert used["x_PriceBasis"] == "azure-retail 2026-08-11"
        assert (idle["ConsumedQuantity"], idle["ConsumedUnit"], idle["BilledCost"]) == ("", "", "0.000000003")
        assert (shared["CapacityReservationId"], shared["ChargeFrequency"]) == ("gpt-4o#1", "Recurring")
        mandatory = [
            "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "ChargeCategory",
            "ChargeDescription", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity",
            "PricingUnit", "ProviderName", "PublisherName", "ServiceName", "ServiceSubcategory", "PricingCategory",
        ]  # fmt: skip
        assert {name for row in (used, idle, shared) for name in mandatory if row[name] == ""} == set()

    play(azurite, work)


def test_missed_days_are_made_up_for(azurite: Any) -> None:
    """Days without use before the first export have no files; those between exports have."""

    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        days = [day - timedelta(days=n) for n in (4, 2, 0)]
        await books.random_days(desk.tables, 42, days, calls=3, keys=1)
        blobs = (await export_days(desk, now - timedelta(days=2))).blobs
        assert [name[-12:-4] for name in blobs[::2]] == [day_name(d) for d in days[:2]]
        blobs = (await export_days(desk, now)).blobs
        assert [name[-12:-4] for name in blobs[::2]] == [day_name(day - timedelta(days=1)), day_name(day)]
        assert len(await desk.blobs.list(desk.settings.export_container, "usage/")) == 4

    play(azurite, work)


def test_text_of_several_days_has_one_heading(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        records = await books.random_days(desk.tables, 43, [day - timedelta(days=1), day], calls=5, keys=1)
        parts = [part async for part in export_text(desk, day - timedelta(days=1), day, "csv", now)]
        rows = read("".join(parts))
        assert sum(int(row["requests"]) for row in rows) == len(records)
        assert {row["day"] for row in rows} == {(day - timedelta(days=1)).isoformat(), day.isoformat()}

    play(azurite, work)


def test_without_a_container(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date, now: datetime) -> None:
        assert (await export_days(desk, now)).blobs == []
        with pytest.raises(ApiError) as refused:
            await ledger_export(ExportAsked(), ADMIN, desk)
        assert (refused.value.status, refused.value.code) == (409, "export_off")

    play(azurite, work, container="")
