"""Owns the promise that one state directory has one supervisor. The system drops the lock when its holder dies."""

import contextlib
import sys
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def hold(path: Path) -> Generator[bool]:
    """Whether the lock could be had; it is held inside the `with`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
