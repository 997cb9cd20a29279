"""Every az command that we print or write down is one that the real az understands."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from deploy import azure_cli
from deploy.__main__ import main
from deploy.advice import ADVICE
from tests.support.az_parser import refusals
from tests.support.doctor_commands import every_command
from tests.support.shell_words import commands_of, in_markdown
from tests.support.stack import ROOT

WRITTEN = [
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("infra/*.md"), *ROOT.glob("*.yaml"),
                 *ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("infra/**/*.bicep*"))
]  # fmt: skip
GOOD = ["az group create --name x --location y", "az group --help"]
WRONG = {
    "az group create --name x": "location",
    "az group list --recursive": "unrecognized arguments: --recursive",
    "az storage blob upload --auth-mode logn -c c -n n -f README.md": "logn",
}
"""Commands that az does not understand, with a word of why: these tests can fail."""


def written() -> list[list[str]]:
    commands: list[list[str]] = []
    for path in WRITTEN:
        text = path.read_text("utf-8")
        commands += in_markdown("az", text) if path.suffix in (".md", ".bicep") else commands_of("az", text)
    return commands


def advised() -> list[list[str]]:
    return [command for text in ADVICE.values() for command in in_markdown("az", _marked(text))]


def shown_by_dry_runs() -> list[list[str]]:
    """What `dev.py deploy` runs, with every option that changes it."""
    config = ["--config", str(ROOT / "config.example.yaml")]
    parameters = ["-p", str(ROOT / "infra" / "main.parameters.example.json")]
    both = ["-g", "rg", "--dry-run", "--subscription", "x"]
    said = io.StringIO()
    with patch.object(azure_cli, "find", lambda: None), contextlib.redirect_stdout(said):
        assert main(["deploy", "-l", "x", *parameters, *config, *both]) == 0
        assert main(["deploy", "--clean-up", *both]) == 0
    lines = [line.removeprefix("$ ") for line in said.getvalue().splitlines() if line.startswith("$ az ")]
    commands = [command for line in lines for command in commands_of("az", line)]
    assert len(commands) == len(lines)
    return commands


def of_the_doctor() -> list[list[str]]:
    return [command for line in every_command() for command in commands_of("az", line)]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All of them at once: az needs a second to start, and half of one for each group of commands."""
    lines = [line.split() for line in (*GOOD, *WRONG)]
    return refusals(
        [*lines, *written(), *advised(), *shown_by_dry_runs(), *of_the_doctor()], tmp_path_factory.mktemp("az")
    )


def test_the_parser_is_really_asked(refused: dict[str, str]) -> None:
    assert not refused.keys() & set(GOOD)
    for line, word in WRONG.items():
        assert word in refused[line]


def test_az_understands_every_command(refused: dict[str, str]) -> None:
    assert {line: why for line, why in refused.items() if line not in WRONG} == {}


@pytest.mark.parametrize(
    ("commands", "least"), [(written, 50), (advised, 10), (shown_by_dry_runs, 16), (of_the_doctor, 50)]
)
def test_the_commands_are_found(commands: Callable[[], list[list[str]]], least: int) -> None:
    assert len(commands()) >= least


def _marked(text: str) -> str:
    """Advice is a sentence for a screen: a command in it goes from az to the next mark or conjunction."""
    pieces = text.replace("; ", "\n").replace(", then ", "\n").replace(", ", "\n").replace(": ", "\n")
    for word in (" lists ", " shows ", " recover it with "):
        pieces = pieces.replace(word, "\n")
    return "\n".join(f"`{line[line.index('az ') :]}`" for line in pieces.splitlines() if "az " in line)


# -- finding commands in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("az group list", ["az group list"]),
        ("A=$(az account show --query id -o tsv)", ["az account show --query id -o tsv"]),
        ("az a -p x=$(az b $(az c)) && az d | jq .", ["az c", "az b SUBSTITUTED", "az a -p x=SUBSTITUTED", "az d"]),
        ("az a \\\n  --name b  # why", ["az a --name b"]),
        ("  run: az a --id ${{ vars.ID }}", ["az a --id X"]),
        ("$ az a --query \"[?x=='y'].z | [0]\"", ["az a --query [?x=='y'].z | [0]"]),
        ("echo az a; amaze", []),
        ("# az a", []),
    ],
)
def test_commands_in_a_script(text: str, found: list[str]) -> None:
    assert [" ".join(command) for command in commands_of("az", text)] == found


def test_commands_in_markdown() -> None:
    text = "Say `az a b` or `az c --d`.\n\n```sh\naz e --f g\n```\n\n```text\naz no\n```\n"
    assert [" ".join(command) for command in in_markdown("az", text)] == ["az e --f g", "az a b --help", "az c --d"]


def test_the_az_that_is_found_is_the_machines_own_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("machine", "ours"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "az").write_text("#!/bin/sh\n")
        (tmp_path / folder / "az").chmod(0o755)
    monkeypatch.setattr(azure_cli, "BIN", tmp_path / "ours")
    monkeypatch.setenv("PATH", f"{tmp_path / 'machine'}{os.pathsep}/bin")
    assert azure_cli.find() == str(tmp_path / "machine" / "az")
    monkeypatch.setenv("PATH", "/bin")
    assert azure_cli.find() == str(tmp_path / "ours" / "az")
