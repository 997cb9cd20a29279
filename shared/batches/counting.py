"""How far the own engine has come with a batch: the sum of what its chunks say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shared.batches.batch import Batch, Chunk, Figures


def summed(chunks: Iterable[Chunk]) -> tuple[int, int, Figures]:
    """-> lines with an answer, lines that have failed, what they have used."""
    completed, failed, figures = 0, 0, Figures()
    for chunk in chunks:
        completed, failed, figures = completed + chunk.completed, failed + chunk.failed, figures.plus(chunk.figures)
    return completed, failed, figures


def counted(batch: Batch, chunks: Iterable[Chunk]) -> Batch:
    """One that runs, with how far its chunks have come; its own row may lag behind."""
    completed, failed, figures = summed(chunks)
    return replace(batch, completed=max(batch.completed, completed), failed=max(batch.failed, failed), figures=figures)
