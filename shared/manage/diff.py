"""`config diff`: a file beside the configuration in force, or beside what is in Azure; a line for each difference.

Owns what is read and how it is told. As with diff(1) the exit code is 0 for the same, 1 for different, 2 for trouble.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from shared.adapters.config_source import FileSource, blob_place
from shared.bootstrap import ROOT, config_source
from shared.document import Document, read_document
from shared.errors import ConfigError
from shared.manage.azure_side import Found, Wanted, discover, resource_manager
from shared.manage.check import catalog_of
from shared.manage.comparing import Difference, differences
from shared.manage.comparing_azure import compare, resource_ids
from shared.manage.context import CommandError, Context
from shared.manage.output import print_lines, print_problem
from shared.ports import StoreUnavailable

TROUBLE = 2


async def diff_config(options: Namespace, context: Context) -> int:
    try:
        if options.azure:
            return await _beside_azure(options, context)
        if options.subscription or options.group or options.account:
            raise CommandError("--subscription, --group and --account choose among what is in Azure: add --azure.")
        return await _beside_source(options, context)
    except ConfigError as error:
        for problem in error.problems:
            print_problem(problem)
    except (CommandError, StoreUnavailable) as error:
        print_problem(error)
    return TROUBLE


async def _text(options: Namespace) -> str:
    try:
        found = await FileSource(Path(options.file)).read("")
    except StoreUnavailable as error:
        raise CommandError(f"{error}. Name a config.yaml: config diff FILE") from error
    return found[0] if found else ""


async def _beside_source(options: Namespace, context: Context) -> int:
    text, named = await _text(options), context.settings.config_source
    if _is_itself(named, options.file):
        raise CommandError(
            f"CONFIG_SOURCE is {options.file} itself: name another FILE, set CONFIG_SOURCE to what the gateway reads "
            "(blob:config/config.yaml), or compare with what is in Azure: --azure."
        )
    try:
        found = await config_source(context.settings).read("")
    except StoreUnavailable as error:
        raise CommandError(f"CONFIG_SOURCE, {_shown(named)}, cannot be read: {error}") from error
    assert found is not None
    catalog_of(text, context.environ)  # a file that will be refused is no news: it says what is wrong with it
    now = read_document(text)  # what is in force may be of an earlier release: it is only read, not judged
    return _tell(options, f"{options.file} beside {_shown(named)}", differences(read_document(found[0]), now), [], now)


def _is_itself(source: str, file: str) -> bool:
    return blob_place(source) is None and (ROOT / (source or "config.yaml")).resolve() == Path(file).resolve()


def _shown(source: str) -> str:
    return source.partition("?")[0] or "config.yaml"


async def _beside_azure(options: Namespace, context: Context) -> int:
    text = await _text(options)
    catalog = catalog_of(text, context.environ)
    chosen = bool(options.subscription or options.group or options.account)
    wanted = Wanted(tuple(options.subscription), options.group, tuple(options.account))
    if not chosen:  # where the file's accounts are; all that can be seen when it does not say where
        ids = resource_ids(catalog)
        named = {one.resource for one in catalog.every() if one.terms.resource_id}
        if all(one.resource in named for one in catalog.every() if one.provider != "openai"):
            wanted = Wanted(tuple(sorted({one.split("/")[2] for one in ids})))
    async with resource_manager(context.environ) as arm:
        found: Found = await discover(arm, wanted)
    compared = compare(catalog, found, datetime.now(UTC).date(), all_accounts=chosen)
    title = f"{options.file} beside {len(found.accounts)} accounts in Azure"
    return _tell(options, title, compared.differences, [*compared.notes, *found.notes], read_document(text))


def _tell(options: Namespace, title: str, found: Sequence[Difference], notes: Sequence[str], now: Document) -> int:
    if options.json:
        rows = [{**asdict(one), "changes": [asdict(change) for change in one.changes]} for one in found]
        print(json.dumps({"same": not found, "differences": rows, "notes": list(notes)}, indent=1, ensure_ascii=False))
        return int(bool(found))
    print(title)
    print_lines(one.line() for one in found)
    for note in notes:
        print_problem(f"note: {note}")
    entries = len(now.at(("model_list",)) or ())
    print(f"{len(found)} difference{'s' * (len(found) != 1)}" if found else f"the same: {entries} entries")
    return int(bool(found))
