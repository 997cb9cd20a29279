"""ENDPOINTS: each row as pinned, and the rules that all of them keep."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from shared.endpoints import ENDPOINTS, MB


class Row(NamedTuple):
    name: str
    method: str
    shape: str
    public: bool
    streams: bool
    body_limit: int
    routes: set[str]


SMALL = 64 * 1024
ROWS = [
    Row("chat_completions", "POST", "chat", False, True, 32 * MB, {
        "v1/chat/completions", "chat/completions", "openai/v1/chat/completions",
        "openai/deployments/{alias}/chat/completions",
    }),
    Row("models_list", "GET", "models", False, False, SMALL, {"v1/models", "models", "openai/v1/models", "openai/models"}),
    Row("models_get", "GET", "models", False, False, SMALL, {
        "v1/models/{*alias}", "models/{*alias}", "openai/v1/models/{*alias}", "openai/models/{*alias}",
    }),
    Row("health_live", "GET", "health", True, False, SMALL, {"health/live"}),
    Row("health_ready", "GET", "health", True, False, SMALL, {"health/ready"}),
    Row("not_found", "", "none", True, False, SMALL, {"{*path}"}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_endpoint_row_is_as_pinned(row: Row) -> None:
    found = ENDPOINTS[row.name]
    assert row == Row(
        found.name, found.method, found.shape, found.public, found.streams, found.body_limit, set(found.routes.values())
    )


def test_every_endpoint_is_pinned() -> None:
    assert [row.name for row in ROWS] == list(ENDPOINTS)


def test_function_names_and_routes_are_unique() -> None:
    names = [name for row in ENDPOINTS.values() for name in row.routes]
    routes = [(row.method, route) for row in ENDPOINTS.values() for route in row.routes.values()]
    assert len(set(names)) == len(names)
    assert len(set(routes)) == len(routes)


def test_routes_keep_clear_of_what_the_platform_owns() -> None:
    routes = [route for row in ENDPOINTS.values() for route in row.routes.values()]
    assert not [route for route in routes if route.startswith(("admin", "runtime", "/"))]


def test_catch_all_is_tried_last_and_the_rest_of_a_path_after_the_path_itself() -> None:
    names = sorted(name for row in ENDPOINTS.values() for name in row.routes)
    assert names[-1] == "zz_not_found"
    assert max(ENDPOINTS["models_list"].routes) < min(ENDPOINTS["models_get"].routes)


def test_relayed_endpoints_name_their_operation_and_what_they_require() -> None:
    assert {row.name: (row.operation, row.required) for row in ENDPOINTS.values() if row.operation} == {
        "chat_completions": ("chat/completions", ("messages",))
    }
