"""Entries as the text of a config.yaml with comments. Owns how it is laid out; knows nothing of Azure. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.operations.rendering import printable

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./:@()-]*(?<!:)")
_UNPRINTED = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON leaves as it is and YAML does not take."""
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""What YAML takes for something else than text."""


def scalar(value: Any) -> str:
    """JSON is YAML: what could be misread stands in quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {scalar(one)}" for name, one in value.items()) + "}"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _UNPRINTED.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    return f"\\U{ord(found[0]):08x}"


def entry_lines(
    alias: str, params: Mapping[str, Any], info: Mapping[str, Any], notes: Iterable[str], unset: Iterable[str] = ()
) -> list[str]:
    """`unset`: settings that are shown in a comment, for whoever fills them in."""
    lines = [f"  # {_one_line(note)}" for note in notes]
    lines += [f"  - model_name: {scalar(alias)}", "    litellm_params:"]
    lines += [f"      {name}: {scalar(value)}" for name, value in params.items()]
    lines += [f"      # {_one_line(text)}" for text in unset]
    if info:
        lines.append("    model_info:")
        lines += [f"      {name}: {scalar(value)}" for name, value in info.items()]
    return lines


def config_text(head: Sequence[str], entries: Iterable[Sequence[str]], tail: Sequence[str]) -> str:
    lines = [*_comments(head), "model_list:"]
    for number, entry in enumerate(entries):
        lines += [""] * bool(number) + list(entry)
    return "\n".join([*lines, *tail]) + "\n"


def _comments(lines: Iterable[str]) -> list[str]:
    return [f"# {_one_line(line)}".rstrip() for line in lines]


def _one_line(text: str) -> str:
    """Names are Azure's, but a comment must never become a line of the file."""
    return printable(" ".join(text.splitlines()))
