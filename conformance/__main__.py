"""`python -m conformance`: the command line. It owns the options and the order of things."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from conformance import outcomes, report
from conformance.fetch import HOME, SPECS, STEADY, FetchError, Materials, fetch, specification
from conformance.lab import Lab, LabError, config
from conformance.outcomes import Comparison
from conformance.suites import SUITES, Suite, models
from local.stack.layout import ROOT, shown

PAGE = ROOT / "docs" / "conformance.md"
_ABOUT = """\
Runs the OpenAI and Anthropic SDKs' own API tests twice, straight at a specification mock and through the gateway,
and compares. Needs the specifications; fetches everything else into .tollgate/conformance on the first run.
"""
_MORE = """\
exit code: 0 when every resource keeps 99 % of what is served (conformance/expected.py), 1 when one
does not, 2 when the tests could not be run.
"""


def say(text: str) -> None:
    print(text, flush=True)


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance", description=_ABOUT, epilog=_MORE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [suite.name for suite in SUITES]
    parser.add_argument("--suite", choices=names, action="append", help="only this one; may be repeated")
    parser.add_argument("--specs", type=Path, default=SPECS, metavar="DIR", help=f"default: {_relative(SPECS)}")
    parser.add_argument("--app", type=Path, default=ROOT, metavar="DIR", help="another checkout's gateway")
    parser.add_argument("-k", dest="only", default="", metavar="EXPRESSION", help="only these tests, as pytest's -k")
    parser.add_argument("--straight-only", action="store_true", help="only at the mock: what there is to pass")
    parser.add_argument("--reuse", action="store_true", help="take the last outcomes of the run straight at the mock")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help=f"default: {_relative(PAGE)}")
    parser.add_argument("--no-write", action="store_true", help="print only; so it is with a part of the tests")
    return parser.parse_args(argv)


def _relative(path: Path) -> str:
    return os.path.relpath(path, ROOT)


def measured(suite: Suite, given: argparse.Namespace, materials: Materials) -> Comparison | None:
    """Both runs of one suite. None when only the first was asked for."""
    spec = specification(given.specs, suite.spec)
    straight, through = (HOME / "results" / f"{suite.name}-{run}.jsonl" for run in ("straight", "through"))
    with Lab(HOME / "run" / suite.name, materials, say) as lab:
        port = lab.start_mock(suite, spec)
        if not (given.reuse and straight.exists()):
            say(f"{suite.title} {materials.versions[suite.name]}: straight at the mock")
            lab.run_tests(suite, f"http://127.0.0.1:{port}{suite.prefix}", "", straight, given.only)
        before = outcomes.read(straight, suite.prefix)
        passing = sum(1 for one in before.values() if one.passed and one.reached)
        say(f"  {passing:,} of {sum(one.reached for one in before.values()):,} tests that reach the mock pass")
        if given.straight_only:
            return None
        say(f"{suite.title}: through the gateway")
        asked = {name for one in before.values() for name in one.models}
        names = sorted(asked.union(models(suite, materials.sources[suite.name])))  # forms name theirs in the text only
        url, key = lab.start_gateway(config(suite, names, port), given.app)
        lab.run_tests(suite, url + suite.base, key, through, given.only)
    return outcomes.compare(suite.name, before, outcomes.read(through, suite.base))


def judged(suite: Suite, made: Comparison, whole: bool) -> bool:
    """Say what came out; whether it is good."""
    total = made.total
    if whole:
        for row in outcomes.stale(suite.name, made):
            say(f"  no test needs this row of expected.py any more: {row.operations}")
    for row in made.short:
        say(f"  {row.name}: {row.through:,} of {row.served:,} ({report.percent(row.share)})")
    if not total.straight:
        say("  nothing passes straight at the mock: there is nothing to compare")
        return False
    say(
        f"{suite.title}: {total.through:,} of {total.served:,} tests pass through the gateway "
        f"({report.percent(total.share)}); {total.not_served:,} are not served"
    )
    return not made.short


def run(given: argparse.Namespace, argv: list[str]) -> int:
    started = time.monotonic()
    chosen = [suite for suite in SUITES if suite.name in (given.suite or [s.name for s in SUITES])]
    for suite in chosen:
        specification(given.specs, suite.spec)
    materials = fetch([suite.name for suite in SUITES], say)
    say(f"ready after {time.monotonic() - started:.0f} s")
    found: dict[str, tuple[Suite, str, Comparison]] = {}
    broken = False
    for suite in chosen:
        try:
            made = measured(suite, given, materials)
        except (LabError, ValueError) as error:
            say(f"{suite.title}: {error}")
            broken = True
            continue
        if made:
            found[suite.name] = suite, materials.versions[suite.name], made
    good = [judged(suite, made, not given.only) for suite, _, made in found.values()]
    for suite, version, made in found.values() if given.no_write or given.only else ():
        say("\n" + report.section(suite, version, made))
    if len(found) == len(SUITES) and not (given.only or given.no_write):
        facts = {
            "command": shlex.join(["python3", "dev.py", "conformance", *argv]),
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "duration": f"{(time.monotonic() - started) / 60:.1f} minutes",
            "cores": str(os.cpu_count()),
            "steady": STEADY,
        }
        given.out.write_text(report.page(found, facts), "utf-8")
        say(f"written: {shown(given.out.resolve())}")
    return 2 if broken else 0 if all(good) else 1


def main(argv: list[str]) -> int:
    given = options(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every process is ended
    try:
        return run(given, argv)
    except FetchError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
