"""An hour of a provisioned deployment, divided among those who used it. Pure, and exact to the nano-dollar.

Azure charges provisioned throughput by the hour, used or not. What a payer has used of it is weighted tokens: input
that no cache held, and output times the model's weight. Cached input counts nothing: Azure takes cached tokens off a
provisioned deployment's utilization in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Payer:
    """Who pays a share: calls of one key, team, alias and set of tags."""

    key_id: str
    key_name: str
    team: str
    alias: str
    tags: tuple[str, ...] = ()


def weighted(event: Mapping[str, Any], output_weight: int) -> int:
    """Tokens of one event as a provisioned deployment feels them."""
    fresh = max(0, int(event.get("input_tokens") or 0) - int(event.get("cached_input_tokens") or 0))
    return fresh + int(event.get("output_tokens") or 0) * output_weight


def payer_of(key_id: str, event: Mapping[str, Any]) -> Payer:
    return Payer(
        key_id,
        str(event.get("key_name") or ""),
        str(event.get("team") or ""),
        str(event.get("alias") or ""),
        tuple(sorted(event.get("tags") or ())),
    )


def split(cost: int, use: Mapping[Payer, int], capacity: int | None) -> tuple[dict[Payer, int], int]:
    """-> what each payer pays, and what nobody used. All together exactly `cost`.

    capacity: weighted tokens that the deployment can do in an hour. Known: a payer pays his part of the capacity, and
    the rest is idle; use beyond it scales all parts down to the whole. Unknown: a payer pays his part of the use, and
    an hour is idle only when nobody has used it.
    """
    payers = sorted(payer for payer, tokens in use.items() if tokens > 0)
    used = sum(use[payer] for payer in payers)
    if not used:
        return {}, cost
    whole = max(used, capacity or 0)
    weights = [*(use[payer] for payer in payers), whole - used]
    parts = _largest_remainder(cost, weights)
    return dict(zip(payers, parts, strict=False)), parts[-1]


def _largest_remainder(cost: int, weights: list[int]) -> list[int]:
    """Whole parts in proportion to the weights: rounded down, and what is left goes to the largest remainders."""
    whole = sum(weights)
    parts = [cost * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(cost * weights[i] % whole), i))
    for i in order[: cost - sum(parts)]:
        parts[i] += 1
    return parts
