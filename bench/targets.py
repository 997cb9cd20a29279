"""What is measured: how each target is made ready, started and called.

Installing the peers is `peers.py`'s, preparing the gateway `tollgate.py`'s, the figures `measure.py`'s.

A target is a row with three functions. `prepare` runs once, before the rounds; `start` runs for every cold start;
a call is a POST of an OpenAI chat completion to `path` with `headers`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import peers, tollgate
from bench.lab import Lab
from bench.procs import Child, free_port


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
    child = lab.gateway("tollgate", tollgate.host_argv(port), tollgate.settings(lab) | tollgate.WITHOUT_QUEUES)
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
