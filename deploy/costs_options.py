"""The command line of costs.py: its options, their bounds, its help."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, fields

from deploy.costs import Use, as_json, price_table, text
from deploy.price_list import SEEN

_EXAMPLES = """\
examples
  python3 dev.py costs --calls 0                                  idle
  python3 dev.py costs --calls 1e6 --seconds 5                    a million calls, day and night
  python3 dev.py costs --calls 1e6 --seconds 5 --hours 176        the same in working hours
  python3 dev.py costs --calls 1e7 --always-ready 1 --json        for programs
  python3 dev.py costs --calls 1e6 --private --accounts 2 --nat   in a private network
  python3 dev.py costs --prices                                   what it is worked out with

What the models cost is not in it. The formula, and what is measured and what assumed: docs/operations.md.
"""
MOST_UNDER_WAY = 1e7


def _between(least: float, most: float, kind: type[int] | type[float] = float) -> Callable[[str], float]:
    def read(given: str) -> float:
        try:
            value = float(given.replace("_", "").replace(",", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{given!r} is no number") from None
        if not math.isfinite(value) or not least <= value <= most or (kind is int and value != int(value)):
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{given} must be {what} from {least:,g} to {most:,g}")
        return kind(value)

    return read


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="dev.py costs", description="What a gateway costs a month in Azure, at list prices.",
        epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _traffic(root)
    _instances(root)
    _kept(root)
    group = root.add_argument_group("the rest").add_argument
    group("--no-alerts", dest="alerts", action="store_false", help="without the alert rules")
    group("--private", action="store_true", help="privateNetworking: endpoints and DNS zones")
    group("--accounts", type=_between(0, 50, int), metavar="N", help="accounts with a private endpoint (1)")
    group("--nat", action="store_true", help="natGateway: one fixed address")
    group("--free-grants", action="store_true", help="take off what is free every month")
    group("--json", action="store_true", help="for programs")
    group("--prices", action="store_true", help="only print the price list")
    root.set_defaults(**asdict(Use()))
    return root


def _traffic(root: argparse.ArgumentParser) -> None:
    group = root.add_argument_group("what is called").add_argument
    group("--calls", type=_between(0, 1e11), metavar="N", help="calls a month (1e6)")
    group("--seconds", type=_between(0.01, 3600), metavar="S", help="of one call; of a stream until its last byte (5)")
    group("--hours", type=_between(1, 730), metavar="H", help="hours of the month in which calls come (730)")
    group("--answer-kb", type=_between(0, 1e5), metavar="KB", help="sent to the client (4)")


def _instances(root: argparse.ArgumentParser) -> None:
    group = root.add_argument_group("instances").add_argument
    group("--concurrency", type=_between(1, 1000, int), metavar="N", help="perInstanceConcurrency (32)")
    group("--memory", type=int, choices=[512, 2048, 4096], help="instanceMemoryMB (2048)")
    group("--always-ready", type=_between(0, 1000, int), metavar="N", help="alwaysReady (0)")
    group("--max-instances", type=_between(1, 1000, int), metavar="N", help="maximumInstanceCount (40)")
    group("--timer-seconds", type=_between(0, 1800), metavar="S", help="of a timer's run; assumed (2)")


def _kept(root: argparse.ArgumentParser) -> None:
    group = root.add_argument_group("what is written").add_argument
    group("--operations-per-call", type=_between(0, 100), metavar="N", help="table operations; measured, worst (4)")
    group("--ledger-kb", type=_between(0, 100), metavar="KB", help="kept of one call; measured (0.6)")
    group("--retention-months", type=_between(0, 999, int), metavar="N", help="RETENTION_MONTHS (24)")
    group("--log-kb", type=_between(0, 100), metavar="KB", help="logged of one call (3)")
    group("--log-share", type=_between(0, 1), metavar="SHARE", help="of calls that are logged, 0.2 when sampled (1)")
    group("--blobs", type=_between(0, 1e11), metavar="N", help="files, batches, exports written a month (1000)")
    group("--blob-gb", type=_between(0, 1e9), metavar="GB", help="kept of them (1)")
    group("--queue-polls", type=_between(0, 600), metavar="N", help="Azure's looks at a queue a minute; assumed (6)")
    group("--vault-operations", type=_between(0, 1e9), metavar="N", help="a month; assumed (10000)")


def main(arguments: list[str]) -> int:
    root = parser()
    options = root.parse_args(arguments)
    if options.prices:
        print(price_table())
        print("\n" + "\n".join(f"{name}: {what}" for name, what in SEEN.items()))
        return 0
    use = Use(**{field.name: getattr(options, field.name) for field in fields(Use)})
    if use.calls * use.seconds / (use.hours * 3600) > MOST_UNDER_WAY:
        root.error("that is more than ten million calls at once: give fewer --calls, or more --hours")
    try:
        if options.json:
            print(json.dumps(as_json(use, options.free_grants), indent=2))
        else:
            print(text(use, options.free_grants))
    except BrokenPipeError:
        sys.stderr.close()
    return 0
