"""`python -m bench.route_proof`: runs of bench/route_sim.py for docs/proofs.md, one a strategy, and a verdict.

It owns what has to hold, and the wording.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

from bench import report
from bench.route_figures import act_rows, ends_rows, share_rows
from bench.route_sim import DEADLINES, SETTINGS, Simulation
from shared.router_settings import RouterSettings, Strategy

CALLS = 1_000_000
SEED = 1
OTHERS: tuple[Strategy, ...] = ("least-used", "least-busy", "lowest-latency", "lowest-cost", "prompt-cache")
PART = 10  # of so many calls one, for every other strategy
MOST_POINTS = 1.0  # by which a share may differ from its weight's
ENOUGH = 100_000  # calls: with fewer, shares differ by chance


def shared_well(run: Simulation) -> bool:
    """Whether the shares are those of the weights. Only simple-shuffle goes by them."""
    worst = max(abs(share - due) for _, share, due in run.figures.shares(1))
    return run.figures.calls < ENOUGH or worst * 100 <= MOST_POINTS


def held(run: Simulation) -> bool:
    faults = run.judge.faults
    return not (faults.lost or faults.misrouted or faults.rules or run.figures.in_flight)


def row(name: str, run: Simulation) -> list[str]:
    figures, faults = run.figures, run.judge.faults
    return [
        name, f"{figures.calls:,}", str(faults.lost.total()), str(faults.misrouted.total()), str(faults.rules.total()),
        f"{figures.attempts / figures.calls:.3f}", str(figures.most_attempts), f"{figures.ptu_use():.1%}",
        f"{figures.spent / max(figures.timed, 1) * 1e6:.1f}", "**holds**" if held(run) else "**broken**",
    ]  # fmt: skip


BOUNDS: tuple[tuple[str, RouterSettings, tuple[float, ...]], ...] = (
    ("as above", SETTINGS, DEADLINES),
    ("as above, but calls have 60 s or more", SETTINGS, (60.0, 60.0, 120.0, 120.0, 230.0)),
    ("the defaults, with which calls have 210 s", RouterSettings(), (210.0,)),
    ("the defaults, but calls have 100 s or more", RouterSettings(), DEADLINES),
)
HEADER = (
    "strategy", "calls", "lost", "misrouted", "against a rule", "attempts a call", "most", "use of PTU",
    "CPU µs a call", "verdict",
)  # fmt: skip
ACTS = (
    "act", "calls", "attempts a call", "of them failed", "without an answer", "lost", "to recover s", "at most s",
)  # fmt: skip


def bounds(calls: int, seed: int, say: Callable[[str], None]) -> str:
    """What is lost where timeouts leave too little time: no part of the verdict, and said beside it."""
    rows: list[list[str]] = []
    for name, settings, deadlines in BOUNDS:
        say(f"{name}, {calls:,} calls ...")
        run = Simulation(calls, seed, settings, deadlines=deadlines)
        run.run()
        where = [f"{p.act.name} {a.lost}" for p, a in zip(run.figures.script, run.figures.acts, strict=True) if a.lost]
        rows.append([name, f"{calls:,}", str(run.judge.faults.lost.total()), "; ".join(where) or report.NONE])
    return report.table(("timeouts", "calls", "lost", "in the acts"), rows)


def prove(calls: int, seed: int, say: Callable[[str], None]) -> tuple[str, bool]:
    """-> the text for the page, and whether all of it holds."""
    main = Simulation(calls, seed)
    say(f"simple-shuffle, {calls:,} calls ...")
    main.run()
    rows, good = [row("simple-shuffle", main)], held(main) and shared_well(main)
    for strategy in OTHERS:
        say(f"{strategy}, {calls // PART:,} calls ...")
        run = Simulation(calls // PART, seed, replace(SETTINGS, strategy=strategy))
        run.run()
        rows.append(row(strategy, run))
        good = good and held(run)
        _complain(run, say)
    _complain(main, say)
    said = bounds(calls // PART, seed, say)
    return "\n\n".join(
        [report.table(HEADER, rows), "Where timeouts leave too little time:", said, *_details(main)]
    ), good


def _details(run: Simulation) -> Iterator[str]:
    figures = run.figures
    failed = sum(figures.failed.values())
    waits = sorted(figures.waits) or [0.0]
    yield "Of the run with simple-shuffle:"
    yield report.table(("what became of a call", "calls"), ends_rows(figures))
    yield (
        f"{failed:,} attempts failed: {', '.join(f'{n:,} {kind}' for kind, n in figures.failed.most_common())}. "
        f"{len(figures.waits):,} waits, in the median of {median(waits):.1f} s, of {waits[-1]:.1f} s at most."
    )
    yield report.table(ACTS, act_rows(figures))
    yield report.table(("deployment", "share of the weights", "share of the calls", "points"), share_rows(figures))


def _complain(run: Simulation, say: Callable[[str], None]) -> None:
    for example in run.judge.faults.examples:
        say(f"  {example}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.route_proof", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    text, good = prove(options.calls, options.seed, lambda line: print(line, file=sys.stderr, flush=True))
    print(text)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
