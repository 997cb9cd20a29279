"""infra/ held against the real Bicep CLI: lint, format, the compiled template, what each example would deploy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deploy import bicep

CLI = bicep.find(os.environ)
needs_cli = pytest.mark.skipif(CLI is None, reason=bicep.MISSING)


@needs_cli
def test_nothing_is_printed_and_nothing_is_stale() -> None:
    assert CLI is not None
    assert {name: outcome for name, outcome in bicep.problems(CLI) if outcome} == {}


@needs_cli
def test_every_example_is_checked() -> None:
    """The smallest, everything on, and existing accounts only; the parameters file says what the first of them says."""
    assert {file.stem for file in bicep.examples()} == {"smallest", "everything", "existing-accounts"}
    for file in bicep.examples():
        assert file.with_suffix(".snapshot.json").is_file()


MISTAKES = (
    ("modules/app.bicep", "httpsOnly: true", "httpsOnli: true", "BCP089"),
    ("modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: 'no'", "BCP036"),
    ("modules/vault.bicep", "@2025-05-01'", "@1999-01-01'", "BCP081"),
    ("main.bicep", "targetScope = 'resourceGroup'\n", "targetScope = 'resourceGroup'\nvar spare = 1\n", "no-unused-vars"),
)  # fmt: skip


@needs_cli
def test_mistakes_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CLI itself ends with 0 for the first three, and of main.bicep alone it would not even print them."""
    assert CLI is not None
    shutil.copytree(bicep.INFRA, tmp_path / "infra")
    (tmp_path / "shared").mkdir()
    shutil.copy(bicep.ROOT / "shared" / "roles.json", tmp_path / "shared")
    for file, old, new, _ in MISTAKES:
        text = (tmp_path / "infra" / file).read_text("utf-8")
        assert old in text
        (tmp_path / "infra" / file).write_text(text.replace(old, new, 1), "utf-8")
    monkeypatch.setattr(bicep, "ROOT", tmp_path)
    _, outcome = next(found for found in bicep.problems(CLI) if found[0] == "bicep lint")
    for file, _, _, said in MISTAKES:
        assert [line for line in outcome.splitlines() if Path(file).name in line and said in line], (file, outcome)


def test_a_cli_is_looked_for_where_az_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bicep, "ROOT", tmp_path / "checkout")
    assert bicep.find({"PATH": "", "AZURE_CONFIG_DIR": str(tmp_path)}) is None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bicep").touch()
    assert bicep.find({"PATH": "", "AZURE_CONFIG_DIR": str(tmp_path)}) == tmp_path / "bin" / "bicep"


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for an old CLI")
def test_an_old_cli_is_told_so(tmp_path: Path) -> None:
    old = tmp_path / "bicep"
    old.write_text("#!/bin/sh\necho 'Bicep CLI version 0.29.47 (132ade51bc)'\n")
    old.chmod(0o755)
    name, outcome = next(bicep.problems(old))
    assert name == "bicep version"
    assert "0.29.47" in outcome
    assert "0.38 or newer" in outcome
