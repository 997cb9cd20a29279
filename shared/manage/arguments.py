"""From the rows of the registry to arguments and help, and from arguments to what an operation asks.

Knows argparse, and reads the files that are named; neither what an operation does nor how its answer is shown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.operations.asking import AskedField, fields_of, path_fields, split
from shared.operations.operation import Operation
from shared.operations.rendering import is_list

PROGRAM = "python3 -m shared.manage"
GROUPS = {
    "keys": "make, show, change, rotate and revoke the keys that callers use",
    "teams": "who pays for several keys, with limits of their own",
    "calls": "single calls, as the ledger has them",
    "ledger": "the totals beside the calls, compaction and export",
    "ptu": "what provisioned deployments cost, split by use",
    "prices": "what things cost, and fetching it anew",
    "limits": "what is left of limits and budgets",
    "route": "how the deployments are that calls are sent to",
    "reconcile": "the ledger beside Azure's own metrics",
    "batches": "batches: how far each is, stopping one, running again what failed",
    "background": "work that goes on after its call has ended",
    "audit": "who changed what",
    "events": "what has happened, and sending it on",
    "jobs": "the background jobs and what their last runs did",
}
"""What each group of commands is for."""
_FIELD = "asked:"
"""Begins the name under which argparse keeps a field: a field may be called like an option of every command."""


class UsageError(Exception):
    """Arguments that argparse cannot find fault with by itself."""


def words(operation: Operation) -> tuple[str, str]:
    """The group and the verb: `keys_create` is `keys create`. `usage` is a command by itself."""
    group, _, verb = operation.name.partition("_")
    return group, verb.replace("_", "-")


def example_of(operation: Operation) -> str:
    """A whole command line."""
    group, verb = words(operation)
    return " ".join(part for part in (PROGRAM, group, verb, operation.example) if part)


def add_operations(groups: Any, rows: Iterable[Operation]) -> None:
    """One parser per group and command. `groups`: what add_subparsers gave."""
    of_group: dict[str, list[Operation]] = {}
    for row in rows:
        of_group.setdefault(words(row)[0], []).append(row)
    for name, members in of_group.items():
        if words(members[0])[1] == "":
            _add_operation(groups, members[0])
            continue
        verbs = ", ".join(words(row)[1] for row in members)
        group = groups.add_parser(
            name,
            help=GROUPS.get(name, verbs),
            description=f"{GROUPS.get(name, verbs)[:1].upper()}{GROUPS.get(name, verbs)[1:]}.",
            epilog=f"{PROGRAM} {name} COMMAND --help explains a command.",
        )
        group.set_defaults(help=group.print_help)
        commands = group.add_subparsers(metavar="COMMAND")
        for row in members:
            _add_operation(commands, row)


def _add_operation(commands: Any, row: Operation) -> None:
    command = commands.add_parser(
        words(row)[1] or words(row)[0],
        help=_escaped(row.summary[:1].lower() + row.summary[1:].rstrip(".")),
        description=row.summary,
        epilog=f"example: {example_of(row)}",
    )
    command.set_defaults(operation=row)
    known = fields_of(row.asks)
    for name in path_fields(row):
        field = known[name]
        command.add_argument(_FIELD + name, metavar=name.upper(), help=_help(field))
    for name, field in sorted(known.items(), key=lambda one: not one[1].required):  # what must be given stands first
        if name not in path_fields(row) and not (name == "cursor" and is_list(row.answers)):
            _add_option(command, field)
    _add_output(command, row, paged="cursor" in known)


def _add_option(command: argparse.ArgumentParser, field: AskedField) -> None:
    options: dict[str, Any] = {"dest": _FIELD + field.name, "help": _help(field), "default": argparse.SUPPRESS}
    match field.kind:
        case "flag":
            options["action"] = argparse.BooleanOptionalAction
        case "list":
            options |= {"action": "append", "metavar": "A,B"}
        case "map":
            options |= {"action": "append", "metavar": "NAME=VALUE"}
        case "records":
            options |= {"action": "append", "metavar": "NAME=VALUE,…"}
        case "file":
            options["metavar"] = "FILE"
        case "text" if field.choices:
            options["choices"] = field.choices
        case "text":
            options["metavar"] = field.name.rpartition("_")[2].upper()
    command.add_argument(f"--{field.name.replace('_', '-')}", required=field.required, **options)


def _add_output(command: argparse.ArgumentParser, row: Operation, *, paged: bool) -> None:
    how = command.add_argument_group("output")
    if row.progress is not None:
        how.add_argument("--watch", action="store_true", help="look again and again, until all of it is over")
        how.add_argument(
            "--every", type=_seconds, default=2.0, metavar="SECONDS", help="with --watch: how often (default: 2)"
        )
    either = how.add_mutually_exclusive_group()
    either.add_argument("--json", action="store_true", help="as JSON, for programs")
    if is_list(row.answers):
        either.add_argument("--csv", action="store_true", help="as CSV, with all columns")
    if paged:
        how.add_argument(
            "--cursor", dest=_FIELD + "cursor", default=argparse.SUPPRESS, metavar="TEXT",
            help="where to go on, as the page before says",
        )  # fmt: skip
        how.add_argument("--all", action="store_true", help="all pages, not only one")
    where = command.add_argument_group("a deployed gateway, instead of the storage account that the settings name")
    where.add_argument("--url", default="", metavar="URL", help="the gateway's address: its manage API is used")
    where.add_argument(
        "--admin-key-env",
        default="ADMIN_KEY",
        metavar="NAME",
        help="the environment variable that holds its ADMIN_KEY, or an Entra token (default: ADMIN_KEY)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("write seconds: a number from 0.1 to 3600")
    return seconds


def _help(field: AskedField) -> str:
    text = _escaped(field.description)
    if field.kind == "list" and field.choices:
        text = f"{text.rstrip('.')}: {', '.join(field.choices)}"
    if "default" in text.lower() or field.required or not field.default:
        return text
    usual = ",".join(map(str, field.default)) if isinstance(field.default, list | tuple) else str(field.default)
    return f"{text.rstrip('.')} (default: {_escaped(usual)})"


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def values_of(options: argparse.Namespace, operation: Operation) -> dict[str, Any]:
    """What was typed, by field; nothing that was not. Raises UsageError."""
    given = {name.removeprefix(_FIELD): value for name, value in vars(options).items() if name.startswith(_FIELD)}
    known = fields_of(operation.asks)
    return {name: _value(known[name], value) for name, value in given.items()}


def _value(field: AskedField, value: Any) -> Any:
    if field.kind == "file":
        return _read(field, value)
    if field.kind not in ("list", "map", "records") or isinstance(value, str):
        return value
    items: Sequence[str] = value
    if list(items) == ["none"]:  # on purpose: what takes something away
        return "none"
    match field.kind:
        case "list":
            return [part for item in items for part in split(item)]
        case "map":
            return dict(_pair(field, item) for item in items)
        case _:
            return [dict(_pair(field, part) for part in split(item)) for item in items]


def _read(field: AskedField, name: str) -> Any:
    try:
        return json.loads(Path(name).read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--{field.name} {name}: {error.strerror or error}. Name a file with JSON.") from error
    except ValueError as error:
        raise UsageError(f"--{field.name} {name}: this is not JSON ({error}).") from error


def _pair(field: AskedField, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--{field.name.replace('_', '-')} {text!r}: write NAME=VALUE.")
    return name.strip(), value.strip()


def named_options(problems: Iterable[tuple[str, str]], operation: Operation) -> list[str]:
    """What is wrong with fields, in the words of the command line."""
    in_path: Mapping[str, Any] = dict.fromkeys(path_fields(operation))
    told: list[str] = []
    for name, text in problems:
        first, rest = name.partition(".")[0].partition("[")[0], name
        shown = first.upper() if first in in_path else f"--{rest.replace('_', '-')}"
        told.append(f"{shown}: {text}" if name else text)
    return told
