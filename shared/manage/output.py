"""Tables and JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """columns: field → heading. Numbers stand to the right, with thousands separators."""
    if as_json:
        print(json.dumps(list(rows), indent=1, default=str))
        return
    if not rows:
        print(empty)
        return
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    heads = list(columns.values())
    numeric = [all(isinstance(row.get(name), int | float) for row in rows) for name in columns]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    for line in [heads, *cells]:
        columned = zip(line, widths, numeric, strict=True)
        parts = [text.rjust(width) if right else text.ljust(width) for text, width, right in columned]
        print("  ".join(parts).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)
