"""The documented way back to Microsoft's own web extension, and what ours is for: nothing is left of a request.

The steps are those of the comment in function_app.py, taken from there: if it changes, these tests must be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from local.fake_azure import FakeAzure
from tests.support.app_copy import ROOT, change, copy_app
from tests.support.memory import resident
from tests.support.polling import until
from tests.support.raw import RawClient
from tests.support.stack import Stack, ask, upstream_calls, wait_for_upstream

MB = 2**20
OURS = "from shared.adapters.web_extension import Request, Response\n"


@pytest.fixture(scope="module")
def fallback_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app after the steps of the comment."""
    app = copy_app(tmp_path_factory.mktemp("fallback") / "app")
    file = app / "function_app.py"
    text = file.read_text("utf-8")
    documented = re.search(r"^# .*Fallback.*replace the line by\n#   (from \S+ import Request, Response)\n", text, re.M)
    assert documented, "the comment no longer says what to write"
    assert 'make zz_other\'s route "openai/{*path}"' in text
    change(file, OURS, documented[1] + "\n")
    change(file, '@app.route("{*path}")', '@app.route("openai/{*path}")')
    return app


@pytest.fixture(params=["asgi", "process"])
def fallback(request: pytest.FixtureRequest, new_stack: Callable[..., Stack], fallback_app: Path) -> Stack:
    return new_stack(mode=request.param, app=fallback_app)


def test_package_that_the_comment_names_is_pinned_for_development() -> None:
    pinned = (ROOT / "requirements-dev.txt").read_text("utf-8")
    name = "azurefunctions-extensions-http-fastapi"
    assert name in (ROOT / "function_app.py").read_text("utf-8")
    assert f"{name}==" in pinned


def test_fallback_serves_the_same_contract(fallback: Stack, fake: FakeAzure) -> None:
    stack, key = fallback, fallback.key()
    with stack.openai(key) as client:
        whole = client.chat.completions.create(**ask("count to 5"))
        assert whole.choices[0].message.content == "1 2 3 4 5"
        chunks = list(client.chat.completions.create(**ask("count to 5"), stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "1 2 3 4 5"
        assert client.models.retrieve("gpt-4o").id == "gpt-4o"
        assert "gpt-4o" in [m.id for m in client.models.list()]
    with stack.azure_openai(key) as azure:
        assert azure.chat.completions.create(**ask("count to 2")).choices[0].message.content == "1 2"
    assert stack.post(None, ask("hi")).status_code == 401
    assert stack.post(key, ask("hi", "nobody")).status_code == 404
    fake.add_fault("status", status=429, retry_after=3)
    assert stack.post(key, ask("hi")).headers["retry-after"] == "3"
    fake.add_fault("cut", after=4)
    assert '"upstream_disconnected"' in stack.post(key, ask("count to 9", stream=True)).text
    assert [e["output_tokens"] for e in stack.usage(key, 6)[:3]] == [5, 5, 2]
    # a client that leaves, in the middle and before the first byte
    fake.add_fault("slow_chunks", seconds=0.05)
    with RawClient(stack) as client:
        client.post(key, ask("count to 1000", stream=True))
        client.read_until(b'" 3"')
        client.leave()
    assert wait_for_upstream(fake, lambda r: r.completed or r.closed_early).closed_early
    fake.add_fault("slow_first_byte", seconds=30)
    count = len(upstream_calls(fake))
    with RawClient(stack) as client:
        client.post(key, ask("hi"))
        until(lambda: len(upstream_calls(fake)) > count)
        client.leave()
    assert wait_for_upstream(fake, lambda r: r.completed or r.closed_early).closed_early
    assert [e["outcome"] for e in stack.usage(key, 8)[6:]] == ["client_closed", "client_closed"]


def many(stack: Stack, calls: int) -> None:
    """Requests of every kind, most of which end early; eight at once."""
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False, limits=limits) as client:

        def one(number: int) -> int:
            if number % 3:
                return client.get("/health/live").status_code
            return client.post("/v1/chat/completions", json=ask("hi")).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(calls))) == {200, 401}


def test_nothing_is_left_of_3000_requests(new_stack: Callable[..., Stack], tmp_path: Path, fake: FakeAzure) -> None:
    """The worker would keep 2 KB of each, for ever (docs/adr/0004). A copy of the app tells what its table holds."""
    app = copy_app(tmp_path / "app")
    change(
        app / "shared/health.py",
        'return orjson.dumps({"status": "ok"})',
        "from azure_functions_runtime.http_v2 import http_coordinator\n"
        '    return orjson.dumps({"status": "ok", "held": len(http_coordinator._context_references)})',
    )
    stack = new_stack(mode="process", app=app)
    many(stack, 500)
    before = resident(stack.worker_pid)
    many(stack, 3000)
    assert resident(stack.worker_pid) - before < 4 * MB
    assert stack.http.get("/health/live").json()["held"] == 1  # the one that asks
