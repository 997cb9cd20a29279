"""Finds what lost messages have left of batches, and says it again: looks, groups of deferred calls, dropped blobs.

What it sends may be on its way already: whoever takes a message makes nothing of what is done.
"""

from __future__ import annotations

import random
from datetime import datetime

from pydantic import Field

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import DROPS, FILES
from shared.adapters.work_queue import QueueWork
from shared.batches.deferred.groups import PREFIX, overdue
from shared.batches.dropped.event import created_event
from shared.batches.dropped.names import IN, drop_name
from shared.batches.looking import Looking
from shared.batches.ports import BlobFacts
from shared.operations.operation import Desk, Told

OLD_SECONDS = 600.0
"""A dropped blob that lies there for so long was not told of, or could not be taken."""
MOST_DROPS = 200
"""Blobs told of in one run, by chance: those that cannot be taken must not keep others from their turn."""


class SweptBatches(Told):
    looks: int = Field(default=0, description="Batches whose look was overdue: they are looked at now.")
    groups: int = Field(default=0, description="Groups of deferred calls whose time has come: they are closed now.")
    drops: int = Field(default=0, description="Dropped files that nobody had taken: they are told of again.")


async def sweep_batches(desk: Desk, now: datetime) -> SweptBatches:
    """Safe to run anywhere, any number of times. Raises StoreUnavailable."""
    rows, work, moment = TableBatches(desk.tables), QueueWork(desk.queue), now.timestamp()
    looks = await Looking(rows, work, {}, (), desk.log, lambda: moment).sweep()
    groups = await _groups(desk, work, moment)
    drops = await _drops(desk, work, moment)
    return SweptBatches(looks=looks, groups=groups, drops=drops)


async def _groups(desk: Desk, work: QueueWork, now: float) -> int:
    names = {overdue(facts.name, now) async for facts in desk.folders.folder(FILES).list(PREFIX)}
    await work.send_all("looks", [{"do": "close", "group": name} for name in sorted(filter(None, names))])
    return len(names - {None})


async def _drops(desk: Desk, work: QueueWork, now: float) -> int:
    found: list[BlobFacts] = []
    seen = 0
    async for facts in desk.folders.folder(DROPS).list(IN):
        if facts.modified < now - OLD_SECONDS and drop_name(facts.name) and not facts.metadata.get("hdi_isfolder"):
            seen += 1  # each of all that are seen is as likely to stay
            if len(found) < MOST_DROPS:
                found.append(facts)
            elif (place := random.randrange(seen)) < MOST_DROPS:  # noqa: S311
                found[place] = facts
    await work.send_all("drops", [created_event(DROPS, f.name, f.etag, f.size, f.modified) for f in found])
    return len(found)
