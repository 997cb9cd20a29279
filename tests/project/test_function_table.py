"""The triggers as the Functions worker itself describes them: nothing forgotten, nothing shadowed, nothing open."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.host.contract import Function
from local.host.route_table import RouteTable
from shared.adapters.work_queue import QUEUES
from shared.endpoints import ENDPOINTS
from shared.operations.timers import SCHEDULES
from tests.support.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
ROUTES = {row.name: (row, row.route) for row in ENDPOINTS.values()}

ASK_THE_WORKER = """
import asyncio, json, sys
from local.host.worker import InProcessWorker

async def main():
    functions = await InProcessWorker().start(sys.argv[1])
    print("FOUND" + json.dumps([[f.id, f.name, f.streaming, f.bindings] for f in functions]))

asyncio.run(main())
"""

IMPORT = """
import json, sys, time
class Environ(dict):
    read = []
    def __getitem__(self, name): self.read.append(name); return super().__getitem__(name)
    def get(self, name, default=None): self.read.append(name); return super().get(name, default)
    def __contains__(self, name): self.read.append(name); return super().__contains__(name)
import azure.functions  # the worker has it before it imports the app
import os
kept = os.environ
os.environ = Environ(kept)
before = set(sys.modules)
began = time.perf_counter()
import function_app
took = time.perf_counter() - began
print("FOUND" + json.dumps({"modules": sorted(set(sys.modules) - before), "read": Environ.read, "took": took}))
"""


def ask(script: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.partition("FOUND")[2])


@pytest.fixture(scope="session")
def all_functions() -> list[Function]:
    """The real worker's metadata, from a process of its own: the library keeps its state in globals."""
    return [Function(*found) for found in ask(ASK_THE_WORKER, str(ROOT))]


@pytest.fixture(scope="session")
def functions(all_functions: list[Function]) -> list[Function]:
    """Those that answer HTTP."""
    return [f for f in all_functions if f.trigger["type"] == "httpTrigger"]


def test_timers_are_those_that_have_jobs(all_functions: list[Function]) -> None:
    timers = [f for f in all_functions if f.trigger["type"] == "timerTrigger"]
    assert {f.name: f.trigger["schedule"] for f in timers} == SCHEDULES


def test_queues_are_those_that_messages_are_sent_to(all_functions: list[Function]) -> None:
    queues = [f for f in all_functions if f.trigger["type"] == "queueTrigger"]
    assert {f.name: f.trigger["queueName"] for f in queues} == QUEUES
    assert {f.trigger["connection"] for f in queues} == {"AzureWebJobsStorage"}


def test_there_are_no_other_triggers(all_functions: list[Function]) -> None:
    assert {f.trigger["type"] for f in all_functions} == {"httpTrigger", "timerTrigger", "queueTrigger"}


def test_rows_are_triggers_and_triggers_are_rows(functions: list[Function]) -> None:
    served = {f.name: (f.trigger["route"], sorted(f.trigger.get("methods") or [])) for f in functions}
    assert served == {name: (route, [row.method] if row.method else []) for name, (row, route) in ROUTES.items()}


def test_every_trigger_is_streaming_and_asks_the_host_for_no_key(functions: list[Function]) -> None:
    """OpenAI's SDKs cannot send a function key: the app checks its own."""
    for function in functions:
        assert function.streaming, function.name
        assert str(function.trigger["authLevel"]).lower() == "anonymous", function.name


def test_no_route_starts_with_a_word_of_the_hosts(functions: list[Function]) -> None:
    for function in functions:
        assert not function.trigger["route"].lower().startswith(("admin", "runtime")), function.name


def test_no_route_is_shadowed(functions: list[Function]) -> None:
    """The host tries functions by name, whatever their routes: a path must still reach the function that is meant."""
    prefix = json.loads((ROOT / "host.json").read_text("utf-8"))["extensions"]["http"]["routePrefix"]
    table = RouteTable(functions, prefix)
    for name, (row, route) in ROUTES.items():
        for alias in ("gpt-4o", "team/model", "models", "chat") if "{*" in route else ("gpt-4o",):
            path = "/" + re.sub(r"\{\w+\}", "some-id", route.replace("{*path}", "nowhere/at/all"))
            path = re.sub(r"\{\*\w+\}", alias, path)
            for found in (table.find(row.method or "GET", path), table.scan(row.method or "GET", path)):
                assert found is not None, path
                assert found[0].function.name == name, f"{row.method} {path} reaches {found[0].function.name}"
    for method, path in (("OPTIONS", "/v1/chat/completions"), ("GET", "/v1/chat/completions"), ("GET", "/")):
        found = table.find(method, path)
        assert found is not None
        assert found[0].function.name == "zz_other"


def test_the_operators_side_has_one_trigger_for_every_method(functions: list[Function]) -> None:
    """Also for OPTIONS, which zz_other would answer with what browsers of other origins may do."""
    table = RouteTable(functions, "")
    for path in ("/manage", "/manage/", "/manage/keys", "/manage/keys/a%2Fb/rotate", "/Manage/keys"):
        for method in ("GET", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"):
            found = table.find(method, path)
            assert found is not None, path
            assert found[0].function.name == "manage", path
    for path in ("/v1/manage/keys", "/managed", "/openai/v1/manage/keys"):
        found = table.find("GET", path)
        assert found is not None
        assert found[0].function.name == "zz_other", path


def test_catch_all_is_last(functions: list[Function]) -> None:
    assert sorted((f.name for f in functions), key=str.lower)[-1] == "zz_other"


def test_every_function_but_the_public_ones_asks_for_a_key(stack: Stack, functions: list[Function]) -> None:
    for function in functions:
        row, route = ROUTES[function.name]
        path = "/" + re.sub(r"\{\*?\w+\}", "some-id", route)
        for headers in ({}, {"authorization": "Bearer sk-" + "A" * 43}, {"x-functions-key": "master"}):
            reply = stack.http.request(row.method or "GET", path, headers=headers)
            if row.public:
                assert reply.status_code != 401, path
            else:
                assert reply.status_code == 401, path
                assert reply.json()["error"]["code"] == "invalid_api_key"


def test_import_is_quick_reads_nothing_and_loads_no_client() -> None:
    """An exception or a slow import there makes functions vanish without a word."""
    found = min((ask(IMPORT) for _ in range(2)), key=lambda f: f["took"])
    heavy = ("azure.data", "azure.identity", "azure.storage", "azure.keyvault", "azure.core", "httpx", "aiohttp",
             "pydantic", "yaml", "openai", "fastapi", "uvicorn")  # fmt: skip
    loaded = [m for m in found["modules"] if m.startswith(heavy)]
    assert not loaded
    own = [name for name in found["read"] if not name.startswith(("PYTHON", "HOME", "PATH"))]
    assert not own
    assert found["took"] < 1.0
    assert "shared.bootstrap" in found["modules"]
    assert "shared.gateway" not in found["modules"]
