"""From this checkout to Azure: the package, the Bicep checks, the az commands. Never deployed itself."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class DeployError(Exception):
    """What went wrong and what to do about it, for the operator's screen."""
