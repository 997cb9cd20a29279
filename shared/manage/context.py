"""What a command works with: the settings, read when they are needed, and the table service."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.adapters.tables import Tables
from shared.bootstrap import ROOT, make_tables
from shared.settings import Settings


class CommandError(Exception):
    """A command that cannot be carried out; its text is for the operator."""


@dataclass
class Context:
    """`environ` is already laid over local.settings.json."""

    environ: Mapping[str, str]

    @functools.cached_property
    def settings(self) -> Settings:
        """Raises ConfigError."""
        return Settings.from_mapping(self.environ)

    @functools.cached_property
    def tables(self) -> Tables:
        return make_tables(self.settings)

    async def close(self) -> None:
        if "tables" in self.__dict__:
            await self.tables.close()


def with_local_settings(environ: Mapping[str, str], file: Path = ROOT / "local.settings.json") -> dict[str, str]:
    """The environment over the Values of local.settings.json, as the Functions host does it. Raises CommandError."""
    values: dict[str, Any] = {}
    if file.exists():
        try:
            values = json.loads(file.read_text("utf-8-sig")).get("Values", {})
        except ValueError as error:
            raise CommandError(f"{file.name} is not valid JSON: {error}") from error
    return {**{k: str(v) for k, v in values.items()}, **environ}
