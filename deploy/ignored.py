"""Reads .funcignore, the one list of what is left out of a deployed app. Knows nothing of what is done with the rest.

The list is in .gitignore's language, as Azure's own tools read it; of that, only what needs no guessing is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from deploy import ROOT, DeployError


@dataclass(frozen=True, slots=True)
class Ignored:
    """Patterns for names at any depth; those of `folders` are for folders alone."""

    names: tuple[str, ...]
    folders: tuple[str, ...]

    def leaves_out(self, path: Path) -> bool:
        patterns = (*self.names, *self.folders) if path.is_dir() else self.names
        return any(fnmatchcase(path.name, pattern) for pattern in patterns)


def read_ignored(file: Path = ROOT / ".funcignore") -> Ignored:
    names: list[str] = []
    folders: list[str] = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        bare = pattern.removesuffix("/")
        if "/" in bare or bare.startswith("!"):
            raise DeployError(f"{file.name}, line {number}: only names are read, like bench/ or *.log, not {pattern!r}")
        (folders if pattern.endswith("/") else names).append(bare)
    return Ignored(tuple(names), tuple(folders))


def deployed_files(root: Path, ignored: Ignored) -> Iterator[Path]:
    """Every file below `root` that the list does not leave out, sorted."""
    for path in sorted(root.iterdir()):
        if ignored.leaves_out(path):
            continue
        if path.is_dir():
            yield from deployed_files(path, ignored)
        else:
            yield path
