"""Owns the zip that is deployed: what is in it, its bytecode, and that the same checkout gives the same bytes.

Must not know how it is published. Which packages go in is of wheels.py, which files of the checkout of ignored.py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from deploy import ROOT, DeployError, wheels
from deploy.ignored import deployed_files, read_ignored

PACKAGES = ".python_packages/lib/site-packages"
"""Where the platform's Python worker looks for an app's packages."""
MOUNT = "/home/site/wwwroot"
"""Where the platform mounts the package: the paths in the bytecode, so that tracebacks name files that are there."""
APP = {"function_app.py", "host.json", "requirements.txt", "shared"}
CONFIG = "config.yaml"
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Package:
    """A zip that was made."""

    file: Path
    size: int
    files: int
    of_app: int
    digest: str


def build(out: Path, config: Path | None = None, root: Path = ROOT) -> Package:
    """Make the zip. Raises DeployError."""
    if sys.version_info[:2] != wheels.PYTHON:
        raise DeployError(
            f"The deployed app runs on Python 3.13, this is {sys.version.split()[0]}, whose bytecode it could not use. "
            "Install Python 3.13, then: python3 dev.py clean, and this again"
        )
    found = wheels.fetch()
    with tempfile.TemporaryDirectory(prefix="tollgate-package-") as folder:
        stage = Path(folder)
        wheels.unpack(found, stage / PACKAGES)
        _copy_app(root, stage)
        if config is not None:
            shutil.copyfile(config, stage / CONFIG)
        _compile(stage)
        return _zip(stage, out)


def _copy_app(root: Path, stage: Path) -> None:
    """The checkout's own files. A stray file is refused: nobody can know whether it holds a secret."""
    strays: set[str] = set()
    for file in deployed_files(root, read_ignored(root / ".funcignore")):
        place = file.relative_to(root)
        if place.name == CONFIG and len(place.parts) == 1:
            continue  # goes in where it is asked for
        if place.parts[0] not in APP:
            strays.add(place.parts[0])
            continue
        (stage / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, stage / place)
    if strays:
        raise DeployError(
            f"{', '.join(sorted(strays))}: not part of the app. Move it out of the checkout, or name it in .funcignore"
        )
    if missing := APP - {path.name for path in stage.iterdir()}:
        raise DeployError(f"{', '.join(sorted(missing))} is missing in {root}")


def _compile(stage: Path) -> None:
    """Bytecode that is taken as it is: a zip changes the files' times, and the app's folder cannot be written there."""
    command = [
        sys.executable, "-m", "compileall", "-q", "-f", "-j", "2", "--invalidation-mode", "unchecked-hash",
        "-s", str(stage), "-p", MOUNT, str(stage),
    ]  # fmt: skip
    # sets of constants are written in the order of their hashes
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise DeployError(f"Some of it is not Python 3.13:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _zip(stage: Path, out: Path) -> Package:
    out.parent.mkdir(parents=True, exist_ok=True)
    made = out.with_name(out.name + ".new")
    files = of_app = 0
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in stage.rglob("*") if path.is_file()):
            place = file.relative_to(stage).as_posix()
            entry = zipfile.ZipInfo(place, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes(), compresslevel=6)
            files += 1
            of_app += 0 if place.startswith(PACKAGES) else entry.compress_size
    made.replace(out)
    return Package(out, out.stat().st_size, files, of_app, hashlib.sha256(out.read_bytes()).hexdigest())
