"""The command line: arguments, output as a table or JSON, exit codes. What the commands do is in their own modules."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import ConfigError
from shared.manage import check, keys, usage
from shared.manage.context import CommandError, Context, with_local_settings
from shared.ports import StoreUnavailable

EPILOG = """\
The settings (AzureWebJobsStorage, KEY_PEPPER, …) come from the environment, else from the Values of
local.settings.json beside host.json, which 'python3 dev.py up' writes for the stack that it runs.
Exit codes: 0 done, 1 the command failed, 2 the arguments are wrong.
"""


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    options = _parser().parse_args(arguments)
    if options.act is None:  # a group without a command: say what there is
        options.help()
        return 2
    try:
        return asyncio.run(_act(options, Context(with_local_settings(environ))))
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1
    except StoreUnavailable as error:
        print(f"The storage account does not answer: {error}\nCheck AzureWebJobsStorage and your rights "
              "(Storage Table Data Contributor).", file=sys.stderr)  # fmt: skip
        return 1
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1


async def _act(options: argparse.Namespace, context: Context) -> int:
    try:
        return await options.act(options, context)
    finally:
        await context.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m shared.manage",
        description="Keys, usage and configuration of a Tollgate gateway.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(act=None, help=parser.print_help)
    groups = parser.add_subparsers(metavar="GROUP")
    _add_keys(groups)
    _add_usage(groups)
    _add_config(groups)
    return parser


def _add_keys(groups: Any) -> None:
    group = groups.add_parser("keys", help="make, list and revoke the keys that callers use")
    group.set_defaults(help=group.print_help)
    commands = group.add_subparsers(metavar="COMMAND")
    create = commands.add_parser(
        "create",
        help="make a key and show it, once",
        epilog="example: python3 -m shared.manage keys create --name ci --team data --models gpt-4o --expires 90d",
    )
    create.add_argument("--name", required=True, help="what the key is for; shown in usage reports")
    create.add_argument("--team", default="", help="who pays")
    create.add_argument("--models", default="", metavar="A,B", help="aliases that the key may use (default: all)")
    create.add_argument("--expires", default="", metavar="WHEN", help="90d, 12h, or a date such as 2027-03-31")
    create.add_argument("--json", action="store_true", help="machine-readable output")
    create.set_defaults(act=keys.create)
    listing = commands.add_parser("list", help="all keys, without their secrets")
    listing.add_argument("--json", action="store_true", help="machine-readable output")
    listing.set_defaults(act=keys.show)
    revoke = commands.add_parser(
        "revoke",
        help="disable a key; it ends within KEY_CACHE_SECONDS (30 s)",
        epilog="KEY is the key itself, its id as 'keys list' shows it, or its name when only one key has it.",
    )
    revoke.add_argument("key", metavar="KEY")
    revoke.add_argument("--json", action="store_true", help="machine-readable output")
    revoke.set_defaults(act=keys.revoke)


def _add_usage(groups: Any) -> None:
    report = groups.add_parser(
        "usage",
        help="calls and tokens, by key, model, team or day",
        epilog="example: python3 -m shared.manage usage --by model --from 2026-11-01",
    )
    report.add_argument("--by", choices=usage.DIMENSIONS, default="key", help="what a line stands for (default: key)")
    report.add_argument("--from", dest="first", default="", metavar="DAY", help="default: this month's first day")
    report.add_argument("--to", dest="last", default="", metavar="DAY", help="YYYY-MM-DD, default: today")
    report.add_argument("--key", default="", metavar="NAME", help="only the keys of this name")
    report.add_argument("--json", action="store_true", help="machine-readable output")
    report.set_defaults(act=usage.report)


def _add_config(groups: Any) -> None:
    group = groups.add_parser("config", help="look at the configuration")
    group.set_defaults(help=group.print_help)
    commands = group.add_subparsers(metavar="COMMAND")
    checking = commands.add_parser(
        "check",
        help="say everything that is wrong with config.yaml, or what it comes to",
        epilog="Without FILE the source named by CONFIG_SOURCE is read, as the app does.",
    )
    checking.add_argument("file", nargs="?", metavar="FILE", help="a config.yaml")
    checking.add_argument("--json", action="store_true", help="machine-readable output")
    checking.set_defaults(act=check.check_config)
