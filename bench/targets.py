"""What is measured: how each target is made ready, started and called.

Installing the peers is `peers.py`'s, preparing the gateway `tollgate.py`'s, the figures `measure.py`'s.

A target is a row with three functions. `prepare` runs once, before the rounds; `start` runs for every cold start;
a call is a POST of an OpenAI chat completion to `path` with `headers`.
"""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import peers, tollgate
from bench.procs import Child, Children, cores, free_port


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


@dataclass
class Running:
    """A started target, ready to be called or on its way there."""

    child: Child | None
    port: int
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    name: str
    about: str
    prepare: Callable[[Lab], None]
    start: Callable[[Lab], Running]


def start_upstream(lab: Lab) -> None:
    lab.upstream = free_port()
    lab.aside("upstream", [sys.executable, "-m", "bench.upstream", "--port", str(lab.upstream)], lab.upstream)


def _nothing(lab: Lab) -> None:
    del lab


def _direct(lab: Lab) -> Running:
    path = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    return Running(None, lab.upstream, path, {"api-key": "k"})


def _floor(lab: Lab) -> Running:
    port = free_port()
    argv = [sys.executable, "-m", "bench.floor", "--port", str(port), "--upstream", lab.base()]
    return Running(lab.gateway("floor", argv), port, headers={"authorization": "Bearer k"})


def _tollgate(lab: Lab) -> Running:
    port = free_port()
    argv = [sys.executable, *tollgate.HOST, "--port", str(port)]
    child = lab.gateway("tollgate", argv, tollgate.settings(lab))
    return Running(child, port, headers={"authorization": f"Bearer {lab.kept['key']}"})


def _litellm(lab: Lab) -> Running:
    port = free_port()
    child = lab.gateway("litellm", peers.litellm_argv(lab, port), peers.LITELLM_ENV, lab.work / "litellm")
    return Running(child, port, headers={"authorization": f"Bearer {peers.MASTER_KEY}"})


def _portkey(lab: Lab) -> Running:
    port = free_port()
    child = lab.gateway("portkey", peers.portkey_argv(lab, port), {"NODE_ENV": "production"}, lab.work / "portkey")
    return Running(child, port, headers=peers.portkey_headers(lab))


TARGETS = {
    target.name: target
    for target in (
        Target("direct", "the load generator on the upstream itself", _nothing, _direct),
        Target("tollgate", "this gateway in the local Functions host, metering on", tollgate.prepare, _tollgate),
        Target("litellm", f"LiteLLM proxy {peers.LITELLM}, one worker, no database", peers.install_litellm, _litellm),
        Target("portkey", f"Portkey gateway {peers.PORTKEY} on Node", peers.install_portkey, _portkey),
        Target("floor", "bench/floor.py: a bare passthrough, uvicorn and aiohttp", _nothing, _floor),
    )
}
