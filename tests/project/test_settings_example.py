"""local.settings.example.json holds exactly the settings that the app reads, with values that it accepts."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.example.json").read_text("utf-8"))["Values"]
PLATFORM = {"FUNCTIONS_WORKER_RUNTIME"}
"""Read by the Functions host, not by the app."""


class Asked(Mapping[str, str]):
    """The example, which notes what is asked of it."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return EXAMPLE[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("settings are asked for by name")

    def __len__(self) -> int:
        return len(EXAMPLE)


def test_example_is_what_settings_reads() -> None:
    asked = Asked()
    Settings.from_mapping(asked)
    assert asked.names == EXAMPLE.keys() - PLATFORM


def test_there_is_a_setting_for_each_field() -> None:
    assert len(fields(Settings)) == len(EXAMPLE.keys() - PLATFORM)


def test_example_shows_the_defaults() -> None:
    """What is optional has its default value in the example: who copies it changes nothing by it."""
    needed = {"AzureWebJobsStorage": EXAMPLE["AzureWebJobsStorage"], "KEY_PEPPER": EXAMPLE["KEY_PEPPER"]}
    given, default = Settings.from_mapping(EXAMPLE), Settings.from_mapping(needed)
    differing = {f.name for f in fields(Settings) if getattr(given, f.name) != getattr(default, f.name)}
    assert differing == {"admin_key", "config_source"}


def test_example_holds_no_secret() -> None:
    for name in ("KEY_PEPPER", "ADMIN_KEY"):
        assert EXAMPLE[name].startswith("replace-by-")


def test_environment_is_read_in_bootstrap_and_by_the_command_line_alone() -> None:
    readers: set[str] = set()
    for file in [ROOT / "function_app.py", *(ROOT / "shared").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("environ", "getenv")
                and ast.unparse(node.value) == "os"
            ):
                readers.add(file.relative_to(ROOT).as_posix())
    assert readers == {"shared/bootstrap.py", "shared/manage/__main__.py"}
