"""--reload: a supervisor that runs the host as a child and starts it anew when the app's files change.

Restarting the whole host is the one way that leaves nothing of the old code behind. Watches by polling, with the
standard library only. Knows nothing of functions or servers.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .child_process import ROOT

EVERY = 0.5
SUFFIXES = frozenset((".py", ".yaml", ".yml", ".toml"))
NAMES = frozenset(("host.json", "local.settings.json", "requirements.txt", ".env"))
IGNORED = frozenset(("tests", "node_modules", "__pycache__", "venv", "dist"))


def watched(folder: Path) -> Iterator[tuple[str, int]]:
    """The files whose change matters, with their times. Hidden folders (.venv, .tollgate, .git) are left out."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in IGNORED:
                    yield from watched(Path(entry.path))
            elif entry.name in NAMES or Path(entry.name).suffix in SUFFIXES:
                yield entry.path, entry.stat().st_mtime_ns
        except OSError:
            continue  # gone since it was listed


def passed_on(given: argparse.Namespace, app_dir: Path) -> list[str]:
    """The child's arguments. A free port is chosen here and once, so that the address outlives a restart."""
    port: int | None = given.port
    if port == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    values = {"--port": port, "--mode": given.mode, "--loop": given.loop, "--grace": given.grace}
    files = {"--ready-file": given.ready_file, "--keys-file": given.keys_file}
    values |= {name: path.absolute() for name, path in files.items() if path is not None}
    flags = {"--no-auth": given.no_auth, "--verbose": given.verbose}
    made = [str(app_dir), *(flag for flag, on in flags.items() if on)]
    for name, value in values.items():
        if value is not None:
            made += [name, str(value)]
    return made


class Supervisor:
    """Starts, watches, restarts, ends."""

    def __init__(self, app_dir: Path, arguments: list[str], grace: float) -> None:
        self._app_dir, self._arguments, self._grace = app_dir, arguments, grace
        self._told = False

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._tell())
        while not self._told:
            seen, child = dict(watched(self._app_dir)), self._start()
            changed = self._wait(seen, child)
            self._end(child)
            if changed:
                print(f"{os.path.relpath(changed, self._app_dir)} changed: starting again", flush=True)
        return 0

    def _tell(self) -> None:
        self._told = True

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "local.host", *self._arguments, "--supervisor", str(os.getpid())],
            stdin=subprocess.PIPE,  # its lifeline: it ends when we are gone, however we went
            cwd=ROOT,
            start_new_session=True,  # Ctrl+C is for us
        )

    def _wait(self, seen: dict[str, int], child: subprocess.Popen[bytes]) -> str | None:
        """The file that changed, or None when told to stop. A child that failed waits for a change as well."""
        failed = False
        while not self._told:
            time.sleep(EVERY)
            now = dict(watched(self._app_dir))
            if now != seen:
                return next(iter(dict(now.items() ^ seen.items())))
            if not failed and child.poll() is not None:
                failed = True
                print("The host has ended; it starts again when a file changes.", flush=True)
        return None

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(4 * self._grace + 8)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
