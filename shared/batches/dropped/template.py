"""The template of a CSV: one line of a batch with `{{column}}` in its strings, filled in for every row. Pure.

    {"url": "/v1/chat/completions",
     "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Summarise: {{text}}"}]}}

`{{column:json}}` stands for a number, a list or whatever JSON the cell holds, `{{#}}` for the row's number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.payload import MOST_DEPTH, depth

_SLOT = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_JSON = ":json"
NUMBER = "#"
_FIELDS = frozenset({"custom_id", "method", "url", "body"})
_USUAL: Mapping[str, str] = {"custom_id": "row-{{#}}", "method": "POST", "url": "/v1/chat/completions"}


class Unreadable(ValueError):
    """What was dropped is no input for a batch. The message is for whoever dropped it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a cell goes."""

    column: str
    as_json: bool


type Part = bytes | Slot


def read_template(name: str, text: bytes) -> list[Part]:
    """A template as the pieces of one line of JSON. Raises Unreadable."""
    text = text.removeprefix(b"\xef\xbb\xbf")
    if depth(text) > MOST_DEPTH:
        raise Unreadable(f"The template {name} is nested more than {MOST_DEPTH} levels deep. Flatten it.")
    try:
        given: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"The template {name} is not JSON ({error}). Correct it.") from None
    if not isinstance(given, dict) or not isinstance(given.get("body"), dict):
        raise Unreadable(
            f'The template {name} is one line of a batch: a JSON object with a "body" that holds the request, '
            'for example {"body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "{{text}}"}]}}.'
        )
    if unknown := sorted(given.keys() - _FIELDS):
        raise Unreadable(
            f'The template {name} has "{unknown[0]}" beside its "body". A line of a batch has custom_id, method, url '
            "and body: what belongs to the request is written into the body."
        )
    parts: list[Part] = []
    _compile({**_USUAL, **given}, parts, name)
    return _joined(parts)


def filled(parts: Sequence[Part], cells: Mapping[str, str]) -> bytes:
    """One line, without its end. Raises Unreadable for a cell that is not the JSON it should be."""
    return b"".join(part if isinstance(part, bytes) else _cell(part, cells[part.column]) for part in parts)


def columns(parts: Sequence[Part]) -> set[str]:
    """Those that it needs."""
    return {part.column for part in parts if isinstance(part, Slot)} - {NUMBER}


def _cell(slot: Slot, text: str) -> bytes:
    if not slot.as_json:
        return orjson.dumps(text)[1:-1]
    try:
        return orjson.dumps(orjson.loads(text)) if text.strip() else b"null"
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # it reads deeper than it writes
        shown = text if len(text) <= 60 else text[:60] + "…"
        raise Unreadable(
            f'the cell of "{slot.column}" holds {shown!r}, but the template wants JSON there. Write a number, a list, '
            f"an object, true, false or null, or {{{{{slot.column}}}}} in the template if it is text"
        ) from None


def _compile(value: Any, parts: list[Part], name: str) -> None:
    """Append the pieces of a value's JSON."""
    if isinstance(value, str):
        _compile_text(value, parts, name)
    elif isinstance(value, dict):
        opening = b"{"
        for key, each in value.items():
            parts.append(opening + orjson.dumps(key) + b":")
            _compile(each, parts, name)
            opening = b","
        parts.append(b"}" if value else b"{}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            parts.append(b"," if number else b"[")
            _compile(each, parts, name)
        parts.append(b"]" if value else b"[]")
    else:
        parts.append(orjson.dumps(value))


def _compile_text(text: str, parts: list[Part], name: str) -> None:
    alone = _SLOT.fullmatch(text)
    if alone and alone[1].endswith(_JSON) and "{{" not in alone[1]:
        parts.append(Slot(alone[1].removesuffix(_JSON).rstrip(), as_json=True))
        return
    parts.append(b'"')
    at = 0
    for found in _SLOT.finditer(text):
        if found[1].endswith(_JSON):
            raise Unreadable(
                f'The template {name} has "{found[0]}" within a longer text. What becomes JSON stands alone between '
                "its quotes."
            )
        parts += [orjson.dumps(text[at : found.start()])[1:-1], Slot(found[1], as_json=False)]
        at = found.end()
    parts += [orjson.dumps(text[at:])[1:-1], b'"']


def _joined(parts: Sequence[Part]) -> list[Part]:
    """With as few pieces as can be."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += part
        else:
            found.append(part)
    return found
