"""Packages from npm, each in a folder of its own: installed once, whole or not at all.

Owns their installation; which Node.js there is, `local.stack.node` knows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from local.stack.layout import TOOLS
from local.stack.node import find_node, npm_command

_FLAGS = ("--no-package-lock", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


class NpmError(Exception):
    """npm could not install a package; the text is the end of what it said."""


def package(name: str, version: str, folder: Path | None = None) -> Path:
    """-> the folder of a package of exactly this version, installed when it is not there yet. Raises NpmError.

    folder: where `node_modules` is; the default is one for each package, as npm takes away what it was not asked for.
    """
    target = folder or TOOLS / f"node-{name.strip('@').replace('/', '-')}"
    found = target / "node_modules" / name
    if _version(found) == version:
        return found
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    command = [*npm_command(), "install", "--prefix", str(unfinished), *_FLAGS, f"{name}@{version}"]
    path = f"{find_node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        command, cwd=unfinished, env={**os.environ, "PATH": path}, check=False, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise NpmError(f"npm could not install {name}@{version}:\n{done.stdout[-2000:]}")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return found


def _version(folder: Path) -> str:
    try:
        return str(json.loads((folder / "package.json").read_text("utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return ""
