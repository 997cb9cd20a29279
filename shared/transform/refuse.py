"""The refusals of the translators: what one dialect says and the other cannot. Each names the parameter and the remedy.

Knows no dialect: the callers say what is wrong and what to send instead.
"""

from __future__ import annotations

from typing import Any

from shared.errors import ApiError, bad_request
from shared.types import Json


def unsupported(param: str, why: str) -> ApiError:
    """400 for a parameter that cannot be translated; `why` completes the sentence that begins with its name."""
    return bad_request(f"Unsupported parameter: '{param}' {why}", param=param, code="unsupported_parameter")


def wrong_type(param: str, wanted: str) -> ApiError:
    return bad_request(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")


def an_object(value: Any, param: str) -> Json:
    """-> the value when it is a JSON object. Raises ApiError (400) otherwise."""
    if not isinstance(value, dict):
        raise wrong_type(param, "an object")
    return value


def a_list(value: Any, param: str) -> list[Any]:
    """-> the value when it is a JSON array. Raises ApiError (400) otherwise."""
    if not isinstance(value, list):
        raise wrong_type(param, "a list")
    return value


def a_string(value: Any, param: str) -> str:
    """-> the value when it is a string. Raises ApiError (400) otherwise."""
    if not isinstance(value, str):
        raise wrong_type(param, "a string")
    return value


def a_count(value: Any, param: str) -> int:
    """-> the value when it is an integer of at least 1. Raises ApiError (400) otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise wrong_type(param, "an integer of at least 1")
    return value
