"""What the code says in the log, read from its source: each message, and the fields that come with it.

Owns the reading of the source. Knows nothing of queries.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.support.stack import ROOT

_HOLE = "\N{WHITE SQUARE}"
_ELSEWHERE = ("client", "manage")  # they run in a user's program, and on the command line


@dataclass(frozen=True, slots=True)
class Said:
    event: str
    text: str
    """With a mark where the code puts something in."""
    fields: frozenset[str]

    def may_be(self, message: str) -> bool:
        parts = (re.escape(part) for part in self.text.split(_HOLE))
        return re.fullmatch(".+".join(parts), message) is not None

    def may_begin(self, beginning: str) -> bool:
        return self.text.split(_HOLE)[0].startswith(beginning)


@cache
def said_lines() -> tuple[Said, ...]:
    paths = (path for path in sorted((ROOT / "shared").rglob("*.py")) if path.parent.name not in _ELSEWHERE)
    return tuple(line for path in paths for line in _of(ast.parse(path.read_text("utf-8"))))


def _of(tree: ast.AST) -> Iterator[Said]:
    named = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        event = {"warning": "warning", "error": "error", "exception": "error"}.get(node.func.attr)
        if event:
            fields = {word.arg for word in node.keywords if word.arg}
            fields |= {"error"} if node.func.attr == "exception" else set[str]()
            yield from (Said(event, text, frozenset(fields)) for text in _texts(node.args[0], named))


def _texts(node: ast.expr, named: dict[str, ast.expr]) -> list[str]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.JoinedStr():
            return ["".join(str(p.value) if isinstance(p, ast.Constant) else _HOLE for p in node.values)]
        case ast.IfExp():
            return [*_texts(node.body, named), *_texts(node.orelse, named)]
        case ast.Name(id=name) if name in named and not isinstance(named[name], ast.Name):
            return _texts(named[name], named)
        case _:
            return []
