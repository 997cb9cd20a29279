"""The names of models in `router_settings`: which model stands in for which, and second names of a model.

Owns how they may be written, and the problems found on the way. What a setting does is shared/routing's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.config import suggestion
from shared.document import Document, Path
from shared.errors import Problem

_EVERY = "*"


class Findings:
    """What is wrong with some settings, or worth a word."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.places: dict[str, Path] = {}
        """Where each setting stands in the file."""

    def complain(self, path: Path, message: str, remedy: str) -> None:
        self.problems.append(self.document.problem(path, message, remedy))

    def warn(self, path: Path, message: str) -> None:
        self.warnings.append(f"line {self.document.line(path)}: {message}")


class Names:
    """Reads settings that name models."""

    def __init__(self, findings: Findings, aliases: Iterable[str]) -> None:
        self._findings = findings
        self._aliases = dict.fromkeys(aliases)

    def of_each(self, setting: str, given: Any) -> dict[str, tuple[str, ...]]:
        """Fallbacks by alias, where those of `*` are for every alias that has none."""
        found, others = self.fallbacks(setting, given)
        if others:
            for alias in self._aliases:
                found.setdefault(alias, tuple(other for other in others if other != alias))
        return {alias: targets for alias, targets in found.items() if targets}

    def fallbacks(self, setting: str, given: Any) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
        """-> by alias, and those of `*`. Written as a list of `ALIAS: [OTHER, …]`, or as one mapping."""
        found: dict[str, tuple[str, ...]] = {}
        path = self._findings.places.get(setting, ())
        rows = (
            [(path, given)] if isinstance(given, dict) else [((*path, i), row) for i, row in enumerate(listed(given))]
        )
        for around, row in rows:
            if not isinstance(row, dict):
                self._findings.complain(around, "this names no model and its fallbacks", "write - ALIAS: [OTHER-ALIAS]")
                continue
            for alias, others in row.items():
                here = (*around, str(alias))
                if alias in found:
                    self._findings.complain(here, "given twice", "write its fallbacks in one list")
                elif alias == _EVERY or self._known(str(alias), here, str(alias)):
                    found[str(alias)] = self.targets(others, here, str(alias))
        return found, found.pop(_EVERY, ())

    def targets(self, given: Any, path: Path, alias: str = "") -> tuple[str, ...]:
        """The models that stand in for another."""
        found: list[str] = []
        for index, other in enumerate(listed(given)):
            here = (*path, index) if isinstance(given, list) else path
            if not isinstance(other, str):
                self._findings.complain(here, "a fallback is the name of a model", "write - ALIAS: [OTHER-ALIAS]")
            elif other == alias:
                self._findings.complain(here, "a model cannot stand in for itself", "remove it")
            elif self._known(other, here, self._findings.document.at(here)):
                found.append(other)
        return tuple(dict.fromkeys(found))

    def _known(self, alias: str, path: Path, written: Any) -> bool:
        if alias not in self._aliases:
            # as written: the value of a reference may be a secret in the wrong place
            near = suggestion(alias, self._aliases)
            remedy = near if near != "remove it" else "remove it, or add an entry of this name"
            self._findings.complain(path, f"there is no model {written!r}", remedy)
        return alias in self._aliases

    def second(self, given: Any) -> dict[str, str]:
        """Of model_group_alias: {NAME: ALIAS} or {NAME: {model: ALIAS}}."""
        found: dict[str, str] = {}
        if given is None:
            return found
        path = self._findings.places["model_group_alias"]
        if not isinstance(given, dict):
            self._findings.complain(path, "this is no mapping of names to models", "write {NAME: ALIAS}")
            return found
        for name, target in given.items():
            here = (*path, str(name))
            if isinstance(target, dict):
                if target.get("hidden"):
                    self._findings.warn(here, "hidden has no effect here")
                target = target.get("model")
            if name in self._aliases:
                self._findings.complain(
                    here, f"there is a model {name!r} already", "choose another name, or remove its entries"
                )
            elif not name or _EVERY in name or not isinstance(target, str):
                self._findings.complain(here, "this names no model", "write {NAME: ALIAS}")
            elif self._known(target, here, self._findings.document.at(here)):
                found[str(name)] = target
        self._aliases.update(dict.fromkeys(found))
        return found


def listed(given: Any) -> list[Any]:
    """One stands for a list of one."""
    return [] if given is None else given if isinstance(given, list) else [given]
