"""The layers of DESIGN: who may import whom. The contracts stand in pyproject.toml; import-linter checks them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]


def test_contracts_are_kept() -> None:
    checked = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())",
         "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in checked.stdout


def test_every_module_stands_in_a_layer() -> None:
    """A new module is put where it belongs: none is outside of the layers by having been forgotten."""
    (layers,) = [c for c in CONTRACTS if c["type"] == "layers"]
    placed = {name.strip() for layer in layers["layers"] for name in layer.replace(":", "|").split("|")}
    modules = {f"shared.{p.stem}" for p in (ROOT / "shared").glob("*.py") if p.stem != "__init__"}
    modules |= {f"shared.{p.parent.name}" for p in (ROOT / "shared").glob("*/__init__.py")}
    assert {name for name in placed if name.startswith("shared.")} == modules


def test_every_pure_module_is_named_as_such() -> None:
    (pure,) = [c for c in CONTRACTS if c["name"] == "pure modules know no outside"]
    edges = {
        "bootstrap",
        "service",
        "adapters",
        "manage",
        "gateway",
        "attempts",
        "asking",
        "delivery",
        "call",
        "pump",
        "health",
        "low_priority",
        "owners",
        "parts",
        "submitted",
    }
    modules = {f"shared.{p.stem}" for p in (ROOT / "shared").glob("*.py") if p.stem not in {"__init__", *edges}}
    assert set(pure["source_modules"]) == modules | {
        "shared.transform",
        "shared.prices",
        "shared.books",
        "shared.routing",
    }
