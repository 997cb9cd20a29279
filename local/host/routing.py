"""ASP.NET-style route templates: what one template matches, and what the host refuses to load.

Knows nothing of the order of routes (see route_table), keys or requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

type Check = Callable[[str, str], bool]

_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
_FRACTION = re.compile(r"[+-]?\d*\.?\d+", re.ASCII)
_DOUBLE = re.compile(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?", re.ASCII)
_GUID = re.compile(r"[{(]?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}[)}]?")
_ALPHA = re.compile(r"[a-zA-Z]*")
_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)((?::\w+(?:\([^)]*\))?)*)(=[^?}]*)?(\?)?\}")
_CONSTRAINT = re.compile(r":(\w+)(?:\(([^)]*)\))?")
RESERVED = ("admin", "runtime")  # prefixes, not segments: the real host refuses "administrators" too


def _integer(value: str, low: int, high: int) -> bool:
    return bool(_NUMBER.fullmatch(value)) and low <= int(value) <= high


def _bounds(argument: str) -> tuple[int, int]:
    low, _, high = argument.partition(",")
    return int(low), int(high or low)


def _range(value: str, argument: str) -> bool:
    return _integer(value, *_bounds(argument))


def _length(value: str, argument: str) -> bool:
    low, high = _bounds(argument)
    return low <= len(value) <= high


CONSTRAINTS: dict[str, Check] = {
    "int": lambda v, _: _integer(v, -(2**31), 2**31 - 1),
    "long": lambda v, _: _integer(v, -(2**63), 2**63 - 1),
    "decimal": lambda v, _: bool(_FRACTION.fullmatch(v)),
    "double": lambda v, _: bool(_DOUBLE.fullmatch(v)),
    "float": lambda v, _: bool(_DOUBLE.fullmatch(v)),
    "bool": lambda v, _: v.lower() in ("true", "false"),
    "guid": lambda v, _: bool(_GUID.fullmatch(v)),
    "alpha": lambda v, _: bool(_ALPHA.fullmatch(v)),
    "regex": lambda v, a: bool(re.search(a.replace("{{", "{").replace("}}", "}"), v, re.I)),
    "minlength": lambda v, a: len(v) >= int(a),
    "maxlength": lambda v, a: len(v) <= int(a),
    "length": _length,
    "min": lambda v, a: bool(_NUMBER.fullmatch(v)) and int(v) >= int(a),
    "max": lambda v, a: bool(_NUMBER.fullmatch(v)) and int(v) <= int(a),
    "range": _range,
    "required": lambda v, _: v != "",
}


class Template:
    """One route template, compiled. Raises ValueError for what the host would not understand."""

    __slots__ = ("_checks", "_defaults", "_regex", "head", "is_literal", "text")

    def __init__(self, text: str) -> None:
        self.text = text.strip("/")
        self._checks: list[tuple[str, Check, str]] = []
        self._defaults: dict[str, str] = {}
        segments = [s for s in self.text.split("/") if s]
        # The leading segments without parameters, in lower case: a path that does not begin so cannot match. Beyond
        # ASCII a regex has another idea of "the same letter" than lower(), so such a segment does not count.
        first = next((i for i, s in enumerate(segments) if "{" in s or not s.isascii()), len(segments))
        self.head = tuple(s.lower() for s in segments[:first])
        self.is_literal = first == len(segments)
        try:
            self._regex = re.compile("".join(self._segment(s) for s in segments) + "/?", re.I | re.S)
        except re.error as error:
            raise ValueError(f"the route '{self.text}' cannot be read: {error}") from None

    def _segment(self, segment: str) -> str:
        """The pattern of `/segment`; optional as a whole when its parameter is."""
        piece, last, optional = "", 0, False
        for found in _PARAMETER.finditer(segment):
            star, name, constraints, default, may_lack = found.groups()
            piece += re.escape(segment[last : found.start()])
            piece += f"(?P<{name}>.*)" if star else f"(?P<{name}>[^/]+?)"
            last = found.end()
            for kind, argument in _CONSTRAINT.findall(constraints):
                if kind not in CONSTRAINTS:
                    raise ValueError(f"the route '{self.text}' uses the unknown constraint '{kind}'")
                self._checks.append((name, CONSTRAINTS[kind], argument))
            if default:
                self._defaults[name] = default[1:]
            optional = optional or bool(star or may_lack or default)
        rest = segment[last:]
        if "{" in rest or "}" in rest:
            raise ValueError(f"the route '{self.text}' cannot be read at '{segment}'")
        piece += re.escape(rest)
        return f"(?:/{piece})?" if optional else f"/{piece}"

    def match(self, path: str) -> dict[str, str] | None:
        """The path's parameters, or None. Literals ignore case; parameters without a value are left out."""
        found = self._regex.fullmatch(path)
        if found is None:
            return None
        values = found.groupdict()
        if not values:
            return values
        for name, default in self._defaults.items():
            if values[name] is None:
                values[name] = default
        if all(values[n] is None or check(values[n], a) for n, check, a in self._checks):
            return {k: v for k, v in values.items() if v}
        return None


def overlap(some: Iterable[str], others: Iterable[str]) -> set[str]:
    """The methods that two routes share. No methods at all means every method."""
    a, b = set(some), set(others)
    return (a & b) if a and b else (a or b or {"every method"})
