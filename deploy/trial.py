"""Tries a package before it is published: unzips it read-only and imports it with nothing else of this machine.

Owns what is measured and what must be there. Must not know how the package was made.
"""

from __future__ import annotations

import ast
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy import DeployError
from deploy.package import PACKAGES
from deploy.wheels import PYTHON

TIMES = 5
NOT_OF_THE_PACKAGE = {"azure_functions_runtime", "openai"}
"""The platform's worker brings the one; shared/client, for programs of their own, needs the other and is not served."""
_IMPORT = """
import json, sys, time
sys.path[:0] = json.loads(sys.argv[1])
wall, cpu = time.perf_counter(), time.process_time()
import function_app
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""
_EVERYTHING = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
failed = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """How long `import function_app` takes in a fresh process, in seconds; None where this machine cannot run it."""

    wall: float
    cpu: float


def runs_here() -> bool:
    """Whether this machine and Python can load what is made for the target."""
    return (sys.platform, platform.machine(), sys.version_info[:2]) == ("linux", "x86_64", PYTHON)


def try_package(file: Path) -> Tried | None:
    """Raises DeployError when something that the app imports is not in the package."""
    with unzipped(file) as folder:
        names = sorted(imported_modules(folder))
        if missing := [name for name in names if not _is_there(folder, name)]:
            raise DeployError(
                f"The app imports {', '.join(missing)}, which is not in the package: correct the import, or name the "
                "distribution that holds it in requirements.txt, then python3 dev.py package --lock"
            )
        if not runs_here():
            return None
        failed = json.loads(_alone(folder, _EVERYTHING, json.dumps(names)))
        if failed:
            said = "".join(f"\n  {name}: {why}" for name, why in failed.items())
            raise DeployError(f"The package does not import with what is in it:{said}")
        figures = [json.loads(_alone(folder, _IMPORT)) for _ in range(TIMES)]
        return Tried(*(statistics.median(column) for column in zip(*figures, strict=True)))


@contextmanager
def unzipped(file: Path) -> Generator[Path]:
    """The package as the platform mounts it: nothing in it can be written."""
    folder = Path(tempfile.mkdtemp(prefix="tollgate-mount-"))
    try:
        unzip_read_only(file, folder)
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(folder)


def unzip_read_only(file: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def imported_modules(folder: Path) -> set[str]:
    """Every module that the app's own code names in an import of any kind, at its top or inside a function."""
    found: set[str] = set()
    for file in (folder / "function_app.py", *(folder / "shared").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    elsewhere = sys.stdlib_module_names | NOT_OF_THE_PACKAGE
    return {name for name in found if name.partition(".")[0] not in elsewhere}


def _is_there(folder: Path, name: str) -> bool:
    *parents, last = name.split(".")
    suffixes = (".py", ".abi3.so", f".cpython-{PYTHON[0]}{PYTHON[1]}-x86_64-linux-gnu.so")
    for root in (folder / PACKAGES, folder):
        place = root.joinpath(*parents)
        if (place / last).is_dir() or any((place / f"{last}{suffix}").is_file() for suffix in suffixes):
            return True
    return False


def _alone(folder: Path, code: str, given: str = "") -> str:
    """Run code with the standard library and the package, and nothing of this environment."""
    path = json.dumps([str(folder / PACKAGES), str(folder)])
    command = [sys.executable, "-I", "-S", "-c", code, path]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise DeployError(f"The package does not import:\n{done.stderr[-3000:]}")
    return done.stdout
