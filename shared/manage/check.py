"""`config check`: the configuration read as the app reads it, with everything that is wrong, or what it comes to."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared import config
from shared.adapters.config_source import FileSource
from shared.bootstrap import config_source
from shared.catalog import Catalog
from shared.document import read_document
from shared.errors import ConfigError
from shared.manage.context import Context
from shared.manage.output import print_rows
from shared.settings import Settings
from shared.transform.resolve import resolve
from shared.transform.surfaces import url_of


async def check_config(options: Namespace, context: Context) -> int:
    source = FileSource(Path(options.file)) if options.file else config_source(context.settings)
    found = await source.read("")
    assert found is not None
    environ = context.environ
    try:
        document = read_document(found[0])
        # secrets are not read here: the check must work without rights on the vault
        values = dict.fromkeys(config.vault_names(document), "https://from-key-vault.openai.azure.com")
        trusted = Settings.trusted(environ)
        catalog = resolve(config.parse(document, environ, values), document, environ, trusted)
    except ConfigError as error:
        _print_problems(error, as_json=options.json)
        return 1
    _print_catalog(catalog, as_json=options.json)
    return 0


def _print_problems(error: ConfigError, *, as_json: bool) -> None:
    if as_json:
        problems = [asdict(problem) for problem in error.problems]
        print(json.dumps({"ok": False, "problems": problems}, indent=1))
        return
    for problem in error.problems:
        print(problem, file=sys.stderr)
    print(f"{len(error.problems)} problem(s): the configuration is refused as a whole.", file=sys.stderr)


def _print_catalog(catalog: Catalog, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "model": deployment.label,
            "family": deployment.family.name,
            "surface": deployment.surface.name,
            "credential": deployment.credential.kind,
            "url": url_of(deployment, "chat/completions"),
        }
        for deployments in catalog.deployments.values()
        for deployment in deployments
    ]
    if as_json:
        print(json.dumps({"ok": True, "deployments": rows, "warnings": list(catalog.warnings)}, indent=1))
        return
    columns = {name: name.upper() for name in ("model", "family", "surface", "credential", "url")}
    print_rows(rows, columns, as_json=False, empty="")
    for warning in catalog.warnings:
        print(f"warning: {warning}")
    print(f"ok: {len(catalog.deployments)} models on {len(rows)} deployments")
