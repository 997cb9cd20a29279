"""Keys and secrets that end soon, told in time: a week and a day before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field

from shared.adapters.key_rows import KeyRecord
from shared.adapters.key_store import TableKeys
from shared.books.days import iso
from shared.operations.operation import Desk, Told

AHEAD_DAYS = (7, 1)


class ExpiryReport(Told):
    keys: int = Field(default=0, description="Keys that were looked at.")
    expiring: int = Field(default=0, description="Keys and secrets of them that end within a week.")


async def warn_of_expiry(desk: Desk, now: datetime) -> ExpiryReport:
    """`key.expiring`, once for each key or secret, end and distance. Raises StoreUnavailable."""
    report = ExpiryReport()
    for record in await TableKeys(desk.tables).records():
        report.keys += 1
        key = record.principal
        for ends, data in () if key.disabled else _ends(record):
            left = ends - now.timestamp()
            within = min((days for days in AHEAD_DAYS if 0 < left <= days * 86400), default=0)
            if not within:
                continue
            report.expiring += 1
            told = {"id": key.key_id, "name": key.name, "team": key.team, **data}
            told |= {"expires_at": iso(ends), "within_days": within}
            unique = f"expiring|{key.key_id}|{data['what']}|{data['prefix']}|{ends!r}|{within}"
            await desk.outbox.add_now("key.expiring", f"keys/{key.key_id}", told, unique)
    return report


def _ends(record: KeyRecord) -> Iterator[tuple[float, dict[str, Any]]]:
    """When the key ends, and each of its secrets that ends before the key does."""
    key = record.principal
    if key.expires_at is not None:
        yield key.expires_at, {"what": "key", "prefix": key.prefix}
    for secret in record.secrets:
        if secret.expires_at is not None and (key.expires_at is None or secret.expires_at < key.expires_at):
            yield secret.expires_at, {"what": "secret", "prefix": secret.prefix}
