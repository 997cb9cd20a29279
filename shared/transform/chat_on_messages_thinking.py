"""How much a Claude model shall think: chat's `reasoning_effort` in Anthropic's words, of which there are two kinds.

Claude 4.6 and later think adaptively, steered by `output_config.effort`; from 4.7 on a budget is refused. Claude 4.5
and earlier know only a budget of tokens (Anthropic "Thinking" and "Effort", read 2026-11; both hold on Foundry).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from shared.transform.refuse import an_object, unsupported, wrong_type
from shared.types import Json

BUDGETS: Mapping[str, int] = {"low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768, "max": 49_152}
"""Tokens to think for each effort, on models that take a budget. Anthropic names no such table: doubling steps
between the least that is allowed and what leaves room below the 64,000 output tokens of Claude 4.5."""
LEAST_BUDGET = 1_024
"""Anthropic refuses less (Messages API, `thinking.budget_tokens`, 2026-10)."""
_OFF = frozenset({"none", "minimal"})
_FORCED = frozenset({"any", "tool"})
_AFTER = re.compile(r"(?:opus|sonnet|haiku)[-_ ]?(\d{1,2})(?!\d)(?:[-_.](\d{1,2})(?!\d))?")
_BEFORE = re.compile(r"claude[-_ ]?(\d{1,2})(?!\d)(?:[-_.](\d{1,2})(?!\d))?")


def thinks_by_budget(model: str) -> bool:
    """Whether a model of that name takes a budget. A name without a version is taken for one of today: it does not."""
    found = _AFTER.search(model.lower()) or _BEFORE.search(model.lower())
    return found is not None and (int(found[1]), int(found[2] or 0)) < (4, 6)


def add_thinking(out: Json, body: Mapping[str, Any], model: str) -> None:
    """Set `thinking` and the effort. `out` already holds max_tokens, messages, tool_choice and sampling.

    Raises ApiError (400) naming what cannot go together with thinking.
    """
    effort = body.get("reasoning_effort")
    if effort is not None and body.get("thinking") is not None:
        raise unsupported("reasoning_effort", "and 'thinking' exclude each other. Send one of them.")
    if body.get("thinking") is not None:
        out["thinking"] = an_object(body["thinking"], "thinking")  # Anthropic's own field, for clients that know it
    elif effort in _OFF:
        out["thinking"] = {"type": "disabled"}
    elif effort is not None:
        _by_effort(out, effort, model)
    if out.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        _check_company(out)


def _by_effort(out: Json, effort: Any, model: str) -> None:
    if effort not in BUDGETS:
        raise wrong_type("reasoning_effort", f"one of none, minimal, {', '.join(BUDGETS)}")
    if not thinks_by_budget(model):
        out["thinking"] = {"type": "adaptive"}
        out["output_config"] = {**out.get("output_config", {}), "effort": effort}
        return
    budget = min(BUDGETS[effort], out["max_tokens"] // 2)  # the tokens of thought count towards max_tokens
    if budget >= LEAST_BUDGET and not _goes_on_without(out["messages"]):
        out["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _goes_on_without(turns: Iterable[Json]) -> bool:
    """Whether the conversation is amid tool calls whose turn has no thinking: with it, Claude would refuse that turn.

    OpenAI's clients send back what they know of an answer, and few know `thinking_blocks`.
    """
    last = list(turns)[-2:]
    if len(last) < 2 or not any(block["type"] == "tool_result" for block in last[1]["content"]):
        return False
    return last[0]["content"][0]["type"] not in ("thinking", "redacted_thinking")


def _check_company(out: Json) -> None:
    """What Anthropic refuses beside thinking (Anthropic "Thinking", feature compatibility, 2026-11)."""
    remedy = "while the model thinks. Leave it out, or send reasoning_effort 'none'."
    if out.get("temperature") is not None:
        raise unsupported("temperature", f"other than 1 is not served by Claude models {remedy}")
    if out.get("top_k") is not None:
        raise unsupported("top_k", f"is not served by Claude models {remedy}")
    if (top_p := out.get("top_p")) is not None and top_p < 0.95:
        raise unsupported("top_p", f"below 0.95 is not served by Claude models {remedy}")
    if out["thinking"]["type"] == "enabled" and out.get("tool_choice", {}).get("type") in _FORCED:
        raise unsupported(
            "tool_choice", "that forces a call is not served by this Claude model while it thinks. Send 'auto', or "
            "reasoning_effort 'none'."
        )  # fmt: skip
