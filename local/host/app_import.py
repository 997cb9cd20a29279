"""Imports the app's function_app.py the way the worker will, so that a failure can be told in the developer's words.

Owns the sys.path and working directory that the app sees. Knows nothing of HTTP, triggers or the worker library.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .contract import HostError
from .lifetime import leave

AZURE_LIMIT = 10.0  # seconds the real host grants a worker's initialisation
GIVE_UP = 60.0


def import_app(app_dir: str) -> None:
    """Import the script module. The worker library imports it again, from sys.modules."""
    script = os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
    path = Path(app_dir, script)
    if not path.is_file():
        raise HostError(
            f"There is no {script} in {app_dir}.\nGive the folder that holds it: python -m local.host APP_DIR"
        )
    sys.path.insert(0, app_dir)
    os.chdir(app_dir)
    started = time.monotonic()
    with _bounded(script):
        try:
            importlib.import_module(path.stem)
        except Exception as error:
            raise HostError(_explain(script, app_dir, error)) from error
        except SystemExit as error:
            raise HostError(f"{script} called sys.exit({error.code!r}) while it was imported.") from error
    if (took := time.monotonic() - started) > AZURE_LIMIT:
        print(
            f"warning: importing {script} took {took:.0f} s; Azure stops a worker that needs more than 10 s.",
            flush=True,
        )


def _explain(script: str, app_dir: str, error: Exception) -> str:
    """What failed and where in the app's own code, in two or three lines."""
    text = "".join(traceback.format_exception_only(error)).strip()
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(app_dir + os.sep)]
    place = f"\n  at {os.path.relpath(own[-1].filename, app_dir)}, line {own[-1].lineno}: {own[-1].line}" if own else ""
    advice = ""
    if isinstance(error, ModuleNotFoundError):
        advice = (
            f"\nInstall the package that provides {error.name!r} in this environment and name it in requirements.txt."
        )
    return f"{script} could not be imported: {text}{place}{advice}"


@contextmanager
def _bounded(script: str) -> Generator[None]:
    """An import that never returns must not hang the host."""

    def give_up() -> None:
        print(f"error: {script} is still being imported after {GIVE_UP:.0f} s; giving up.", file=sys.stderr, flush=True)
        leave(1)

    timer = threading.Timer(GIVE_UP, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
