"""`init`: a config.yaml from what is in Azure, checked by the gateway's own reader before it is written.

Owns the file, what is shown, and what is to be done next. What becomes of a deployment is drafting.py's.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from shared.adapters.price_store import shipped_book
from shared.catalog import Catalog, Deployment
from shared.errors import ConfigError
from shared.manage.azure_side import Found, Wanted, discover, resource_manager
from shared.manage.check import catalog_of
from shared.manage.config_yaml import config_text, entry_lines
from shared.manage.context import CommandError, Context
from shared.manage.drafting import MODERATION, Draft, LeftOut, drafts
from shared.manage.output import print_lines, print_problem, print_rows
from shared.operations.operation import Actor
from shared.operations.prices import PriceRow, PricesAsked, list_prices
from shared.prices import PriceList

_COLUMNS = {
    "model": "MODEL", "deployment": "DEPLOYMENT", "account": "ACCOUNT", "region": "REGION", "sku": "SKU",
    "capacity": "CAPACITY", "family": "FAMILY", "input_usd": "INPUT $/1M", "output_usd": "OUTPUT $/1M",
    "price": "PRICE", "retires": "RETIRES",
}  # fmt: skip
_PAGE = 1000
_OWN_RATES = (
    "input_cost_per_token: 0.0000025     # USD for one token (docs/prices.md)",
    "output_cost_per_token: 0.00001",
)


@dataclass(frozen=True, slots=True)
class _Priced:
    """As much of a desk as prices are told with."""

    found: Catalog
    prices: PriceList
    clock: Any

    async def catalog(self) -> Catalog:
        return self.found


async def write_config(options: Namespace, context: Context) -> int:
    out = _place(options)
    wanted = Wanted(tuple(options.subscription), options.group, tuple(options.account))
    async with resource_manager(context.environ) as arm:
        found = await discover(arm, wanted)
    entries, left = drafts(found, datetime.now(UTC).date())
    if not entries:
        raise CommandError(_nothing(found, left))
    head, tail = _head(found), _tail(found, entries, left)
    text = config_text(head, (_lines(entry, None) for entry in entries), tail)
    told: list[PriceRow] = []
    try:
        catalog = catalog_of(text, context.environ)
        told = await _prices(catalog)
        text = config_text(head, (_lines(*pair) for pair in zip(entries, told, strict=True)), tail)
        problems: list[str] = []
    except ConfigError as error:  # an address that the settings do not trust: told with what to do about it
        catalog, problems = Catalog({}), [str(problem) for problem in error.problems]
    _write(_place(options), text)  # asked again: it may have been made meanwhile
    rows = [
        _row(*three) for three in zip(entries, told or [None] * len(entries), _in_file(catalog, entries), strict=True)
    ]
    _show(options, out, rows, left, [*found.notes, *problems])
    return 1 if problems else 0


def _place(options: Namespace) -> Path:
    out = Path(options.out)
    if out.exists() and not options.force:
        raise CommandError(
            f"{out} exists already: --force writes over it, --out FILE writes another one, and 'config diff "
            f"{_word(out)} --azure' says what is new in Azure."
        )
    return out


async def _prices(catalog: Catalog) -> list[PriceRow]:
    """By the list of the package, in the order of the file."""
    desk = _Priced(catalog, PriceList(shipped_book), time.time)
    rows: list[PriceRow] = []
    cursor = ""
    while cursor or not rows:
        told = await list_prices(PricesAsked(limit=_PAGE, cursor=cursor), Actor("cli"), cast("Any", desk))
        rows, cursor = [*rows, *told.rows], told.next
        if not cursor:
            break
    return rows


def _in_file(catalog: Catalog, entries: Sequence[Draft]) -> Iterable[Deployment | None]:
    found = list(catalog.every())
    return found or [None] * len(entries)


def _lines(entry: Draft, price: PriceRow | None) -> list[str]:
    notes, unset = list(entry.notes), ()
    if price is not None:
        notes.insert(0, _price_note(entry, price))
        if price.unpriced and entry.deployed is not None and "ptu" not in entry.params:
            unset = _OWN_RATES
    return entry_lines(entry.alias, entry.params, entry.info, [note for note in notes if note], unset)


def _price_note(entry: Draft, price: PriceRow) -> str:
    if entry.deployed is None:
        return ""
    if price.hourly_usd:
        units = entry.deployed.capacity
        return (
            f"{units} units: {price.hourly_usd} USD an hour by Azure's list; for what you really pay, write "
            f"ptu: {{units: {units}, hourly_cost: …}}"
        )
    if price.unpriced:
        return "no price is known: its calls cost 0 in the ledger until you say one"
    tokens = {"in": price.input, "cached": price.cached, "out": price.output}
    figures, units = tokens, "for a million tokens"
    if not any(tokens.values()):
        figures, units = price.others, "for one image or second, or a million characters"
    shown = ", ".join(f"${usd} {name}" for name, usd in figures.items() if usd)
    return f"list price: {shown} {units} ({price.source})"


def _head(found: Found) -> list[str]:
    day = datetime.now(UTC).date().isoformat()
    names = ", ".join(f"{name} ({one})" if name else one for one, name in found.subscriptions.items())
    return [
        f"Written on {day} by 'python3 -m shared.manage init' from what is deployed in",
        names,
        "",
        "Clients ask for model_name; change it as you like. Reference: docs/configuration.md. After a change:",
        "  python3 -m shared.manage config check",
        "  python3 -m shared.manage config diff --azure",
        "The gateway signs in with its own identity, so that no key stands here: it needs the roles Cognitive Services",
        "OpenAI User and, for other makers' models and Content Safety, Cognitive Services User.",
    ]


def _tail(found: Found, entries: Sequence[Draft], left: Sequence[LeftOut]) -> list[str]:
    lines: list[str] = []
    if not any(entry.alias == MODERATION for entry in entries):
        host = next((one for one in found.accounts if one.kind == "AIServices" and one.custom_domain), None)
        if host is not None:
            base = host.endpoints[""].rstrip("/")
            asked = entry_lines(MODERATION, {"model": "content_safety/text", "api_base": base}, {}, [])
            lines += ["", "  # Moderations: a Foundry account serves Content Safety as well"]
            lines += [f"  #{line[1:]}" for line in asked]
    if any(entry.info.get("mode") == "batch" for entry in entries):
        lines += ["", "litellm_settings:", "  enable_loadbalancing_on_batch_endpoints: true"]
    if left:
        lines += ["", "# Left out:"]
        lines += [f"# - {one}" for one in left]
    return lines


def _nothing(found: Found, left: Sequence[LeftOut]) -> str:
    where = ", ".join(name or one for one, name in found.subscriptions.items())
    if left:
        reasons = "\n".join(f"- {one}" for one in left)
        return f"Nothing that is deployed can be served:\n{reasons}"
    if found.accounts:
        return f"The accounts in {where} have no deployments: deploy a model (docs/deploy.md), then run this again."
    return (
        f"You see no account of Azure OpenAI or Foundry in {where}. Is it in another tenant (az login --tenant T), "
        "or is the role Reader missing on its resource group? docs/deploy.md makes new ones."
    )


def _write(out: Path, text: str) -> None:
    """Whole or not at all."""
    unfinished = out.with_name(f"{out.name}.part")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.replace(out)
    except OSError as error:
        raise CommandError(
            f"{out} cannot be written: {error.strerror or error}. Name another file with --out."
        ) from error


def _row(entry: Draft, price: PriceRow | None, served: Deployment | None) -> dict[str, Any]:
    one = entry.deployed
    family = (served.mode if served.mode not in ("", "chat", "batch") else served.family.name) if served else ""
    return {
        "model": entry.alias,
        "deployment": one.name if one else "",
        "account": entry.account.name,
        "region": entry.account.location,
        "sku": one.sku if one else "",
        "capacity": one.capacity if one else None,
        "family": family,
        "input_usd": price.input if price else "",
        "output_usd": price.output if price else "",
        "price": _price(entry, price),
        "retires": one.retires if one else "",
    }


def _word(file: Path) -> str:
    """For the shell of this machine."""
    text = os.fspath(file)
    return shlex.quote(text) if os.name != "nt" else f'"{text}"' if " " in text else text


def _price(entry: Draft, price: PriceRow | None) -> str:
    if price is None or entry.deployed is None:
        return ""
    if price.hourly_usd:
        return f"{price.hourly_usd} an hour"
    return "unknown" if price.unpriced else "list"


def _show(
    options: Namespace, out: Path, rows: Sequence[Mapping[str, Any]], left: Sequence[LeftOut], notes: Sequence[str]
) -> None:
    if options.json:
        told = {
            "file": str(out),
            "entries": list(rows),
            "left_out": [asdict(one) for one in left],
            "notes": list(notes),
        }
        print(json.dumps(told, indent=1))
        return
    print_rows(rows, _COLUMNS, as_json=False)
    print_lines(f"left out: {one}" for one in left)
    for note in notes:
        print_problem(f"note: {note}")
    models = len({row["model"] for row in rows})
    print(f"{out}: {models} models on {len(rows)} deployments. Read it, then:")
    print(f"  python3 -m shared.manage config check {_word(out)}")
    print(
        "  docs/deploy.md tells how it is brought to the gateway, and 'doctor' whether everything there is reachable."
    )
