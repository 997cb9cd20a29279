"""What a call may take at most, as far as its request tells: reserved of its limits before an upstream is asked.

Input is counted by the gateway's own rule, output as the client bounds it. Who bounds nothing reserves OUTPUT tokens:
the model's own limit would stop a small budget long before it is used up. Pure.
"""

from __future__ import annotations

from typing import Any

from shared.call import Call
from shared.ports import Prices
from shared.types import Need, Usage
from shared.usage import estimate_input

OUTPUT = 4_096
"""Output tokens that are reserved for each choice of a call that names no limit of its own."""
REASONING_OUTPUT = 8_192
"""The same for a model that thinks before it answers."""
MOST_CHOICES = 128
_BOUNDS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_TALK = frozenset({"chat", "responses", "completions", "messages"})


def expected(call: Call, prices: Prices) -> Need:
    """By the dearest of the deployments that may answer. Nothing for what is not counted in tokens or money."""
    usage = expected_usage(call)
    if not call.choices or usage == _NONE:
        return Need()
    nanos = max(prices.cost(deployment, usage, call.at).nanos for deployment in call.choices)
    return Need(usage.total_tokens, nanos)


def expected_usage(call: Call) -> Usage:
    shape, body = call.endpoint.shape, call.body
    if call.endpoint.target != "model":
        return _NONE
    if shape in _TALK and not call.endpoint.name.endswith(("_compact", "_input_tokens")):
        return Usage(input_tokens=estimate_input(body), output_tokens=_output(call))
    if shape in ("embeddings", "responses"):
        return Usage(input_tokens=estimate_input(body))
    if shape == "images":
        kind = " ".join(v for v in (body.get("size"), body.get("quality")) if isinstance(v, str))
        return Usage(images=_whole(body.get("n"), 1, MOST_CHOICES), image_kind=kind[:64])
    if shape == "speech":
        text = body.get("input")
        return Usage(characters=len(text) if isinstance(text, str) else 0)
    if shape == "videos":
        return Usage(video_seconds=float(_whole(body.get("seconds"), 4, 3600)))
    return _NONE


_NONE = Usage()


def _output(call: Call) -> int:
    body = call.body
    bound: Any = next((body[name] for name in _BOUNDS if body.get(name) is not None), None)
    thinks = any(deployment.family.reasons for deployment in call.choices)
    each = _whole(bound, REASONING_OUTPUT if thinks else OUTPUT, 1_000_000)
    choices = max(_whole(body.get("n"), 1, MOST_CHOICES), _whole(body.get("best_of"), 1, MOST_CHOICES))
    prompts = body.get("prompt")
    asked = len(prompts) if isinstance(prompts, list) and prompts and isinstance(prompts[0], str) else 1
    return each * choices * asked


def _whole(value: Any, default: int, most: int) -> int:
    """A number that a client gave, within bounds; forms bring it as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return default
    return min(value, most)
