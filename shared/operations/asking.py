"""From what somebody typed or sent to what an operation asks, with everything that is wrong with it at once.

Owns the reading of an `Asked` model: which fields it has, what kind each is, where each is written. Made for the API
(path, query, JSON) and the command line alike; knows neither.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from shared.operations.operation import Asked, Operation

Kind = Literal["text", "flag", "list", "map", "records", "file"]
"""`list`: of texts or numbers; `map`: names to texts; `records`: of nested models; `file`: JSON, which the command line
reads from a file."""
_IN_BRACES = re.compile(r"\{(\w+)\}")
_LISTS: tuple[Any, ...] = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class AskedField:
    """One field, under the name by which it is written."""

    name: str
    kind: Kind
    choices: tuple[str, ...]
    """The only values that there are, each of a list as well; empty: any."""
    required: bool
    default: Any
    nullable: bool
    """Whether nothing can be said on purpose: to take a limit away, say."""
    secret: bool
    description: str


class Misunderstood(ValueError):
    """Fields that cannot be understood: (field, what is wrong), in their order."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(f"{name}: {text}" if name else text for name, text in self.problems))


def path_fields(operation: Operation) -> tuple[str, ...]:
    """The fields that stand in its path."""
    return tuple(_IN_BRACES.findall(operation.path))


@functools.cache
def fields_of(asks: type[Asked]) -> Mapping[str, AskedField]:
    return {(info.alias or name): _field(info.alias or name, info) for name, info in asks.model_fields.items()}


def _field(name: str, info: FieldInfo) -> AskedField:
    annotation, nullable = _without_none(info.annotation)
    extra: Any = info.json_schema_extra
    marked: dict[str, Any] = extra if isinstance(extra, dict) else {}
    kind: Kind = "file" if marked.get("file") else _kind(annotation)
    one = _without_none((get_args(annotation) or (str,))[0])[0] if kind == "list" else annotation
    choices: tuple[Any, ...] = get_args(one) if get_origin(one) is Literal else ()
    return AskedField(
        name=name,
        kind=kind,
        choices=tuple(str(choice) for choice in choices),
        required=info.is_required(),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        nullable=nullable,
        secret=bool(marked.get("secret")),
        description=info.description or "",
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The type itself, without Annotated and without None; and whether None was there."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if hasattr(annotation, "__value__"):  # a `type X = …`
        return _without_none(annotation.__value__)
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        first, inner = _without_none(others[0])
        return first, inner or len(others) < len(get_args(annotation))
    return annotation, False


def _kind(annotation: Any) -> Kind:
    origin = get_origin(annotation) or annotation
    if origin is bool:
        return "flag"
    if origin in (dict, Mapping):
        return "map"
    if origin in _LISTS:
        item, _ = _without_none((get_args(annotation) or (str,))[0])
        return "records" if isinstance(item, type) and issubclass(item, BaseModel) else "list"
    return "text"


def understand(operation: Operation, values: Mapping[str, Any], *, typed: bool = False) -> Asked:
    """typed: the values came as JSON, where `"5"` is not 5. Raises Misunderstood."""
    try:
        if typed:
            return operation.asks.model_validate_json(orjson.dumps(values), strict=True)
        return operation.asks.model_validate(values)
    except ValidationError as error:
        raise Misunderstood(_problem(operation, found) for found in error.errors(include_url=False)) from error


def _problem(operation: Operation, found: ErrorDetails) -> tuple[str, str]:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"]).lstrip(".")
    match found["type"]:
        case "missing":
            return place, "is required."
        case "extra_forbidden":
            if len(found["loc"]) > 1:
                return place, "is not known here."
            return place, f"is not known here. There are: {', '.join(fields_of(operation.asks)) or 'no fields'}."
        case "value_error" | "assertion_error":
            text = found["msg"].partition(", ")[2]
        case _:
            text = found["msg"].removeprefix("Input ")
    return place, text if text.endswith((".", "!", "?")) else f"{text}."


def from_query(asks: type[Asked], pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A query's values by field. Lists may be repeated or separated by commas. Raises Misunderstood."""
    known = fields_of(asks)
    values: dict[str, Any] = {}
    for name, text in pairs:
        field = known.get(name)
        if field is not None and field.kind == "list":
            values.setdefault(name, []).extend(split(text))
        elif name in values:
            raise Misunderstood([(name, "is given twice.")])
        else:
            values[name] = text
    return values


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def fits(operation: Operation, parts: list[str]) -> dict[str, str] | None:
    """The path parameters, None when the path is another. `parts`: below /manage, decoded."""
    wanted = operation.path.split("/")
    if len(wanted) != len(parts):
        return None
    found: dict[str, str] = {}
    for template, part in zip(wanted, parts, strict=True):
        if template.startswith("{"):
            found[template[1:-1]] = part
        elif template != part:
            return None
    return found
