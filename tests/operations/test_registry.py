"""All operations together: what each row must say, so that the API, the command line and the documents can be made."""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path

import pytest

from shared.manage.arguments import GROUPS, values_of, words
from shared.manage.cli import parser
from shared.operations.asking import fields_of, fits, path_fields, understand
from shared.operations.operation import Operation
from shared.operations.registry import MODULES, operations
from shared.operations.rendering import is_list, row_fields

ROWS = operations()
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "operations"
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def test_every_operation_is_there() -> None:
    having = [file.stem for file in FOLDER.glob("*.py") if "\nOPERATIONS" in file.read_text("utf-8")]
    assert set(MODULES) <= set(having)
    for module in having:
        found = import_module(f"shared.operations.{module}").OPERATIONS
        assert [row.name for row in found if row not in ROWS] == [], module


def test_names_and_addresses_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({words(row) for row in ROWS}) == len(ROWS)
    assert len({(row.method, row.path) for row in ROWS}) == len(ROWS)


def test_no_parameter_takes_the_place_of_a_word_for_another_method() -> None:
    """POST events/send beside POST events/{id}: which of the two is meant would depend on the order."""
    for row in ROWS:
        parts = [f"x-{part}" if part.startswith("{") else part for part in row.path.split("/")]
        same = [other.name for other in ROWS if other.method == row.method and fits(other, parts) is not None]
        assert same == [row.name]


def test_every_group_says_what_it_is_for() -> None:
    groups = {words(row)[0] for row in ROWS if words(row)[1]}
    assert groups == set(GROUPS)


@each_row
def test_every_field_is_described(row: Operation) -> None:
    assert row.summary.endswith(".")
    assert row.summary[0].isupper()
    fields = fields_of(row.asks)
    assert [name for name, field in fields.items() if not field.description] == []
    assert set(path_fields(row)) <= {name for name, field in fields.items() if field.required}
    assert row.asks.model_config.get("extra") == row.answers.model_config.get("extra") == "forbid"


@each_row
def test_lists_are_paged_as_all_lists_are(row: Operation) -> None:
    if not is_list(row.answers) or row.method != "GET":
        return
    assert row_fields(row.answers), "CSV needs the columns"
    if "cursor" in fields_of(row.asks):
        assert "next" in row.answers.model_fields
        assert fields_of(row.asks)["limit"].default <= 1000
    else:
        assert "next" not in row.answers.model_fields


@each_row
def test_a_table_shows_columns_that_there_are(row: Operation) -> None:
    known = row_fields(row.answers) if is_list(row.answers) else tuple(row.answers.model_fields)
    assert set(row.columns) <= set(known)


@each_row
def test_the_example_is_one(row: Operation) -> None:
    options = parser().parse_args([*filter(None, words(row)), *shlex.split(row.example)])
    assert options.operation is row
    understand(row, values_of(options, row))
