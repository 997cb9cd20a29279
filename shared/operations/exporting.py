"""Usage as files: a day's charges as CSV and in FOCUS's form, made from the ledger, kept in a blob container.

A file's name says its day, and making it again replaces it. Knows nothing of the files' columns (shared/books).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import Field

from shared.adapters.book_tables import Share, mark, marks, shares
from shared.adapters.ledger import entries
from shared.books import charges, focus
from shared.books.charges import Bought, Charge, Day
from shared.books.csv_text import csv_text
from shared.books.days import between, day_name, last_closed
from shared.books.focus import Place
from shared.errors import ApiError, ConfigError
from shared.operations import ptu
from shared.operations.asked_days import now_of, span
from shared.operations.operation import Actor, Asked, Desk, Told

JOB = "ledger.export"
LOOK_BACK = 31
Format = Literal["csv", "focus"]
FORMATS: tuple[Format, ...] = ("csv", "focus")
_FOLDER: Mapping[Format, str] = {"csv": "usage", "focus": "focus"}


class ExportReport(Told):
    container: str = Field(default="", description="EXPORT_CONTAINER; empty: nothing is exported.")
    blobs: list[str] = Field(default_factory=list[str], description="The files that were written.")


async def export_days(desk: Desk, now: datetime) -> ExportReport:
    """Every closed day of the last 31 that has not been exported. Raises StoreUnavailable.

    A day before the first export on which nothing was used has no file; later ones have.
    """
    report = ExportReport(container=desk.settings.export_container)
    if not report.container:
        return report
    last = last_closed(now)
    first = last - timedelta(days=LOOK_BACK - 1)
    done = await marks(desk.tables, JOB, day_name(first), day_name(last))
    missing = [day for day in between(first, last) if day_name(day) not in done]
    if missing:
        await _divided(desk, now)
    for day in missing:
        found = await day_charges(desk, day, now)
        if found or day == last or (done and day_name(day) > min(done)):
            for form in FORMATS:
                report.blobs.append(await _write(desk, day, form, found))
        await mark(desk.tables, JOB, day_name(day), at=now.timestamp(), charges=len(found))
    return report


async def _divided(desk: Desk, now: datetime) -> None:
    """Fixed costs belong into a day's files: its last hours may be due."""
    try:
        await ptu.split_hours(desk, now)
    except ConfigError as error:
        desk.log.warning("exported without the newest shares of provisioned deployments", error=str(error))


async def _write(desk: Desk, day: date, form: Format, found: list[Charge]) -> str:
    name = f"{_FOLDER[form]}/{day:%Y/%m}/{_FOLDER[form]}-{day_name(day)}.csv"
    text = await _text(desk, form, found)
    await desk.blobs.write(desk.settings.export_container, name, text.encode(), "text/csv; charset=utf-8")
    return name


async def day_charges(desk: Desk, day: date, now: datetime) -> list[Charge]:
    """From the ledger, and the day's shares of fixed costs. Raises StoreUnavailable."""
    found = Day(day_name(day))
    async for entry in entries(desk.tables, day, day, now):
        found.add(entry.key_id, entry.event)
    async for share in shares(desk.tables, day, day):
        if share.nanos:
            found.add_share(_bought(share), share.nanos, share.tokens)
    return list(found.charges())


def _bought(share: Share) -> Bought:
    payer = share.payer
    if payer is None:
        return Bought("", "", "", "", share.deployment, fixed=True, idle=True)
    return Bought(
        payer.key_id, payer.key_name, payer.team, payer.alias, share.deployment, tags=payer.tags, fixed=True
    )  # fmt: skip


async def _text(desk: Desk, form: Format, found: list[Charge]) -> str:
    if form == "csv":
        return csv_text(charges.COLUMNS, charges.usage_rows(found))
    return csv_text(focus.COLUMNS, focus.focus_rows(found, await _places(desk)))


async def _places(desk: Desk) -> dict[str, Place]:
    try:
        catalog = await desk.catalog()
    except ConfigError as error:
        desk.log.warning("exported without labels and regions of deployments", error=str(error))
        return {}
    places: dict[str, Place] = {}
    for deployments in catalog.deployments.values():
        for deployment in deployments:
            terms = deployment.terms
            places.setdefault(deployment.id, Place(deployment.label, terms.region, terms.sku, terms.provisioned))
    return places


async def export_text(desk: Desk, first: date, last: date, form: Format, now: datetime) -> AsyncIterator[str]:
    """The same as text, day by day, with one heading. Raises StoreUnavailable."""
    for day in between(first, last):
        text = await _text(desk, form, await day_charges(desk, day, now))
        yield text if day == first else text.partition("\r\n")[2]


# What an operator asks.


class ExportAsked(Asked):
    first: date | None = Field(
        default=None, alias="from", description="First day, YYYY-MM-DD (UTC). Without: the month's."
    )
    last: date | None = Field(default=None, alias="to", description="Last day. Without: today, as far as it has come.")
    format: Format = Field(default="csv", description="`csv`, or `focus` for FOCUS 1.2.")


async def ledger_export(asked: ExportAsked, _actor: Actor, desk: Desk) -> ExportReport:
    now = now_of(desk)
    first, last = span(asked.first, asked.last, now)
    container = desk.settings.export_container
    if not container:
        raise ApiError(
            409,
            "There is no place to export to: set the app setting EXPORT_CONTAINER to the name of a blob container "
            "(docs/ledger.md).",
            code="export_off",
        )
    await _divided(desk, now)
    report = ExportReport(container=container)
    for day in between(first, last):
        report.blobs.append(await _write(desk, day, asked.format, await day_charges(desk, day, now)))
    return report
