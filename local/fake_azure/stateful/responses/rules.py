"""What the responses operation does not take, in OpenAI's words: one function a rule, a table of them at the end.

Owns the rules on parameters. Those on the items of the input are `items.py`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ...asked import Asked
from ...chat.refusals import CONTEXT_LENGTH, unsupported_parameter
from ...chat.request import ChatRequest
from ...errors import ApiError, invalid, prompt_filtered

_SHORTEST = 16
# OpenAI's specification of 2026-08 (CreateResponse), which Azure's v1 follows.
_KNOWN = frozenset(
    """
    background context_management conversation include input instructions max_output_tokens max_tool_calls metadata
    model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options temperature text
    tool_choice tools top_logprobs top_p truncation user
    """.split()
)
_INCLUDABLE = frozenset(
    """
    file_search_call.results web_search_call.results web_search_call.action.sources message.input_image.image_url
    computer_call_output.output.image_url code_interpreter_call.outputs reasoning.encrypted_content
    message.output_text.logprobs
    """.split()
)
_TYPES: tuple[tuple[str, str, type | tuple[type, ...]], ...] = (
    ("input", "a string or an array", (str, list)),
    ("tools include", "an array", list),
    ("text reasoning metadata stream_options", "an object", dict),
    ("max_output_tokens", "an integer", int),
    ("stream store background parallel_tool_calls", "a boolean", bool),
    ("instructions previous_response_id", "a string", str),
    ("conversation", "a string or an object", (str, dict)),
    ("temperature top_p", "a number", (int, float)),
)


def _unknown(asked: Asked) -> ApiError | None:
    name = next((name for name in asked.body if name not in _KNOWN), None)
    return invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter") if name else None


def _types(asked: Asked) -> ApiError | None:
    for names, known_as, kind in _TYPES:
        for name in names.split():
            value = asked.body.get(name)
            if value is not None and not isinstance(value, kind):
                message = f"Invalid type for '{name}': expected {known_as}, but got something else instead."
                return invalid(message, name, "invalid_type")
    tools: list[Any] = asked.body.get("tools") or []
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            return invalid(f"Invalid type for 'tools[{place}]': expected an object.", f"tools[{place}]", "invalid_type")
        if tool["type"] in ("function", "custom") and not tool.get("name"):
            where = f"tools[{place}].name"
            return invalid(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    return None


def _companions(asked: Asked) -> ApiError | None:
    body = asked.body
    if not any(body.get(name) is not None for name in ("input", "prompt", "previous_response_id", "conversation")):
        message = "Missing required parameter: 'input'."
        return invalid(message, "input", "missing_required_parameter")
    if body.get("previous_response_id") and body.get("conversation"):
        message = (
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing "
            "one of them."
        )
        return invalid(message, None, "mutually_exclusive_parameters")
    if body.get("background") and body.get("store") is False:
        return invalid("Background mode requires the response to be stored: 'store' cannot be false.", "background")
    wrong = next((name for name in body.get("include") or () if name not in _INCLUDABLE), None)
    if wrong is not None:
        supported = ", ".join(f"'{name}'" for name in sorted(_INCLUDABLE))
        message = f"Invalid value: '{wrong}'. Supported values are: {supported}."
        return invalid(message, "include[0]", "invalid_value")
    return None


def _limits(asked: Asked) -> ApiError | None:
    limit = asked.body.get("max_output_tokens")
    if limit is None or limit >= _SHORTEST:
        return None
    message = (
        f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {_SHORTEST}, but got {limit} "
        "instead."
    )
    return invalid(message, "max_output_tokens", "integer_below_min_value")


def _reasoning(asked: Asked) -> ApiError | None:
    reasoning: Mapping[str, Any] = asked.body.get("reasoning") or {}
    effort, model = reasoning.get("effort"), asked.model
    if not model.reasons:
        name = next((name for name in ("effort", "summary") if reasoning.get(name) is not None), None)
        return unsupported_parameter(f"reasoning.{name}") if name else None
    if effort is not None and effort not in model.efforts:
        supported = ", ".join(f"'{known}'" for known in model.efforts)
        message = f"Unsupported value: '{effort}' is not supported with the '{asked.deployment}' model."
        return invalid(f"{message} Supported values are: {supported}.", "reasoning.effort", "unsupported_value")
    if (effort or model.default_effort) != "none":
        name = next((name for name in ("temperature", "top_p") if asked.body.get(name) not in (None, 1)), None)
        return unsupported_parameter(name) if name else None
    return None


_RULES: tuple[Callable[[Asked], ApiError | None], ...] = (_unknown, _types, _companions, _limits, _reasoning)


def refuse(asked: Asked) -> None:
    for rule in _RULES:
        error = rule(asked)
        if error is not None:
            raise error


def refuse_types(asked: Asked) -> None:
    """For the operations beside creating: they only read an input."""
    error = _types(asked)
    if error is not None:
        raise error


def refuse_content(chat: ChatRequest) -> None:
    """What is wrong with the whole of what the model is to read."""
    if re.search(r"\bfilter me\b", chat.prompt.text, re.IGNORECASE):
        raise prompt_filtered()
    if chat.prompt.count > CONTEXT_LENGTH:
        message = "Your input exceeds the context window of this model. Please adjust your input and try again."
        raise invalid(message, "input", "context_length_exceeded")
