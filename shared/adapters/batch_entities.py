"""Rows of the table of batches, there and back. Pure; batch_rows.py says which rows there are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from shared.batches.batch import Batch, Chunk, Figures, OpenBatch, batch_values, row_key

BATCH = "batch"
_PIECE = 15_000
"""Characters of a column: Azure takes 64 KiB of UTF-16. What is longer goes on in NAME__1, NAME__2."""


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """As a transaction takes them: the SDK refuses whole numbers of more than 32 bits."""
    from azure.data.tables import EdmType

    return {
        name: (value, EdmType.INT64) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in values.items()
    }


def batch_row(batch: Batch, mark: str) -> dict[str, Any]:
    row: dict[str, Any] = {"PartitionKey": BATCH, "RowKey": f"b-{row_key(batch.id)}", "change": mark}
    row |= {"team": batch.payer.team, "key_name": batch.payer.key_name}
    for name, value in batch_values(batch).items():
        row[name] = value
        if isinstance(value, str) and len(value) > _PIECE:
            row[name] = value[:_PIECE]
            for number, at in enumerate(range(_PIECE, len(value), _PIECE), 1):
                row[f"{name}__{number}"] = value[at : at + _PIECE]
    return row


def joined(row: dict[str, Any]) -> dict[str, Any]:
    """With long texts in one piece again."""
    for name in [name for name in row if name.endswith("__1")]:
        whole, number = name.removesuffix("__1"), 1
        while f"{whole}__{number}" in row:
            row[whole] += row.pop(f"{whole}__{number}")
            number += 1
    return row


def open_values(batch: Batch) -> dict[str, Any] | None:
    """The columns of its open row; None when it has none."""
    if batch.told:
        return None
    return {
        "input_file": batch.input_file,
        "deployment": batch.placement.deployment if batch.placement else "",
        "tokens": batch.tokens,
        "next_look": batch.next_look,
        "engine": batch.engine,
    }


def open_row(batch: Batch) -> dict[str, Any]:
    return {"PartitionKey": BATCH, "RowKey": f"o-{batch.id}", **(open_values(batch) or {})}


def opened(row: Mapping[str, Any]) -> OpenBatch:
    return OpenBatch(
        id=str(row["RowKey"]).removeprefix("o-"),
        input_file=row["input_file"],
        deployment=row["deployment"],
        tokens=row["tokens"],
        next_look=row["next_look"],
        engine=row["engine"],
    )


def chunk_row(batch_id: str, chunk: Chunk) -> dict[str, Any]:
    return {
        "PartitionKey": batch_id,
        "RowKey": f"{chunk.number:05d}",
        "done": chunk.done,
        "completed": chunk.completed,
        "failed": chunk.failed,
        "figures": orjson.dumps(chunk.figures).decode(),
    }


def chunk_of(row: Mapping[str, Any]) -> Chunk:
    figures = Figures(**orjson.loads(row["figures"]))
    return Chunk(int(row["RowKey"]), row["done"], row["completed"], row["failed"], figures)


def ref_place(name: str) -> str:
    """A name may hold any characters, and be long."""
    return "ref-" + hashlib.sha256(name.encode()).hexdigest()[:32]


def key_of(text: str) -> str:
    """Keys of a table may not hold /, \\, # and ?."""
    return quote(text, safe="")
