"""NCRONTAB expressions and periods: when a timer comes due next. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..settings import seconds

_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES = {name: i + 1 for i, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split())} | {
    name: i for i, name in enumerate("sun mon tue wed thu fri sat".split())
}


class Schedule:
    """`[second] minute hour day month weekday`, all of which must match; or a TimeSpan, a period."""

    def __init__(self, text: str) -> None:
        parts = text.lower().split()
        self.period = timedelta(seconds=seconds(text)) if len(parts) == 1 else None
        if self.period is not None:
            if not self.period:
                raise ValueError("a period must be longer than nothing")
            return
        parts = ["0", *parts] if len(parts) == 5 else parts
        if len(parts) != 6:
            raise ValueError(
                f"'{text}' has {len(parts)} fields; a schedule has six: second minute hour day month weekday"
            )
        self._sets = [_field(part, *bounds) for part, bounds in zip(parts, _BOUNDS, strict=True)]

    def next(self, after: datetime) -> datetime:
        """The first time after this one."""
        if self.period is not None:
            return after + self.period
        second, minute, hour, day, month, weekday = self._sets
        t = after.replace(microsecond=0) + timedelta(seconds=1)
        end = t + timedelta(days=366 * 8)  # a 29th of February can be eight years away
        while t < end:
            if t.month not in month or t.day not in day or t.isoweekday() % 7 not in weekday:
                t = t.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif t.hour not in hour:
                t = t.replace(minute=0, second=0) + timedelta(hours=1)
            elif t.minute not in minute:
                t = t.replace(second=0) + timedelta(minutes=1)
            elif t.second not in second:
                t += timedelta(seconds=1)
            else:
                return t
        raise ValueError("the schedule never comes due")


def _field(text: str, low: int, high: int) -> frozenset[int]:
    """The values that one field allows: `*`, `5`, `1-5`, `*/15`, `mon,fri`."""
    chosen: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first == "*" else _value(first)
        end = high if first == "*" or (step and not last) else _value(last or first)
        allowed = high + 1 if high == 6 else high  # a weekday of 7 is Sunday as well
        if not low <= start <= end <= allowed or (step and int(step) < 1):
            raise ValueError(f"'{part}' is not within {low}-{high}")
        chosen.update(v % 7 if high == 6 else v for v in range(start, end + 1, int(step or 1)))
    return frozenset(chosen)


def _value(text: str) -> int:
    if text[:3] in _NAMES:
        return _NAMES[text[:3]]
    return int(text)
