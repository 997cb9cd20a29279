"""Chat messages as the turns of an Anthropic conversation: who says what, in blocks.

Knows nothing of the other parameters, nor of streams. Rules of Anthropic's that shape it (Messages API, 2026-10):
a conversation alternates between user and assistant, `system` stands beside it, the results of tools open the user's
turn, no text block is empty, and an id of a tool call holds letters, digits, `_` and `-` only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from shared.transform.refuse import a_list, a_string, an_object, unsupported, wrong_type
from shared.types import Json

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""Media types that Claude reads (Anthropic "Vision", 2026-10)."""
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)((?:;[\w=.+-]+)*);base64,(.*)", re.S)
_SYSTEM = frozenset({"system", "developer"})


def conversation(messages: Any) -> tuple[list[Json], list[Json]]:
    """-> (the blocks of `system`, the turns). Raises ApiError (400) for what Claude cannot be told.

    System messages that come later are moved to the others: Anthropic has one place for them on every model.
    """
    system: list[Json] = []
    turns: list[Json] = []
    for index, entry in enumerate(a_list(messages, "messages")):
        where = f"messages[{index}]"
        message = an_object(entry, where)
        role = message.get("role")
        if role in _SYSTEM:
            system += _marked(_texts(message.get("content"), f"{where}.content"), message)
        elif role == "user":
            _join(turns, "user", _marked(_parts(message.get("content"), f"{where}.content"), message))
        elif role == "assistant":
            _join(turns, "assistant", _marked(_assistant(message, where), message))
        elif role == "tool":
            _join(turns, "user", [_tool_result(message, where)])
        elif role == "function":
            raise unsupported(f"{where}.role", "'function' is not served by Claude models. Use 'tool' messages.")
        else:
            raise wrong_type(f"{where}.role", "system, developer, user, assistant or tool")
    if not turns:
        raise unsupported(
            "messages", "holds nothing for Claude to answer. Send at least one user message with content."
        )
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return system, turns


def _join(turns: list[Json], role: str, blocks: list[Json]) -> None:
    """Append to the turn that is going on, or begin the next; nothing to say is no turn."""
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _marked(blocks: list[Json], source: Mapping[str, Any]) -> list[Json]:
    """A `cache_control` on the message marks the end of the message: its last block."""
    if blocks and (mark := source.get("cache_control")) and blocks[-1]["type"] not in _NEVER_CACHED:
        blocks[-1] = {**blocks[-1], "cache_control": mark}
    return blocks


_NEVER_CACHED = frozenset({"thinking", "redacted_thinking"})


def _text(text: str, source: Mapping[str, Any]) -> list[Json]:
    return _marked([{"type": "text", "text": text}], source) if text else []


def _texts(content: Any, where: str) -> list[Json]:
    """The content of a message that may hold text only."""
    if content is None or isinstance(content, str):
        return _text(content or "", {})
    blocks: list[Json] = []
    for index, entry in enumerate(a_list(content, where)):
        here = f"{where}[{index}]"
        part = an_object(entry, here)
        kind = part.get("type")
        if kind not in ("text", "refusal"):
            raise unsupported(f"{here}.type", f"{str(kind)[:40]!r} is not text, and this message may hold text only.")
        blocks += _text(a_string(part.get(kind), f"{here}.{kind}"), part)
    return blocks


def _parts(content: Any, where: str) -> list[Json]:
    """The content of a user's message, or of a tool's result: text, images and documents."""
    if content is None or isinstance(content, str):
        return _text(content or "", {})
    blocks: list[Json] = []
    for index, entry in enumerate(a_list(content, where)):
        here = f"{where}[{index}]"
        part = an_object(entry, here)
        kind = part.get("type")
        if kind == "text":
            blocks += _text(a_string(part.get("text"), f"{here}.text"), part)
        elif kind == "image_url":
            blocks += _marked([_image(part.get("image_url"), f"{here}.image_url")], part)
        elif kind == "file":
            blocks += _marked([_document(part.get("file"), f"{here}.file")], part)
        else:
            raise unsupported(
                f"{here}.type",
                f"{str(kind)[:40]!r} is not served by Claude models. Send text, image_url or file parts.",
            )
    return blocks


def _image(image: Any, where: str) -> Json:
    url = a_string(an_object(image, where).get("url"), f"{where}.url")
    if url.startswith(("https://", "http://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    found = _DATA_URL.fullmatch(url)
    if not found:
        raise wrong_type(f"{where}.url", "an https:// address, or a data: URL in base64")
    if found[1] not in IMAGES:
        raise unsupported(f"{where}.url", f"is of type {found[1][:40]}. Claude models read {', '.join(IMAGES)}.")
    return {"type": "image", "source": {"type": "base64", "media_type": found[1], "data": found[3]}}


def _document(file: Any, where: str) -> Json:
    given = an_object(file, where)
    if given.get("file_data") is None:
        raise unsupported(
            f"{where}.file_id", "is not served by Claude models. Send the file itself as file_data, a data: URL."
        )
    data, name = a_string(given["file_data"], f"{where}.file_data"), given.get("filename")
    found = _DATA_URL.fullmatch(data)
    kind = found[1] if found else ""
    if not found and isinstance(name, str) and name.lower().endswith(".pdf"):
        kind = "application/pdf"  # OpenAI takes plain base64 as well, and then goes by the name
    if kind != "application/pdf":
        raise unsupported(f"{where}.file_data", "must be a PDF: 'data:application/pdf;base64,…'. Send text as text.")
    source = {"type": "base64", "media_type": kind, "data": found[3] if found else data}
    title = {"title": name[:500]} if isinstance(name, str) and name else {}
    return {"type": "document", "source": source, **title}


def _assistant(message: Json, where: str) -> list[Json]:
    for name in ("function_call", "audio"):
        if message.get(name) is not None:
            raise unsupported(f"{where}.{name}", "is not served by Claude models. Use tool_calls, and text.")
    blocks = _thinking(message.get("thinking_blocks"), f"{where}.thinking_blocks")
    blocks += _texts(message.get("content"), f"{where}.content")
    blocks += _texts(message.get("refusal"), f"{where}.refusal")
    for index, entry in enumerate(a_list(message.get("tool_calls") or [], f"{where}.tool_calls")):
        blocks.append(_tool_use(entry, f"{where}.tool_calls[{index}]"))
    return blocks


def _thinking(given: Any, where: str) -> list[Json]:
    """What an earlier answer brought as `thinking_blocks`. Without its signature Claude refuses such a block."""
    blocks: list[Json] = []
    for index, entry in enumerate(a_list(given or [], where)):
        block = an_object(entry, f"{where}[{index}]")
        if block.get("type") == "thinking" and block.get("signature"):
            text = str(block.get("thinking") or "")
            blocks.append({"type": "thinking", "thinking": text, "signature": block["signature"]})
        elif block.get("type") == "redacted_thinking" and block.get("data"):
            blocks.append({"type": "redacted_thinking", "data": block["data"]})
    return blocks


def _tool_use(entry: Any, where: str) -> Json:
    call = an_object(entry, where)
    if call.get("type", "function") != "function":
        raise unsupported(f"{where}.type", "must be 'function' for Claude models.")
    function = an_object(call.get("function"), f"{where}.function")
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        raise wrong_type(f"{where}.function.arguments", "a string of JSON")
    try:
        given = orjson.loads(arguments) if arguments and arguments.strip() else {}
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise wrong_type(f"{where}.function.arguments", "a JSON object as a string, which is what Claude models take")
    name = a_string(function.get("name"), f"{where}.function.name")
    return {"type": "tool_use", "id": _tool_id(call.get("id"), f"{where}.id"), "name": name, "input": given}


def _tool_result(message: Json, where: str) -> Json:
    content = message.get("content")
    tool_id = _tool_id(message.get("tool_call_id"), f"{where}.tool_call_id")
    result: Json = {"type": "tool_result", "tool_use_id": tool_id}
    if blocks := _parts(content, f"{where}.content"):
        result["content"] = content if isinstance(content, str) else blocks
    return _marked([result], message)[0]


def _tool_id(given: Any, where: str) -> str:
    """The same id for a call and for its result; characters that Anthropic refuses are written as their number."""
    if not isinstance(given, str) or not given:
        raise wrong_type(where, "the id of a tool call")
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"-{ord(found[0]):x}-", given)
