"""docs/routing.md says what is so: its tables are compared with the code, its configurations are loaded."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from shared.config import parse
from shared.document import read_document
from shared.router_settings import FINAL, FailureKind, Strategy
from shared.transform.resolve import resolve
from shared.wishes import NAMES
from tests.support.stack import ROOT

PAGE = (ROOT / "docs/routing.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.S | re.M)
SECRETS = {"AZURE_API_KEY": "value"}


def rows(mark: str) -> list[list[str]]:
    """The cells of the table that follows a mark."""
    table = PAGE.partition(f"<!-- {mark}:")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[3:]]


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_loads_without_a_warning(text: str) -> None:
    document = read_document(text)
    catalog = resolve(parse(document, SECRETS, {}), document, SECRETS)
    assert catalog.warnings == ()
    assert len(catalog.deployments) < len(catalog.of("gpt-4o")) or catalog.router.fallbacks


def test_strategies_are_all_there() -> None:
    assert {row[0].strip("`") for row in rows("strategies")} == set(get_args(Strategy))


def test_kinds_of_failure_are_all_there() -> None:
    told = {row[1].strip("`"): row for row in rows("kinds")}
    assert told.keys() == set(get_args(FailureKind))
    assert {kind for kind, row in told.items() if row[2] != "goes to the next"} == FINAL
    assert {kind for kind, row in told.items() if row[3] == "does not rest"} == FINAL | {"conflict"}


def test_clients_words_are_all_there() -> None:
    told = [row[0].partition(",")[0].strip("`") for row in rows("words")]
    assert {name for name in told if name} == NAMES
