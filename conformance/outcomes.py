"""What the tests' outcomes mean: which of those that pass straight at the mock pass through the gateway, and why not.

Pure but for reading the recorder's file. The reasons themselves are in expected.py.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.expected import NOT_SERVED, NotServed

ENOUGH = 0.99
"""The share of what is owed that has to pass, in every resource."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test in one run."""

    id: str
    passed: bool
    method: str
    """Of the last request that it sent; empty when it sent none."""
    path: str
    status: int
    error: str
    models: frozenset[str]
    """That its requests named, as far as their bodies are JSON."""

    @property
    def reached(self) -> bool:
        """Whether a server answered: many tests only look at arguments, or answer their own requests."""
        return self.status > 0


@dataclass(slots=True)
class Resource:
    """The tests of one module."""

    name: str
    straight: int = 0
    through: int = 0
    not_served: int = 0

    @property
    def served(self) -> int:
        return self.straight - self.not_served

    @property
    def share(self) -> float:
        """Of what is served; 1 when that is nothing."""
        return self.through / self.served if self.served else 1.0


@dataclass(slots=True)
class Comparison:
    """All of one suite."""

    resources: dict[str, Resource] = field(default_factory=dict[str, Resource])
    not_served: Counter[NotServed] = field(default_factory=Counter[NotServed])
    differences: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """operation, status and error -> the tests that met it."""
    tests: int = 0
    silent: int = 0
    """Tests that reach no server."""
    failing: int = 0
    """Tests that fail straight at the mock already."""

    @property
    def short(self) -> list[Resource]:
        """Resources in which too little of what is served passes."""
        return [row for row in self.resources.values() if row.share < ENOUGH]

    @property
    def total(self) -> Resource:
        rows = self.resources.values()
        counted = ("straight", "through", "not_served")
        return Resource("total", *(sum(getattr(row, name) for row in rows) for name in counted))


def read(results: Path, base: str) -> dict[str, Outcome]:
    """The recorder's file; `base` is taken off the paths. Raises ValueError when a test has left no outcome."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    found = {line["id"]: _outcome(line, base) for line in lines[1:]}
    if not lines or len(found) != lines[0]["collected"]:
        raise ValueError(f"{results.name}: {len(found)} outcomes of {lines[0]['collected'] if lines else 0} tests")
    return found


def _outcome(line: Mapping[str, Any], base: str) -> Outcome:
    last: Mapping[str, Any] = line["requests"][-1] if line["requests"] else {}
    path = str(last.get("path", "")).removeprefix(base)
    passed = line["outcome"] == "passed"
    models = frozenset(sent["model"] for sent in line["requests"] if sent["model"])
    return Outcome(line["id"], passed, last.get("method", ""), path, last.get("status", 0), line["error"], models)


def compare(suite: str, straight: Mapping[str, Outcome], through: Mapping[str, Outcome]) -> Comparison:
    """Raises ValueError when the two runs are not of the same tests."""
    if straight.keys() != through.keys():
        raise ValueError("the two runs are not of the same tests")
    rows = [row for row in NOT_SERVED if row.suite == suite]
    made = Comparison(tests=len(straight))
    for name, before in straight.items():
        if not before.reached:
            made.silent += 1
        elif not before.passed:
            made.failing += 1
        else:
            _count(made, before, through[name], rows)
    return made


def _count(made: Comparison, before: Outcome, after: Outcome, rows: Iterable[NotServed]) -> None:
    name = resource_of(before.id)
    resource = made.resources.setdefault(name, Resource(name))
    resource.straight += 1
    if after.passed and after.reached:
        resource.through += 1
        return
    for row in rows:
        if row.covers(after.method, after.path, after.status):
            resource.not_served += 1
            made.not_served[row] += 1
            return
    error = " ".join(after.error.split())[:200]
    what = f"`{after.method} {after.path}` → {after.status or 'no answer'}: {_quiet(error)}"
    made.differences.setdefault(what, []).append(after.id.partition("::")[2])


def _quiet(error: str) -> str:
    """Without what is different each time."""
    return re.sub(r"\b(req_)?[0-9a-f-]{12,}\b", "…", error).replace("|", "\\|")


def resource_of(test: str) -> str:
    """tests/api_resources/audio/test_speech.py::… -> audio/speech"""
    module = test.partition("::")[0].removeprefix("tests/api_resources/").removesuffix(".py")
    folder, _, file = module.rpartition("/")
    return f"{folder}/{file.removeprefix('test_')}".lstrip("/")


def stale(suite: str, made: Comparison) -> list[NotServed]:
    """Reasons that no test needs any more."""
    return [row for row in NOT_SERVED if row.suite == suite and not made.not_served[row]]
