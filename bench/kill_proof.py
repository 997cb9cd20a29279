"""The proof that a killed process takes no call out of the ledger beyond the stated bound (docs/proofs.md).

Several gateways share one Azurite and one upstream. Callers call them without a pause; processes are killed at random
(kill -9) and started again. Every call carries a mark of its own, as its `user`: what the upstream was asked for is
then held against the ledger, mark by mark.

It owns the killing and the comparison. The upstream and its count live in this process, which nobody kills.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench import tollgate
from bench.lab import Lab
from bench.measure import body
from bench.procs import Child, free_port
from bench.upstream import ANSWER, Upstream

PROCESSES, CALLERS = 3, 24
BOUND = 2.0  # seconds of ended calls that a kill may take with it (USAGE_FLUSH=interval)
WRITE = 0.5  # seconds that a write may take besides
TOKENS = (96, 64)  # that the upstream reports for every whole answer
MARK = re.compile(rb'"user"\s*:\s*"(p-\d+)"')


@dataclass
class Made:
    """One call, as its caller saw it."""

    process: int
    began: float
    ended: float | None = None  # when its last byte came; None: it broke


@dataclass
class Scene:
    """What happened, by everybody's own account."""

    served: Counter[str] = field(default_factory=Counter[str])  # by the upstream, when it was asked
    made: dict[str, Made] = field(default_factory=dict[str, Made])
    kills: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    statuses: Counter[int] = field(default_factory=Counter[int])
    in_force: bool = True


class Witness(Upstream):
    """The benchmark's upstream, which notes who asked and takes a moment to answer."""

    scene: Scene

    def on_message_complete(self) -> None:
        found = MARK.search(self.body)
        if found:
            self.scene.served[found[1].decode()] += 1
        if found and b'"stream"' not in self.body:
            self.loop.call_later(random.random() * 0.06, self._write, ANSWER)
        else:
            super().on_message_complete()


@dataclass
class Verdict:
    """What the ledger says, held against the scene."""

    flush: str
    kills: int
    served: int
    finished: int
    unfinished: int
    missing: int
    in_flight: int  # of the missing: not ended when their process was killed
    oldest: float  # of the others: seconds between their end and the kill
    twice: int
    never_served: int
    wrong_tokens: int
    behind: int  # calls that the totals lack against the ledger, until the timer repairs them

    @property
    def holds(self) -> bool:
        if self.twice or self.wrong_tokens or not self.kills or not self.served:
            return False
        return not self.missing if self.flush == "request" else self.oldest <= BOUND + WRITE

    def __str__(self) -> str:
        late = f", {self.in_flight} of them in flight, the others ended {self.oldest:.2f} s before a kill at the most"
        return (
            f"USAGE_FLUSH={self.flush}: {self.kills} kills; the upstream served {self.served:,} calls; the ledger has "
            f"{self.finished:,} finished and {self.unfinished:,} unfinished ones; missing {self.missing}"
            f"{late if self.missing else ''}; twice {self.twice}; written down and never served {self.never_served}; "
            f"wrong tokens {self.wrong_tokens}; totals behind by {self.behind}: {'holds' if self.holds else 'BROKEN'}"
        )


def run(lab: Lab, flush: str, seconds: float) -> Verdict:
    """Storage must be ready (tollgate.prepare)."""
    made = tollgate.make_key(lab)
    scene = asyncio.run(_scene(lab, flush, seconds, made["key"]))
    return judge(flush, scene, *read_tables(lab.kept["storage"], made["id"]))


async def _scene(lab: Lab, flush: str, seconds: float, key: str) -> Scene:
    scene = Scene()
    witness = type("SceneWitness", (Witness,), {"scene": scene})
    server = await asyncio.get_running_loop().create_server(witness, "127.0.0.1", 0, backlog=1024)
    lab.upstream = server.sockets[0].getsockname()[1]
    config = lab.work / f"kill-{flush}.yaml"
    config.write_text(tollgate.CONFIG.format(base=lab.base()))
    settings = {**tollgate.settings(lab), "USAGE_FLUSH": flush, "CONFIG_SOURCE": str(config)}
    ports = [free_port() for _ in range(PROCESSES)]
    children = [_start(lab, number, port, settings) for number, port in enumerate(ports)]
    async with server, httpx.AsyncClient(timeout=15, trust_env=False) as http:
        for port in ports:
            await _ready(http, port)
        callers = [asyncio.create_task(_call(scene, http, ports, key, n)) for n in range(CALLERS)]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(random.uniform(1.0, 3.0))
            number = random.randrange(PROCESSES)
            _kill(scene, children[number], number)
            children[number] = _start(lab, number, ports[number], settings)
            with contextlib.suppress(TimeoutError):
                await _ready(http, ports[number])
        scene.in_force = False
        await asyncio.gather(*callers)
    await asyncio.gather(*(asyncio.to_thread(child.stop, 60.0) for child in children))
    codes = [child.process.returncode for child in children]
    if any(codes):
        raise SystemExit(f"bench: a gateway did not end in good order: {codes}\n{children[0].tail()}")
    return scene


def _start(lab: Lab, number: int, port: int, settings: dict[str, str]) -> Child:
    return lab.children.start(f"kill-{number}", tollgate.host_argv(port), None, settings, lab.root)


def _kill(scene: Scene, child: Child, number: int) -> None:
    scene.kills.append((number, time.monotonic()))
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()


async def _ready(http: httpx.AsyncClient, port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def _call(scene: Scene, http: httpx.AsyncClient, ports: list[int], key: str, caller: int) -> None:
    """One caller: a call after the other, to any of the processes."""
    number = 0
    while scene.in_force:
        number += 1
        mark, process, stream = f"p-{caller * 1_000_000 + number}", random.randrange(PROCESSES), number % 3 == 0
        given: dict[str, Any] = json.loads(body(stream).replace("chunks=50 delay=20", "chunks=6 delay=10"))
        call = scene.made[mark] = Made(process, time.monotonic())
        url = f"http://127.0.0.1:{ports[process]}/v1/chat/completions"
        try:
            reply = await http.post(url, json={**given, "user": mark}, headers={"authorization": f"Bearer {key}"})
            scene.statuses[reply.status_code] += 1
            if reply.status_code == 200 and (not stream or reply.text.rstrip().endswith("data: [DONE]")):
                call.ended = time.monotonic()
        except httpx.HTTPError:
            await asyncio.sleep(0.05)  # its process has been killed


def read_tables(storage: str, key_id: str) -> tuple[list[dict[str, Any]], int]:
    """-> a key's events as they lie in the ledger, and the calls that its totals count."""
    from azure.data.tables import TableServiceClient

    events: list[dict[str, Any]] = []
    total = 0
    inside = f"PartitionKey ge '{key_id}' and PartitionKey lt '{key_id}~'"
    with TableServiceClient.from_connection_string(storage) as service:
        for table in [str(row.name) for row in service.list_tables()]:
            if table.startswith("tollgateledger"):
                for row in service.get_table_client(table).query_entities(inside):
                    events += [json.loads(line) for line in str(row["events"]).split("\n")]
            elif table.startswith("tollgateusage"):
                rows = service.get_table_client(table).query_entities(inside)
                total += sum(int(getattr(row["requests"], "value", row["requests"])) for row in rows)
    return events, total


def judge(flush: str, scene: Scene, events: list[dict[str, Any]], total: int) -> Verdict:
    """The rule of every reader: one event for each request id, a finished one before an unfinished one."""
    finished = [event for event in events if event["outcome"] != "unfinished"]
    ids = {event["request_id"] for event in finished}
    open_ones = {e["request_id"]: e for e in events if e["outcome"] == "unfinished" and e["request_id"] not in ids}
    told = Counter(str(event.get("user")) for event in [*finished, *open_ones.values()])
    missing = [mark for mark in scene.served if mark not in told]
    ages = [_age(scene, scene.made[mark]) for mark in missing]
    twice = (len(finished) - len(ids)) + sum(count > 1 for count in told.values())
    whole = [event for event in finished if event["outcome"] == "ok"]
    wrong = [event for event in whole if (event["input_tokens"], event["output_tokens"]) != TOKENS]
    return Verdict(
        flush=flush,
        kills=len(scene.kills),
        served=scene.served.total(),
        finished=len(finished),
        unfinished=len(open_ones),
        missing=len(missing),
        in_flight=sum(age is None for age in ages),
        oldest=max((age for age in ages if age is not None), default=0.0),
        twice=twice + sum(count > 1 for count in scene.served.values()),
        never_served=sum(mark not in scene.served for mark in told),
        wrong_tokens=len(wrong),
        behind=len(finished) - total,
    )


def _age(scene: Scene, call: Made) -> float | None:
    """Seconds between a call's end and the kill of the process that made it; None when it was still open. An answer
    that was under way to its caller at the kill may have been read a moment after it."""
    if call.ended is None:
        return None
    at = min((at for process, at in scene.kills if process == call.process and at > call.began), default=float("inf"))
    return max(0.0, at - call.ended)


def main(lab: Lab, seconds: float) -> list[Verdict]:
    found: list[Verdict] = []
    for flush in ("interval", "request"):
        lab.say(f"{PROCESSES} gateways, {CALLERS} callers, USAGE_FLUSH={flush}: {seconds:.0f} s of kills")
        found.append(run(lab, flush, seconds))
        lab.say(f"  {found[-1]}")
    return found


if __name__ == "__main__":
    sys.exit("run it by `python -m bench prove`")
