"""The adapters that shared.batches works with, made of what the process has open already."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import DROPS, FILES, BlobFolders
from shared.adapters.callback_client import SafeCallbacks
from shared.adapters.event_reports import BatchEnds
from shared.adapters.key_store import TableKeys
from shared.adapters.late_costs import BudgetedOnce
from shared.adapters.outbox import Outbox
from shared.adapters.payers import TablePayers
from shared.adapters.tables import Tables
from shared.adapters.work_queue import QueueWork
from shared.batches.making import BatchParts
from shared.batches.settling import Settling
from shared.owed import OnceLog


def batch_parts(
    tables: Tables,
    folders: BlobFolders,
    queue: Callable[[str], Any],
    outbox: Outbox,
    usage: OnceLog,
    keys: TableKeys,
) -> BatchParts:
    return BatchParts(
        rows=TableBatches(tables),
        files=folders.folder(FILES),
        drops=folders.folder(DROPS),
        containers=folders.folder,
        work=QueueWork(queue),
        payers=TablePayers(keys, time.time),
        callback_client=SafeCallbacks(),
        source=outbox.source,
        settling=Settling(BudgetedOnce(usage, tables), usage),
        tell=BatchEnds(outbox).tell,
    )
