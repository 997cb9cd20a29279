"""Every spelling of an address finds its row of ENDPOINTS, and nothing else does."""

from __future__ import annotations

import pytest

from shared.endpoints import ENDPOINTS, Endpoint
from shared.routes import find

SERVED = [row for row in ENDPOINTS.values() if row.shape not in ("none", "gone", "health", "manage")]
VALUE = "file-a%20b%2Fc"


def spelt(row: Endpoint) -> tuple[str, dict[str, str]]:
    """The row's path with values in it, and the parameters that it then has."""
    parts: list[str] = []
    params: dict[str, str] = {}
    for part in row.path.split("/"):
        if part.startswith("{"):
            params[part.strip("{*}")] = "org/alias" if "*" in part else "file-a b/c"
        parts.append("org/alias" if part.startswith("{*") else VALUE if part.startswith("{") else part)
    return "/".join(parts), params


@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.name)
def test_every_spelling_finds_the_operation(row: Endpoint) -> None:
    path, params = spelt(row)
    spellings = [
        f"/{path}",
        f"/v1/{path}",
        f"/openai/v1/{path}",
        f"/openai/{path}",
        f"/OpenAI/V1/{path}/",
        f"//v1//{path}",
    ]
    if row.shape in ("messages", "count"):
        spellings += [f"/anthropic/v1/{path}", f"/anthropic/{path}"]
    for spelling in spellings:
        found = find(row.method, spelling)
        assert found, spelling
        assert found.endpoint is row, spelling
        assert found.params == params, spelling


@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.name)
def test_deployments_have_what_azure_has_there(row: Endpoint) -> None:
    path, params = spelt(row)
    for middle in ("", "extensions/"):
        found = find(row.method, f"/openai/deployments/my%20alias%2Fx%2541/{middle}{path}")
        if row.deployed:
            assert found
            assert found.endpoint is row
            assert found.params == {"alias": "my alias/x%41", **params}  # decoded once, not twice
        else:
            assert not (found and found.endpoint)


@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.name)
def test_wrong_method_names_the_right_ones(row: Endpoint) -> None:
    path, _ = spelt(row)
    same = {other.method for other in SERVED if (hit := find(other.method, f"/v1/{path}")) and hit.endpoint is other
            and other.path.count("/") == row.path.count("/")}  # fmt: skip
    for method in ("PUT", "PATCH", "HEAD"):
        found = find(method, f"/v1/{path}")
        assert found
        assert found.endpoint is None
        assert row.method in found.allowed
        assert found.allowed <= same


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v2/files", "/v1/v1/files", "/v1/file", "/openai/openai/files", "/anthropic/v1/files", "/v1/files/a/b",
     "/openai/deployments/gpt-4o/files", "/openai/deployments/gpt-4o", "/v1/files/a/content/b", "/v1/organization/usage",
     "/v1/vector_stores/a/files/b/c", "/favicon.ico", "/v1/chat%2Fcompletions", "/v1/../files/x"],
)  # fmt: skip
def test_everything_else_is_unknown(path: str) -> None:
    assert find("GET", path) is None
    assert find("POST", path) is None


@pytest.mark.parametrize("path", ["assistants", "assistants/a", "threads/a/runs/b", "threads"])
@pytest.mark.parametrize("prefix", ["/v1/", "/", "/openai/", "/openai/v1/"])
def test_retired_operations_are_told_apart(path: str, prefix: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        found = find(method, prefix + path)
        assert found
        assert found.endpoint
        assert found.endpoint.shape == "gone"


def test_the_operators_side_has_one_spelling_only() -> None:
    """Which the host itself finds: a prefix that is meant for clients must not lead there."""
    for path in (
        "/manage/keys",
        "/v1/manage/keys",
        "/openai/v1/manage/keys",
        "/openai/manage",
        "/anthropic/manage/keys",
    ):
        assert find("GET", path) is None, path
