"""One usage record as an event of the ledger: its fields, their names and units (docs/usage.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.types import Usage, UsageRecord

RARE = ("cache_write_tokens", "image_input_tokens", "image_output_tokens", "training_tokens", "images", "characters")


def _rare(usage: Usage) -> dict[str, Any]:
    """Figures that most operations do not have: in the event only where there are any. Times in milliseconds."""
    found: dict[str, Any] = {name: value for name in RARE if (value := getattr(usage, name))}
    if usage.image_kind:
        found["image_kind"] = usage.image_kind
    if usage.audio_seconds:
        found["audio_ms"] = round(usage.audio_seconds * 1000)
    if usage.video_seconds:
        found["video_ms"] = round(usage.video_seconds * 1000)
    return found


def ledger_event(record: UsageRecord) -> dict[str, Any]:
    """One event of the ledger. Times in milliseconds; `at` is written as ISO 8601, UTC. The partition says the key."""
    usage = record.usage
    return {
        "at": datetime.fromtimestamp(round(record.at, 3), UTC),
        "request_id": record.request_id,
        "endpoint": record.endpoint,
        "key_name": record.key_name,
        "team": record.team,
        "alias": record.alias,
        "deployment": record.deployment,
        "upstream_model": record.upstream_model,
        "status": record.status,
        "outcome": record.outcome,
        "stream": record.stream,
        "attempts": record.attempts,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_input_tokens": usage.audio_input_tokens,
        "audio_output_tokens": usage.audio_output_tokens,
        **_rare(usage),
        "estimated": usage.estimated,
        "latency_ms": round(record.latency * 1000, 1),
        "first_token_ms": None if record.first_token is None else round(record.first_token * 1000, 1),
    }
