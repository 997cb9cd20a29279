"""`python -m deploy.bicep check | write`: the Bicep files held against the CLI, and what is made of them.

Owns where a CLI is found, what it is asked, and that a single printed line is a failure: an unknown property is only a
warning to it (measured with 0.49.2, 2026-11). Knows nothing of Azure: all of it works without a network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy import ROOT

INFRA = ROOT / "infra"
MAIN = INFRA / "main.bicep"
TEMPLATE = INFRA / "azuredeploy.json"
EXAMPLES = INFRA / "examples"
PLACE = (
    "--subscription-id", "00000000-0000-0000-0000-0000000000aa", "--tenant-id", "00000000-0000-0000-0000-000000000001",
    "--resource-group", "rg-tollgate", "--location", "swedencentral",
)  # fmt: skip
"""Where the snapshots pretend to be deployed."""
OLDEST = (0, 38)
"""Since then `@onlyIfNotExists` needs no switch."""
MISSING = (
    "no Bicep CLI is on PATH or in ~/.azure/bin: install it with `az bicep install`, or take the binary of your system "
    "from the releases of Azure/bicep, and run this again"
)
_SECONDS = 120


def find(environ: Mapping[str, str]) -> Path | None:
    """The CLI: beside the checkout, on PATH, or where az puts its own."""
    beside = ROOT.parent / "shared" / "bin" / "bicep"
    if beside.is_file():
        return beside
    if found := shutil.which("bicep", path=environ.get("PATH", "")):
        return Path(found)
    of_az = Path(environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure") / "bin" / "bicep"
    return next((file for file in (of_az, of_az.with_suffix(".exe")) if file.is_file()), None)


def examples() -> list[Path]:
    return sorted(EXAMPLES.glob("*.bicepparam"))


def files() -> list[Path]:
    return [*sorted(INFRA.rglob("*.bicep")), *examples()]


def problems(cli: Path) -> Iterator[tuple[str, str]]:
    """Name and outcome of each check, one after the other; the outcome is empty when all is well."""
    yield "bicep version", _too_old(cli)
    # of main.bicep alone it would not tell what is wrong in the modules (measured with 0.49.2)
    yield "bicep lint", _run(cli, "lint", "--pattern", "./infra/**/*.bicep")
    yield "bicep lint, parameters", _run(cli, "lint", "--pattern", "./infra/**/*.bicepparam")
    yield "bicep format", _unformatted(cli)
    yield "azuredeploy.json", _stale(cli)
    for file in examples():
        yield f"snapshot {file.stem}", _run(cli, "snapshot", str(file), "--mode", "validate", *PLACE)


def write(cli: Path) -> None:
    """Makes the compiled template and the snapshots anew. Raises RuntimeError with what the CLI has printed."""
    _must(cli, "build", str(MAIN), "--outfile", str(TEMPLATE))
    for file in examples():
        _must(cli, "snapshot", str(file), "--mode", "overwrite", *PLACE)


def compiled(cli: Path) -> dict[str, Any]:
    """main.bicep as ARM has it, without what tells of the CLI."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "main.json"
        _must(cli, "build", str(MAIN), "--outfile", str(made))
        return without_maker(json.loads(made.read_text("utf-8")))


def without_maker(template: Any) -> Any:
    """Two CLIs make the same template, but sign it differently, the modules in it as well."""
    if isinstance(template, dict):
        return {name: without_maker(value) for name, value in template.items() if name != "_generator"}
    return [without_maker(value) for value in template] if isinstance(template, list) else template


def _stale(cli: Path) -> str:
    try:
        now = compiled(cli)
    except RuntimeError as error:
        return str(error)
    if now == without_maker(json.loads(TEMPLATE.read_text("utf-8"))):
        return ""
    return "infra/azuredeploy.json is not what main.bicep compiles to: run `python3 dev.py infra --write`"


def _unformatted(cli: Path) -> str:
    """The CLI formats many files only in place: so a copy of them."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / INFRA.name
        shutil.copytree(INFRA, copy)
        said = _run(cli, "format", "--pattern", f"./{INFRA.name}/**/*.bicep*", cwd=folder)
        changed = [file for file in files() if file.read_bytes() != (copy / file.relative_to(INFRA)).read_bytes()]
    return "\n".join([said] * bool(said) + [f"run `bicep format {_shown(file)}`" for file in changed])


def _too_old(cli: Path) -> str:
    said = _call(cli, "--version").stdout
    version = tuple(int(part) for part in said.partition("version ")[2].split(" ")[0].split(".")[:2] if part.isdigit())
    needed = ".".join(map(str, OLDEST))
    return "" if version >= OLDEST else f"{said.strip() or cli.name} is too old: {needed} or newer (`az bicep upgrade`)"


def _run(cli: Path, *arguments: str, cwd: str | Path | None = None) -> str:
    done = _call(cli, *arguments, cwd=cwd)
    said = (done.stdout + done.stderr).strip()
    return said or (f"exit code {done.returncode}" if done.returncode else "")


def _must(cli: Path, *arguments: str) -> None:
    if said := _run(cli, *arguments):
        raise RuntimeError(said)


def _call(cli: Path, *arguments: str, cwd: str | Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(cli), *arguments], cwd=cwd or ROOT, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False
    )


def _shown(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def main(arguments: list[str]) -> int:
    cli = find(os.environ)
    if cli is None:
        print(f"skipped: {MISSING}")
        return 0 if arguments == ["check"] else 1
    if arguments == ["write"]:
        try:
            write(cli)
        except RuntimeError as error:
            print(error)
            return 1
        print(f"written: {_shown(TEMPLATE)} and {len(examples())} snapshots")
        return 0
    failed = 0
    for name, outcome in problems(cli):
        print(f"{name}: {outcome or 'ok'}", flush=True)
        failed += bool(outcome)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
