"""A chat's messages as the input items of the Responses API. Knows nothing of the other parameters.

System and developer messages stay messages, each in its place: `instructions` would put them all in front.
Dropped as mere hints: `name` of a message, `reasoning_content` of an earlier answer (the Responses API takes
reasoning back only as an item of its own), `annotations`, and foreign marks such as `cache_control`.
"""

from __future__ import annotations

from typing import Any

from shared.errors import ApiError, bad_request
from shared.types import Json

_ROLES = ("system", "developer", "user")


def items(messages: Any) -> list[Json]:
    """-> one item or more for each message. Raises ApiError (400) with the place of what cannot be said."""
    if not isinstance(messages, list):
        raise _invalid("messages", "expected a list")
    out: list[Json] = []
    custom: set[str] = set()
    """Ids of the calls of custom tools so far: their results are items of another type."""
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role in _ROLES:
            out.append({"type": "message", "role": role, "content": _content(message.get("content"), where)})
        elif role == "assistant":
            out += _assistant(message, where, custom)
        elif role == "tool":
            out.append(_result(message, where, custom))
        elif role == "function":
            raise _refused(f"{where}.role", "knows no messages of the role 'function': send 'tool'")
        else:
            raise _invalid(f"{where}.role", "expected system, developer, user, assistant or tool")
    return out


def _content(content: Any, where: str) -> Any:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _invalid(f"{where}.content", "expected a string or a list of parts")
    return [_part(part, f"{where}.content[{index}]") for index, part in enumerate(content)]


def _part(part: Any, where: str) -> Json:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        out: Json = {"type": "input_text", "text": part.get("text")}
    elif kind == "image_url":
        image = part.get("image_url")
        image = {"url": image} if isinstance(image, str) else image
        if not isinstance(image, dict):
            raise _invalid(f"{where}.image_url", "expected an object with a 'url'")
        out = {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
    elif kind == "file":
        file = part.get("file")
        if not isinstance(file, dict):
            raise _invalid(f"{where}.file", "expected an object")
        out = {**file, "type": "input_file"}
    elif kind == "input_audio":
        raise _refused(where, "takes no audio: send text, images or files")
    else:
        raise _invalid(f"{where}.type", "expected text, image_url or file")
    if part.get("prompt_cache_breakpoint") is not None:
        out["prompt_cache_breakpoint"] = part["prompt_cache_breakpoint"]
    return out


def _assistant(message: Json, where: str, custom: set[str]) -> list[Json]:
    for name in ("audio", "function_call"):
        if message.get(name) is not None:
            raise _refused(f"{where}.{name}", "does not take it back in a message")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise _invalid(f"{where}.tool_calls", "expected a list")
    content = _written(message, where)
    said = [{"type": "message", "role": "assistant", "content": content}] if content or not calls else []
    return said + [_call(call, f"{where}.tool_calls[{index}]", custom) for index, call in enumerate(calls)]


def _written(message: Json, where: str) -> str | list[Json]:
    """What an assistant wrote: its text as it came, or parts when it came in parts or ended in a refusal."""
    content = message.get("content") or ""
    refusal = message.get("refusal")
    if isinstance(content, str):
        if not refusal:
            return content
        parts: list[Json] = [{"type": "output_text", "text": content}] if content else []
    elif isinstance(content, list):
        parts = [_written_part(part, f"{where}.content[{index}]") for index, part in enumerate(content)]
    else:
        raise _invalid(f"{where}.content", "expected a string or a list of parts")
    return [*parts, {"type": "refusal", "refusal": refusal}] if refusal else parts


def _written_part(part: Any, where: str) -> Json:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return {"type": "output_text", "text": part.get("text")}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part.get("refusal")}
    raise _invalid(f"{where}.type", "expected text or refusal")


def _call(call: Any, where: str, custom: set[str]) -> Json:
    kind = call.get("type", "function") if isinstance(call, dict) else None
    inner = call.get(kind) if kind in ("function", "custom") else None
    if not isinstance(inner, dict):
        raise _invalid(where, "expected a call of a function or of a custom tool")
    head = {"call_id": call.get("id"), "name": inner.get("name")}
    if kind == "custom":
        custom.add(str(call.get("id")))
        return {"type": "custom_tool_call", **head, "input": inner.get("input") or ""}
    return {"type": "function_call", **head, "arguments": inner.get("arguments") or ""}


def _result(message: Json, where: str, custom: set[str]) -> Json:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str):
        raise _invalid(f"{where}.tool_call_id", "expected the id of the call that this is the result of")
    output = _content(message.get("content") or "", where)
    if isinstance(output, list) and len(output) == 1 and output[0]["type"] == "input_text":
        output = output[0]["text"]  # Azure's v1 description (2025) knows the list only for what is no plain text
    kind = "custom_tool_call_output" if call_id in custom else "function_call_output"
    return {"type": kind, "call_id": call_id, "output": output}


def _invalid(param: str, wanted: str) -> ApiError:
    return bad_request(f"Invalid value for '{param}': {wanted}.", param=param, code="invalid_value")


def _refused(param: str, why: str) -> ApiError:
    return bad_request(
        f"Unsupported value: '{param}'. This model is served by the Responses API, which {why}.",
        param=param,
        code="unsupported_value",
    )
