"""Owns starting, recognising and ending operating-system processes. Must not know what they do.

Every process that is started here leads its own process group, so that a Ctrl-C in the terminal reaches only the
supervisor and so that ending a part ends its children too. A process is recognised by its number and its start.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = 0.02


@dataclass(frozen=True, slots=True)
class Child:
    """A process that this process started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        return self.process.poll()


def spawn(name: str, command: Sequence[str], log: Path, cwd: Path, environ: Mapping[str, str]) -> Child:
    """Start a program in a process group of its own, its output in a log (the previous log is kept beside it)."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    flags = 0x00000200 if sys.platform == "win32" else 0  # CREATE_NEW_PROCESS_GROUP
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=flags,
        )
    return Child(name, process, log)


def birth(pid: int) -> str | None:
    """What tells this process from a later one with the same number; None when there is none (or a zombie)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id")
        return None if fields[0] in "ZX" else f"{boot.read_text().strip() if boot.exists() else ''}/{fields[19]}"
    windows = os.name == "nt"
    command = (
        ["tasklist", "/FI", f"PID eq {pid}", "/FO", "CSV", "/NH"]
        if windows
        else ["ps", "-o", "lstart=", "-p", str(pid)]
    )
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if windows:  # '"python.exe","123",...', or a sentence when there is none
        return said.split(",")[0] if f'"{pid}"' in said else None
    return said or None


def is_alive(pid: int, born: str | None) -> bool:
    """Whether this very process still runs: a reused number does not count."""
    return born is not None and birth(pid) == born


def signal_group(pid: int, forced: bool) -> None:
    """Ask a process group to end, or end it."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL if forced else signal.SIGTERM)


def wait_until(gone: Sequence[tuple[int, str | None]], seconds: float) -> bool:
    """Wait for processes (also those of others) to end; whether they did."""
    until = time.monotonic() + seconds
    while any(is_alive(pid, born) for pid, born in gone):
        if time.monotonic() > until:
            return False
        time.sleep(TICK)
    return True


def end_children(children: Sequence[Child], grace: float) -> list[str]:
    """End these children and everything in their groups; the names of those that had to be forced."""
    for child in children:
        signal_group(child.pid, forced=False)
    until = time.monotonic() + grace
    while any(child.exit_code is None for child in children) and time.monotonic() < until:
        time.sleep(TICK)
    forced = [child.name for child in children if child.exit_code is None]
    for child in children:
        signal_group(child.pid, forced=True)  # sweeps what a child left behind, too
    for child in children:
        child.process.wait()
    return forced


def end_strangers(processes: Sequence[tuple[int, str | None]], grace: float) -> None:
    """End process groups that another process started, each only if it is still the one that was recorded."""
    for forced in (False, True):
        alive = [(pid, born) for pid, born in processes if is_alive(pid, born)]
        for pid, _ in alive:
            signal_group(pid, forced)
        if wait_until(alive, grace):
            return


def last_lines(log: Path, count: int = 15) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "\n".join(f"    {line}" for line in lines) or "    (the log is empty)"
