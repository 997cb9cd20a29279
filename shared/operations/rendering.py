"""What an operation told, as JSON or CSV, and the address of the page after it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel

from shared.books.csv_text import csv_text
from shared.operations.operation import Operation, Told


def printable(text: str) -> str:
    """One line without what a terminal takes for an order: texts and names may be somebody else's."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in text)


def is_list(answers: type[Told]) -> bool:
    return "rows" in answers.model_fields


def row_fields(answers: type[Told]) -> tuple[str, ...]:
    """The columns of a list. Empty when its rows say for themselves what they hold."""
    model = row_model(answers)
    return tuple(info.alias or name for name, info in model.model_fields.items()) if model else ()


def row_model(answers: type[Told]) -> type[BaseModel] | None:
    arguments: tuple[Any, ...] = getattr(answers.model_fields["rows"].annotation, "__args__", ())
    found = arguments[0] if arguments else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def plain(told: Told) -> dict[str, Any]:
    """As JSON has it."""
    return told.model_dump(mode="json", by_alias=True)


def as_json(told: Told) -> bytes:
    return orjson.dumps(plain(told))


def as_csv(operation: Operation, told: Mapping[str, Any]) -> str:
    """A heading and one line per row."""
    rows: Sequence[Mapping[str, Any]] = told["rows"]
    columns = row_fields(operation.answers) or tuple(dict.fromkeys(name for row in rows for name in row))
    return csv_text(columns, ({name: _joined(value) for name, value in row.items()} for row in rows))


def _joined(value: Any) -> Any:
    """A list of words as one would write it on the command line."""
    return ",".join(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value


def next_link(parts: Sequence[str], query: Sequence[tuple[str, str]], cursor: str) -> str:
    """The value of `link` that leads to the next page: the same request with another cursor."""
    pairs = [(name, value) for name, value in query if name != "cursor"]
    path = "/".join(quote(part, safe="") for part in parts)
    return f'</manage/{path}?{urlencode([*pairs, ("cursor", cursor)])}>; rel="next"'
