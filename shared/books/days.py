"""UTC days, hours and months as the tables name them: `20261123`, `202611`. Pure: `now` is always given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

CLOSED_AFTER = timedelta(hours=2)
"""A day counts for the calls that began in it: those of its last seconds may still run when it ends."""


def day_name(day: date) -> str:
    """`20261123`."""
    return day.strftime("%Y%m%d")


def named_day(name: str) -> date:
    """`20261123` or `2026-11-23`. Raises ValueError."""
    text = name.replace("-", "") if len(name) == 10 else name
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name!r} is not a day")
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def shown_day(name: str) -> str:
    """`2026-11-23`."""
    return f"{name[:4]}-{name[4:6]}-{name[6:]}"


def shown_hour(day: str, hour: int) -> str:
    """`2026-11-23T07:00:00Z`."""
    return f"{shown_day(day)}T{hour:02d}:00:00Z"


def is_closed(day: date, now: datetime) -> bool:
    """Whether nothing is added to it any more, as a rule."""
    return now >= midnight(day + timedelta(days=1)) + CLOSED_AFTER


def last_closed(now: datetime) -> date:
    return (now - CLOSED_AFTER).date() - timedelta(days=1)


def midnight(day: date) -> datetime:
    """Its beginning."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def between(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


def months(first: date, last: date) -> list[str]:
    """`202611` of every month that the days are in."""
    found: list[str] = []
    day = first.replace(day=1)
    while day <= last:
        found.append(day.strftime("%Y%m"))
        day = next_month(day)
    return found


def next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def months_before(day: date, count: int) -> str:
    """The month that many months earlier, `202411`."""
    year, month = divmod(day.year * 12 + day.month - 1 - count, 12)
    return f"{year:04d}{month + 1:02d}"


def iso(at: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
