"""Child processes: started on one core, watched through /proc, stopped by their ids.

It owns every process that the benchmark starts; whatever happens, leaving `Children` ends them. Pinning and the figures
from /proc exist on Linux only: elsewhere children run unpinned, and CPU and memory are unknown (`None`).
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LINUX = sys.platform == "linux"
TICK = os.sysconf("SC_CLK_TCK") if LINUX else 100


def cores() -> tuple[int | None, int | None]:
    """The gateway's core, and the core of everything else. The same one when the machine gives us only one."""
    if not LINUX:
        return None, None
    ours = sorted(os.sched_getaffinity(0))
    return ours[0], ours[-1]


def pin(core: int | None) -> Callable[[], None] | None:
    """What a child does before it runs its program, to stay on one core (what `taskset` does)."""
    return (lambda: os.sched_setaffinity(0, {core})) if core is not None else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tree(pid: int) -> list[int]:
    """A process and all that it started, as far as they still run."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


@dataclass
class Child:
    """One started process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    def cpu(self) -> float | None:
        """Seconds of CPU that the process and its children have used."""
        if not LINUX:
            return None
        ticks = 0
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += sum(int(field) for field in fields[11:13])
        return ticks / TICK

    def memory(self) -> float | None:
        """Resident megabytes of the process and its children."""
        if not LINUX:
            return None
        kilobytes = 0
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    kilobytes += int(line.split()[1]) if line.startswith("VmRSS:") else 0
        return kilobytes / 1024

    def alive(self) -> bool:
        return self.process.poll() is None

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, patience: float = 5.0) -> None:
        """Ask, wait, then insist; children that outlive their parent are ended too."""
        pids = tree(self.process.pid) if LINUX else [self.process.pid]
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(patience)
        for pid in pids[1:]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def alone(work: Path) -> Generator[None]:
    """One benchmark at a time in a checkout: two would measure each other, and they share their files."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("a+") as lock:
        if LINUX:
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise SystemExit(f"bench: another benchmark runs in this checkout (process {lock.read()})") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class Children:
    """All children of one run; a context manager that leaves none behind."""

    def __init__(self, logs: Path) -> None:
        self.logs, self.running = logs, list[Child]()

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self.running):
            child.stop()

    def start(
        self, name: str, argv: list[str], core: int | None, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Child:
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                preexec_fn=pin(core),
            )
        child = Child(name, process, log, started)
        self.running.append(child)
        return child

    def stop(self, child: Child) -> None:
        child.stop()
        self.running.remove(child)
