"""Owns the programs of the stack: how each is called, and when it counts as started.

Must not know their order, nor what happens when one ends: the supervisor does.
"""

import json
import sys
from pathlib import Path
from typing import Any

from local.stack.layout import ROOT, Layout
from local.stack.ports import answers

NAMES = {
    "azurite": "Azurite",
    "fake_azure": "the fake Azure",
    "host": "the Functions host",
    "blob_events": "the stand-in for Event Grid",
}
HOST_GRACE = 1.0  # seconds that running requests get to end


def fake_command(layout: Layout) -> list[str]:
    files = ["--state-dir", str(layout.fake), "--ready-file", str(layout.fake_ready)]
    return [sys.executable, "-m", "local.fake_azure", *files]


def blob_events_command() -> list[str]:
    """It finds the storage account in the app's own setting."""
    return [sys.executable, "-m", "local.blob_events"]


def host_command(layout: Layout, port: int, mode: str, reload: bool) -> list[str]:
    flags = ["--port", str(port), "--mode", mode, "--grace", str(HOST_GRACE), *(["--reload"] if reload else [])]
    files = ["--ready-file", str(layout.host_ready), "--keys-file", str(layout.host_keys)]
    return [sys.executable, "-m", "local.host", str(ROOT), *flags, *files]


def azurite_listens(ports: dict[str, int]) -> bool:
    return all(answers(port) for port in ports.values())


def ready_file(path: Path) -> dict[str, Any] | None:
    """What a part has written about itself once it was ready; None before (also while it is half written)."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
