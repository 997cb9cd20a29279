"""The refusals that several operations share, in Azure's and OpenAI's words, and the reading of typed parameters.

Every reader returns the default for a parameter that is absent or null, and raises for one of the wrong kind.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from ..asked import Form
from ..errors import ApiError, invalid, prompt_filtered

Json = dict[str, Any]
_FILTERED = re.compile(r"\bfilter me\b", re.IGNORECASE)


def missing(name: str) -> ApiError:
    return invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def unknown(name: str) -> ApiError:
    return invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter")


def bad_value(name: str, value: Any, supported: Collection[str]) -> ApiError:
    listed = ", ".join(f"'{known}'" for known in supported)
    return invalid(f"Invalid value: '{value}'. Supported values are: {listed}.", name, "invalid_value")


def bad_type(name: str, expected: str) -> ApiError:
    message = f"Invalid type for '{name}': expected {expected}, but got something else instead."
    return invalid(message, name, "invalid_type")


def text(body: Mapping[str, Any], name: str) -> str:
    """A required, non-empty string."""
    value = body.get(name)
    if value is None or value == "":
        raise missing(name)
    if not isinstance(value, str):
        raise bad_type(name, "a string")
    return value


def choice(body: Mapping[str, Any], name: str, default: str, supported: Collection[str]) -> str:
    value = body.get(name)
    if value is None:
        return default
    if value not in supported:
        raise bad_value(name, value, supported)
    return str(value)


def integer(body: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """Forms say numbers with digits, JSON says them with numbers."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad_type(name, "an integer")
    if not low <= value <= high:
        side, bound = ("below minimum", f">= {low}") if value < low else ("above maximum", f"<= {high}")
        message = f"Invalid '{name}': integer {side} value. Expected a value {bound}, but got {value} instead."
        raise invalid(message, name, f"integer_{side.replace(' ', '_')[:9]}_value")
    return value


def number(body: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise bad_type(name, "a decimal") from None
    if not low <= found <= high:
        raise invalid(f"Invalid '{name}': expected a value from {low} to {high}, but got {found} instead.", name)
    return found


def flag(body: Mapping[str, Any], name: str) -> bool:
    """True, or "true" in a form."""
    value = body.get(name)
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise bad_type(name, "a boolean")


def listed(body: Mapping[str, Any], name: str) -> list[str]:
    """A list of strings; a form repeats a field for it, with or without brackets."""
    value = body.get(name)
    if value is None:
        return []
    return [str(row) for row in value] if isinstance(value, list) else [str(value)]


def refuse_unknown(body: Mapping[str, Any], known: Collection[str]) -> None:
    names = [name for name in body if name not in known]
    if names:
        noun = "argument" if len(names) == 1 else "arguments"
        raise invalid(f"Unrecognized request {noun} supplied: {', '.join(names)}")


def refuse_prompt(prompt: str) -> None:
    """The words "filter me" set Azure's content filter off, in every operation."""
    if _FILTERED.search(prompt):
        raise prompt_filtered()


def fields_of(form: Form) -> Json:
    """The text fields of a form as JSON would say them: `name[]` and what comes twice are lists."""
    body: Json = {}
    for name, values in form.fields.items():
        plain = name.removesuffix("[]")
        if plain != name or len(values) > 1:
            body[plain] = [*body.get(plain, []), *values]
        else:
            body[plain] = values[0]
    return body
