"""Claude's answer as a chat completion, and the words that a streamed one shares with it: reasons to stop, usage.

`created` is 0: Anthropic tells no time and this module knows none; whoever has a clock writes it over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shared import errors
from shared.types import Json

FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""Anthropic's `stop_reason` (anthropic 2.12, 2026-11) as chat's `finish_reason`."""


def finish_reason(stop_reason: Any) -> str:
    return FINISH.get(str(stop_reason), "stop")


def chat_id(message_id: Any) -> str:
    return "chatcmpl-" + str(message_id or "").removeprefix("msg_")


def refusal_of(end: Mapping[str, Any]) -> str | None:
    """What Claude says of a refusal: `stop_details.explanation`, of a message or of its message_delta."""
    details = end.get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation if isinstance(explanation, str) and explanation else None


def answer(answer: Json, body: Json) -> Json:  # noqa: ARG001  (the form of every translator)
    """-> the chat completion. Raises ApiError (502) when the answer is no message of Anthropic's."""
    blocks = answer.get("content")
    if answer.get("type") != "message" or not isinstance(blocks, list):
        raise errors.bad_answer()
    choice = {
        "index": 0,
        "message": _message([block for block in blocks if isinstance(block, dict)], answer),
        "logprobs": None,
        "finish_reason": finish_reason(answer.get("stop_reason")),
    }
    usage = answer.get("usage")
    out: Json = {
        "id": chat_id(answer.get("id")),
        "object": "chat.completion",
        "created": 0,
        "model": answer.get("model"),
        "choices": [choice],
    }
    return {**out, "usage": chat_usage(usage)} if isinstance(usage, dict) else out


def _message(blocks: list[Json], end: Json) -> Json:
    texts = [str(block.get("text") or "") for block in blocks if block.get("type") == "text"]
    calls = [tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    thoughts = [kept for block in blocks if (kept := thinking_block(block))]
    message: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    message["refusal"] = refusal_of(end)
    if calls:
        message["tool_calls"] = calls
    if reasoning := "".join(str(block.get("thinking") or "") for block in thoughts):
        message["reasoning_content"] = reasoning
    if thoughts:
        message["thinking_blocks"] = thoughts
    return message


def thinking_block(block: Json) -> Json | None:
    """A block of thought with what Claude wants to see again of it in the next turn; None for other blocks."""
    if block.get("type") == "thinking":
        return {name: str(block.get(name) or "") if name != "type" else "thinking" for name in _THINKING}
    if block.get("type") == "redacted_thinking":
        return {"type": "redacted_thinking", "data": block.get("data")}
    return None


_THINKING = ("type", "thinking", "signature")


def tool_call(block: Json) -> Json:
    arguments = orjson.dumps(block.get("input") or {}).decode()
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }


def chat_usage(usage: Mapping[str, Any]) -> Json:
    """Anthropic counts what was read from the cache and written to it beside `input_tokens`; chat within the prompt."""
    read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    prompt = _count(usage, "input_tokens") + read + written
    output = _count(usage, "output_tokens")
    details = usage.get("output_tokens_details")
    thought = _count(details, "thinking_tokens") if isinstance(details, dict) else 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_write_tokens": written,  # OpenAI's name for it (openai 3.54, 2026-11)
            "cache_creation_tokens": written,  # the name under which other gateways report it
        },
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
