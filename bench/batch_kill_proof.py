"""The proof that a killed host takes no line out of a batch, and bills none twice (docs/proofs.md).

Two hosts with real queue triggers share one Azurite and one upstream, and run one batch of the own engine. At random
points of it a whole host is killed (kill -9) and started again. Every line carries a mark of its own, as its `user`:
afterwards the output, the error file and the ledger are held against the input.

It owns the killing and the comparison. The upstream lives in this process, which nobody kills.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench import tollgate
from bench.kill_proof import MARK, TOKENS, read_tables
from bench.lab import Lab
from bench.procs import Child, free_port, tree
from bench.upstream import ANSWER, Upstream

HOSTS, LINES, KILLS, SEED = 2, 5000, 20, 7
SLOWEST = 0.6  # seconds that the upstream takes for a line at most
LEASE = 2  # seconds until the messages of a killed host come back; 600 in Azure
LONGEST = 600.0  # seconds that a run may take
ENDED = ("completed", "failed", "expired", "cancelled")


@dataclass
class Scene:
    """What happened, by everybody's own account."""

    served: Counter[str] = field(default_factory=Counter[str])  # by the upstream, when it was asked
    kills: int = 0
    batch: dict[str, Any] = field(default_factory=dict[str, Any])  # as it was told last
    output: str = ""
    errors: str = ""
    seconds: float = 0.0
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, mark: str) -> None:
        self.served[mark] += 1
        self.grown.set()

    async def reached(self, lines: int) -> None:
        while len(self.served) < lines:
            self.grown.clear()
            await self.grown.wait()


class Witness(Upstream):
    """The benchmark's upstream, which notes who asked and takes a moment to answer."""

    scene: Scene

    def on_message_complete(self) -> None:
        if found := MARK.search(self.body):
            self.scene.ask(found[1].decode())
        self.loop.call_later(random.random() * SLOWEST, self._write, ANSWER)


@dataclass
class Verdict:
    """What the files and the ledger say, held against the input."""

    lines: int
    answered: int  # lines with an answer of the model
    missing: int
    twice: int  # lines with more than one answer
    refused: int  # lines in the error file
    billed: int  # lines in the ledger
    billed_twice: int
    wrong_tokens: int
    wrong_counts: int  # of the batch's own request_counts
    asked_again: int = 0  # by the upstream's account: a host was killed between its answer and the storing of it
    kills: int = 0
    seconds: float = 0.0
    mode: str = ""

    @property
    def holds(self) -> bool:
        wrong = self.missing + self.twice + self.refused + self.billed_twice + self.wrong_tokens + self.wrong_counts
        return not wrong and self.answered == self.billed == self.lines > 0

    def __str__(self) -> str:
        return (
            f"{self.mode}: {self.lines:,} lines, {self.kills} kills, {self.seconds:.0f} s; answered {self.answered:,}, "
            f"missing {self.missing}, twice {self.twice}, refused {self.refused}; billed {self.billed:,}, twice "
            f"{self.billed_twice}, wrong tokens {self.wrong_tokens}, wrong counts {self.wrong_counts}; asked again "
            f"{self.asked_again}: {'holds' if self.holds else 'BROKEN'}"
        )


def judge(
    ids: Iterable[str],
    output: str,
    errors: str,
    counts: Mapping[str, Any],
    events: Iterable[Mapping[str, Any]],
    each: tuple[int, int] = TOKENS,
) -> Verdict:
    """ids: of the input; events: the ledger's, of this batch alone; each: input and output tokens of every answer."""
    wanted = list(ids)
    good = Counter(str(json.loads(line)["custom_id"]) for line in output.splitlines())
    bad = Counter(str(json.loads(line)["custom_id"]) for line in errors.splitlines())
    both = good + bad
    rows = list(events)
    names = Counter(str(event["request_id"]) for event in rows)
    tokens = sum(e["input_tokens"] for e in rows), sum(e["output_tokens"] for e in rows)
    right = tuple(count * good.total() for count in each)
    told = counts.get("total"), counts.get("completed"), counts.get("failed")
    return Verdict(
        lines=len(wanted),
        answered=len(good),
        missing=sum(name not in both for name in wanted),
        twice=sum(count > 1 for count in both.values()),
        refused=len(bad),
        billed=sum(int(event.get("count", 1)) for event in rows),
        billed_twice=sum(count > 1 for count in names.values()),
        wrong_tokens=sum(abs(a - b) for a, b in zip(tokens, right, strict=True)),
        wrong_counts=int(told != (len(wanted), len(good), len(bad))),
    )


def input_of(lines: int) -> bytes:
    def line(number: int) -> str:
        body = {"model": "gpt-4o", "user": f"p-{number}", "messages": [{"role": "user", "content": f"line {number}"}]}
        return json.dumps({"custom_id": f"c-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})

    return "\n".join(map(line, range(lines))).encode()


def run(lab: Lab, mode: str, lines: int = LINES, kills: int = KILLS) -> Verdict:
    """Storage must be ready (tollgate.prepare)."""
    made = tollgate.make_key(lab)
    scene = asyncio.run(_scene(lab, mode, made["key"], lines, kills))
    events, _ = read_tables(lab.kept["storage"], made["id"])
    events = [event for event in events if str(event["request_id"]).startswith("batch_")]
    counts = scene.batch.get("request_counts") or {}
    found = judge((f"c-{n}" for n in range(lines)), scene.output, scene.errors, counts, events)
    found.asked_again = scene.served.total() - len(scene.served)
    found.kills, found.seconds, found.mode = scene.kills, scene.seconds, mode
    return found


@dataclass
class Hosts:
    """The hosts of one run, and what is needed to start one again."""

    lab: Lab
    mode: str
    settings: dict[str, str]
    ports: list[int] = field(default_factory=list[int])
    children: list[Child] = field(default_factory=list[Child])

    def start(self, number: int) -> Child:
        argv = [*tollgate.host_argv(self.ports[number]), "--grace", "1"]
        argv[argv.index("--mode") + 1] = self.mode
        return self.lab.children.start(f"batch-{number}", argv, None, self.settings, self.lab.root)

    def kill(self, number: int) -> None:
        """The host and, where it has one, its worker: as when an instance vanishes."""
        child = self.children[number]
        for pid in reversed(tree(child.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.process.wait()
        self.children[number] = self.start(number)


async def _scene(lab: Lab, mode: str, key: str, lines: int, kills: int) -> Scene:
    scene = Scene()
    witness = type("SceneWitness", (Witness,), {"scene": scene})
    server = await asyncio.get_running_loop().create_server(witness, "127.0.0.1", 0, backlog=1024)
    lab.upstream = server.sockets[0].getsockname()[1]
    config = lab.work / "batch-kill.yaml"
    config.write_text(tollgate.CONFIG.format(base=lab.base()))
    settings = {**tollgate.settings(lab), "CONFIG_SOURCE": str(config), "FUNCHOST_QUEUE_LEASE": str(LEASE)}
    hosts = Hosts(lab, mode, settings, [free_port() for _ in range(HOSTS)])
    hosts.children = [hosts.start(number) for number in range(HOSTS)]
    headers = {"authorization": f"Bearer {key}"}
    async with server, httpx.AsyncClient(timeout=30, trust_env=False, headers=headers) as http:
        ask = Asking(http, hosts)
        batch = await _made(ask, lines)
        began = time.monotonic()
        killing = asyncio.create_task(_kill(scene, hosts, lines, kills))
        try:
            scene.batch = await _ended(ask, str(batch["id"]), began)
        finally:
            killing.cancel()
        scene.seconds = time.monotonic() - began
        scene.output = await ask.text(scene.batch.get("output_file_id"))
        scene.errors = await ask.text(scene.batch.get("error_file_id"))
        for child in hosts.children:  # they keep connections to the upstream, which it would wait for
            await asyncio.to_thread(child.stop, 60.0)
    return scene


async def _kill(scene: Scene, hosts: Hosts, lines: int, kills: int) -> None:
    """At random points of the work, by what the upstream has been asked for: no host is a witness of its own end."""
    rng = random.Random(SEED)
    for point in sorted(rng.randrange(lines * 19 // 20) for _ in range(kills)):
        await scene.reached(point)
        await asyncio.to_thread(hosts.kill, rng.randrange(HOSTS))
        scene.kills += 1


@dataclass
class Asking:
    """A client that asks whichever host answers."""

    http: httpx.AsyncClient
    hosts: Hosts

    async def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            for port in self.hosts.ports:
                with contextlib.suppress(httpx.HTTPError):
                    reply = await self.http.request(method, f"http://127.0.0.1:{port}{path}", **given)
                    if reply.status_code == 200:
                        return reply
                    if reply.status_code < 500:
                        raise SystemExit(f"bench: {method} {path}: {reply.status_code} {reply.text[:500]}")
            await asyncio.sleep(0.1)
        raise SystemExit(f"bench: no host answers:\n{self.hosts.children[0].tail()}")

    async def text(self, file_id: object) -> str:
        return (await self.ask("GET", f"/v1/files/{file_id}/content")).text if file_id else ""


async def _made(ask: Asking, lines: int) -> dict[str, Any]:
    form = {"files": {"file": ("in.jsonl", input_of(lines))}, "data": {"purpose": "batch"}}
    file = (await ask.ask("POST", "/v1/files", **form)).json()
    body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return (await ask.ask("POST", "/v1/batches", json=body)).json()


async def _ended(ask: Asking, batch_id: str, began: float) -> dict[str, Any]:
    while True:
        found = (await ask.ask("GET", f"/v1/batches/{batch_id}")).json()
        if found["status"] in ENDED or time.monotonic() - began > LONGEST:
            return found
        await asyncio.sleep(0.5)


def main(lab: Lab, lines: int = LINES, kills: int = KILLS) -> list[Verdict]:
    found: list[Verdict] = []
    for mode in ("asgi", "process"):
        lab.say(f"{HOSTS} hosts (--mode {mode}), one batch of {lines:,} lines: {kills} kills")
        found.append(run(lab, mode, lines, kills))
        lab.say(f"  {found[-1]}")
    return found


if __name__ == "__main__":
    sys.exit("run it by `python -m bench prove --only batches`")
