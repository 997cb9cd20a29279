"""Ids and tokens in the lines of an input: found without a walk through every line. Pure.

A file has a hundred thousand lines, nearly all of which are of one plain kind. Where ids stand is transform/owned.py's
business, how tokens are counted usage.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.admission import MARKS
from shared.endpoints import Shape
from shared.transform.owned import open_ids
from shared.types import Json
from shared.usage import CHARACTERS_PER_TOKEN, TOKENS_PER_MESSAGE

_WITHOUT_IDS: frozenset[Shape] = frozenset({"embeddings", "moderations"})
_TALK: frozenset[Shape] = frozenset({"chat", "messages", "completions"})
_MESSAGE = frozenset({"role", "content", "name"})
_FORMAT = frozenset({"type", "json_schema"})
_TOOL, _FUNCTION = frozenset({"type", "function"}), frozenset({"name", "description", "parameters", "strict"})
_ID = b'_id"'
_OTHER_MARKS = tuple(mark for mark in MARKS if mark != _ID)
_PLAIN = frozenset(
    "frequency_penalty input instructions logprobs max_completion_tokens max_output_tokens max_tokens messages model n "
    "parallel_tool_calls presence_penalty prompt reasoning_effort response_format safety_identifier seed "
    "service_tier stop store stream system temperature tools top_k top_logprobs top_p truncation user verbosity".split()
)
"""Fields that hold no id as long as they hold text or numbers, or what _is_plain_field knows."""
_SETTINGS = _PLAIN - {"input", "instructions", "messages", "prompt", "system"}
"""Those of them that are no text for the model."""
_SCALARS = frozenset({str, int, float, bool, type(None)})


def plain_tokens(body: Json) -> int:
    """-> input tokens, as estimate_input counts them, of a body of the commonest kind, in which no id can stand: text
    in messages, and settings. -1: of any other."""
    tokens = 0
    for name, value in body.items():
        if name == "messages" and type(value) is list:
            for message in value:
                if type(message) is not dict or not _is_plain_message(message):
                    return -1
                tokens += TOKENS_PER_MESSAGE - (-len(message["content"]) // CHARACTERS_PER_TOKEN)
        elif name not in _SETTINGS or type(value) not in _SCALARS:
            return -1
    return tokens


def may_hold_ids(line: bytes, body: Json, shape: Shape) -> bool:
    """line: the whole line whose body that is."""
    if shape in _WITHOUT_IDS or _is_plain(body):
        return False
    # the line's own custom_id is one of the marks
    return shape not in _TALK or line.count(_ID) > 1 or any(mark in line for mark in _OTHER_MARKS)


def open_line_ids(body: Json, shape: Shape, open_id: Callable[[str], str]) -> Json:
    """-> the body with its ids replaced. Raises what open_id raises."""
    return open_ids(body, open_id, talk=shape in _TALK)


def _is_plain(body: Json) -> bool:
    """Whether the body is of the common kind in which no id can stand: a walk through it is saved."""
    for name, value in body.items():
        if name not in _PLAIN or (type(value) not in _SCALARS and not _is_plain_field(name, value)):
            return False
    return True


def _is_plain_field(name: str, value: Any) -> bool:
    """Whether a list or an object in a body holds no id. What lies below a schema is the client's own."""
    if name == "response_format":
        return type(value) is dict and value.keys() <= _FORMAT and type(value.get("type")) is str
    if type(value) is not list:
        return False
    if name == "messages":
        return all(type(message) is dict and _is_plain_message(message) for message in value)
    if name == "tools":
        return all(type(tool) is dict and tool.keys() <= _TOOL and _is_plain_function(tool) for tool in value)
    return False


def _is_plain_message(message: Json) -> bool:
    if type(message.get("content")) is not str or type(message.get("role")) is not str:
        return False
    return len(message) == 2 or (message.keys() == _MESSAGE and type(message["name"]) is str)


def _is_plain_function(tool: Json) -> bool:
    function = tool.get("function")
    if type(function) is not dict or type(tool.get("type")) is not str or not function.keys() <= _FUNCTION:
        return False
    return all(name == "parameters" or type(value) in _SCALARS for name, value in function.items())
