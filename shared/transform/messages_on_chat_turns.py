"""An Anthropic conversation as chat messages: one turn may become several, for chat has one message per tool result.

Knows nothing of the other parameters, nor of streams. `cache_control` is left out wherever it stands: models that serve
chat cache by themselves. What a Claude model thought is left out too: no other model can read it.
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.transform.refuse import a_list, a_string, an_object, unsupported, wrong_type
from shared.types import Json

_THOUGHT = frozenset({"thinking", "redacted_thinking"})


def chat_messages(body: Json) -> list[Json]:
    """-> the messages, with `system` as the first. Raises ApiError (400) for what chat cannot be told."""
    messages: list[Json] = []
    if system := _joined(body.get("system"), "system"):
        messages.append({"role": "system", "content": system})
    for index, entry in enumerate(a_list(body.get("messages"), "messages")):
        where = f"messages[{index}]"
        turn = an_object(entry, where)
        role, content = turn.get("role"), turn.get("content")
        if role == "user":
            messages += _user(content, f"{where}.content")
        elif role == "assistant":
            messages += _assistant(content, f"{where}.content")
        elif role == "system":
            messages.append({"role": "system", "content": _joined(content, f"{where}.content")})
        else:
            raise wrong_type(f"{where}.role", "user, assistant or system")
    return messages


def _blocks(content: Any, where: str) -> list[tuple[str, Json]]:
    """-> (where it stands, block) for each block; a string is one block of text."""
    if isinstance(content, str):
        return [(where, {"type": "text", "text": content})]
    if not isinstance(content, list):
        raise wrong_type(where, "a string or a list of content blocks")
    return [(f"{where}[{index}]", an_object(block, f"{where}[{index}]")) for index, block in enumerate(content)]


def _joined(content: Any, where: str) -> str:
    """Blocks of text as one text: not every model that serves chat takes a list here."""
    if content is None:
        return ""
    texts: list[str] = []
    for here, block in _blocks(content, where):
        if block.get("type") != "text":
            raise _not_here(here, block)
        texts.append(a_string(block.get("text"), f"{here}.text"))
    return "\n".join(texts)


def _not_here(where: str, block: Json) -> Exception:
    kind = str(block.get("type"))[:60]
    return unsupported(
        f"{where}.type", f"{kind!r} is not served by this model. Leave the block out, or use a Claude model."
    )


def _user(content: Any, where: str) -> list[Json]:
    """The results of tools first, each a message of its own, then what the user says."""
    results: list[Json] = []
    parts: list[Json] = []
    for here, block in _blocks(content, where):
        if block.get("type") == "tool_result":
            result, seen = _tool_result(block, here)
            results.append(result)
            parts += seen
        else:
            parts += _part(block, here)
    if not parts:
        return results
    only = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts
    return [*results, {"role": "user", "content": only}]


def _part(block: Json, where: str) -> list[Json]:
    """One block of a user's turn, or of a tool's result, as parts of a chat message."""
    match block.get("type"):
        case "text":
            return [{"type": "text", "text": a_string(block.get("text"), f"{where}.text")}]
        case "image":
            return [{"type": "image_url", "image_url": {"url": _image_url(block.get("source"), f"{where}.source")}}]
        case "document":
            return _document(block, where)
        case "search_result":
            return [{"type": "text", "text": _search_result(block, where)}]
        case _:
            raise _not_here(where, block)


def _image_url(source: Any, where: str) -> str:
    given = an_object(source, where)
    if given.get("type") == "url":
        return a_string(given.get("url"), f"{where}.url")
    if given.get("type") != "base64":
        raise unsupported(f"{where}.type", "must be 'base64' or 'url' for this model.")
    kind = a_string(given.get("media_type"), f"{where}.media_type")
    return f"data:{kind};base64,{a_string(given.get('data'), f'{where}.data')}"


def _document(block: Json, where: str) -> list[Json]:
    citations = block.get("citations")
    if isinstance(citations, dict) and citations.get("enabled"):
        raise unsupported(f"{where}.citations", "is not served by this model. Leave it out, or use a Claude model.")
    source = an_object(block.get("source"), f"{where}.source")
    title, context = block.get("title"), block.get("context")
    heading = [{"type": "text", "text": "\n".join(str(t) for t in (title, context) if t)}] if title or context else []
    match source.get("type"):
        case "base64":
            kind = a_string(source.get("media_type"), f"{where}.source.media_type")
            data = a_string(source.get("data"), f"{where}.source.data")
            file = {"filename": str(title or "document.pdf"), "file_data": f"data:{kind};base64,{data}"}
            said = [{"type": "text", "text": str(context)}] if context else []
            return [*said, {"type": "file", "file": file}]
        case "text":
            return [*heading, {"type": "text", "text": a_string(source.get("data"), f"{where}.source.data")}]
        case "content":
            here = f"{where}.source.content"
            inner = [part for at, held in _blocks(source.get("content"), here) for part in _part(held, at)]
            return [*heading, *inner]
        case _:
            raise unsupported(
                f"{where}.source.type",
                "must be 'base64', 'text' or 'content' for this model: it loads no document itself.",
            )


def _search_result(block: Json, where: str) -> str:
    head = [str(block[name]) for name in ("title", "source") if block.get(name)]
    return "\n".join([*head, _joined(block.get("content"), f"{where}.content")])


def _tool_result(block: Json, where: str) -> tuple[Json, list[Json]]:
    """-> (the tool message, what it cannot hold: chat's tool messages are text, so images follow as the user's)."""
    tool_id = a_string(block.get("tool_use_id"), f"{where}.tool_use_id")
    content = block.get("content")
    parts = [] if content is None else [p for at, b in _blocks(content, f"{where}.content") for p in _part(b, at)]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    seen = [part for part in parts if part["type"] != "text"]
    if block.get("is_error") is True:
        text = f"Error: {text}"  # chat has no mark for a tool that failed
    if seen:
        seen = [{"type": "text", "text": f"From the result of the tool call {tool_id}:"}, *seen]
    return {"role": "tool", "tool_call_id": tool_id, "content": text}, seen


def _assistant(content: Any, where: str) -> list[Json]:
    texts: list[str] = []
    calls: list[Json] = []
    for here, block in _blocks(content, where):
        kind = block.get("type")
        if kind == "text":
            texts.append(a_string(block.get("text"), f"{here}.text"))
        elif kind == "tool_use":
            calls.append(_tool_call(block, here))
        elif kind not in _THOUGHT:
            raise _not_here(here, block)
    if not texts and not calls:
        return []  # nothing but thought
    message: Json = {"role": "assistant", "content": "".join(texts) if texts else None}
    return [{**message, "tool_calls": calls} if calls else message]


def _tool_call(block: Json, where: str) -> Json:
    arguments = orjson.dumps(an_object(block.get("input") or {}, f"{where}.input")).decode()
    return {
        "id": a_string(block.get("id"), f"{where}.id"),
        "type": "function",
        "function": {"name": a_string(block.get("name"), f"{where}.name"), "arguments": arguments},
    }
