"""Which days and which page an operator asks for, and what is said when they make no sense."""

from __future__ import annotations

from datetime import UTC, date, datetime

from shared.errors import ApiError
from shared.operations.operation import Desk

MOST_DAYS = 800
_NEXT = "p"


def now_of(desk: Desk) -> datetime:
    return datetime.fromtimestamp(desk.clock(), UTC)


def span(first: date | None, last: date | None, now: datetime) -> tuple[date, date]:
    """Without a first day the month of the last one, without a last day today. Raises ApiError."""
    end = last or now.date()
    begin = first or end.replace(day=1)
    if begin > end:
        raise ApiError(
            400,
            f"'from' ({begin}) is after 'to' ({end}): exchange them.",
            code="bad_days",
            param="from",
        )
    if (end - begin).days > MOST_DAYS:
        raise ApiError(400, f"Ask for {MOST_DAYS} days at the most.", code="bad_days", param="from")
    return begin, end


def page_of[T](rows: list[T], limit: int, cursor: str) -> tuple[list[T], str]:
    """One page of rows that are computed anew each time, and the cursor of the next. Raises ApiError."""
    start = 0
    if cursor:
        number = cursor.removeprefix(_NEXT)
        if number == cursor or not (number.isascii() and number.isdigit() and len(number) < 10):
            raise bad_cursor()
        start = int(number)
    end = start + limit
    return rows[start:end], f"{_NEXT}{end}" if end < len(rows) else ""


def bad_cursor() -> ApiError:
    return ApiError(
        400, "That is no cursor. Send the `next` of the page before, or none.", code="bad_cursor", param="cursor"
    )
