"""Starts the host as its users do, as a program, and waits for its ready file. Knows nothing of what is tested."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SAMPLE, FASTAPI = HERE / "sample_app", HERE / "fastapi_app"
QUIET = {"AzureWebJobs.job.Disabled": "1", "AzureWebJobs.tick.Disabled": "1", "AzureWebJobs.arrived.Disabled": "1"}
NAMES = {"JOBS_QUEUE": "jobs", "TICK": "0 0 0 1 1 *", "INBOX": "inbox"}
MASTER = "the-master-key-of-these-tests"


class HostProcess:
    """A host under test. A context manager; `client` talks to it."""

    def __init__(self, folder: Path, app: Path, *arguments: str, mode: str = "asgi", **settings: str) -> None:
        self.mode, self.ready_file = mode, folder / "ready.json"
        self._log_file = folder / "log"
        self._output = self._log_file.open("wb")
        left_out = ("AzureWebJobsStorage", "FUNCHOST_LOG")
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "local.host", str(app), "--port", "0", "--mode", mode,
                "--ready-file", str(self.ready_file), *arguments,
            ],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
            env={**{k: v for k, v in os.environ.items() if k not in left_out}, **NAMES, **settings},
        )  # fmt: skip
        self.client: httpx.Client
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> HostProcess:
        try:
            until(lambda: self.ready_file.exists() or self.process.poll() is not None, 20)
            assert self.process.poll() is None, self.log()
            self.facts = json.loads(self.ready_file.read_text())
        except BaseException:
            self.stop()
            raise
        self.client = httpx.Client(base_url=self.facts["url"], timeout=30, trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.stop()

    @property
    def url(self) -> str:
        return self.facts["url"]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def log(self) -> str:
        return self._log_file.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and give the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._output.close()

    def exit_code(self, limit: float = 20) -> int:
        """Wait for a host that is expected to end by itself."""
        code = self.process.wait(limit)
        self._output.close()
        return code


def in_background(host: HostProcess, path: str, into: list[Any]) -> threading.Thread:
    """Ask for something that takes a while, and return when the app has begun with it."""

    def get() -> None:
        try:
            into.append(httpx.get(host.url + path, timeout=20, trust_env=False))
        except httpx.HTTPError as error:
            into.append(error)

    before = host.client.get("/seen").json()["begun"]
    thread = threading.Thread(target=get)
    thread.start()
    until(lambda: host.client.get("/seen").json()["begun"] > before)
    return thread


def until[T](check: Callable[[], T], limit: float = 15) -> T:
    """The first true value of the check."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if value := check():
            return value
        time.sleep(0.03)
    raise AssertionError("it did not happen in time")


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
