"""`config check`: the configuration read as the app reads it, with everything that is wrong, or what it comes to."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
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
from shared.router_settings import RouterSettings
from shared.settings import Settings
from shared.transform.resolve import resolve
from shared.transform.surfaces import url_of


async def check_config(options: Namespace, context: Context) -> int:
    source = FileSource(Path(options.file)) if options.file else config_source(context.settings)
    found = await source.read("")
    assert found is not None
    try:
        catalog = catalog_of(found[0], context.environ)
    except ConfigError as error:
        _print_problems(error, as_json=options.json)
        return 1
    _print_catalog(catalog, as_json=options.json)
    return 0


def catalog_of(text: str, environ: Mapping[str, str]) -> Catalog:
    """The configuration as the app reads it. Raises ConfigError."""
    document = read_document(text)
    # secrets are not read here: the check must work without rights on the vault
    values = dict.fromkeys(config.vault_names(document), "https://from-key-vault.openai.azure.com")
    return resolve(config.parse(document, environ, values), document, environ, Settings.trusted(environ))


def _print_problems(error: ConfigError, *, as_json: bool) -> None:
    if as_json:
        problems = [asdict(problem) for problem in error.problems]
        print(json.dumps({"ok": False, "problems": problems}, indent=1))
        return
    for problem in error.problems:
        print(problem, file=sys.stderr)
    print(f"{len(error.problems)} problem(s): the configuration is refused as a whole.", file=sys.stderr)


def _print_catalog(catalog: Catalog, *, as_json: bool) -> None:
    warnings = [*catalog.warnings, *doubts_about_batches(catalog)]
    rows: list[dict[str, Any]] = [
        {
            "model": deployment.label,
            "family": deployment.family.name,
            "surface": deployment.surface.name,
            "credential": deployment.credential.kind,
            "order": deployment.order,
            "weight": deployment.weight,
            "rpm": deployment.rpm,
            "tpm": deployment.tpm,
            "tags": sorted(deployment.tags),
            "url": url_of(deployment, "chat/completions"),
        }
        for deployments in catalog.deployments.values()
        for deployment in deployments
    ]
    if as_json:
        found = {"ok": True, "deployments": rows, "routing": _routing(catalog.router), "warnings": warnings}
        print(json.dumps(found, indent=1))
        return
    columns = {name: name.upper() for name in ("model", "family", "surface", "credential", "order", "url")}
    print_rows(rows, columns, as_json=False, empty="")
    for line in _said(catalog.router):
        print(line)
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"ok: {len(catalog.deployments)} models on {len(rows)} deployments")


def doubts_about_batches(catalog: Catalog) -> Iterator[str]:
    """What may be meant so, and may not."""
    keepers = catalog.keepers()
    for alias, deployments in catalog.deployments.items():
        sold = [deployment for deployment in deployments if deployment.only_batches]
        for deployment in sold:
            if deployment.resource not in keepers:
                yield (
                    f"{deployment.label} is for batches, but its resource is reached in a way that takes no files: it "
                    "never runs one. Write its api_base as https://NAME.openai.azure.com."
                )
        if 0 < len(sold) < len(deployments):
            yield (
                f"{alias} has {len(sold)} of {len(deployments)} deployments for batches: batches of chat completions "
                "run there, calls and all other batches on the others. Two models would keep them apart."
            )


def _routing(router: RouterSettings) -> dict[str, Any]:
    """The settings in force, those that nobody gave included."""
    return {**asdict(router), "regions": sorted(router.regions)}


def _said(router: RouterSettings) -> list[str]:
    """What is not as it is by default, in the configuration's words."""
    rest = f"cooldown {router.cooldown:g} s" if router.cooldowns else "no cooldowns"
    lines = [f"routing: {router.strategy}, {router.num_retries} retries, {rest}"]
    if router.regions:
        lines.append(f"regions: {', '.join(sorted(router.regions))}")
    for what, rows in (
        ("fallbacks", {**router.fallbacks, **({"*": router.default_fallbacks} if router.default_fallbacks else {})}),
        ("when its context is too long", router.context_window_fallbacks),
        ("when its content filter refuses", router.content_policy_fallbacks),
    ):
        lines += [f"{what}: {alias} → {', '.join(others)}" for alias, others in rows.items()]
    return lines
