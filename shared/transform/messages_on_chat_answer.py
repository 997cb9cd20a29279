"""A chat completion as Anthropic's message, and the words that a stream shares with it: reasons to stop, usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shared import errors
from shared.types import Json

STOP: Mapping[str, str] = {"length": "max_tokens", "content_filter": "refusal"}
"""Chat's `finish_reason` as Anthropic's `stop_reason`; the others depend on whether a tool was called."""


def stop_reason(finish: Any, *, called: bool, refused: bool) -> str:
    """Some hosts, and OpenAI for a call that was forced, say `stop` where tools were called."""
    if finish in STOP:
        return STOP[finish]
    return "tool_use" if called else "refusal" if refused else "end_turn"


def message_id(chat_id: Any) -> str:
    return "msg_" + str(chat_id or "").removeprefix("chatcmpl-")


def wants_thinking(body: Mapping[str, Any]) -> bool:
    """Thought is shown to clients that asked for it: others read the first block and expect text."""
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") not in (None, "disabled")


def answer(answer: Json, body: Json) -> Json:
    """-> the message. Raises ApiError (502) when the answer is no chat completion, or calls a tool without JSON."""
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise errors.bad_answer()
    cut = choice.get("finish_reason") == "length"
    head = empty_message(answer)
    given = [call for call in message.get("tool_calls") or [] if isinstance(call, dict)]
    calls = [_tool_use(call, f"{head['id']}_{index}", cut) for index, call in enumerate(given)]
    texts = [text for text in (text_of(message.get("content")), text_of(message.get("refusal"))) if text]
    content: list[Json] = [{"type": "text", "text": text, "citations": None} for text in texts]
    if wants_thinking(body) and (thought := text_of(message.get("reasoning_content"))):
        content.insert(0, {"type": "thinking", "thinking": thought, "signature": ""})
    return {
        **head,
        "content": [*content, *calls],
        "stop_reason": stop_reason(
            choice.get("finish_reason"), called=bool(calls), refused=bool(message.get("refusal"))
        ),
        "usage": message_usage(answer.get("usage"), answer.get("service_tier")),
    }


def empty_message(head: Mapping[str, Any]) -> Json:
    """A message of which nothing is written yet; `head` is the chat completion or its first chunk."""
    return {
        "id": message_id(head.get("id")),
        "type": "message",
        "role": "assistant",
        "model": str(head.get("model") or ""),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": message_usage(None, head.get("service_tier")),
    }


def text_of(content: Any) -> str:
    """The text of a content field: a string, or on some hosts a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _tool_use(call: Json, own_id: str, cut: bool) -> Json:
    """A call; arguments that were cut off at the token limit cannot be read and are left empty.

    `own_id` stands in for the id that some hosts do not give.
    """
    function = call.get("function")
    given: Json = function if isinstance(function, dict) else {}
    arguments = given.get("arguments")
    try:
        value = orjson.loads(arguments) if isinstance(arguments, str) and arguments.strip() else {}
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        if not cut:
            raise errors.bad_answer()
        value = {}
    return {"type": "tool_use", "id": call.get("id") or own_id, "name": str(given.get("name") or ""), "input": value}


def message_usage(usage: Any, tier: Any = None) -> Json:
    """Chat counts cached tokens within the prompt; Anthropic beside it. All figures are 0 without usage. Of chat's
    service tiers Anthropic knows priority; all others are its standard."""
    given: Json = usage if isinstance(usage, dict) else {}
    received, produced = given.get("prompt_tokens_details"), given.get("completion_tokens_details")
    prompt = _count(given, "prompt_tokens")
    read = min(prompt, _count(received, "cached_tokens"))
    written = min(prompt - read, _count(received, "cache_write_tokens"))
    out: Json = {
        "input_tokens": prompt - read - written,
        "output_tokens": _count(given, "completion_tokens"),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": None,
        "server_tool_use": None,
        "service_tier": "priority" if tier == "priority" else "standard",
    }
    if isinstance(produced, dict) and "reasoning_tokens" in produced:
        out["output_tokens_details"] = {"thinking_tokens": _count(produced, "reasoning_tokens")}
    return out


def _count(part: Any, name: str) -> int:
    value = part.get(name) if isinstance(part, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
