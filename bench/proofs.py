"""`python -m bench prove`: what is claimed of the ledger, of limits, of routing and of batches, tried out.

The ledger and the limits on real processes for a minute each, routing in virtual time, batches until one is through.

It owns the order of the proofs and one section of docs/proofs.md for each.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import batch_kill_proof, kill_proof, report, route_proof, tollgate
from bench.lab import Lab
from bench.procs import Children, alone

SECONDS = 60.0
KILLS = "## Killed processes: figures"
LIMITS = "## Limits: figures"
ROUTES = "## Routing: figures"
BATCHES = "## Batches of the own engine: figures"
NAMES = ("kills", "limits", "routes", "batches")
WINDOW = 59.5  # seconds: a little less than the minute of a rate


def main(
    root: Path, seconds: float, only: str | None, page: Path | None, command: str, say: Callable[[str], None]
) -> int:
    """page: where the sections go; None: print only. -> 0 when everything holds."""
    good = True
    if only in (None, "kills"):
        text, held = _kills(root, seconds, say)
        good = good and held
        _put(page, KILLS, text, command)
    if only in (None, "limits"):
        text, held = _limits(root, seconds, say)
        good = good and held
        _put(page, LIMITS, text, command)
    if only in (None, "routes"):
        text, held = route_proof.prove(route_proof.CALLS, route_proof.SEED, say)
        good = good and held
        say(text)
        _put(page, ROUTES, text, command)
    if only in (None, "batches"):
        text, held = _batches(root, say)
        good = good and held
        _put(page, BATCHES, text, command)
    return 0 if good else 1


def _batches(root: Path, say: Callable[[str], None]) -> tuple[str, bool]:
    work = root / ".tollgate" / "bench"
    with alone(work), Children(work / "logs") as children:
        lab = Lab(root, children, say=say)
        tollgate.prepare(lab)
        found = batch_kill_proof.main(lab)
    header = [
        "host", "lines", "kills", "s", "answered", "missing", "twice", "refused", "billed", "billed twice",
        "asked again", "verdict",
    ]  # fmt: skip
    rows = [
        [
            row.mode, f"{row.lines:,}", str(row.kills), f"{row.seconds:.0f}", f"{row.answered:,}", str(row.missing),
            str(row.twice), str(row.refused), f"{row.billed:,}", str(row.billed_twice), str(row.asked_again),
            "**holds**" if row.holds and row.kills >= batch_kill_proof.KILLS else "**broken**",
        ]
        for row in found
    ]  # fmt: skip
    return report.table(header, rows), all(row.holds and row.kills >= batch_kill_proof.KILLS for row in found)


def _kills(root: Path, seconds: float, say: Callable[[str], None]) -> tuple[str, bool]:
    work = root / ".tollgate" / "bench"
    with alone(work), Children(work / "logs") as children:
        lab = Lab(root, children, say=say)
        tollgate.prepare(lab)
        found = kill_proof.main(lab, seconds)
    header = [
        "USAGE_FLUSH", "kills", "served", "finished", "unfinished", "missing", "of them in flight",
        "oldest of the others s", "twice", "never served", "wrong tokens", "verdict",
    ]  # fmt: skip
    rows = [
        [
            row.flush, str(row.kills), f"{row.served:,}", f"{row.finished:,}", str(row.unfinished), str(row.missing),
            str(row.in_flight), f"{row.oldest:.2f}", str(row.twice), str(row.never_served), str(row.wrong_tokens),
            "**holds**" if row.holds else "**broken**",
        ]
        for row in found
    ]  # fmt: skip
    return report.table(header, rows), all(row.holds for row in found)


def _limits(root: Path, seconds: float, say: Callable[[str], None]) -> tuple[str, bool]:
    """The limiter's own proof: a minute for each kind of limit, so that no window is longer than it runs."""
    argv = [sys.executable, "-m", "bench.limits_proof", "--seconds", str(min(seconds, WINDOW))]
    lines: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                say(lines[-1])
        finally:
            if process.poll() is None:  # as Ctrl-C does: it ends what it has started
                process.send_signal(signal.SIGINT)
    return "```\n" + "\n".join(lines) + "\n```", process.returncode == 0


def _put(page: Path | None, title: str, text: str, command: str) -> None:
    if page is None:
        return
    date = time.strftime("%Y-%m-%d", time.gmtime())
    made = f"Made by `{command}` on {date} on {report.machine()}."
    report.put_section(page, title, f"{title}\n\n{made}\n\n{text}")
