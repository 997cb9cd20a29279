"""`python -m bench.limits_proof`: 8 processes with 50 callers each hammer one key at its limit for a whole minute.

One run for each kind of limit, on an Azurite of its own: what was admitted beside the limit, what it cost in storage
operations and in CPU. There is no HTTP: bench/lease_worker.py uses the limiter and the table service directly.
Ends with 1 when more than the limit was admitted, or less than 97 % of it.
"""

import argparse
import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MICRO = 1_000
LEAST = 0.97


@dataclass(frozen=True)
class Case:
    name: str
    limits: Mapping[str, Any]
    limit: float
    unit: str
    worker: Mapping[str, Any] = field(default_factory=dict[str, Any])


CASES = (
    Case("600 requests a minute", {"rpm": 600}, 600, "requests"),
    Case("6000 requests a minute", {"rpm": 6000}, 6000, "requests"),
    Case("60000 tokens a minute, 100 a call", {"tpm": 60_000}, 600, "calls", {"need": (100, 0)}),
    Case(
        "600000 tokens a minute, 4096 reserved, 300 used", {"tpm": 600_000}, 2000, "calls",
        {"need": (4096, 0), "spent": (300, 0)},
    ),
    Case("100 calls at the same time", {"parallel": 100}, 100, "calls", {"lasts": 1.0, "trace": True}),
    Case(
        "a budget of 2 dollars, 0.002 reserved, 0.001 used", {"budgets": [("day", 2 * 10**9)]}, 2000, "calls",
        {"need": (1, 2_000 * MICRO), "spent": (1, 1_000 * MICRO)},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    admitted: float
    operations: int
    calls: int
    refused: int
    cpu: float
    most: float
    """Of what must never exceed the limit: `admitted`, or calls in flight at any moment."""


def run(case: Case, connection: str, processes: int, callers: int, seconds: float) -> Result:
    """A whole minute by the clock: workers start before it and stop just before it ends."""
    begin = (int(time.time() // 60) + 1) * 60.0
    if begin - time.time() < 5:
        begin += 60
    given = {
        "connection": connection, "key": uuid.uuid4().hex, "limits": case.limits, "from": begin,
        "until": begin + seconds, "callers": callers, "lasts": 0.05, "again": 0.3, **case.worker,
    }  # fmt: skip
    running = [_start(given | {"instance": f"p{n}"}) for n in range(processes)]
    ended = [_last_line(process) for process in running]
    windows: Counter[str] = Counter()
    for said in ended:
        windows.update(said["admitted"])
    calls = sum(said["calls"] for said in ended)
    admitted: float = max(windows.values(), default=0) or calls
    if "parallel" in case.limits:
        admitted = sum(said["busy"] for said in ended) / seconds
    at_once = _most_at_once([tuple(event) for said in ended for event in said["trace"]])
    return Result(
        admitted, sum(said["operations"] for said in ended), calls, sum(said["refused"] for said in ended),
        sum(said["cpu"] for said in ended), at_once or admitted,
    )  # fmt: skip


def _most_at_once(trace: list[tuple[float, int]]) -> int:
    most = running = 0
    for _, change in sorted(trace):
        running += change
        most = max(most, running)
    return most


def _start(given: Mapping[str, Any]) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "bench.lease_worker", json.dumps(given)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _last_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a worker failed with {process.returncode}")
    return json.loads(said.splitlines()[-1])


def main() -> int:
    from tests.support.azurite import Azurite

    parser = argparse.ArgumentParser(prog="python -m bench.limits_proof", description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=59.5)
    parser.add_argument("--case", type=int, help="only this one, from 0 on")
    options = parser.parse_args()
    azurite, good = Azurite.start(), True
    try:
        for case in CASES if options.case is None else [CASES[options.case]]:
            found = run(case, azurite.connection_string, options.processes, options.callers, options.seconds)
            share = found.admitted / case.limit
            good = good and share >= LEAST and found.most <= case.limit
            asked = found.calls + found.refused
            print(
                f"{case.name}: {found.admitted:.1f} of {case.limit:g} {case.unit} ({share:.2%}); "
                f"at most {found.most:g}; {found.refused} refused; {found.operations} operations = "
                f"{1000 * found.operations / max(found.calls, 1):.0f} per 1,000 admitted, "
                f"{1000 * found.operations / max(asked, 1):.1f} per 1,000 asked; CPU {found.cpu:.1f} s",
                flush=True,
            )
    finally:
        azurite.stop()
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
