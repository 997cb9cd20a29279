"""UTC days and months by number: names of rows, and when a period ends. Times are Unix seconds."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta

from shared.principals import Period

DAY = 86400
ENDLESS = float(1 << 53)


def day_number(now: float) -> int:
    return int(now // DAY)


@functools.lru_cache(maxsize=16)
def day_name(number: int) -> str:
    """YYYYMMDD."""
    return f"{_date(number):%Y%m%d}"


@functools.lru_cache(maxsize=64)
def period_row(period: Period, number: int) -> str:
    """The row of the period that a day belongs to: `day-20261123`, `month-202611`, `total`."""
    if period == "total":
        return "total"
    return f"day-{_date(number):%Y%m%d}" if period == "day" else f"month-{_date(number):%Y%m}"


@functools.lru_cache(maxsize=64)
def period_end(period: Period, number: int) -> float:
    """When the period that a day belongs to is over."""
    if period == "total":
        return ENDLESS
    if period == "day":
        return float((number + 1) * DAY)
    first = _date(number).replace(day=1)
    return (first + timedelta(days=32)).replace(day=1).timestamp()


def _date(number: int) -> datetime:
    return datetime.fromtimestamp(number * DAY, UTC)
