"""The command line: every operation of the registry, and `config check`. Owns errors and exit codes.

What the commands do is in shared/operations; which options they have, in their rows.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from shared.errors import ApiError, ConfigError
from shared.manage import check, diff, init, remote
from shared.manage.arguments import PROGRAM, UsageError, add_operations, named_options, values_of
from shared.manage.context import CommandError, Context, with_local_settings
from shared.manage.output import print_problem, show
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
The doctor ends with 1 when it found a failure, too.
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
            print_problem(problem)
    except StoreUnavailable as error:
        print_problem(_store_down(error))
    except ApiError as error:
        cause = error.__cause__
        print_problem(_store_down(cause) if isinstance(cause, StoreUnavailable) else error.message)
    except CommandError as error:
        print_problem(error)
    except KeyboardInterrupt:  # how one leaves --watch
        return INTERRUPTED
    except UsageError as error:
        print_problem(error)
        return 2
    except Misunderstood as error:
        for line in named_options(error.problems, options.operation):
            print_problem(line)
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
        return await _carry_out(options, options.operation, context)
    finally:
        await context.close()


async def _carry_out(options: argparse.Namespace, operation: Operation, context: Context) -> int:
    values = values_of(options, operation)
    if getattr(options, "watch", False):
        if getattr(options, "csv", False):
            raise UsageError("--watch has no CSV: write --json, or leave out --csv.")
        ask = partial(_perform, options, operation, values, context)
        told = await watch(operation, ask, every=options.every, as_json=options.json)
        if options.json or is_list(operation.answers):
            return 0  # the last of what was drawn is all there is
    else:
        told = await _perform(options, operation, values, context)
    while getattr(options, "all", False) and told["next"]:
        page = await _perform(options, operation, {**values, "cursor": told["next"]}, context)
        told = {**page, "rows": [*told["rows"], *page["rows"]]}
    show(operation, told, as_json=options.json, csv=getattr(options, "csv", False))
    return 1 if operation.failed is not None and operation.failed(told) else 0


async def _perform(
    options: argparse.Namespace, operation: Operation, values: Mapping[str, Any], context: Context
) -> dict[str, Any]:
    asked = understand(operation, values)
    if not options.url:
        try:
            desk = context.desk
        except ConfigError as error:
            if operation.without_settings is None:
                raise
            return plain(operation.without_settings(asked, context.environ, error))
        return plain(await carry_out(operation, asked, Actor("cli"), desk, f"cli_{secrets.token_hex(12)}"))
    credential = context.environ.get(options.admin_key_env, "")
    if not credential:
        raise CommandError(f"The environment variable {options.admin_key_env} is empty: put the ADMIN_KEY into it.")
    return await remote.perform(operation, asked, options.url, credential)


@cache
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
    _add_init(groups)
    return made


def _add_init(groups: Any) -> None:
    """Not an operation: it works on Azure and a file, before there is a gateway."""
    command = groups.add_parser(
        "init",
        help="write a config.yaml from what is deployed in Azure",
        description="Write a config.yaml with all deployments of Azure OpenAI and Foundry that you can see.",
        epilog="Sign in with 'az login' first. Whatever is not named is looked for everywhere that you can see.",
    )
    _add_wanted(command)
    command.add_argument("--out", default="config.yaml", metavar="FILE", help="where to (default: config.yaml)")
    command.add_argument("--force", action="store_true", help="also over a file that exists")
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.set_defaults(act=init.write_config)


def _add_wanted(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--subscription", action="append", default=[], metavar="S", help="an id or a name; may be repeated"
    )
    command.add_argument("-g", "--group", default="", metavar="GROUP", help="one resource group alone")
    command.add_argument("--account", action="append", default=[], metavar="NAME", help="an account; may be repeated")


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
    comparing = commands.add_parser(
        "diff",
        help="what a config.yaml would change, or where it is not what is in Azure",
        epilog=(
            "FILE is compared with what CONFIG_SOURCE names, or with what is in Azure: in the accounts that it uses, "
            "and in others only where they are named. Exit codes: 0 the same, 1 different, 2 trouble."
        ),
    )
    comparing.add_argument("file", nargs="?", default="config.yaml", metavar="FILE", help="default: config.yaml")
    comparing.add_argument("--azure", action="store_true", help="with what is in Azure ('az login' first)")
    _add_wanted(comparing)
    comparing.add_argument("--json", action="store_true", help="machine-readable output")
    comparing.set_defaults(act=diff.diff_config)
