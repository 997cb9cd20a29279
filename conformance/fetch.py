"""What the tests need: the SDKs' sources with their tests, an environment to run them in, the mock, specifications.

Owns where that comes from and lies (.tollgate/conformance). Everything is fetched once, by pip and npm.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from conformance import npm
from local.stack.layout import ROOT, TOOLS

HOME = TOOLS / "conformance"
SPECS = ROOT.parent / "shared" / "specs"
STEADY = "0.22.2"
# What the tests import beside the SDKs (their pyproject.toml, group dev); the SDKs are those of requirements-dev.txt.
REQUIREMENTS = (
    "dirty-equals==0.11",
    "http-snapshot==0.1.9",
    "httpx==0.28.1",
    "inline-snapshot==0.36.1",
    "pytest==9.2.0",
    "pytest-asyncio==1.5.0",
    "pytest-timeout==2.4.0",
    "respx==0.23.1",
    "rich==15.0.0",
)


class FetchError(Exception):
    """Something is missing and could not be fetched; the text says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Materials:
    """Where everything is."""

    python: Path
    """Of the tests' own environment."""
    steady: Path
    """The mock's script."""
    sources: dict[str, Path]
    """SDK -> its source distribution, unpacked."""
    versions: dict[str, str]


def fetch(sdks: list[str], say: Callable[[str], None]) -> Materials:
    """Whatever is missing is fetched. Raises FetchError."""
    HOME.mkdir(parents=True, exist_ok=True)
    versions = {name: version(name) for name in sdks}
    sources = {name: _source(name, versions[name], say) for name in sdks}
    python = _environment(versions, say)
    try:
        steady = npm.package("@stdy/cli", STEADY, HOME / "node")
    except npm.NpmError as error:
        raise FetchError(str(error)) from error
    return Materials(python, steady / "steady.js", sources, versions)


def specification(folder: Path, name: str) -> Path:
    """The specification's file. Raises FetchError."""
    file = folder / name
    if not file.is_file():
        raise FetchError(f"there is no specification {name} in {folder}: name its folder with --specs")
    return file


def _source(name: str, number: str, say: Callable[[str], None]) -> Path:
    """The source distribution, unpacked: PyPI's wheels hold no tests."""
    target = HOME / "sdist" / f"{name}-{number}"
    if target.is_dir():
        return target
    say(f"fetching the source distribution {name} {number}")
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _run([
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name,
        "--dest", str(unfinished), f"{name}=={number}",
    ])  # fmt: skip
    (archive,) = unfinished.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(unfinished, filter="data")
    (unfinished / f"{name}-{number}").rename(target)
    shutil.rmtree(unfinished)
    return target


def _environment(versions: dict[str, str], say: Callable[[str], None]) -> Path:
    """A virtual environment of the tests' own: what they need is nothing that this project needs."""
    folder = HOME / "venv"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = [*(f"{name}[aiohttp]=={number}" for name, number in sorted(versions.items())), *REQUIREMENTS]
    stamp = folder / "installed.txt"
    have: set[str] = set(stamp.read_text("utf-8").split()) if stamp.is_file() else set()
    if have >= set(wanted):
        return python
    say(f"installing {len(wanted)} packages for the tests with pip")
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--no-input", *wanted])
    stamp.write_text("\n".join(wanted), "utf-8")
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise FetchError(f"`{' '.join(command[1:4])} …` failed:\n{done.stdout[-2000:]}")
