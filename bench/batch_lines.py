"""`python -m bench lines`: what a line of a batch costs that the own engine runs: lines per second and CPU per line.

It owns one section of docs/benchmarks.md.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx

from bench import report, tollgate
from bench.batch_kill_proof import ENDED, input_of
from bench.lab import Lab
from bench.procs import Child, Children, alone, free_port
from bench.targets import start_upstream

TITLE = "## Lines of batches"
LINES = 5000
LONGEST = 600.0


@dataclass(frozen=True)
class Ran:
    """One batch that was run."""

    lines: int
    completed: int
    seconds: float
    cpu: float | None
    """Seconds of the gateway."""
    memory: float | None


def run(lab: Lab, lines: int) -> Ran:
    """The upstream and storage must be ready."""
    port = free_port()
    child = lab.gateway("tollgate", tollgate.host_argv(port), tollgate.settings(lab))
    headers = {"authorization": f"Bearer {lab.kept['key']}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, headers=headers) as http:
            _wait(http, child)
            _batch(http, 50)  # what is imported when it is first needed
            return _measured(http, child, lines)
    finally:
        lab.children.stop(child)


def _measured(http: httpx.Client, child: Child, lines: int) -> Ran:
    before = child.cpu()
    batch = _batch(http, lines)
    after = child.cpu()
    cpu = after - before if after is not None and before is not None else None
    seconds = batch["completed_at"] - batch["in_progress_at"]
    return Ran(lines, batch["request_counts"]["completed"], float(seconds), cpu, child.memory())


def _wait(http: httpx.Client, child: Child) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and child.alive():
        try:
            if http.get("/health/live").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit(f"bench: the gateway did not start:\n{child.tail()}")


def _batch(http: httpx.Client, lines: int) -> dict[str, Any]:
    """-> a batch that has ended."""
    form = {"file": ("in.jsonl", input_of(lines))}
    file = http.post("/v1/files", files=form, data={"purpose": "batch"}).raise_for_status().json()
    body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = http.post("/v1/batches", json=body).raise_for_status().json()
    until = time.monotonic() + LONGEST
    while batch["status"] not in ENDED and time.monotonic() < until:
        time.sleep(2.0)
        batch = http.get(f"/v1/batches/{batch['id']}").raise_for_status().json()
    if batch["status"] != "completed":
        raise SystemExit(f"bench: the batch is {batch['status']} after {LONGEST:.0f} s: {batch['request_counts']}")
    return batch


def main(root: Path, out: Path | None, command: str, say: Callable[[str], None], lines: int = LINES) -> int:
    """out: the page whose section is written; None: print only."""
    work = root / ".tollgate" / "bench"
    with alone(work), Children(work / "logs") as children:
        lab = Lab(root, children, say=say)
        start_upstream(lab)
        tollgate.prepare(lab)
        ran = run(lab, lines)
    text = section(ran, command)
    say("\n" + text)
    if out is not None:
        report.put_section(out, TITLE, text)
        say(f"written: {out.name}")
    return 0 if ran.completed == ran.lines else 1


def section(ran: Ran, command: str) -> str:
    header = ["lines", "answered", "s", "lines/s", "CPU µs a line", "of the core %", "RSS MB"]
    share = report.over(ran.cpu, ran.seconds)
    cells = [
        f"{ran.lines:,}",
        f"{ran.completed:,}",
        report.number(ran.seconds, 0),
        report.number(ran.lines / max(ran.seconds, 1.0), 0),
        report.number(None if ran.cpu is None else ran.cpu / ran.lines * 1e6, 0),
        report.number(None if share is None else min(share * 100, 100), 0),
        report.number(ran.memory, 0),
    ]
    template = Template(Path(__file__).with_name("batch_lines.md").read_text())
    return template.substitute(
        command=command,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=report.machine(),
        lines=f"{ran.lines:,}",
        figures=report.table(header, [cells]),
    )
