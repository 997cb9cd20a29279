"""What a model reads of a responses request: the same as of a chat request that says the same. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...asked import Asked
from ...chat.request import ChatRequest
from ...store import Json

_FREE_TEXT: Json = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def chat_of(asked: Asked, items: Sequence[Json], compacted: Callable[[Json], list[Json]]) -> ChatRequest:
    body = asked.body
    messages = list(_messages(items, compacted))
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    text: Mapping[str, Any] = body.get("text") or {}
    chat: Json = {
        "messages": messages,
        "tools": [tool for given in body.get("tools") or () if (tool := _tool(given))],
        "tool_choice": _tool_choice(body.get("tool_choice")),
        "parallel_tool_calls": body.get("parallel_tool_calls"),
        "max_completion_tokens": body.get("max_output_tokens"),
        "reasoning_effort": (body.get("reasoning") or {}).get("effort"),
        "response_format": _format(text.get("format") or {}),
    }
    return ChatRequest(chat, asked.deployment, asked.model, asked.surface)


def _messages(items: Sequence[Json], compacted: Callable[[Json], list[Json]]) -> Iterator[Json]:
    for item in items:
        match item["type"]:
            case "message":
                yield {"role": item["role"], "content": [_part(part) for part in item["content"]]}
            case "function_call" | "custom_tool_call":
                function = {"name": item.get("name"), "arguments": item.get("arguments", item.get("input"))}
                call = {"id": item["call_id"], "type": "function", "function": function}
                yield {"role": "assistant", "content": None, "tool_calls": [call]}
            case "function_call_output" | "custom_tool_call_output":
                output = item.get("output")
                content = (
                    [_part(part) for part in output if isinstance(part, dict)]
                    if isinstance(output, list)
                    else str(output)
                )
                yield {"role": "tool", "tool_call_id": item["call_id"], "content": content}
            case "compaction":
                yield from _messages(compacted(item), compacted)
            case _:
                pass  # the model's own thoughts and what hosted tools did


def _part(part: Mapping[str, Any]) -> Json:
    match part.get("type"):
        case "input_image":
            return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
        case "input_file":
            return {"type": "file", "file": part}
        case _:
            return {"type": "text", "text": part.get("text", part.get("refusal", ""))}


def _tool(tool: Mapping[str, Any]) -> Json | None:
    match tool.get("type"):
        case "function":
            return {"type": "function", "function": {"name": tool.get("name"), "parameters": tool.get("parameters")}}
        case "custom":
            return {"type": "function", "function": {"name": tool.get("name"), "parameters": _FREE_TEXT}}
        case _:
            return None


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        return choice.get("mode", "auto")
    return {"type": "function", "function": {"name": choice["name"]}} if choice.get("name") else "auto"


def _format(wanted: Mapping[str, Any]) -> Json:
    if wanted.get("type") != "json_schema":
        return dict(wanted)
    return {"type": "json_schema", "json_schema": {"name": wanted.get("name"), "schema": wanted.get("schema")}}
