"""ENDPOINTS: the rules that all rows keep, and the hot ones as pinned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.body_checks import CHECKS
from shared.endpoints import ENDPOINTS, MB, UPLOAD, Endpoint
from shared.transform import SHAPES
from shared.transform.meters import METERS

ROOT = Path(__file__).parents[2]
ROWS = list(ENDPOINTS.values())
RELAYED = [row for row in ROWS if row.target != "here"]


def test_chat_is_as_pinned() -> None:
    row = ENDPOINTS["chat_completions"]
    assert (row.route, row.method, row.shape, row.target) == ("v1/chat/completions", "POST", "chat", "model")
    assert (row.body_limit, row.token_limit, row.required) == (32 * MB, 1_000_000, ("messages",))
    assert row.streams
    assert row.deployed


def test_names_and_routes_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({(row.method, row.route) for row in ROWS}) == len(ROWS)


def test_routes_keep_clear_of_what_the_platform_owns() -> None:
    assert not [row.name for row in ROWS if row.route.startswith(("admin", "runtime", "/"))]


def test_catch_all_is_tried_last_and_the_rest_of_a_path_after_the_path_itself() -> None:
    assert max(ENDPOINTS) == "zz_other"
    for row in ROWS:
        for other in ROWS:
            if (
                row is not other
                and row.method == other.method
                and "{*" in row.path
                and other.path == row.path.partition("/{*")[0]
            ):
                assert other.name < row.name


@pytest.mark.parametrize("row", [row for row in RELAYED if row.shape != "batches"], ids=lambda row: row.name)
def test_relayed_endpoint_has_a_meter_a_shape_and_limits(row: Endpoint) -> None:
    assert row.shape in SHAPES
    assert row.shape in METERS
    assert 0 < row.body_limit <= UPLOAD
    assert row.token_limit > 0
    assert not row.public
    if row.method == "POST":
        assert row.body != "none"


@pytest.mark.parametrize("row", RELAYED, ids=lambda row: row.name)
def test_relayed_endpoint_has_a_line_in_the_support_matrix(row: Endpoint) -> None:
    shown = f"{row.method} /v1/{re.sub(r'{(\\w+)}', r'{\\1}', row.path)}"
    assert f"`{shown}`" in (ROOT / "README.md").read_text("utf-8")


def test_checks_are_of_endpoints() -> None:
    assert set(CHECKS) <= set(ENDPOINTS)


def test_what_a_list_shows_is_what_a_creation_adds() -> None:
    listed = {row.kind for row in ROWS if row.target == "list"}
    made = {row.kind for row in ROWS if row.kind and row.method == "POST"}
    assert listed == made - {"response"}
