"""What a command works with: the settings, read when they are needed, and the desk of the operations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.bootstrap import ROOT, make_desk
from shared.operations.desk import LazyDesk
from shared.settings import Settings


class CommandError(Exception):
    """A command that cannot be carried out; its text is for the operator."""


class Context:
    """`environ` is already laid over local.settings.json."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._desk: LazyDesk | None = None

    @property
    def settings(self) -> Settings:
        """Raises ConfigError."""
        return self.desk.settings

    @property
    def desk(self) -> LazyDesk:
        """Raises ConfigError."""
        if self._desk is None:
            from shared.adapters.telemetry import JsonLog, quiet_libraries

            quiet_libraries()
            settings = Settings.from_mapping(self.environ)
            self._desk = make_desk(settings, self.environ, JsonLog("WARNING"))
        return self._desk

    async def close(self) -> None:
        if self._desk is not None:
            await self._desk.close()


def with_local_settings(environ: Mapping[str, str], file: Path = ROOT / "local.settings.json") -> dict[str, str]:
    """The environment over the Values of local.settings.json, as the Functions host does it. Raises CommandError."""
    values: dict[str, Any] = {}
    if file.exists():
        try:
            values = json.loads(file.read_text("utf-8-sig")).get("Values", {})
        except ValueError as error:
            raise CommandError(f"{file.name} is not valid JSON: {error}") from error
    return {**{k: str(v) for k, v in values.items()}, **environ}
