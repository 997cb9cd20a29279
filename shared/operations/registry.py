"""All operations there are, in the order in which help and documents show them. Each module owns its own."""

from __future__ import annotations

import functools
from importlib import import_module

from shared.operations.operation import Operation

MODULES = (
    "keys", "teams", "usage", "ledger", "prices", "limits", "routing", "reconcile", "batches", "events", "audit",
    "background", "timers", "doctor",
)  # fmt: skip
"""Of this package; each exports OPERATIONS."""


@functools.cache
def operations() -> tuple[Operation, ...]:
    """Imported when they are first asked for: no call to a model needs them."""
    found: list[Operation] = []
    for module in MODULES:
        found += import_module(f"shared.operations.{module}").OPERATIONS
    return tuple(found)


def named(name: str) -> Operation | None:
    return next((row for row in operations() if row.name == name), None)
