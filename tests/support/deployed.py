"""A gateway as the platform runs it: the package unzipped read-only, on a Python that has nothing but the package.

Owns that Python and the folder. Of the platform it adds only the worker's own library, and the host's sources.
"""

from __future__ import annotations

import importlib.util
import sys
import venv
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from deploy.package import PACKAGES
from deploy.trial import unzipped
from local.fake_azure import FakeAzure
from tests.support.stack import ROOT, Stack

WORKERS_OWN = "azure_functions_runtime"


def bare_python(folder: Path) -> Path:
    """A Python without a single package."""
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


def workers_own(folder: Path) -> Path:
    """A folder for sys.path that holds what the platform's worker brings, and nothing that lies beside it here."""
    spec = importlib.util.find_spec(WORKERS_OWN)
    assert spec
    assert spec.submodule_search_locations
    folder.mkdir()
    (folder / WORKERS_OWN).symlink_to(spec.submodule_search_locations[0])
    return folder


class DeployedStack(Stack):
    """A gateway of a package that was unzipped to `app`."""

    def __init__(self, folder: Path, fake: FakeAzure, storage: str, app: Path, **options: Any) -> None:
        self._python = bare_python(folder / "python")
        path = f"{app / PACKAGES}:{workers_own(folder / 'worker')}:{ROOT}"
        super().__init__(folder / "stack", fake, storage, app=app, PYTHONPATH=path, PYTHONNOUSERSITE="1", **options)

    def start(self) -> None:
        # the host starts its worker with the Python that runs the host
        with patch.object(sys, "executable", str(self._python)):
            super().start()


@contextmanager
def deployed(file: Path, folder: Path, fake: FakeAzure, storage: str, **options: Any) -> Generator[DeployedStack]:
    """Unzip a package and serve it."""
    with unzipped(file) as app, DeployedStack(folder, fake, storage, app, **options) as stack:
        yield stack
