"""The page: a table of what passes, the reasons of what is not served, and every difference that is left.

Owns the words of docs/conformance.md (those that do not change are in page.md). Knows no process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from conformance.outcomes import ENOUGH, Comparison, Resource
from conformance.suites import Suite

_HEAD = "| resource | pass straight | not served | pass through | of what is served |\n"
_RULE = "| :--- | ---: | ---: | ---: | ---: |\n"


def page(found: Mapping[str, tuple[Suite, str, Comparison]], facts: Mapping[str, str]) -> str:
    """-> the whole page; `found`: suite -> (suite, version, comparison)."""
    parts = [section(suite, version, made) for suite, version, made in found.values()]
    text = Template(Path(__file__).with_name("page.md").read_text("utf-8"))
    return text.substitute(facts, sections="\n".join(parts).rstrip("\n"), enough=percent(ENOUGH, 0))


def section(suite: Suite, version: str, made: Comparison) -> str:
    total = made.total
    text = f"## {suite.title} {version}\n\n"
    text += (
        f"{made.tests:,} tests: {made.silent:,} send nothing to a server, {made.failing:,} fail straight at the mock "
        f"already, {total.straight:,} pass there.\nOf these, {total.not_served:,} ask for operations that are not "
        f"served; of the other {total.served:,}, {total.through:,} pass through the gateway:\n"
        f"**{percent(total.share)}**.\n\n"
    )
    return text + table(made) + _reasons(made) + _differences(made)


def table(made: Comparison) -> str:
    rows = [made.resources[name] for name in sorted(made.resources)]
    lines = [_row(row, f"`{row.name}`") for row in rows]
    return _HEAD + _RULE + "".join(lines) + _row(made.total, "**all**")


def _row(row: Resource, name: str) -> str:
    share = percent(row.share) if row.served else "-"
    return f"| {name} | {row.straight} | {row.not_served or '-'} | {row.through} | {share} |\n"


def _reasons(made: Comparison) -> str:
    if not made.not_served:
        return ""
    lines: list[str] = []
    for row, number in sorted(made.not_served.items(), key=lambda pair: pair[0].operations):
        operations = row.operations.replace("|", "\\|")
        lines.append(f"| `{operations}` | {number} | {row.reason} |\n")
    return (
        "\nNot served, each with the reason (operations as regular expressions):\n\n"
        "| operations | tests | reason |\n| :--- | ---: | :--- |\n" + "".join(lines)
    )


def _differences(made: Comparison) -> str:
    if not made.differences:
        return "\nNo other differences.\n"
    lines = "".join(
        f"| {what} | {len(tests)} | `{tests[0]}` |\n"
        for what, tests in sorted(made.differences.items(), key=lambda pair: -len(pair[1]))
    )
    return "\nAll other differences:\n\n| what comes back | tests | for example |\n| :--- | ---: | :--- |\n" + lines


def percent(share: float, places: int = 1) -> str:
    """Never rounded up to 100 %."""
    scale = 10**places
    return f"{int(share * 100 * scale + 1e-9) / scale:.{places}f} %"
