"""Keys: made, listed, revoked. A key is shown once, when it is made; the table holds its digest only."""

from __future__ import annotations

import json
import re
import secrets
import time
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.adapters.tables import TableKeys
from shared.auth import KEY_BYTES, key_digest, new_key, shown
from shared.manage.context import CommandError, Context
from shared.manage.output import print_rows
from shared.principals import Allowance, Principal


async def create(options: Namespace, context: Context) -> int:
    key = new_key(secrets.token_bytes(KEY_BYTES))
    now = time.time()
    principal = Principal(
        key_id=key_digest(context.settings.key_pepper.reveal().encode(), key),
        name=options.name,
        team=options.team,
        allowance=Allowance(models=frozenset(filter(None, (m.strip() for m in options.models.split(","))))),
        expires_at=_moment(options.expires, now),
        prefix=shown(key),
        created_at=now,
    )
    await TableKeys(context.tables).put(principal)
    if options.json:
        print(json.dumps({"key": key, **_row(principal, now)}))
        return 0
    print(key)
    print(f"This is the only time that the key is shown. Its id is {principal.key_id[:12]}.")
    return 0


async def show(options: Namespace, context: Context) -> int:
    now = time.time()
    rows = [_row(p, now) for p in await TableKeys(context.tables).all()]
    columns = {"id": "ID", "name": "NAME", "team": "TEAM", "prefix": "KEY", "state": "STATE", "models": "MODELS",
               "expires": "EXPIRES", "created": "CREATED"}  # fmt: skip
    printable = rows if options.json else [{**r, "models": ",".join(r["models"]) or "all"} for r in rows]
    empty = "There are no keys. Make one: python3 -m shared.manage keys create --name NAME"
    print_rows(printable, columns, as_json=options.json, empty=empty)
    return 0


async def revoke(options: Namespace, context: Context) -> int:
    store = TableKeys(context.tables)
    pepper = context.settings.key_pepper.reveal().encode()
    principal = _find(options.key, await store.all(), pepper)
    await store.put(replace(principal, disabled=True))
    if options.json:
        print(json.dumps({"id": principal.key_id[:12], "name": principal.name, "state": "revoked"}))
    else:
        print(
            f"Revoked {principal.name} ({principal.prefix}). It ends within {context.settings.key_cache_seconds:g} s."
        )
    return 0


def _find(given: str, known: list[Principal], pepper: bytes) -> Principal:
    digest = key_digest(pepper, given) if given.startswith("sk-") else ""
    found = [p for p in known if p.key_id == digest]
    found = found or [p for p in known if len(given) >= 6 and p.key_id.startswith(given)]
    found = found or [p for p in known if p.name == given and not p.disabled]
    if not found:
        raise CommandError("No such key. 'python3 -m shared.manage keys list' shows all.")
    if len(found) > 1:
        ids = ", ".join(p.key_id[:12] for p in found)
        raise CommandError(f"{len(found)} keys are called {given!r}: name one by its id ({ids}).")
    return found[0]


def _moment(text: str, now: float) -> float | None:
    """90d, 12h or a date (its end, UTC) as Unix seconds. Raises CommandError."""
    if not text:
        return None
    if found := re.fullmatch(r"(\d+)([dh])", text):
        return now + int(found[1]) * (86400 if found[2] == "d" else 3600)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() + (86400 if len(text) == 10 else 0)
    except ValueError:
        raise CommandError(f"--expires {text!r}: write 90d, 12h or a date such as 2027-03-31.") from None


def _row(principal: Principal, now: float) -> dict[str, Any]:
    expired = principal.expires_at is not None and principal.expires_at <= now
    return {
        "id": principal.key_id[:12],
        "name": principal.name,
        "team": principal.team,
        "prefix": principal.prefix,
        "state": "revoked" if principal.disabled else "expired" if expired else "active",
        "models": sorted(principal.allowance.models),
        "expires": _date(principal.expires_at),
        "created": _date(principal.created_at),
    }


def _date(moment: float | None) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") if moment else ""
