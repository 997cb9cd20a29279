"""What runs during a measurement: the mock, Azurite, the gateway in the local Functions host, and the tests.

Owns these processes and their settings; leaving `Lab` ends them all. Knows nothing of what an outcome means.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from conformance.fetch import Materials
from conformance.suites import Suite
from local.stack import gateway, node, parts, ports, processes, record, settings
from local.stack.layout import ROOT

PATIENCE = 60.0  # seconds that a process has to start
SLOWEST = 60  # seconds for one test: the mock answers within milliseconds
_UPSTREAM_KEY = "any-key-will-do-for-the-mock"
_ARRAYS = ("query-array", "form-array", "query-object", "form-object")


class LabError(Exception):
    """A process did not start, or ended too early; the text ends with what it said."""


class Lab:
    """A context manager; `folder` is emptied first."""

    def __init__(self, folder: Path, materials: Materials, say: Callable[[str], None]) -> None:
        self._folder, self._materials, self._say = folder, materials, say
        self._children: list[processes.Child] = []

    def __enter__(self) -> Self:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):  # the gateway before its storage
            processes.end_children([child], grace=3.0)

    def start_mock(self, suite: Suite, spec: Path) -> int:
        """-> the port on which the specification's paths are served where an Azure resource has them."""
        served = self._folder / f"{suite.name}{spec.suffix}"
        served.write_text(prefixed(spec.read_text("utf-8"), suite.prefix), "utf-8")
        mock, port = ports.free_ports(2, [])
        # as the SDKs' own scripts/mock starts it; what breaks the specification is refused, which is its default
        formats = [f"--validator-{each}-format=brackets" for each in _ARRAYS]
        command = [
            str(node.find_node()),
            str(self._materials.steady),
            "--host",
            "127.0.0.1",
            "-p",
            str(mock),
            "--quiet",
        ]
        child = self._spawn("mock", [*command, *formats, str(served)], dict(os.environ))
        self._wait(child, lambda: gateway.get(f"http://127.0.0.1:{mock}/_x-steady/health")[0] == 200)
        front = [str(node.find_node()), str(Path(__file__).with_name("front.mjs")), str(port), str(mock)]
        child = self._spawn("front", front, dict(os.environ))
        self._wait(child, lambda: ports.answers(port))
        return port

    def start_gateway(self, config: str, app: Path = ROOT) -> tuple[str, str]:
        """-> the gateway's address and a key for it."""
        file = self._folder / "config.yaml"
        file.write_text(config, "utf-8")
        blob, queue, table = ports.free_ports(3, [])
        storage = {"blob": blob, "queue": queue, "table": table}
        own = record.load(self._folder / "no-record")  # new secrets
        given = settings.app_settings(own, settings.storage_connection(storage), file, {})
        environ = settings.app_environment(os.environ, given, faked=True)
        # the operator's own check, of this checkout: a gateway that refuses its configuration would be waited for
        if app == ROOT and (problems := gateway.config_problems(environ, str(file))):
            raise LabError(f"the gateway does not take its configuration:\n{problems}")
        azurite = self._spawn("azurite", node.azurite_command(self._folder / "azurite", storage), environ)
        self._wait(azurite, lambda: parts.azurite_listens(storage))
        ready = self._folder / "ready.json"
        command = [sys.executable, "-m", "local.host", str(app), "--port", "0", "--no-auth", "--grace", "1"]
        host = self._spawn("gateway", [*command, "--ready-file", str(ready)], environ)
        self._wait(host, lambda: parts.ready_file(ready) is not None)
        url = str(json.loads(ready.read_text("utf-8"))["url"])
        self._wait(host, lambda: gateway.get(f"{url}/health/ready")[0] == 200)
        try:
            return url, gateway.make_demo_key(environ)
        except gateway.DemoKeyError as error:
            raise LabError(str(error)) from error

    def run_tests(self, suite: Suite, base_url: str, key: str, results: Path, only: str) -> None:
        """The SDK's own tests, one process; the outcomes go to `results`. A failing test is an outcome, no error."""
        results.parent.mkdir(parents=True, exist_ok=True)
        results.unlink(missing_ok=True)
        plugin = Path(__file__).with_name("plugin")
        environ = clean(os.environ) | {
            "TEST_API_BASE_URL": base_url,
            "CONFORMANCE_RESULTS": str(results),
            "CONFORMANCE_KEY": key,
            "PYTHONPATH": str(plugin),
            **suite.environ,
        }
        # no plain output, tracebacks, captured logs or rewritten assertions: they cost four fifths of the time
        flags = ["-q", "--tb=no", "--no-summary", "--assert=plain", f"--timeout={SLOWEST}", "-o", "addopts="]
        flags += ["-p", "sdk_recorder", "-p", "no:logging", "-p", "no:cacheprovider", *suite.pytest]
        chosen = ["-k", only] if only else []
        command = [str(self._materials.python), "-m", "pytest", *suite.tests, *flags, *chosen]
        source = self._materials.sources[suite.name]
        child = self._spawn(f"tests-{results.stem}", command, environ, cwd=source)
        self._watch(child, results)
        if child.exit_code not in (0, 1):  # 1: some tests failed
            raise LabError(f"pytest ended with {child.exit_code}:\n{processes.last_lines(child.log)}")

    def _watch(self, child: processes.Child, results: Path) -> None:
        started, said = time.monotonic(), 0.0
        while child.exit_code is None:
            time.sleep(0.2)
            for other in self._children:
                if other.exit_code is not None and not other.name.startswith("tests-"):
                    raise LabError(f"{other.name} ended during the tests:\n{processes.last_lines(other.log)}")
            if time.monotonic() - max(said, started) > 10:
                said = time.monotonic()
                done, total = _progress(results)
                self._say(f"  {done:,} of {total:,} tests, {said - started:.0f} s")
        done, _ = _progress(results)
        self._say(f"  {done:,} tests in {time.monotonic() - started:.0f} s")

    def _spawn(self, name: str, command: list[str], environ: dict[str, str], cwd: Path = ROOT) -> processes.Child:
        child = processes.spawn(name, command, self._folder / f"{name}.log", cwd, environ)
        self._children.append(child)
        return child

    def _wait(self, child: processes.Child, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not ready():
            if child.exit_code is not None or time.monotonic() > until:
                what = f"{child.name} ended" if child.exit_code is not None else f"waited in vain for {child.name}"
                raise LabError(f"{what}:\n{processes.last_lines(child.log)}")
            time.sleep(0.05)


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what an SDK would take for a setting, and with the way to this machine kept short."""
    unwanted = ("OPENAI_", "ANTHROPIC_", "AZURE_", "AWS_", "TEST_API_", "PYTEST_", "CONFORMANCE_")
    kept = {name: value for name, value in environ.items() if not name.upper().startswith(unwanted)}
    return settings.app_environment(kept, {}, faked=False)


def prefixed(spec: str, prefix: str) -> str:
    """The specification (JSON or YAML) with `prefix` before each of its paths."""
    if spec.startswith("{"):
        document: dict[str, Any] = json.loads(spec)
        document["paths"] = {prefix + path: operations for path, operations in document["paths"].items()}
        return json.dumps(document)
    # YAML as text: a parser takes half a minute for 86,000 lines in which only these keys begin so
    before, paths, after = re.split(r"^(paths:\n(?:[ #].*\n|\n)+)", spec, maxsplit=1, flags=re.M)
    return before + re.sub(r"^  /", f"  {prefix}/", paths, flags=re.M) + after


def config(suite: Suite, models: list[str], port: int) -> str:
    """A configuration in which every model that the tests name is an alias, all on the one resource that is the mock.

    family `open`: nothing is known of models that do not exist, and the mock takes every parameter.
    """
    lines = ["model_list:"]
    for name in models:
        mode = suite.modes.get(name, suite.modes.get("*", ""))
        info = {"family": "open", **({"mode": mode} if mode else {})}
        base = f"http://127.0.0.1:{port}{suite.root}"
        params = {"model": f"{suite.provider}/{name}", "api_base": base, "api_key": _UPSTREAM_KEY}
        row = {"model_name": name, "params": params, "model_info": info}
        lines.append(f"  - {json.dumps(row)}")
    if suite.keeps:
        # the tests make up ids that no gateway has handed out ("file_id"): this resource's own are taken as they are
        # and many name no model, which on Azure nothing else tells
        usual = dict.fromkeys(("responses", "images", "videos", "realtime"), models[0])
        settings = {"import_raw_ids": {f"127.0.0.1:{port}": "*"}, "default_models": usual}
        lines.append(f"settings: {json.dumps(settings)}")
    return "\n".join(lines) + "\n"


def _progress(results: Path) -> tuple[int, int]:
    try:
        lines = results.read_text("utf-8").splitlines()
        return max(len(lines) - 1, 0), int(json.loads(lines[0])["collected"])
    except (OSError, ValueError, IndexError):
        return 0, 0
