"""A copy of the app's files, for tests in which it is not quite the app: another constant, another import line."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_app(folder: Path) -> Path:
    """What would be deployed, and nothing that lies beside it (no local.settings.json)."""
    folder.mkdir(parents=True)
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "shared", folder / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def change(file: Path, old: str, new: str) -> None:
    """Put `new` in the one place of `old`. Fails when the file has changed so that there is no such place."""
    text = file.read_text("utf-8")
    assert text.count(old) == 1, f"{file.name} holds {old!r} {text.count(old)} times"
    file.write_text(text.replace(old, new), "utf-8")
