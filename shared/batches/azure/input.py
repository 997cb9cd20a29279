"""The input of a batch as one resource takes it: its name, and its lines with that resource's own names and ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from shared.batches.azure.resource_batches import ResourceBatches
from shared.batches.batch import Batch, Placement
from shared.batches.files import Files
from shared.batches.intake.rewriting import Rewriter
from shared.objects import Opener, Registry

_AT_ONCE = 256 * 1024
"""Bytes that are rewritten before other calls have their turn."""


class BatchInput:
    """The lines of a batch as one resource takes them; every iteration begins at the start."""

    def __init__(self, registry: Registry, files: Files, batch: Batch, there: ResourceBatches) -> None:
        self._registry = registry
        self._files = files
        self._batch = batch
        self._there = there

    async def __aiter__(self) -> AsyncIterator[bytes]:
        batch, deployment = self._batch, self._there.deployment
        open_id = Opener(self._registry, batch.payer.principal).on(deployment.resource) if batch.bound else None
        rewriter = Rewriter(deployment.name, endpoint_there(batch, self._there), open_id)
        async for piece in self._files.read(batch.input_file):
            for start in range(0, len(piece), _AT_ONCE):
                if made := rewriter.feed(piece[start : start + _AT_ONCE]):
                    yield made
                await asyncio.sleep(0)
        if last := rewriter.end():
            yield last


def filename(batch: Batch, placement: Placement) -> str:
    """By which a file is found again. Of a later placement it is another one: another deployment's name is in it."""
    number = f"-{placement.placed_at * 1000:.0f}" if batch.tries else ""
    return f"tollgate-{batch.id}{number}.jsonl"


def endpoint_there(batch: Batch, there: ResourceBatches) -> str:
    path = batch.endpoint.removeprefix("/v1")
    return f"/v1{path}" if there.v1 else path
