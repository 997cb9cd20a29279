"""What a model does not take, refused in Azure's and OpenAI's words: one function a rule, a table of them at the end.

Owns the rules. Which model has which trait is `models.py`.
"""

import re
from collections.abc import Callable
from typing import Any

from ..errors import ApiError, invalid, prompt_filtered
from .request import ChatRequest

CONTEXT_LENGTH = 100_000
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")

# Azure's dated specification (2025-03-01-preview), then what its newer models take, then its old extensions.
_KNOWN = frozenset(
    """
    messages model temperature top_p stream stream_options stop max_tokens max_completion_tokens presence_penalty
    frequency_penalty logit_bias store metadata user data_sources reasoning_effort logprobs top_logprobs n modalities
    prediction audio parallel_tool_calls response_format seed tools tool_choice function_call functions
    user_security_context
    verbosity service_tier prompt_cache_key prompt_cache_retention safety_identifier web_search_options
    dataSources enhancements
    """.split()
)
_AZURE_ONLY = frozenset({"data_sources", "dataSources", "enhancements", "user_security_context"})


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


_SHAPES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("messages tools functions data_sources dataSources", "an array of objects", _is_objects),
    ("stream_options response_format metadata", "an object", lambda value: isinstance(value, dict)),
    ("n max_tokens max_completion_tokens", "an integer", lambda value: isinstance(value, int)),
    ("stop modalities", "a string or an array", lambda value: isinstance(value, str | list)),
    ("stream logprobs parallel_tool_calls", "a boolean", lambda value: isinstance(value, bool)),
)


def unsupported_parameter(name: str, hint: str = "") -> ApiError:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return invalid(message, name, "unsupported_parameter")


def _types(chat: ChatRequest) -> ApiError | None:
    for names, known_as, fits in _SHAPES:
        for name in names.split():
            value = chat.body.get(name)
            if value is not None and not fits(value):
                message = f"Invalid type for '{name}': expected {known_as}, but got something else instead."
                return invalid(message, name, "invalid_type")
    return None


def _messages(chat: ChatRequest) -> ApiError | None:
    messages = chat.body.get("messages")
    if messages is None:
        return invalid("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if not messages:
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        return invalid(message, "messages", "empty_array")
    for place, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            supported = ", ".join(f"'{known}'" for known in _ROLES)
            text = f"Invalid value: '{role}'. Supported values are: {supported}."
            return invalid(text, f"messages[{place}].role", "invalid_value")
    return None


def _unknown_arguments(chat: ChatRequest) -> ApiError | None:
    if chat.surface not in ("dated", "plain"):
        return None
    known = _KNOWN - _AZURE_ONLY if chat.surface == "plain" else _KNOWN
    unknown = [name for name in chat.body if name not in known]
    if not unknown:
        return None
    noun = "argument" if len(unknown) == 1 else "arguments"
    return invalid(f"Unrecognized request {noun} supplied: {', '.join(unknown)}")


def _reasoning_effort(chat: ChatRequest) -> ApiError | None:
    effort = chat.body.get("reasoning_effort")
    if effort is None:
        return None
    if not chat.model.reasons:
        return invalid("Unrecognized request argument supplied: reasoning_effort")
    if effort not in chat.model.efforts:
        supported = ", ".join(f"'{known}'" for known in chat.model.efforts)
        message = f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model."
        return invalid(f"{message} Supported values are: {supported}.", "reasoning_effort", "unsupported_value")
    return None


def _sampling(chat: ChatRequest) -> ApiError | None:
    """Reasoning models sample in one way only. gpt-5.1 and later may be steered while they do not reason."""
    if not chat.model.reasons:
        return None
    if chat.body.get("max_tokens") is not None:
        return unsupported_parameter("max_tokens", " Use 'max_completion_tokens' instead.")
    steerable = ("temperature", "top_p") if chat.effort == "none" else ()
    for name, default in (("temperature", 1), ("top_p", 1), ("presence_penalty", 0), ("frequency_penalty", 0)):
        value = chat.body.get(name)
        if value is not None and value != default and name not in steerable:
            message = f"Unsupported value: '{name}' does not support {value} with this model."
            return invalid(f"{message} Only the default ({default}) value is supported.", name, "unsupported_value")
    for name in ("logprobs", "top_logprobs", "logit_bias"):
        if chat.body.get(name):
            return unsupported_parameter(name)
    return None


def _companions(chat: ChatRequest) -> ApiError | None:
    """Parameters that make sense only beside another one."""
    if chat.body.get("stream_options") is not None and not chat.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return invalid(message, "stream_options")
    for name in ("tool_choice", "parallel_tool_calls"):
        if chat.body.get(name) is not None and not chat.body.get("tools"):
            return invalid(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name)
    forced = chat.forced_function
    if forced is not None and forced not in [function.get("name") for function in chat.functions]:
        return invalid(f"Tool choice '{forced}' not found in 'tools' parameter.", "tool_choice")
    return None


def _audio(chat: ChatRequest) -> ApiError | None:
    if not chat.speaks:
        return None
    if not chat.model.audio:
        message = "This model does not support the requested modality: 'audio'."
        return invalid(message, "modalities", "unsupported_value")
    if not isinstance(chat.body.get("audio"), dict):
        message = "Missing required parameter: 'audio'. It is required when 'modalities' includes 'audio'."
        return invalid(message, "audio", "missing_required_parameter")
    return None


def _limits(chat: ChatRequest) -> ApiError | None:
    for name in ("max_tokens", "max_completion_tokens", "n"):
        value = chat.body.get(name)
        if value is not None and value < 1:
            message = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
            return invalid(message, name, "integer_below_min_value")
    return None


def _content(chat: ChatRequest) -> ApiError | None:
    if re.search(r"\bfilter me\b", chat.prompt.text, re.IGNORECASE):
        return prompt_filtered()
    return None


def _context_length(chat: ChatRequest) -> ApiError | None:
    count = chat.prompt.count
    if count <= CONTEXT_LENGTH:
        return None
    message = (
        f"This model's maximum context length is {CONTEXT_LENGTH} tokens. However, your messages resulted in {count} "
        "tokens. Please reduce the length of the messages."
    )
    return invalid(message, "messages", "context_length_exceeded")


_RULES: tuple[Callable[[ChatRequest], ApiError | None], ...] = (
    _types,
    _messages,
    _unknown_arguments,
    _reasoning_effort,
    _sampling,
    _companions,
    _audio,
    _limits,
    _content,
    _context_length,
)


def refuse(chat: ChatRequest) -> None:
    for rule in _RULES:
        error = rule(chat)
        if error is not None:
            raise error
