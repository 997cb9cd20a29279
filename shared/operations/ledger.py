"""The ledger's upkeep, as timers call it and as operators may: check, compact, export, divide, drop.

Each is idempotent and may run on two instances at once. What they do: checking.py, compaction.py, exporting.py, ptu.py,
retention.py.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from shared.books.days import is_closed
from shared.errors import ApiError
from shared.operations.asked_days import now_of
from shared.operations.checking import CheckReport, check_days
from shared.operations.compaction import CompactReport, compact_days
from shared.operations.exporting import ExportAsked, ExportReport, export_days, export_text, ledger_export
from shared.operations.operation import Actor, Asked, Desk, Operation
from shared.operations.ptu import PtuAsked, PtuTold, ptu_list, split_hours
from shared.operations.retention import drop_months

__all__ = (
    "OPERATIONS", "check_days", "compact_days", "drop_months", "export_days", "export_text", "split_hours",
)  # fmt: skip


class CheckAsked(Asked):
    day: date | None = Field(default=None, description="YYYY-MM-DD (UTC). Without: yesterday and the day before.")


async def ledger_check(asked: CheckAsked, _actor: Actor, desk: Desk) -> CheckReport:
    now = now_of(desk)
    if asked.day and not is_closed(asked.day, now):
        raise ApiError(
            409,
            f"{asked.day} is not closed: its calls may still run. A day can be checked two hours after its end (UTC).",
            code="day_not_closed",
            param="day",
        )
    return await check_days(desk, now, asked.day, again=True)


class CompactAsked(Asked):
    pass


async def ledger_compact(_asked: CompactAsked, _actor: Actor, desk: Desk) -> CompactReport:
    return await compact_days(desk, now_of(desk))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "ledger_check",
        "POST",
        "ledger/check",
        "Compare the totals of closed days with the ledger and repair what differs, as the timer does every day.",
        CheckAsked,
        CheckReport,
        ledger_check,
        columns=("day", "key", "model", "team", "requests", "tokens", "cost_usd"),
        example="--day 2026-11-22",
    ),
    Operation(
        "ledger_compact",
        "POST",
        "ledger/compact",
        "Make room: merge the rows of days that are over, as the timer does every day.",
        CompactAsked,
        CompactReport,
        ledger_compact,
        columns=("keys", "events", "days"),
    ),
    Operation(
        "ledger_export",
        "POST",
        "ledger/export",
        "Write each day's usage to the export container, as CSV or in FOCUS's form.",
        ExportAsked,
        ExportReport,
        ledger_export,
        columns=("container", "blobs"),
        example="--from 2026-11-01 --to 2026-11-30 --format focus",
    ),
    Operation(
        "ptu_list",
        "GET",
        "ptu",
        "Who used how much of provisioned deployments, what it costs them, and what lay idle.",
        PtuAsked,
        PtuTold,
        ptu_list,
        columns=(
            "day",
            "deployment",
            "key",
            "team",
            "model",
            "tokens",
            "cost_usd",
            "spilled",
            "spill_cost_usd",
        ),
        example="--from 2026-11-01",
    ),
)
