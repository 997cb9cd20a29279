"""A pytest plugin that leaves the SDK's tests as they are: it gives them the gateway's key and writes down outcomes.

Runs in the environment of the SDKs' tests, on its own: it imports nothing of this project. One line of JSON for each
test: its id, its outcome, the requests that it sent (status of the answer, model asked for), and its error.
CONFORMANCE_RESULTS is the file; CONFORMANCE_KEY, where it is set, takes the place of the key in tests/conftest.py.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

_MOCKS = {"respx_mock", "respx2_mock"}
"""Fixtures with which a test answers its own requests: they reach no server."""
_KEYS = ("api_key", "admin_api_key")
_LONGEST = 400


class Recorder:
    """What the running test has sent, and how it has fared so far."""

    def __init__(self, results: Path, key: str) -> None:
        self._results = results
        self._key = key
        self._replaced = not key
        self._requests: list[dict[str, Any]] = []
        self._outcome = ""
        self._error = ""

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Conftest modules are registered as plugins; their fixtures read the key when they are first used."""
        if self._key and isinstance(plugin, ModuleType) and plugin.__name__ == "tests.conftest":
            for name in _KEYS:
                if hasattr(plugin, name):
                    setattr(plugin, name, self._key)
                    self._replaced = True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not self._replaced:
            pytest.exit("tests/conftest.py has no api_key any more: the gateway's key cannot be given to the tests", 4)
        self._write({"collected": len(session.items)})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._requests, self._outcome, self._error = [], "", ""
        done = yield
        mocked = bool(_MOCKS & set(getattr(item, "fixturenames", ())))
        sent = [] if mocked else self._requests
        self._write({"id": item.nodeid, "outcome": self._outcome, "requests": sent, "error": self._error})
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        report: pytest.TestReport = yield
        if report.failed:
            self._outcome = "failed"
            self._error = self._error or (call.excinfo.exconly() if call.excinfo else "")[:_LONGEST]
        elif not self._outcome and (report.skipped or report.when == "call"):
            self._outcome = report.outcome
        return report

    def note(self, request: httpx2.Request, status: int) -> None:
        sent = {"method": request.method, "path": request.url.path, "status": status, "model": _model(request)}
        self._requests.append(sent)

    def _write(self, line: dict[str, Any]) -> None:
        with self._results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _model(request: httpx2.Request) -> str:
    """The model that a JSON body names; empty for other bodies."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return ""
    try:
        body = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return ""
    named = body.get("model") if isinstance(body, dict) else None
    return named if isinstance(named, str) else ""


def _listen(recorder: Recorder) -> None:
    """Both SDKs send through these two methods, whichever transport is below. Status 0: no answer came."""
    send, async_send = httpx2.Client.send, httpx2.AsyncClient.send

    @functools.wraps(send)
    def noted(self: httpx2.Client, request: httpx2.Request, *args: Any, **options: Any) -> httpx2.Response:
        status = 0
        try:
            answer = send(self, request, *args, **options)
            status = answer.status_code
            return answer
        finally:
            recorder.note(request, status)

    @functools.wraps(async_send)
    async def noted_async(
        self: httpx2.AsyncClient, request: httpx2.Request, *args: Any, **options: Any
    ) -> httpx2.Response:
        status = 0
        try:
            answer = await async_send(self, request, *args, **options)
            status = answer.status_code
            return answer
        finally:
            recorder.note(request, status)

    httpx2.Client.send, httpx2.AsyncClient.send = noted, noted_async


def pytest_configure(config: pytest.Config) -> None:
    recorder = Recorder(Path(os.environ["CONFORMANCE_RESULTS"]), os.environ.get("CONFORMANCE_KEY", ""))
    config.pluginmanager.register(recorder, "conformance-recorder")
    _listen(recorder)
