"""What one event of the ledger counts, and sums of it. Integers only, so that every sum is exact in any order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

COUNTERS = (
    "requests",
    "failed",
    "estimated",
    "unpriced",
    "spilled",
    "cost_nanos",
    "spill_nanos",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "training_tokens",
    "images",
    "characters",
    "audio_ms",
    "video_ms",
    "latency_ms",
)
"""The numbers of a row of totals (shared/adapters/usage_log.py writes the same)."""
GOOD = ("ok", "client_closed")
"""Outcomes that are no failure."""
SPILLED = ("spill", "azure-spill")
"""Capacities that are paid by use where provisioned throughput would have been there: by us, and by Azure itself."""
UNFINISHED = "unfinished"

type Sums = dict[str, int]


def nothing() -> Sums:
    return dict.fromkeys(COUNTERS, 0)


def counted(event: Mapping[str, Any]) -> Sums:
    """What one event adds to a total. An event that stands for many calls brings their sums under the same names."""
    sums = {name: _whole(event.get(name)) for name in COUNTERS}
    if is_sum(event):
        sums["requests"] = _whole(event.get("requests")) or _whole(event.get("count"))
    else:
        sums["requests"] = 1
        sums["failed"] = int(event.get("outcome") not in GOOD)
        spilled = event.get("capacity") in SPILLED
        sums["spilled"], sums["spill_nanos"] = int(spilled), sums["cost_nanos"] if spilled else 0
    return sums


def is_sum(event: Mapping[str, Any]) -> bool:
    """Whether it stands for many calls (docs/ledger.md)."""
    return _whole(event.get("count")) > 1 or str(event.get("request_id", "")).startswith("sum-")


def add(target: Sums, other: Mapping[str, Any]) -> None:
    """other: sums, or a row of totals."""
    for name in COUNTERS:
        if value := other.get(name):
            target[name] += int(value)


def total(parts: Iterable[Mapping[str, Any]]) -> Sums:
    sums = nothing()
    for part in parts:
        add(sums, part)
    return sums


def difference(wanted: Mapping[str, int], found: Mapping[str, int]) -> Sums:
    """What is missing in `found`; negative where it has too much."""
    return {name: wanted.get(name, 0) - found.get(name, 0) for name in COUNTERS}


def is_nothing(sums: Mapping[str, int]) -> bool:
    return not any(sums.values())


def time_of(event: Mapping[str, Any]) -> datetime:
    """When its call began."""
    return datetime.fromisoformat(str(event["at"]))


def hour_of(event: Mapping[str, Any], day: str) -> int:
    """Within its partition's day: times are rounded, and the last instant of a day may round to the next one."""
    at = time_of(event)
    return at.hour if at.strftime("%Y%m%d") == day else 23


def _whole(value: Any) -> int:
    """A counter as a whole number: times have a decimal place in events, and none in totals."""
    if isinstance(value, float):
        return round(value)
    return int(value) if isinstance(value, int) else 0
