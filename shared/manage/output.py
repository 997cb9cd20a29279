"""Answers on standard output: tables with thousands separators, JSON, CSV."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.operations.operation import Operation
from shared.operations.rendering import as_csv, is_list, printable

_NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")
_GAP = "  "
_IN_LETTERS = str.maketrans({"✓": "+", "✗": "x", "\N{EN DASH}": "-", "→": ">", "…": "."})


def show(operation: Operation, told: Mapping[str, Any], *, as_json: bool, csv: bool) -> None:
    """What an operation answered. Lists as JSON are their rows: `next` is for people, on standard error."""
    if csv:
        sys.stdout.write(as_csv(operation, told))
    elif operation.lines is not None and not as_json:
        print_lines(operation.lines(told, shutil.get_terminal_size((100, 24)).columns))
    elif is_list(operation.answers):
        print_rows(told["rows"], {name: _heading(name) for name in operation.columns}, as_json=as_json)
    elif as_json:
        print(json.dumps(told, indent=1))
    else:
        _print_one(operation, told)
    if cursor := told.get("next") if is_list(operation.answers) else "":
        print(f"There is more: add --cursor '{cursor}' for the next page, or --all.", file=sys.stderr)
    for text in told.get("warnings", ()):
        print_problem(f"note: {text}")


def print_problem(problem: object) -> None:
    """To standard error. It may tell what somebody else has said."""
    for line in str(problem).splitlines():
        print(printable(line), file=sys.stderr)


def print_lines(lines: Iterable[str]) -> None:
    """Marks that a terminal cannot write are written as letters."""
    encoding = sys.stdout.encoding or "utf-8"
    for text in lines:
        line = printable(text)
        try:
            line.encode(encoding)
        except UnicodeEncodeError:
            line = line.translate(_IN_LETTERS).encode(encoding, "replace").decode(encoding)
        print(line)


def _print_one(operation: Operation, told: Mapping[str, Any]) -> None:
    if str(told.get("key", "")).startswith("sk-"):  # a new key, alone on its line for scripts that take the first
        print(told["key"])
        print(f"This is the only time that the key is shown. Its id is {str(told['id'])[:12]}.")
        return
    names = [name for name in operation.columns if name in told] or list(told)
    width = max((len(name) for name in names), default=0)
    for name in names:
        for number, line in enumerate(_lines(told[name])):
            print(f"{'' if number else _heading(name):{width}}{_GAP}{line}".rstrip())


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str = "Nothing to show."
) -> None:
    """columns: field → heading; one that no row has is left out. Numbers stand to the right."""
    if as_json:
        print(json.dumps(list(rows), indent=1, default=str))
        return
    if not rows:
        print(empty)
        return
    names = [name for name in columns or dict.fromkeys(rows[0]) if any(row.get(name) is not None for row in rows)]
    heads = [columns.get(name) or _heading(name) for name in names]
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    numeric = [all(_NUMBER.fullmatch(line[i]) or not line[i] for line in cells) for i in range(len(names))]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(names))]
    for line in [heads, *cells]:
        columned = zip(line, widths, numeric, strict=True)
        parts = [text.rjust(width) if right else text.ljust(width) for text, width, right in columned]
        print(_GAP.join(parts).rstrip())


def _lines(value: Any) -> list[str]:
    """What has fields of its own has a line of its own."""
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return [_cell(one) for one in value]
    return [_cell(value)]


def _heading(name: str) -> str:
    return name.upper().replace("_", " ")


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list():
            return ",".join(_cell(one) for one in value)
        case dict():
            return " ".join(f"{name}={_cell(one)}" for name, one in value.items())
        case _:
            return printable(" ".join(str(value).split()))
