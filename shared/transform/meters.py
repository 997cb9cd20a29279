"""METERS: what a call of each shape cost, read from the upstream's answer and, where that is silent, from the request.

A figure that Azure did not report is marked as estimated. Knows nothing of prices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from shared.types import Json, Usage
from shared.usage import estimate_input, read_anthropic_usage, read_usage

NOTHING = Usage()
type Meter = Callable[[Json, Mapping[str, Any]], Usage | None]


def _tokens(answer: Json, _: Mapping[str, Any]) -> Usage | None:
    return read_usage(answer.get("usage"), answer.get("service_tier"))


def _messages(answer: Json, _: Mapping[str, Any]) -> Usage | None:
    return read_anthropic_usage(answer.get("usage"))


def _embeddings(answer: Json, body: Mapping[str, Any]) -> Usage:
    found = read_usage(answer.get("usage"), answer.get("service_tier"))
    return found or Usage(input_tokens=estimate_input(body), estimated=True)


def _images(answer: Json, body: Mapping[str, Any]) -> Usage:
    """Images by number, size and quality; gpt-image models report tokens as well, of which all output is images where
    it is not told apart (Azure's do not)."""
    data = answer.get("data")
    count = len(data) if isinstance(data, list) else 1
    size, quality = (answer.get(name) or body.get(name) for name in ("size", "quality"))
    kind = " ".join(part for part in (size, quality) if isinstance(part, str))
    found = read_usage(answer.get("usage")) or NOTHING
    drawn = found.image_output_tokens if _told_apart(answer) else found.output_tokens
    return replace(found, images=count, image_kind=kind[:64], image_output_tokens=drawn)


def _told_apart(answer: Json) -> bool:
    """Whether the usage says what its output tokens are."""
    usage = answer.get("usage")
    return isinstance(usage, dict) and isinstance(usage.get("output_tokens_details"), dict)


def _speech(answer: Json, body: Mapping[str, Any]) -> Usage:
    """Characters as asked; tokens where they are reported, in the last event of a stream: what comes out is audio."""
    text = body.get("input")
    found = read_usage(answer.get("usage")) or NOTHING
    characters = len(text) if isinstance(text, str) else 0
    spoken = found.audio_output_tokens if _told_apart(answer) else found.output_tokens
    return replace(found, characters=characters, audio_output_tokens=spoken)


def _transcription(answer: Json, body: Mapping[str, Any]) -> Usage:
    """Tokens, or seconds: as reported, else the duration of a verbose answer, else told by the file's own header."""
    given = answer.get("usage")
    if isinstance(given, dict) and isinstance(given.get("seconds"), (int, float)):
        return Usage(audio_seconds=float(given["seconds"]))
    if found := read_usage(given):
        return found
    duration = answer.get("duration")
    if isinstance(duration, (int, float)):
        return Usage(audio_seconds=float(duration))
    return Usage(audio_seconds=float(body.get("audio_seconds") or 0.0), estimated=True)


def _videos(answer: Json, body: Mapping[str, Any]) -> Usage:
    """Videos are charged when they are made: by the seconds asked for, and by their size."""
    seconds = answer.get("seconds") or body.get("seconds") or 0
    size = answer.get("size") or body.get("size")
    try:
        return Usage(video_seconds=float(seconds), image_kind=size[:64] if isinstance(size, str) else "")
    except (TypeError, ValueError):
        return Usage(estimated=True)


def _none(_: Json, __: Mapping[str, Any]) -> Usage:
    return NOTHING


METERS: Mapping[str, Meter] = {
    "chat": _tokens,
    "responses": _tokens,
    "completions": _tokens,
    "messages": _messages,
    "embeddings": _embeddings,
    "images": _images,
    "speech": _speech,
    "transcription": _transcription,
    "videos": _videos,
    "moderations": _none,
    "realtime": _none,
    "count": _none,
    "stored": _none,
}
"""One row for each shape that is relayed; a test demands that every endpoint has one. Realtime sessions run between
the client and Azure: what they cost is seen in Azure's own metrics only (docs/usage.md)."""


def read_stream_usage(shape: str, usage: Json, body: Mapping[str, Any], tier: Any = None) -> Usage | None:
    """What the events of a stream reported, merged. -> None when they reported nothing."""
    if not usage and shape not in ("images", "speech"):
        return None
    return METERS[shape]({"usage": usage, "service_tier": tier}, body)


_TIME = re.compile(rb"(\d+):(\d\d):(\d\d)[.,](\d{1,3})")


def last_time(subtitles: bytes) -> float:
    """Seconds at which the last cue of an SRT or VTT file ends; 0 when it names none."""
    last = 0.0
    for hours, minutes, seconds, fraction in _TIME.findall(subtitles[-4096:]):
        found = int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction) / 10 ** len(fraction)
        last = max(last, found)
    return last
