"""Whether the process runs (live) and whether it can serve (ready). Details are for the operator's key only."""

from __future__ import annotations

import asyncio

import orjson

from shared.catalog import Catalog
from shared.errors import ConfigError
from shared.ports import KeyStore, StoreUnavailable
from shared.types import Json

PROBE = "0" * 64
"""A digest that no key has: asking for it shows that the table answers."""
STORE_SECONDS = 5.0


def live() -> bytes:
    return orjson.dumps({"status": "ok"})


async def ready(
    catalog: Catalog | None, refused: ConfigError | StoreUnavailable | None, keys: KeyStore | None, *, detailed: bool
) -> tuple[int, bytes]:
    """-> (200 or 503, JSON). Anybody may see which check fails; why is shown when `detailed`."""
    checks: Json = {"config": "ok" if catalog else "refused", "key_store": "unknown"}
    reasons: Json = {}
    if refused:
        checks["config"] = "the new one is refused, the last good one is in force" if catalog else "refused"
        problems = [str(p) for p in refused.problems] if isinstance(refused, ConfigError) else [str(refused)]
        reasons["config"] = problems
    if keys:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await keys.get(PROBE)
            checks["key_store"] = "ok"
        except (StoreUnavailable, TimeoutError) as error:
            checks["key_store"] = "unavailable"
            reasons["key_store"] = str(error) or "no answer"
    good = catalog is not None and checks["key_store"] == "ok"
    answer: Json = {"status": "ok" if good else "not ready", "checks": checks}
    if detailed:
        answer["reasons"] = reasons
        answer["models"] = list(catalog.aliases()) if catalog else []
        answer["warnings"] = list(catalog.warnings) if catalog else []
    return (200 if good else 503), orjson.dumps(answer)
