"""The command line: every operation of the registry, and `config check`. Owns errors and exit codes.

What the commands do is in shared/operations; which options they have, in their rows.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from shared.errors import ApiError, ConfigError
from shared.manage import check, remote
from shared.manage.arguments import PROGRAM, UsageError, add_operations, named_options, values_of
from shared.manage.context import CommandError, Context, with_local_settings
from shared.manage.output import show
from shared.manage.watching import watch
from shared.operations.asking import Misunderstood, understand
from shared.operations.audit import carry_out
from shared.operations.operation import Actor, Operation
from shared.operations.registry import operations
from shared.operations.rendering import is_list, plain
from shared.ports import StoreUnavailable

EPILOG = """\
The settings (AzureWebJobsStorage, KEY_PEPPER, …) come from the environment, else from the Values of
local.settings.json beside host.json, which 'python3 dev.py up' writes for the stack that it runs.
With --url the same commands work on a gateway that is deployed elsewhere, through its manage API.
Exit codes: 0 done, 1 the command failed, 2 the arguments are wrong.
"""

INTERRUPTED = 130
"""As a shell has it for a program that Ctrl-C has ended."""


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    options = parser().parse_args(arguments)
    if options.act is None and options.operation is None:  # a group without a command: say what there is
        options.help()
        return 2
    try:
        return asyncio.run(_act(options, Context(with_local_settings(environ))))
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
    except StoreUnavailable as error:
        print(_store_down(error), file=sys.stderr)
    except ApiError as error:
        cause = error.__cause__
        print(_store_down(cause) if isinstance(cause, StoreUnavailable) else error.message, file=sys.stderr)
    except CommandError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:  # how one leaves --watch
        return INTERRUPTED
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except Misunderstood as error:
        for line in named_options(error.problems, options.operation):
            print(line, file=sys.stderr)
        return 2
    return 1


def _store_down(error: BaseException) -> str:
    return (
        f"The storage account does not answer: {error}\nCheck AzureWebJobsStorage and your rights (Storage Table Data "
        "Contributor)."
    )


async def _act(options: argparse.Namespace, context: Context) -> int:
    try:
        if options.act is not None:
            return await options.act(options, context)
        await _carry_out(options, options.operation, context)
        return 0
    finally:
        await context.close()


async def _carry_out(options: argparse.Namespace, operation: Operation, context: Context) -> None:
    values = values_of(options, operation)
    if getattr(options, "watch", False):
        if getattr(options, "csv", False):
            raise UsageError("--watch has no CSV: write --json, or leave out --csv.")
        ask = partial(_perform, options, operation, values, context)
        told = await watch(operation, ask, every=options.every, as_json=options.json)
        if options.json or is_list(operation.answers):
            return  # the last of what was drawn is all there is
    else:
        told = await _perform(options, operation, values, context)
    while getattr(options, "all", False) and told["next"]:
        page = await _perform(options, operation, {**values, "cursor": told["next"]}, context)
        told = {**page, "rows": [*told["rows"], *page["rows"]]}
    show(operation, told, as_json=options.json, csv=getattr(options, "csv", False))


async def _perform(
    options: argparse.Namespace, operation: Operation, values: Mapping[str, Any], context: Context
) -> dict[str, Any]:
    asked = understand(operation, values)
    if not options.url:
        done = await carry_out(operation, asked, Actor("cli"), context.desk, f"cli_{secrets.token_hex(12)}")
        return plain(done)
    credential = context.environ.get(options.admin_key_env, "")
    if not credential:
        raise CommandError(f"The environment variable {options.admin_key_env} is empty: put the ADMIN_KEY into it.")
    return await remote.perform(operation, asked, options.url, credential)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Everything an operator does with a Tollgate gateway.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(act=None, operation=None, help=made.print_help)
    groups = made.add_subparsers(metavar="GROUP")
    add_operations(groups, operations())
    _add_config(groups)
    return made


def _add_config(groups: Any) -> None:
    """Not an operation: it works on a file, without an account."""
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
