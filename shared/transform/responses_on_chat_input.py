"""The input of a response as the messages of a chat. Knows nothing of the other parameters.

Items that follow one another become one message where chat has them in one: an assistant's text and its calls of
tools. Dropped as hints: reasoning items (chat takes no reasoning back), `phase`, `status` and ids of items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shared.errors import ApiError, bad_request
from shared.types import Json

_ROLES = ("system", "developer", "user", "assistant")


def messages(body: Json) -> list[Json]:
    """-> instructions first, as a system message, then the input. Raises ApiError (400) with the place of a refusal."""
    out: list[Json] = []
    instructions = body.get("instructions")
    if not isinstance(instructions, str | None):
        raise _invalid("instructions", "expected a string")
    if instructions:
        out.append({"role": "system", "content": instructions})
    given = body.get("input")
    if isinstance(given, str):
        return [*out, {"role": "user", "content": given}]
    if not isinstance(given, list):
        raise _invalid("input", "expected a string or a list of items")
    for index, item in enumerate(given):
        _add(out, item, f"input[{index}]")
    if not out:
        raise _invalid("input", "expected at least one item besides reasoning")
    return out


def _add(out: list[Json], item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise _invalid(where, "expected an object")
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    add = _ADD.get(str(kind))
    if add is not None:
        add(out, item, where)
    elif kind == "item_reference":
        raise _refused(f"{where}", "which keep no state: send the item itself instead of a reference to it")
    elif kind != "reasoning":
        raise _refused(f"{where}.type", f"which know no items of the type {str(kind)[:60]!r}")


def _message(out: list[Json], item: Json, where: str) -> None:
    role = item.get("role")
    if role not in _ROLES:
        raise _invalid(f"{where}.role", "expected system, developer, user or assistant")
    content = item.get("content")
    if role == "assistant":
        out.append(_assistant(content, f"{where}.content"))
    else:
        out.append({"role": role, "content": _content(content, f"{where}.content")})


def _assistant(content: Any, where: str) -> Json:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    texts: list[Json] = []
    refusals: list[str] = []
    for index, part in enumerate(_list(content, where)):
        kind = part.get("type")
        if kind in ("output_text", "input_text", "text"):
            texts.append({"type": "text", "text": part.get("text")})
        elif kind == "refusal":
            refusals.append(str(part.get("refusal") or ""))
        else:
            raise _invalid(f"{where}[{index}].type", "expected output_text or refusal")
    message: Json = {"role": "assistant", "content": _short(texts) or (None if refusals else "")}
    if refusals:
        message["refusal"] = "".join(refusals)
    return message


def _content(content: Any, where: str) -> Any:
    if isinstance(content, str):
        return content
    return _short([_part(part, f"{where}[{index}]") for index, part in enumerate(_list(content, where))])


def _short(parts: list[Json]) -> Any:
    """One part of mere text as a string: every chat model takes that."""
    return parts[0]["text"] if len(parts) == 1 and set(parts[0]) == {"type", "text"} else parts


def _part(part: Json, where: str) -> Json:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        out: Json = {"type": "text", "text": part.get("text")}
    elif kind == "input_image":
        out = {"type": "image_url", "image_url": _image(part, where)}
    elif kind == "input_file":
        if part.get("file_url"):
            raise _refused(f"{where}.file_url", "which take no files by URL: send 'file_data' or 'file_id'")
        names = ("file_id", "file_data", "filename")
        out = {"type": "file", "file": {k: part[k] for k in names if part.get(k) is not None}}
    elif kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        out = {"type": "input_audio", "input_audio": part["input_audio"]}
    else:
        raise _invalid(f"{where}.type", "expected input_text, input_image or input_file")
    if part.get("prompt_cache_breakpoint") is not None:
        out["prompt_cache_breakpoint"] = part["prompt_cache_breakpoint"]
    return out


def _image(part: Json, where: str) -> Json:
    url = part.get("image_url")
    if not isinstance(url, str):
        raise _refused(f"{where}.file_id", "which take images by URL or as data: send 'image_url'")
    return {"url": url} if part.get("detail") is None else {"url": url, "detail": part["detail"]}


def _function_call(out: list[Json], item: Json, where: str) -> None:
    function = {"name": item.get("name"), "arguments": item.get("arguments") or ""}
    _add_call(out, {"id": _call_id(item, where), "type": "function", "function": function})


def _custom_call(out: list[Json], item: Json, where: str) -> None:
    custom = {"name": item.get("name"), "input": item.get("input") or ""}
    _add_call(out, {"id": _call_id(item, where), "type": "custom", "custom": custom})


def _add_call(out: list[Json], call: Json) -> None:
    """To the assistant's message that stands last, as chat has calls that were made together in one message."""
    if not out or out[-1]["role"] != "assistant":
        out.append({"role": "assistant", "content": None})
    out[-1]["tool_calls"] = [*out[-1].get("tool_calls", ()), call]


def _call_output(out: list[Json], item: Json, where: str) -> None:
    output = item.get("output")
    if not isinstance(output, str):
        parts = _list(output, f"{where}.output")
        for index, part in enumerate(parts):
            if part.get("type") not in ("input_text", "output_text", "text"):
                raise _refused(f"{where}.output[{index}].type", "which take only text as a tool's result")
        output = _content(parts, f"{where}.output") or ""
    out.append({"role": "tool", "tool_call_id": _call_id(item, where), "content": output})


def _call_id(item: Json, where: str) -> str:
    call_id = item.get("call_id")
    if not isinstance(call_id, str) or not call_id:
        raise _invalid(f"{where}.call_id", "expected the id of a call")
    return call_id


_ADD: Mapping[str, Callable[[list[Json], Json, str], None]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _call_output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _call_output,
}


def _list(value: Any, where: str) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise _invalid(where, "expected a string or a list of parts")
    return value


def _invalid(param: str, wanted: str) -> ApiError:
    return bad_request(f"Invalid value for '{param}': {wanted}.", param=param, code="invalid_value")


def _refused(param: str, why: str) -> ApiError:
    return bad_request(
        f"Unsupported value: '{param}'. This model is served by chat completions, {why}.",
        param=param,
        code="unsupported_value",
    )
