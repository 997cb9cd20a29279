"""A gateway whose queues run, with a storage account of its own: what is sent there, it alone takes.

with batching(tmp_path, fake) as stack: …
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.fake_azure import FakeAzure
from shared.adapters.work_queue import QUEUES
from tests.support.own_azurite import OwnAzurite
from tests.support.stack import Stack

RUNNING = {f"AzureWebJobs.{name}.Disabled": "false" for name in QUEUES}


@contextmanager
def batching(
    folder: Path, fake: FakeAzure, config: str | None = None, *, mode: str = "asgi", **settings: str
) -> Generator[Stack]:
    """config: as of Stack; else that of all tests."""
    folder.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = RUNNING | settings
    with (
        OwnAzurite(folder / "azurite") as storage,
        Stack(folder / "gateway", fake, storage.connection_string, mode=mode, config=config, **given) as stack,
    ):
        yield stack
