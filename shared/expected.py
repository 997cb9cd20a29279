"""What a call may take at most, as far as its request tells: reserved of its limits before an upstream is asked.

Input is counted by the gateway's own rule, output as the client bounds it, never below a bound that the client gave.
Who bounds nothing reserves OUTPUT tokens: the model's own limit would stop a small budget long before it is used up.
Pure, and told nothing but what clients send: a field may hold anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from shared.call import Call
from shared.catalog import Deployment
from shared.ports import Prices
from shared.types import Need, Usage
from shared.usage import estimate_drawn, estimate_input, estimate_text

OUTPUT = 4_096
"""Output tokens that are reserved for each choice of a call that names no limit of its own."""
REASONING_OUTPUT = 8_192
"""The same for a model that thinks before it answers."""
MOST_OUTPUT = 1_000_000
MOST_CHOICES = 128
MOST_SECONDS = 24 * 3600
SOUND_BYTES_PER_SECOND = 16_000
"""128 kbit/s, as where a recording's length is guessed by its size (transform/sound.py)."""
HEARD_TOKENS_PER_SECOND = 10
"""Audio tokens of speech that is heard (OpenAI "Realtime conversations", 2026-11: one for each 100 ms)."""
_BOUNDS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_TALK = frozenset({"chat", "responses", "completions", "messages"})
_FAST = frozenset({"priority", "fast"})


def expected(call: Call, prices: Prices) -> Need:
    """By the dearest of the deployments that may answer. Nothing for what is not counted in tokens or money."""
    usage = expected_usage(call)
    if not call.choices or usage == _NONE:
        return Need()
    nanos = max(prices.cost(deployment, usage, call.at).nanos for deployment in (*call.choices, *call.spares))
    return Need(usage.total_tokens, nanos)


def token_price(prices: Prices, deployment: Deployment, at: float) -> float:
    """Of a token in and a token out, in USD. What is provisioned is paid already; what has no price comes last."""
    if deployment.terms.provisioned:
        return 0.0
    figures = prices.figures(deployment, at)
    return sum(figures[name] for name in _TOKENS) if figures.keys() >= _TOKENS else math.inf


_TOKENS = frozenset({"input_cost_per_token", "output_cost_per_token"})


def expected_usage(call: Call) -> Usage:
    shape, body = call.endpoint.shape, call.body
    if call.endpoint.target != "model":
        return _NONE
    if shape in _TALK and not call.endpoint.name.endswith(("_compact", "_input_tokens")):
        tier = body.get("service_tier")  # the dear one is reserved as asked: served by another, it costs less
        dear = "priority" if isinstance(tier, str) and tier in _FAST else ""
        return Usage(input_tokens=estimate_input(body), output_tokens=_output(call), tier=dear)
    if shape in ("embeddings", "responses"):
        return Usage(input_tokens=estimate_input(body))
    if shape == "images":
        return _images(call)
    if shape == "speech":
        text = body.get("input")
        return Usage(characters=len(text) if isinstance(text, str) else 0)
    if shape == "transcription":
        return _transcription(call)
    if shape == "videos":
        size = body.get("size")
        kind = size[:64] if isinstance(size, str) else ""
        return Usage(video_seconds=float(_whole(body.get("seconds"), 4, MOST_SECONDS)), image_kind=kind)
    return _NONE


_NONE = Usage()


def _output(call: Call) -> int:
    body = call.body
    each = _given(body)
    if "thinking" in body:
        each = max(each, _budget(body))
    if not each:
        may_answer = (*call.choices, *call.spares)
        thinks = any(deployment.family.reasons for deployment in may_answer)
        configured = max((_given(deployment.defaults) for deployment in may_answer), default=0)
        each = configured or (REASONING_OUTPUT if thinks else OUTPUT)
    if "n" in body or "best_of" in body:
        each *= max(_whole(body.get("n"), 1, MOST_CHOICES), _whole(body.get("best_of"), 1, MOST_CHOICES), 1)
    if "prompt" in body:
        each *= _prompts(body["prompt"])
    return each + _predicted(body["prediction"]) if "prediction" in body else each


def _given(fields: Mapping[str, Any]) -> int:
    """The largest of the bounds by any name; 0: none."""
    most = 0
    for name in _BOUNDS:
        if name in fields:
            most = max(most, _whole(fields[name], 0, MOST_OUTPUT))
    return most


def _budget(body: Mapping[str, Any]) -> int:
    """Claude's thoughts between calls of tools may go beyond max_tokens (Anthropic "Extended thinking", 2026-11)."""
    thinking = body.get("thinking")
    return _whole(thinking.get("budget_tokens"), 0, MOST_OUTPUT) if isinstance(thinking, dict) else 0


def _prompts(prompt: Any) -> int:
    """How often completions answer: a list of texts or of lists of tokens is as many prompts, one of tokens is one."""
    return len(prompt) if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list) else 1


def _predicted(prediction: Any) -> int:
    """What a model rejects of a prediction is paid for as output, beyond what it says."""
    content = prediction.get("content") if isinstance(prediction, dict) else None
    parts: Iterable[Any] = content if isinstance(content, list) else (content,)
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return estimate_text(sum(len(text) for text in texts if isinstance(text, str)))


def _images(call: Call) -> Usage:
    """By number, size and quality; gpt-image models by the tokens of such images as well."""
    body = call.body
    size, quality = body.get("size"), body.get("quality")
    count = max(1, _whole(body.get("n"), 1, MOST_CHOICES))
    kind = " ".join(value for value in (size, quality) if isinstance(value, str))
    usage = Usage(images=count, image_kind=kind[:64])
    if not any("gpt-image" in deployment.model for deployment in call.choices):
        return usage
    drawn = count * estimate_drawn(size, quality)
    return replace(usage, input_tokens=estimate_input(body), output_tokens=drawn, image_output_tokens=drawn)


def _transcription(call: Call) -> Usage:
    """By the size of the upload, as far as its client announces one. Models that count tokens hear so many a second."""
    size = _whole(call.request.headers.get("content-length"), 0, 2**40)
    seconds = min(size / SOUND_BYTES_PER_SECOND, MOST_SECONDS)
    if not any("transcribe" in deployment.model for deployment in call.choices):
        return Usage(audio_seconds=seconds)
    heard = round(seconds * HEARD_TOKENS_PER_SECOND)
    return Usage(input_tokens=heard, audio_input_tokens=heard, output_tokens=heard)


def _whole(value: Any, default: int, most: int) -> int:
    """A number that a client gave, within bounds; forms bring it as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:16])
    if isinstance(value, float) and value >= 0:
        value = math.ceil(min(value, most))
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return default
    return min(value, most)
