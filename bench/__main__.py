"""`python -m bench`: the command line of the benchmark. It owns the options and the order of things."""

import argparse
import shlex
import sys
from pathlib import Path

from bench import batch_lines, batch_upload, cold, hot, keys, measure, micro, proofs, report
from bench.lab import Lab
from bench.measure import Figures
from bench.procs import LINUX, Children, alone
from bench.targets import TARGETS, Target, start_upstream

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = {"cold": cold, "keys": keys, "uploads": batch_upload, "lines": batch_lines}
"""Each owns a section of the page."""


def say(text: str) -> None:
    print(text, flush=True)


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure the gateway against its peers and floors.")
    parser.add_argument("what", nargs="?", choices=("gateways", "micro", *SECTIONS, "prove"), default="gateways")
    parser.add_argument("--targets", default=",".join(TARGETS), help="comma-separated, of: %(default)s")
    parser.add_argument("--rounds", type=int, default=2, help="interleaved rounds, medians of them (%(default)s)")
    parser.add_argument("--seconds", type=float, help="of each load (4), or of each proof (60)")
    parser.add_argument("--quick", action="store_true", help="one round of one second: a smoke test, not a measurement")
    parser.add_argument("--subject", default="tollgate", help="whose ratios to print (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md", help="the page to write")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--only", choices=proofs.NAMES, help="prove: this one")
    parser.add_argument("--profile", metavar="TARGET", help="no table: the hottest functions of a Python target")
    given = parser.parse_args(argv)
    if given.seconds is None:
        given.seconds = proofs.SECONDS if given.what == "prove" else 4.0
    if given.quick:
        given.rounds, given.seconds = 1, 1.0
    given.chosen = [TARGETS.get(name.strip()) for name in (given.profile or given.targets).split(",")]
    if None in given.chosen:
        parser.error(f"targets are: {', '.join(TARGETS)}")
    return given


def prepared(lab: Lab, chosen: list[Target]) -> tuple[list[Target], dict[str, str]]:
    """The targets that can be measured, and why the others cannot."""
    ready: list[Target] = []
    skipped: dict[str, str] = {}
    for target in chosen:
        try:
            target.prepare(lab)
            ready.append(target)
        except LookupError as error:
            skipped[target.name] = str(error.args[0])
            say(f"{target.name} is left out: {error.args[0]}")
    return ready, skipped


def measured(
    lab: Lab, ready: list[Target], rounds: int, seconds: float, failed: dict[str, str]
) -> dict[str, list[Figures]]:
    """Figures of every target by round; a round in which a target does not answer is left out, and said to be."""
    results: dict[str, list[Figures]] = {}
    starts = -(-measure.STARTS // rounds)
    for number in range(rounds):
        for target in ready:
            say(f"round {number + 1} of {rounds}: {target.name}")
            try:
                figures = measure.one_round(lab, target, starts, seconds)
            except RuntimeError as error:
                say(f"  {error}")
                failed[target.name] = f"no good answer in round {number + 1}, which is left out"
                continue
            results.setdefault(target.name, []).append(figures)
            cpu = report.number(figures.cpu_call, 0)
            say(f"  {figures.rate16:,.0f} calls/s at 16, {cpu} µs of CPU a call, {figures.errors:.0f} errors")
    return results


def without_place(argv: list[str]) -> list[str]:
    """The arguments without where the page goes, which is nobody else's business."""
    pairs = zip(["", *argv], argv, strict=False)
    return [
        part for before, part in pairs if before != "--out" and part.partition("=")[0] not in ("--out", "--no-write")
    ]


def gateways(given: argparse.Namespace, argv: list[str]) -> int:
    if not LINUX:
        say("Not Linux: nothing can be pinned to a core, and CPU and memory are not measured.")
    work = ROOT / ".tollgate" / "bench"
    with alone(work), Children(work / "logs") as children:
        lab = Lab(ROOT, children, say=say)
        if lab.gateway_core is not None and lab.gateway_core == lab.other_core:
            say("One core only: the load takes its share of the gateway's core; the ratios come out smaller.")
        start_upstream(lab)
        ready, skipped = prepared(lab, given.chosen)
        if given.profile:
            return hot.functions(lab, ready[0], given.seconds) if ready else 1
        every = measured(lab, ready, given.rounds, given.seconds, skipped)
    results = {name: measure.medians(rows) for name, rows in every.items()}
    paces = [row.pace for rows in every.values() for row in rows if row.pace is not None]
    command = shlex.join(["python3", "dev.py", "bench", *without_place(argv)])
    say("\n" + report.figures_table(results) + "\n\n" + report.ratios(results, given.subject) + "\n")
    say("\n".join(report.verdicts(results, given.subject)))
    if not given.no_write and results:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        own = "\n\n".join(filter(None, (report.section_of(given.out, each.TITLE) for each in SECTIONS.values())))
        given.out.write_text(report.page(results, skipped, given.subject, command, given.rounds, paces, own))
        say(f"\nwritten: {given.out.name}")
    return 0 if results and not skipped and not any(figures.errors for figures in results.values()) else 1


def main(argv: list[str]) -> int:
    given = options(argv)
    if given.what == "micro":
        return micro.main(say)
    if given.what == "prove":
        page = None if given.no_write else ROOT / "docs" / "proofs.md"
        return proofs.main(ROOT, given.seconds, given.only, page, shlex.join(["python3", "dev.py", *argv]), say)
    if given.what in SECTIONS:
        command = shlex.join(["python3", "dev.py", "bench", *without_place(argv)])
        return SECTIONS[given.what].main(ROOT, None if given.no_write else given.out, command, say)
    try:
        return gateways(given, argv)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
