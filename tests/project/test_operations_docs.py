"""docs/operations.md, security.md and troubleshooting.md say what is so."""

from __future__ import annotations

import ast
import json
import re
import shlex

import pytest

from deploy.costs import Use, items, price_table, sum_of
from deploy.costs_options import main, parser
from shared.manage.arguments import PROGRAM
from shared.manage.cli import parser as manage_parser
from tests.support.stack import ROOT

OPERATIONS, SECURITY, TROUBLE = (
    (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("operations", "security", "troubleshooting")
)
PAGES = {"operations": OPERATIONS, "security": SECURITY, "troubleshooting": TROUBLE}
NO_CODES = {"blob", "table", "queue"}
"""What adapters call their services by an argument of the same name."""


def cells(page: str, mark: str) -> list[list[str]]:
    """The rows of the table behind a mark."""
    table = page.partition(f"<!-- {mark}")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| ")]
    assert len(rows) > 2
    return rows[1:]


def used(arguments: str) -> Use:
    options = vars(parser().parse_args(arguments.split()))
    return Use(**{name: options[name] for name in Use.__dataclass_fields__})


def test_costs_are_those_that_are_worked_out() -> None:
    rows = cells(OPERATIONS, "costs:")
    assert len(rows) == 20
    for _, arguments, *figures in rows:
        lines = items(used(arguments.strip("`")))
        of_instances = ("execution", "ready_execution", "baseline")
        instances = sum(line.usd for line in lines if line.price in of_instances and line.name != "timers")
        total = sum_of(lines)
        assert figures == [f"{usd:,.2f}" for usd in (instances, total - instances, total)], arguments


def test_outputs_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    shown = re.findall(r"^```text costs (.+?)\n(.*?)^```", OPERATIONS, re.S | re.M)
    assert len(shown) == 2
    for arguments, text in shown:
        main(arguments.split())
        assert capsys.readouterr().out == text


def test_prices_are_those_of_the_list() -> None:
    assert price_table() in OPERATIONS


def test_the_formula_has_the_prices() -> None:
    formula = OPERATIONS.partition("### The formula")[2].partition("```text")[2].partition("```")[0]
    for figure in re.findall(r"\| (0?[\d.]+) \| (?:GB-second|million|GB|hour|GB-month|month) \|", price_table()):
        usd = float(figure)
        assert figure in formula or f"{usd:.2f}" in formula, figure


def test_roles_are_those_of_the_list() -> None:
    rows = json.loads((ROOT / "shared" / "roles.json").read_text("utf-8"))
    assert cells(SECURITY, "roles:") == [[row[name] for name in ("name", "who", "on", "when", "why")] for row in rows]


def test_tests_that_are_named_are_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", SECURITY))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def made() -> set[str]:
    """Codes of errors that the code makes, as far as they stand there as text."""
    codes: set[str] = set()
    texts = (path.read_text("utf-8") for path in (ROOT / "shared").rglob("*.py"))
    for text in (text for text in texts if "code=" in text or "unavailable(" in text):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                named = [word.value for word in node.keywords if word.arg == "code"]
                if isinstance(node.func, ast.Name) and node.func.id == "unavailable":
                    named += node.args[1:2]
                codes |= {one.value for one in named if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return codes - NO_CODES


def listed(page: str) -> set[str]:
    """Codes in the first column; of errors.md in its second, before the explanation."""
    rows = [row.strip("| ").split(" | ") for row in page.splitlines() if row.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row[0])}


def told_to_callers() -> set[str]:
    rows = [row for row in (ROOT / "docs" / "errors.md").read_text("utf-8").splitlines() if re.match(r"\| [\d5]", row)]
    codes = {code for row in rows for code in re.findall(r"`(\w+)`", row.split(" | ")[1])}
    return codes - {"innererror", "requests", "tokens", "parallel"}


def test_every_code_is_explained() -> None:
    explained = listed(TROUBLE.partition("## By code")[2].partition("## Without a code")[0])
    codes = made()
    assert len(codes) > 80
    assert explained == codes | told_to_callers()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_lead_to_headings(name: str) -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([^)]+)\)", PAGES[name]):
        page = (ROOT / "docs" / target).read_text("utf-8") if target else PAGES[name]
        headings = re.findall(r"^#+ (.+)$", page, re.M)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, (target, anchor)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_commands_of_ours_are_understood(name: str) -> None:
    texts = re.findall(rf"`({PROGRAM} [^`\n]+)`|^({PROGRAM} .+)$", PAGES[name], re.M)
    understands = manage_parser()
    for text in (first or second for first, second in texts):
        assert understands.parse_args(shlex.split(text, comments=True)[3:]), text
