"""`python -m bench keys`: what keys, limits and the ledger cost: CPU a call, and operations on storage for 1,000 calls.

It owns one section of docs/benchmarks.md, which the benchmark of the gateways leaves as it finds it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from string import Template

from bench import accounting, report, storage, tollgate
from bench.lab import Lab
from bench.procs import Children, alone
from bench.storage import Counted
from bench.targets import start_upstream

TITLE = "## Keys, limits and the ledger"
GOAL = 60.0  # microseconds of CPU a call, all of it together
COLUMNS = ("keys", "limits", "ledger", "totals", "batches", "others")


def main(root: Path, out: Path | None, command: str, say: Callable[[str], None]) -> int:
    """out: the page whose section is written; None: print only."""
    pieces = accounting.time_each()
    say("\n" + pieces_table(pieces) + "\n")
    work = root / ".tollgate" / "bench"
    counted: list[Counted] = []
    with alone(work), Children(work / "logs") as children:
        lab = Lab(root, children, say=say)
        start_upstream(lab)
        tollgate.prepare(lab, access_log=True)
        for scenario in storage.SCENARIOS:
            counted.append(storage.run(lab, scenario))
            say(f"{scenario.rpm} rpm, {scenario.flush}: {counted[-1].per_thousand():,.0f} operations per 1,000 calls")
    text = section(pieces, counted, command)
    say("\n" + text)
    if out is not None:
        report.put_section(out, TITLE, text)
        say(f"written: {out.name}")
    return 0 if not any(row.refused for row in counted) else 1


def pieces_table(pieces: dict[str, float]) -> str:
    return report.table(["piece", "CPU µs a call"], [[name, report.number(each, 1)] for name, each in pieces.items()])


def operations_table(counted: list[Counted]) -> str:
    header = [
        "USAGE_FLUSH",
        "callers",
        "limit rpm",
        "calls",
        "calls/s",
        "operations per 1,000 calls",
        *COLUMNS,
        "a minute",
    ]
    rows = [
        [
            row.scenario.flush,
            str(row.scenario.connections),
            f"{row.scenario.rpm:,}",
            f"{row.calls:,}",
            report.number(row.calls / row.seconds, 1),
            report.number(row.per_thousand(), 0),
            *(report.number(row.per_thousand(what), 0) for what in COLUMNS),
            report.number(row.total * 60 / row.seconds, 0),
        ]
        for row in counted
    ]
    return report.table(header, rows)


def section(pieces: dict[str, float], counted: list[Counted], command: str) -> str:
    together = list(pieces.values())[-1]
    template = Template(Path(__file__).with_name("keys.md").read_text())
    return template.substitute(
        command=command,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=report.machine(),
        pieces=pieces_table(pieces),
        operations=operations_table(counted),
        verdict=f"- {'**met**' if together <= GOAL else '**missed**'}: all of it together {together:.1f} µs "
        f"(goal ≤ {GOAL:.0f} µs)",
        share=f"{storage.SHARE:.0%}",
    )
