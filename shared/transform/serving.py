"""What a deployment serves: the kind of its model, as configured or as its name tells, and the shapes that follow.

Knows no URL and no body. A kind that nobody tells is left open: such a deployment is taken for a chat model, and asked
for anything else natively; Azure then says what it does not do.
"""

from __future__ import annotations

import re

from shared.catalog import Surface
from shared.endpoints import Shape

# Mode (model_info.mode) -> the shapes that a model of that kind answers by itself.
SHAPES_OF_MODE: dict[str, frozenset[Shape]] = {
    "chat": frozenset({"chat"}),
    "batch": frozenset({"chat"}),
    "responses": frozenset({"responses"}),
    "messages": frozenset({"messages", "count"}),
    "completion": frozenset({"completions"}),
    "embedding": frozenset({"embeddings"}),
    "image_generation": frozenset({"images"}),
    "audio_speech": frozenset({"speech"}),
    "audio_transcription": frozenset({"transcription"}),
    "video_generation": frozenset({"videos"}),
    "realtime": frozenset({"realtime"}),
    "moderation": frozenset({"moderations"}),
    "rerank": frozenset(),
}
_UNTOLD: frozenset[Shape] = frozenset({"chat", "embeddings", "images", "speech", "transcription", "videos", "realtime"})
_BY_EVERY_CHAT_MODEL: frozenset[Shape] = frozenset({"responses"})
_BOTH = frozenset({"dated", "extensions", "v1", "openai"})
"""Surfaces on which every chat model answers on Responses as well (Azure "Responses API", models, 2026-08)."""

_EDGE = r"(?:^|[^a-z0-9])"
# Ordered: the first pattern that fits tells the mode. Azure "Foundry models" page, 2026-10.
_NAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.I), mode)
    for pattern, mode in (
        (rf"{_EDGE}claude(?=[-.]|$)", "messages"),
        (rf"{_EDGE}(?:text-embedding|embed)(?=[-.]|$)|ada-002", "embedding"),
        (rf"{_EDGE}(?:dall-?e|gpt-image|flux)(?=[-.]|$|\d)", "image_generation"),
        (rf"{_EDGE}(?:whisper|(?:gpt-4o(?:-mini)?-)?transcribe)(?=[-.]|$)", "audio_transcription"),
        (rf"{_EDGE}tts(?=[-.]|$)", "audio_speech"),
        (rf"{_EDGE}sora(?=[-.]|$)", "video_generation"),
        (rf"{_EDGE}(?:gpt-)?realtime(?=[-.]|$)", "realtime"),
        (rf"{_EDGE}codex(?=[-.]|$)|{_EDGE}(?:o\d+|gpt-\d+(?:\.\d+)?)-pro(?=[-.]|$)|deep-research|computer-use",
         "responses"),
        (rf"{_EDGE}moderation(?=[-.]|$)", "moderation"),
        (r"turbo-instruct|(?:davinci|babbage)-002", "completion"),
    )
)  # fmt: skip


def mode_of(configured: str | None, model: str, *, responses_prefix: bool, text: bool, moderates: bool) -> str:
    """The configured mode, else what the provider's prefix says, else what the model's name tells, else nothing."""
    if configured:
        return configured
    if moderates:
        return "moderation"
    if responses_prefix:
        return "responses"
    if text:
        return "completion"
    return next((mode for pattern, mode in _NAMES if pattern.search(model)), "")


def shapes_of(mode: str, surface: Surface) -> frozenset[Shape]:
    """The shapes in which a deployment can be asked without translation."""
    shapes = SHAPES_OF_MODE.get(mode, _UNTOLD)
    if "chat" in shapes and surface.name in _BOTH:
        shapes |= _BY_EVERY_CHAT_MODEL
    return shapes
