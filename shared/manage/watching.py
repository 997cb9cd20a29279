"""`--watch`: the same question again and again, with a bar for each row, until all of it is over.

Owns how progress is drawn. Asks nothing itself, and knows no operation: a row of the registry says how far a row is.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from shared.manage.context import CommandError
from shared.operations.operation import Operation, Progress
from shared.operations.rendering import is_list
from shared.ports import StoreUnavailable

MOST_FAILURES = 10
"""Looks that may fail one after another: what is watched for hours outlives a network's bad minute."""
RATE_SECONDS = 60.0
"""Lines per second are those of the last minute."""
_LEAST_BAR, _MOST_BAR = 10, 40
_LEAST_NAME = 9


@dataclass(slots=True)
class Pace:
    """How fast one row goes."""

    seen: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def add(self, now: float, done: int) -> None:
        self.seen.append((now, done))
        while now - self.seen[0][0] > RATE_SECONDS and len(self.seen) > 2:
            self.seen.popleft()

    def per_second(self) -> float:
        (first, before), (last, after) = self.seen[0], self.seen[-1]
        return max(0.0, (after - before) / (last - first)) if last > first else 0.0


async def watch(
    operation: Operation,
    ask: Callable[[], Awaitable[dict[str, Any]]],
    *,
    every: float,
    as_json: bool,
    out: TextIO | None = None,
) -> dict[str, Any]:
    """-> the last answer, when nothing in it will change any more. Raises what `ask` raises when it fails too often."""
    screen = Screen(out or sys.stdout, as_json=as_json)
    failures = 0
    while True:
        try:
            told = await ask()
            failures = 0
        except (StoreUnavailable, CommandError):
            failures += 1
            if failures == MOST_FAILURES or not screen.shown:  # what never worked is told at once
                raise
        else:
            found = progress_of(operation, told)
            screen.show(told, found, time.monotonic())
            if all(one.over for one in found):
                return told
        await asyncio.sleep(every)


def progress_of(operation: Operation, told: Mapping[str, Any]) -> list[Progress]:
    assert operation.progress is not None
    rows: Sequence[Mapping[str, Any]] = told["rows"] if is_list(operation.answers) else [told]
    return [operation.progress(row) for row in rows]


class Screen:
    """A terminal is drawn over; a file gets a line for whatever has changed; programs get each new answer as JSON."""

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out, self._as_json = out, as_json
        self._paces: dict[str, Pace] = {}
        self._before: dict[str, Progress] = {}
        self._height = 0
        self.shown = False

    def show(self, told: Mapping[str, Any], found: Sequence[Progress], now: float) -> None:
        for one in found:
            self._paces.setdefault(one.name, Pace()).add(now, one.done)
        changed = [one for one in found if self._before.get(one.name) != one]
        self._before = {one.name: one for one in found}
        first, self.shown = not self.shown, True
        if self._as_json:
            if changed or first:
                print(json.dumps(told), file=self._out)
        elif self._out.isatty():
            self._draw(found)
        else:
            for one in changed:
                print(self._line(one, 100), file=self._out)
            if first and not found:
                print("Nothing to show.", file=self._out)
        self._out.flush()

    def _draw(self, found: Sequence[Progress]) -> None:
        size = shutil.get_terminal_size()
        room = max(1, size.lines - 2)
        lines = [self._line(one, size.columns) for one in found[:room]] or ["Nothing to show."]
        if len(found) > room:
            lines[-1] = f"… and {len(found) - room + 1} more"
        up = f"\x1b[{self._height}F" if self._height else ""
        self._out.write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._height = len(lines)

    def _line(self, one: Progress, width: int) -> str:
        return drawn(one, self._paces[one.name].per_second(), width, ascii_only=not _takes_blocks(self._out))


def drawn(one: Progress, per_second: float, width: int, *, ascii_only: bool = False) -> str:
    """One row: name, bar, figures; as much of it as fits into the width."""
    share = min(1.0, one.done / one.of) if one.of else 1.0 if one.over else 0.0
    facts = [f"{int(100 * share):3d}%", f"{one.done:,} of {one.of:,}", one.state]
    if one.failed:
        facts.append(f"{one.failed:,} failed")
    if per_second and not one.over:
        facts += [f"{per_second:,.1f} a second", f"{_clock((one.of - one.done) / per_second)} left"]
        if len("  ".join(facts)) + _LEAST_BAR + _LEAST_NAME + 6 > width:
            del facts[-2]  # how long it takes is asked for more often than how fast it is
    text = "  ".join(facts)
    on, off, cut = ("#", "-", "..") if ascii_only else ("█", "░", "…")
    name = one.name
    room = max(_LEAST_NAME, width - len(text) - _LEAST_BAR - 6)
    if len(name) > room:  # ids begin alike: their ends tell them apart
        name = cut + name[len(cut) - room :]
    long = max(_LEAST_BAR, min(_MOST_BAR, width - len(name) - len(text) - 6))
    full = int(long * share)
    return f"{name}  [{on * full}{off * (long - full)}] {text}"[:width]


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _takes_blocks(out: TextIO) -> bool:
    try:
        "█░".encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
