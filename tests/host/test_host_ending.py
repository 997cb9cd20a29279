"""How the host ends: requests in flight, atexit handlers, stuck threads, no process left behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.host.host_process import QUIET, SAMPLE, HostProcess, alive, in_background, until


def started(folder: Path, mode: str, grace: float) -> HostProcess:
    folder.mkdir()
    note = {"SAMPLE_ATEXIT": str(folder / "note")}
    return HostProcess(folder, SAMPLE, "--no-auth", "--grace", str(grace), mode=mode, **note, **QUIET)


def the_app_has_cleaned_up(host: HostProcess) -> None:
    assert (host.ready_file.parent / "note").read_text() == "done"
    assert not alive(host.facts["worker_pid"])
    assert not host.ready_file.exists()


def requests_finish(folder: Path, mode: str, number: int) -> None:
    got: list[Any] = []
    with started(folder, mode, grace=5) as host:
        thread = in_background(host, "/slow?n=5", got)
        assert host.stop(number) == 0
        thread.join()
    assert got[0].text == "late"
    assert "Traceback" not in host.log()
    the_app_has_cleaned_up(host)


def requests_that_go_on_are_cut_off(folder: Path, mode: str) -> None:
    got: list[Any] = []
    with started(folder, mode, grace=0.3) as host:
        thread = in_background(host, "/sse?n=1000&pause=0.1", got)
        assert host.stop() == 0
        thread.join()
    assert isinstance(got[0], httpx.RemoteProtocolError)
    the_app_has_cleaned_up(host)


def a_stuck_thread_does_not_keep_the_process(folder: Path, mode: str) -> None:
    got: list[Any] = []
    with started(folder, mode, grace=0.2) as host:
        thread = in_background(host, "/stuck", got)
        began = time.monotonic()
        assert host.stop() == 0
        thread.join()
    assert time.monotonic() - began < 10
    the_app_has_cleaned_up(host)


def the_worker_ends_when_its_host_is_killed(folder: Path) -> None:
    with started(folder, "process", grace=0.5) as host:
        assert alive(host.facts["worker_pid"])
        host.stop(signal.SIGKILL)
        until(lambda: not alive(host.facts["worker_pid"]), 10)
    assert (folder / "note").read_text() == "done"


def test_the_ways_to_end(tmp_path: Path) -> None:
    """Side by side, as each one is mostly waiting."""
    ways: dict[str, Callable[[Path], None]] = {
        "sigterm": lambda at: requests_finish(at, "asgi", signal.SIGTERM),
        "sigint": lambda at: requests_finish(at, "asgi", signal.SIGINT),
        "sigterm-process": lambda at: requests_finish(at, "process", signal.SIGTERM),
        "cut-off": lambda at: requests_that_go_on_are_cut_off(at, "asgi"),
        "cut-off-process": lambda at: requests_that_go_on_are_cut_off(at, "process"),
        "stuck": lambda at: a_stuck_thread_does_not_keep_the_process(at, "asgi"),
        "stuck-process": lambda at: a_stuck_thread_does_not_keep_the_process(at, "process"),
        "killed": the_worker_ends_when_its_host_is_killed,
    }
    with ThreadPoolExecutor(4) as pool:
        running = {name: pool.submit(way, tmp_path / name) for name, way in ways.items()}
    failed = {name: error for name, each in running.items() if (error := each.exception())}
    assert not failed, failed
