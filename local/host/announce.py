"""What the host says when it serves: the lines on the terminal and the ready file.

Knows nothing of how anything is served.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from .contract import HostError
from .route_table import RouteTable
from .settings import Settings


def lines(routes: RouteTable, listeners: list[str], url: str, settings: Settings) -> list[str]:
    """One line for each function, as Core Tools prints them."""
    said = ["Functions:"] if routes.routes else []
    for route in routes.routes:
        methods = ",".join(sorted(route.methods)) or "ALL"
        said.append(f"  {route.function.name}: [{methods}] {url}/{route.template.text}")
    if listeners:
        said += ["Listeners:", *(f"  {line}" for line in listeners)]
    if settings.local_cors:
        said.append(
            f"(Host.CORS '{settings.local_cors}' in local.settings.json is not applied: the app answers OPTIONS)"
        )
    return said


def ready_file(path: Path, url: str, pid: int, mode: str, worker_pid: int, functions: list[str]) -> None:
    """Write it whole or not at all: whoever polls for it must never read half of it."""
    facts = {"url": url, "pid": pid, "mode": mode, "worker_pid": worker_pid, "functions": functions}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        Path(name).replace(path)
    except OSError as error:
        raise HostError(f"The ready file {path} cannot be written: {error}") from None
