"""Puts shared.batches together for one configuration. Opens nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from shared.batches.azure.batch_storage import Containers
from shared.batches.azure.engine import AzureEngine
from shared.batches.azure.output_events import OutputEvents
from shared.batches.azure.webhooks import Webhooks
from shared.batches.callbacks import CallbackClient, Callbacks
from shared.batches.deferred.deferring import Deferring
from shared.batches.desk import Batches
from shared.batches.dropped.drops import Drops
from shared.batches.files import Files
from shared.batches.looking import AfterEnd, Looking
from shared.batches.own.engine import OwnEngine
from shared.batches.ports import BatchRows, BlobFolder, Lines, Payers, Work
from shared.batches.retrying import Retrying
from shared.batches.service import BatchApi
from shared.batches.settling import Settling
from shared.catalog import Catalog
from shared.objects import Registry
from shared.ports import CallLog, ObjectIndex, Prices, Secrets, Upstream
from shared.routing import States
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class BatchParts:
    """The adapters that shared.batches works with, besides those of the gateway."""

    rows: BatchRows
    files: BlobFolder
    drops: BlobFolder
    containers: Containers
    work: Work
    payers: Payers
    callback_client: CallbackClient
    source: str
    """CloudEvents' attribute of that name, of this gateway."""
    settling: Settling
    tell: AfterEnd
    """The event `batch.done`."""


def make_batches(
    parts: BatchParts,
    settings: Settings,
    catalog: Catalog,
    registry: Registry,
    lines: Lines,
    *,
    upstream: Upstream,
    vault: Secrets,
    prices: Prices,
    states: States,
    index: ObjectIndex,
    log: CallLog,
    clock: Callable[[], float],
    rng: Random,
) -> Batches:
    rows, payers, settling = parts.rows, parts.payers, parts.settling
    files = Files(catalog, registry, rows, parts.files, index, log, clock)
    azure = AzureEngine(
        catalog, registry, rows, files, upstream, parts.containers, states, prices, payers, parts.work, settling, log,
        clock, rng,
    )  # fmt: skip
    own = OwnEngine(registry, rows, files, parts.files, parts.work, lines, payers, settling, log, clock)
    after_end: list[AfterEnd] = []
    looking = Looking(rows, parts.work, {"azure": azure, "own": own}, after_end, log, clock)
    callbacks = Callbacks(
        rows, parts.work, registry, log, clock, settings.key_pepper.reveal().encode(), settings.callback_hosts,
        parts.callback_client, parts.source,
    )  # fmt: skip
    api = BatchApi(catalog, registry, rows, files, index, looking, callbacks, log, clock)
    outputs = OutputEvents(catalog, rows, looking)
    drops = Drops(rows, parts.drops, files, api, payers, outputs, log, clock)
    deferring = Deferring(
        registry, rows, parts.files, parts.work, files, api, payers, log, clock,
        settings.defer_lines, settings.defer_seconds,
    )  # fmt: skip
    after_end += [drops.after_end, deferring.after_end, parts.tell, callbacks.after_end]
    webhooks = Webhooks(rows, looking, catalog.webhook_secrets, vault, log, clock)
    retrying = Retrying(rows, files, api, payers, log, clock)
    return Batches(files, api, looking, azure, own, drops, deferring, callbacks, webhooks, retrying, parts.work, log)
