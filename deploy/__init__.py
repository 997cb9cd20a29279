"""From this checkout to Azure: the package, the Bicep checks, the az commands. Never deployed itself."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class DeployError(Exception):
    """What went wrong and what to do about it, for the operator's screen."""


def short(file: Path) -> str:
    """A file as one would type it here."""
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
