"""The form of what a check finds. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    about: str
    """What was looked at."""
    verdict: Verdict
    text: str
    fix: str = ""
    """The command that mends it, or what to do; empty: nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. What `run` raises becomes a finding."""

    about: str
    run: Callable[[], Awaitable[Iterable[Finding]]]


def ok(about: str, text: str) -> Finding:
    return Finding(about, "ok", text)


def warning(about: str, text: str, fix: str = "") -> Finding:
    return Finding(about, "warning", text, fix)


def failed(about: str, text: str, fix: str = "") -> Finding:
    return Finding(about, "failed", text, fix)


def skipped(about: str, text: str, fix: str = "") -> Finding:
    return Finding(about, "skipped", text, fix)


def many(count: int, one: str, several: str = "") -> str:
    """`1 message`, `2 messages`."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def age(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"
