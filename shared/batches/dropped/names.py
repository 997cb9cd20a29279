"""Where a dropped file and what becomes of it lie in the container. Pure.

in/PATH.jsonl, in/PATH.csv    what people drop; the first folder of PATH names the key that pays
templates/PATH.json           what the rows of PATH.csv become
out/PATH.jsonl                answers, once the batch has ended
out/PATH-errors.jsonl         what has failed, if anything has
out/PATH-summary.json         what has come of it, written last
rejected/PATH.jsonl           what no batch could be made of
rejected/PATH.jsonl-reason.txt

Results of what is no `.jsonl` keep its whole name (`out/PATH.csv.jsonl`): no two files share theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.batches.batch import new_batch_id

IN, OUT, REJECTED, TEMPLATES = "in/", "out/", "rejected/", "templates/"
ERRORS, SUMMARY = "-errors", "-summary"
_JSONL, _CSV = (".jsonl", ".ndjson"), (".csv",)
_LONGEST = 900
"""Characters below in/: a blob's name has at most 1,024, and those of the results are longer."""


@dataclass(frozen=True, slots=True)
class DropName:
    """A blob below in/."""

    path: str
    """Below in/, with its suffix."""

    @property
    def blob(self) -> str:
        return IN + self.path

    @property
    def file(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_csv(self) -> bool:
        return self.path.lower().endswith(_CSV)

    @property
    def rejected(self) -> str:
        return REJECTED + self.path[:_LONGEST]

    @property
    def reason(self) -> str:
        return f"{self.rejected}-reason.txt"

    @property
    def problem(self) -> str:
        """Why a file of this name is not taken; empty: it is."""
        stem, suffix = _split(self.path)
        if len(self.path) > _LONGEST:
            return f"Its name has more than {_LONGEST} characters. Give it a shorter one."
        if suffix not in _JSONL + _CSV or not stem.rpartition("/")[2]:
            return "Its name ends neither in .jsonl nor in .csv. Give it the ending of what it is."
        if _result_stem(self.path).endswith(ERRORS):
            return f"Names that end in '{ERRORS}' are those of other files' results. Give it another one."
        whole, suffix = _result_stem(self.path), _split(_result_stem(self.path))[1]
        if whole != self.path and not whole.endswith(_JSONL[0]) and suffix in _JSONL + _CSV:
            return f"Its results would have the name of those of {whole.rpartition('/')[2]}. Give it another one."
        return ""

    def payer(self, metadata: Mapping[str, str]) -> str:
        """The key that pays: as the blob's metadata says, else the first folder; empty: nobody is named."""
        folder, slash, _ = self.path.partition("/")
        return metadata.get("key", "").strip() or (folder if slash else "")

    def templates(self, metadata: Mapping[str, str]) -> list[str]:
        """Where the template of a CSV may lie, best first: as the metadata says, else by the file's name, else by the
        names of its folders."""
        if named := metadata.get("template", "").strip().removeprefix(TEMPLATES).removesuffix(".json"):
            return [] if _leads_away(named) else [f"{TEMPLATES}{named}.json"]
        stem = _split(self.path)[0]
        parts = stem.split("/")
        return [f"{TEMPLATES}{'/'.join(parts[:n])}.json" for n in range(len(parts), 0, -1)]

    def batch_id(self, etag: str, modified: float) -> str:
        """The same for the same version of the blob, however often it is told of."""
        return new_batch_id(modified, hashlib.sha256(f"{self.path}\n{etag}".encode()).hexdigest()[:20])


@dataclass(frozen=True, slots=True)
class ResultNames:
    """Where the results of a drop lie."""

    output: str
    errors: str
    summary: str


def result_names(path: str) -> ResultNames:
    """path: of DropName."""
    stem = OUT + _result_stem(path)
    return ResultNames(f"{stem}.jsonl", f"{stem}{ERRORS}.jsonl", f"{stem}{SUMMARY}.json")


def drop_name(blob: str) -> DropName | None:
    """None for what is not below in/, for folders, and for names that an address cannot hold."""
    path = blob.removeprefix(IN)
    if path == blob or path.endswith("/") or not path or _leads_away(path):
        return None
    return DropName(path)


def _leads_away(path: str) -> bool:
    """Whoever writes an address resolves such parts of it: it may lead into another container."""
    return not {".", ".."}.isdisjoint(re.split(r"[/\\]", path))


def _result_stem(path: str) -> str:
    return path.removesuffix(_JSONL[0])


def _split(path: str) -> tuple[str, str]:
    """-> (without its suffix, the suffix in small letters)."""
    folder, slash, file = path.rpartition("/")
    name, dot, suffix = file.rpartition(".")
    return (folder + slash + name, f".{suffix.lower()}") if dot else (path, "")
