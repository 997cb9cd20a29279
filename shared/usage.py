"""Tokens: Azure's names mapped to ours, once, and the rule by which we count when Azure sends no figures.

Knows nothing of prices, of tables or of streams. Words: DESIGN §8.

What is within what (openai-openapi 2026-08-21, azure-openai-v1 2026-11): cached, audio and image tokens are within the
input; reasoning and audio tokens within the output. So are the tokens of a prediction that the model rejected: they
are paid for as output although nobody sees them, and need no figure of their own. How many of the cached tokens are
audio or images is told for realtime sessions only, which do not pass here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.types import Json, Usage

CHARACTERS_PER_TOKEN = 4
"""OpenAI's own rule of thumb for English text ("What are tokens", OpenAI help, 2026)."""
TOKENS_PER_MESSAGE = 4
"""Role and separators of one chat message (OpenAI cookbook, "How to count tokens", 2024)."""


TIERS = frozenset({"priority", "flex", "default", "standard", "scale", "batch"})
"""Service tiers that upstreams say they have served by: OpenAI's names, and Anthropic's (`standard`, `batch`). `auto`
and `fast` are wishes only: what is served is told by another name."""


def tier_of(told: Any) -> str:
    """The `service_tier` of an answer, as it was sent; empty when it is none that has a price."""
    return told if isinstance(told, str) and told in TIERS else ""


def read_usage(usage: Any, tier: Any = None) -> Usage | None:
    """The `usage` object of a chat completion or embedding (…prompt_tokens) or of a response (…input_tokens), and the
    `service_tier` that stands beside it.

    -> None when it is not an object or names no tokens at all.
    """
    if not isinstance(usage, dict) or not ("prompt_tokens" in usage or "input_tokens" in usage):
        return None
    given: Json = usage
    received = (
        _part(given, "prompt_tokens_details")
        or _part(given, "input_tokens_details")
        or _part(given, "input_token_details")  # transcriptions and speech say it in the singular
    )
    produced = _part(given, "completion_tokens_details") or _part(given, "output_tokens_details")
    total = _count(given, "prompt_tokens", "input_tokens")
    return Usage(
        input_tokens=total,
        output_tokens=_count(given, "completion_tokens", "output_tokens"),
        # Foundry reported 161 cached tokens of 7 (recorded 2026-08): more than all would make a negative price
        cached_input_tokens=min(total, _count(received, "cached_tokens")),
        reasoning_tokens=_count(produced, "reasoning_tokens"),
        audio_input_tokens=_count(received, "audio_tokens"),
        audio_output_tokens=_count(produced, "audio_tokens"),
        cache_write_tokens=_count(received, "cache_write_tokens", "cache_creation_tokens"),
        image_input_tokens=_count(received, "image_tokens"),
        image_output_tokens=_count(produced, "image_tokens"),
        tier=tier_of(tier),
    )


def read_anthropic_usage(usage: Any) -> Usage | None:
    """The `usage` of a message. Anthropic's `input_tokens` leaves out what was read from or written to a cache."""
    if not isinstance(usage, dict) or not ("input_tokens" in usage or "output_tokens" in usage):
        return None
    given: Json = usage
    read, written = _count(given, "cache_read_input_tokens"), _count(given, "cache_creation_input_tokens")
    return Usage(
        input_tokens=_count(given, "input_tokens") + read + written,
        output_tokens=_count(given, "output_tokens"),
        cached_input_tokens=read,
        reasoning_tokens=_count(_part(given, "output_tokens_details"), "thinking_tokens"),
        cache_write_tokens=written,
        # by how long it is kept; of streams, message_start alone tells it (anthropic-openapi 2026-01)
        cache_write_1h_tokens=min(written, _count(_part(given, "cache_creation"), "ephemeral_1h_input_tokens")),
        tier=tier_of(given.get("service_tier")),
    )


def estimate_usage(body: Mapping[str, Any], output_tokens: int, tier: Any = None) -> Usage:
    """The gateway's own count, marked as estimated: for streams that a client left and for answers without usage."""
    return Usage(estimate_input(body), output_tokens, tier=tier_of(tier), estimated=True)


def estimate_input(body: Mapping[str, Any]) -> int:
    """Input tokens of a body by length of its text; images count by their own rule, lists of numbers are tokens."""
    messages = body.get("messages")
    total = 0
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            total += TOKENS_PER_MESSAGE + estimate_text(_text_length(message.get("content")))
            if calls := message.get("tool_calls"):
                total += estimate_text(len(str(calls)))
    if "system" in body or "instructions" in body:
        total += estimate_text(_text_length(body.get("system")) + _text_length(body.get("instructions")))
    for name in ("input", "prompt"):
        if name in body:
            total += _given_tokens(body[name])
    tools = body.get("tools")
    if isinstance(tools, list):
        total += estimate_text(sum(len(str(tool)) for tool in tools))
    return total


def _given_tokens(value: Any) -> int:
    """Tokens of an `input` or `prompt`: text, a list of texts or items, a list of tokens or of such lists."""
    if isinstance(value, str):
        return estimate_text(len(value))
    if not isinstance(value, list):
        return 0
    if value and isinstance(value[0], int):
        return len(value)
    total = 0
    for part in value:
        if isinstance(part, dict):
            total += TOKENS_PER_MESSAGE + estimate_text(_text_length([part]))
        else:
            total += _given_tokens(part)
    return total


def estimate_text(characters: int) -> int:
    """Tokens of a text of that many characters, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def answer_length(answer: Mapping[str, Any]) -> int:
    """Characters that a model has written in a whole answer: choices, a message's content or a response's output."""
    total = 0
    for name in ("choices", "output", "content"):
        rows = answer.get(name)
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                message = row.get("message")
                total += _said(row) + (_said(message) if isinstance(message, dict) else 0)
    return total


def _said(part: Json) -> int:
    """Characters of a choice, an item or a block: its text, what its parts say, the arguments of its calls."""
    total = sum(len(part[name]) for name in _TEXTS if isinstance(part.get(name), str))
    for name in ("content", "summary", "tool_calls"):
        inner = part.get(name)
        for row in inner if isinstance(inner, list) else ():
            if isinstance(row, dict):
                function = row.get("function")
                total += _said(row) + (_said(function) if isinstance(function, dict) else 0)
    return total


_TEXTS = ("text", "content", "refusal", "arguments", "thinking", "input", "reasoning_content")

_DRAWN: Mapping[str, tuple[int, int]] = {"low": (272, 408), "medium": (1056, 1584), "high": (4160, 6240)}
"""quality -> output tokens of an image of gpt-image-1, square and oblong (OpenAI "Image generation", 2026-11)."""


def estimate_drawn(size: Any, quality: Any) -> int:
    """Output tokens of one image of a gpt-image model. What is left to the model is taken for the dearest."""
    square, oblong = _DRAWN.get(quality if isinstance(quality, str) else "", _DRAWN["high"])
    return square if size == "1024x1024" else oblong


IMAGE_CHARACTERS = 765 * CHARACTERS_PER_TOKEN
"""One image at high detail, 1024 by 1024: 765 tokens on gpt-4o (Azure "Vision-enabled chat models", 2026)."""


def _text_length(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if not isinstance(content, list):
        return 0
    total = 0
    for part in content:
        if isinstance(part, dict):
            total += sum(len(part[name]) for name in _READ if isinstance(part.get(name), str))
            kind = part.get("type")
            if kind in ("image_url", "input_image", "image"):
                total += IMAGE_CHARACTERS
            elif kind == "tool_use":
                total += len(str(part.get("input")))
            for name in ("content", "output"):  # what a tool has answered, the parts of a message among others
                if isinstance(inner := part.get(name), str | list):
                    total += _text_length(inner)
    return total


_READ = ("text", "arguments", "thinking", "summary")
"""Fields of a part or an item that a model reads as text."""


def _part(usage: Json, name: str) -> Json:
    part = usage.get(name)
    return part if isinstance(part, dict) else {}


def _count(usage: Json, *names: str) -> int:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return 0
