"""Which tests are run: the SDKs, their specifications, and where Azure serves what they call.

Owns these facts. Knows no process and no outcome.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Suite:
    """One SDK's tests."""

    name: str
    title: str
    spec: str
    """The specification that the mock serves."""
    prefix: str
    """Where an Azure resource has what the SDK calls: put before every path of the specification."""
    base: str
    """What the SDK's base URL is, below the mock's prefix and below the gateway's address."""
    tests: tuple[str, ...]
    provider: str
    """Of the deployments (the part of `model` before the slash)."""
    root: str
    """Of the deployments: what stands behind the mock's address in `api_base`."""
    keeps: bool = False
    """Whether such a deployment's resource keeps objects."""
    pytest: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    modes: Mapping[str, str] = field(default_factory=dict[str, str])
    """model -> model_info.mode, for names that do not tell it; `*` for all others."""


SUITES = (
    Suite(
        name="openai",
        title="OpenAI SDK",
        spec="openai-openapi-2026-08-21.yaml",
        prefix="/openai/v1",
        base="/v1",
        tests=("tests/api_resources",),
        provider="azure",
        root="",
        keeps=True,
        environ={"DEFER_PYDANTIC_BUILD": "false"},  # as its scripts/test sets it
    ),
    Suite(
        name="anthropic",
        title="Anthropic SDK",
        spec="anthropic-openapi-2026-01.json",
        prefix="/anthropic",
        base="",
        tests=(
            "tests/api_resources/test_messages.py",
            "tests/api_resources/messages",
            "tests/api_resources/beta/test_messages.py",
            "tests/api_resources/beta/messages",
        ),
        provider="azure_ai",
        root="/anthropic",
        pytest=("-p", "tests._alias_httpx"),  # as its pyproject.toml has it
        modes={"*": "messages"},
    ),
)

_MODEL = re.compile(r"""\bmodel["']?\s*[=:]\s*["']([^"'\s]+)["']""")


def models(suite: Suite, source: Path) -> list[str]:
    """Every model that the tests' text names, sorted."""
    files = [file for test in suite.tests for file in _python(source / test)]
    return sorted({name for file in files for name in _MODEL.findall(file.read_text("utf-8"))})


def _python(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]
