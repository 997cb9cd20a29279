"""The Node `openai` package, unmodified, over HTTP to the gateway on the Functions host (scripts in tests/node).

Each script is a program of its own that writes what it saw as one line of JSON; the package comes from npm, once.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.npm import NpmError, package
from local.stack.node import find_node
from tests.support.ledger import Row
from tests.support.polling import until
from tests.support.stack import ROOT, Key, Stack, clean_environment

OPENAI = "7.57.0"
SCRIPTS = ROOT / "tests" / "node"
type Run = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def node_openai() -> Path:
    """The package's folder."""
    try:
        return package("openai", OPENAI)
    except NpmError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def run(node_openai: Path, stack: Stack, key: Key) -> Run:
    """Runs a script; its result."""

    def run(script: str) -> dict[str, Any]:
        given = {"OPENAI_PACKAGE": str(node_openai), "GATEWAY_URL": stack.url, "GATEWAY_KEY": key.text}
        environ = clean_environment(os.environ) | given
        done = subprocess.run(
            [str(find_node()), str(SCRIPTS / script)], env=environ, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def answered(stack: Stack, key: Key, endpoint: str, calls: int) -> list[Row]:
    """The usage records of the calls that an endpoint answered; others (lists, refusals) may stand beside them."""

    def rows() -> list[Row]:
        good = ("ok", "client_closed")
        return [r for r in stack.ledger.events(key.id) if r["endpoint"] == endpoint and r["outcome"] in good]

    until(lambda: len(rows()) >= calls)
    assert len(rows()) == calls
    return rows()


def test_chat(run: Run, stack: Stack, key: Key) -> None:
    seen = run("chat.mjs")
    assert seen["whole"] == seen["same"] == seen["dated"]
    assert "5" in seen["whole"]
    assert seen["model"] == "gpt-4o"
    assert seen["status"] == 200
    assert seen["requestId"].startswith("req_")
    assert seen["usage"]["total_tokens"] == seen["usage"]["prompt_tokens"] + seen["usage"]["completion_tokens"] > 0
    assert [name for name, _ in seen["tool"]] == ["get_weather"]
    assert seen["finish"] == "tool_calls"
    assert "gpt-4o" in seen["models"]
    refused = seen["unknownKey"]
    assert (refused["kind"], refused["status"], refused["code"]) == ("AuthenticationError", 401, "invalid_api_key")
    unknown = seen["unknownModel"]
    assert (unknown["kind"], unknown["status"], unknown["code"]) == ("NotFoundError", 404, "model_not_found")
    rows = answered(stack, key, "chat_completions", 4)
    assert rows[0]["output_tokens"] == seen["usage"]["completion_tokens"]


def test_streams(run: Run, stack: Stack, key: Key) -> None:
    seen = run("streams.mjs")
    for stream in (seen["plain"], seen["counted"], seen["dated"]):
        assert stream["text"] == seen["helper"]
        assert stream["chunks"] > 2
        assert stream["finish"] == ["stop"]
    assert "5" in seen["helper"]
    assert seen["plain"]["models"] == ["gpt-4o"]
    assert seen["plain"]["usage"] == []
    assert [usage["completion_tokens"] > 0 for usage in seen["counted"]["usage"]] == [True]
    assert seen["left"] == "string"
    rows = answered(stack, key, "chat_completions", 5)
    assert all(row["output_tokens"] > 0 for row in rows)


def test_responses(run: Run, stack: Stack, key: Key) -> None:
    seen = run("responses.mjs")
    created, stream = seen["created"], seen["stream"]
    assert (created["model"], created["status"]) == ("gpt-4o", "completed")
    assert "5" in created["text"]
    assert created["id"].startswith("resp_")
    assert seen["retrieved"] == {"id": created["id"], "text": created["text"]}
    assert stream["events"][0] == "response.created"
    assert stream["events"][-1] == "response.completed"
    assert stream["text"] == stream["final"] == created["text"]
    assert stream["id"] != created["id"]
    assert seen["next"]["previous"] == created["id"]
    assert seen["next"]["text"]
    assert seen["items"] == ["message"]
    assert seen["deleted"]["status"] == seen["unknown"]["status"] == 404
    assert seen["usage"]["input_tokens"] > 0
    assert seen["usage"]["total_tokens"] == seen["usage"]["input_tokens"] + seen["usage"]["output_tokens"]
    rows = answered(stack, key, "responses_create", 3)
    assert all(row["output_tokens"] > 0 for row in rows)


def test_files(run: Run) -> None:
    seen = run("files.mjs")
    created = seen["created"]
    assert created == {
        "id": created["id"], "bytes": seen["size"], "filename": "träining set.jsonl", "purpose": "fine-tune",
    }  # fmt: skip
    assert created["id"].startswith("file-")
    assert seen["retrieved"] == {"id": created["id"], "filename": created["filename"]}
    assert seen["listed"]
    assert seen["same"]
    assert seen["deleted"] == {"id": created["id"], "deleted": True}
    assert seen["gone"]["status"] == seen["unknown"]["status"] == 404
    assert seen["gone"]["kind"] == "NotFoundError"
