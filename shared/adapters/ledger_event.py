"""One usage record as an event of the ledger, and what it adds to the totals (docs/usage.md).

Owns the fields, their names and units, and counts a call so that the totals are what a sum over the events gives
(shared/books/sums.py). Knows nothing of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.books.sums import GOOD, SPILLED
from shared.types import Usage, UsageRecord

_RARE = (
    "cache_write_tokens", "cache_write_1h_tokens", "image_input_tokens", "image_output_tokens", "training_tokens",
    "images", "characters",
)  # fmt: skip

_NAMES = ("user", "shadow", "capacity", "served_alias", "batch", "engine")


def _rare(record: UsageRecord, usage: Usage) -> dict[str, Any]:
    """What most operations do not have: in the event only where there is something to say. Times in milliseconds."""
    found: dict[str, Any] = {name: value for name in _RARE if (value := getattr(usage, name))}
    if usage.image_kind:
        found["image_kind"] = usage.image_kind
    if usage.audio_seconds:
        found["audio_ms"] = round(usage.audio_seconds * 1000)
    if usage.video_seconds:
        found["video_ms"] = round(usage.video_seconds * 1000)
    if usage.tier:
        found["tier"] = usage.tier
    if not record.cost.priced:
        found["unpriced"] = True
    if record.cost.basis:
        found["price"] = record.cost.basis
    if record.tags:
        found["tags"] = record.tags
    return found | {name: value for name in _NAMES if (value := getattr(record, name))}


def _of_many(record: UsageRecord) -> dict[str, Any]:
    """Of an event that stands for many calls: sums under the names of the counters (books/sums.py)."""
    if record.calls == 1:
        return {}
    sums = {"failed": record.calls_failed, "unpriced": 0 if record.cost.priced else record.calls}
    if record.capacity in SPILLED:
        sums |= {"spilled": record.calls, "spill_nanos": record.cost.nanos}
    return {"count": record.calls, **{name: value for name, value in sums.items() if value}}


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
        **_rare(record, usage),
        "cost_nanos": record.cost.nanos,
        "estimated": usage.estimated * record.calls if record.calls > 1 else usage.estimated,
        "latency_ms": round(record.latency * 1000, 1),
        "first_token_ms": None if record.first_token is None else round(record.first_token * 1000, 1),
        **_of_many(record),
    }


def sum_event(request_id: str, at: float, names: Mapping[str, str], sums: Mapping[str, int]) -> dict[str, Any]:
    """The event that stands for many. names: key_name, team and alias; sums: by COUNTERS, of which 0 is left out."""
    return {
        "at": datetime.fromtimestamp(round(at, 3), UTC),
        "request_id": request_id,
        **names,
        "count": sums["requests"],
        **{name: value for name, value in sums.items() if value and name != "requests"},
    }


def count(values: dict[str, Any], record: UsageRecord) -> None:
    """Add a call, or the calls that a record stands for, to the counters in `values`."""
    usage, calls = record.usage, record.calls
    values["requests"] += calls
    values["failed"] += record.calls_failed if calls > 1 else record.outcome not in GOOD
    values["estimated"] += usage.estimated * calls
    values["input_tokens"] += usage.input_tokens
    values["output_tokens"] += usage.output_tokens
    values["cached_input_tokens"] += usage.cached_input_tokens
    values["reasoning_tokens"] += usage.reasoning_tokens
    values["audio_input_tokens"] += usage.audio_input_tokens
    values["audio_output_tokens"] += usage.audio_output_tokens
    for name in _RARE:
        values[name] += getattr(usage, name)
    values["audio_ms"] += round(usage.audio_seconds * 1000)
    values["video_ms"] += round(usage.video_seconds * 1000)
    values["latency_ms"] += round(round(record.latency * 1000, 1))  # from what the event says, so that sums agree
    values["cost_nanos"] += record.cost.nanos
    values["unpriced"] += (not record.cost.priced) * calls
    if record.capacity in SPILLED:
        values["spilled"] += calls
        values["spill_nanos"] += record.cost.nanos
