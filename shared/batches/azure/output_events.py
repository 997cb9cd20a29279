"""An event says that a resource has written into a container of batches: the batch that it belongs to is looked at.

Only the name of the folder is taken from it. What has become of the batch is then asked of its resource, so that an
event that is invented, doubled, late or lost does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.batches.azure.batch_storage import INPUT
from shared.batches.azure.webhooks import UPSTREAM_BATCH
from shared.batches.looking import Looking
from shared.batches.ports import BatchRows
from shared.catalog import Catalog

_LOOKS = (0.0, 60.0, 180.0)
"""Seconds until a look: Azure writes while the batch is still `finalizing`, for a minute or so."""
_LOOKS_AT_MANY = (0.0, 90.0)
_MOST = 50


@dataclass(frozen=True, slots=True)
class OutputEvents:
    catalog: Catalog
    rows: BatchRows
    looking: Looking

    async def arrived(self, container: str, names: Iterable[str]) -> None:
        """names: what the blob may be called. Does nothing for a container that no batches go to. Raises
        StoreUnavailable."""
        there = {d.id for d in self.catalog.every() if d.batch_storage == container}
        folders = dict.fromkeys(name.partition("/")[0] for name in names if "/" in name and not name.startswith(INPUT))
        if not there or not folders:
            return
        found = await self._batch(folders)
        for batch_id in [found] if found else await self._like(there):
            for delay in _LOOKS if found else _LOOKS_AT_MANY:
                await self.looking.soon(batch_id, delay)

    async def _batch(self, folders: Iterable[str]) -> str | None:
        for folder in folders:
            for name in (f"batch_{folder}", folder):
                if batch_id := await self.rows.referred(UPSTREAM_BATCH, name):
                    return batch_id
        return None

    async def _like(self, there: set[str]) -> list[str]:
        """Azure's documentation calls the folder a GUID, and does not say that it is the batch's own: if it is not, it
        is one of these. Those that would wait longest for their next look come first."""
        opened = [batch for batch in await self.rows.open() if batch.deployment in there]
        return [batch.id for batch in sorted(opened, key=lambda b: -b.next_look)[:_MOST]]
