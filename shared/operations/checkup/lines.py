"""What the doctor found, for a terminal: a mark and a line for each finding, the command that mends it below. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "\N{EN DASH}"}
_LEAST_WIDTH = 60


def lines(told: Mapping[str, Any], width: int) -> Iterator[str]:
    """Text is broken at the width, commands never: they are there to be copied."""
    rows: Sequence[Mapping[str, Any]] = told["rows"]
    column = max((len(row["subject"]) for row in rows), default=0)
    indent = " " * (column + 4)
    for row in rows:
        head = f"{MARKS[row['verdict']]} {row['subject']:{column}}  "
        text = f"{head}{row['about']}: {row['text']}"
        yield from textwrap.wrap(
            text, max(width, _LEAST_WIDTH), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        if row["fix"]:
            yield f"{indent}→ {row['fix']}"
    yield ""
    yield ", ".join(f"{told[verdict]} {verdict}" for verdict in ("ok", "warning", "failed", "skipped"))
