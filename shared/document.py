"""YAML text becomes plain values with the line of each, so that every complaint can name its line.

Knows YAML and nothing of what the values mean. Dates stay text: an unquoted api_version is no date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from shared.errors import ConfigError, Problem
from shared.types import Json

type Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file before its meaning is known: plain values, the line of each, and the references found."""

    data: Any
    lines: Mapping[Path, int]
    problems: list[Problem] = field(default_factory=list[Problem])

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, path: Path) -> Any:
        """What the file itself says at a path, references as they are written; None where there is nothing."""
        value = self.data
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def problem(self, path: Path, message: str, remedy: str) -> Problem:
        return Problem(where(path), self.line(path), message, remedy)


def read_document(text: str) -> Document:
    """YAML to plain values with lines. Dates stay text (an api_version may be unquoted). Raises ConfigError."""
    reader = _Reader()
    try:
        root = yaml.compose(text, Loader=_Loader)
        if root is None:
            raise ConfigError([Problem("config", 1, "the file is empty", NO_MODELS)])
        return Document(reader.value(root, ()), reader.lines, reader.problems)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        remedy = "correct the YAML: indent with spaces, quote values that hold ': ' or '#'"
        raise ConfigError([Problem("config", line, f"not valid YAML: {error.problem}", remedy)]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem("config", 1, f"not valid YAML: {error}", "save the file as UTF-8 text")]) from error
    except RecursionError as error:
        raise _too_large((), 1) from error


NO_MODELS = "begin with 'model_list:' as in config.example.yaml"


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, but 2024-10-21 stays text: an api_version is no date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_MOST_VALUES = 100_000
"""Anchors can make a small file huge; a configuration of this size is a mistake."""


class _Reader:
    """Turns YAML nodes into plain values and notes the line of each."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._constructor = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if len(self.lines) > _MOST_VALUES or len(path) > 40:
            raise _too_large(path, self.lines[path])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        try:
            return self._constructor.construct_object(node)
        except ValueError as error:  # such as `!!int x`
            mark = node.start_mark
            raise yaml.constructor.ConstructorError(None, None, str(error), mark) from error

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Json:
        own = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
        if len(own) < len(node.value):
            self._report_twins(node, path)
        self._constructor.flatten_mapping(node)  # `<<: *anchor`
        found: Json = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            found[key] = self.value(value_node, (*path, key))
            self.lines[*path, key] = own.get(key, key_node.start_mark.line + 1)
        return found

    def _report_twins(self, node: yaml.MappingNode, path: Path) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                here, line = where((*path, str(key.value))), key.start_mark.line + 1
                self.problems.append(Problem(here, line, "given twice", "keep one of the two"))
            seen.add(str(key.value))


def _too_large(path: Path, line: int) -> ConfigError:
    remedy = "split it: one config.yaml holds some thousand deployments at the most"
    return ConfigError([Problem(where(path), line, "the file is too large or too deep", remedy)])


def where(path: Path) -> str:
    """model_list[0].litellm_params.api_base"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "config"
