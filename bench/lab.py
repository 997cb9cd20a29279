"""The place of one run: its folders, its cores, and how programs are started on them. Knows no target."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.procs import Child, Children, cores


@dataclass
class Lab:
    """What one run of the benchmark has: folders, cores, the upstream, and what targets keep between rounds."""

    root: Path
    children: Children
    upstream: int = 0
    say: Callable[[str], None] = print
    kept: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = self.root / ".tollgate" / "bench"
        self.gateway_core, self.other_core = cores()

    def base(self) -> str:
        return f"http://127.0.0.1:{self.upstream}"

    def aside(self, name: str, argv: list[str], port: int, env: dict[str, str] | None = None) -> Child:
        """Start something that is not measured on the other core, and wait until it answers on its port."""
        child = self.children.start(name, argv, self.other_core, env, self.root)
        until = time.monotonic() + 30
        while time.monotonic() < until and child.alive():
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
            except urllib.error.HTTPError:
                return child
            except OSError:
                time.sleep(0.05)
            else:
                return child
        raise SystemExit(f"bench: {name} did not start:\n{child.tail()}")

    def gateway(self, name: str, argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> Child:
        """Start what is measured, on its own core, without a proxy between it and loopback."""
        quiet = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "PYTHONDONTWRITEBYTECODE": ""}
        return self.children.start(name, argv, self.gateway_core, {**quiet, **(env or {})}, cwd or self.root)
