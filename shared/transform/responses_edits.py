"""The small changes that a Responses body needs for the model behind it, by the same rules as on chat (edits.py)."""

from __future__ import annotations

from typing import Any

from shared.catalog import Deployment
from shared.transform.edits import drop_or_refuse, refusals
from shared.types import Json

_SHARED = ("temperature", "top_p", "top_logprobs")
_DEFAULTS = (
    "include max_output_tokens metadata parallel_tool_calls prompt_cache_key prompt_cache_retention safety_identifier "
    "service_tier store temperature top_logprobs top_p truncation user".split()
)
"""Configured body fields that Responses knows by the same name."""
_INNER = {"reasoning_effort": ("reasoning", "effort"), "verbosity": ("text", "verbosity")}


def fill_defaults(body: Json, deployment: Deployment) -> None:
    """Body fields of the configuration, which it gives in chat's words; the client's own value wins.

    What Responses has no word for is left out. The body is a copy whose top level may be changed freely.
    """
    given = deployment.defaults
    for name in _DEFAULTS:
        if name in given:
            body.setdefault(name, given[name])
    limit = given.get("max_completion_tokens", given.get("max_tokens"))
    if limit is not None:
        body.setdefault("max_output_tokens", limit)
    for name, (outer, inner) in _INNER.items():
        holder = body.get(outer) or {}
        if name in given and isinstance(holder, dict):
            body[outer] = {inner: given[name], **holder}


def edit_responses(body: Json, deployment: Deployment) -> None:
    """Raises ApiError (400) naming the parameter. The body is a copy whose top level may be changed freely."""
    for name in deployment.dropped_params:
        body.pop(name, None)
    if not deployment.family.reasons:
        return
    seen: Json = {name: body[name] for name in _SHARED if name in body}
    if effort := _effort(body):
        seen["reasoning_effort"] = effort
    for name, reason in refusals(seen, deployment):
        if name != "reasoning_effort":
            drop_or_refuse(body, name, reason, deployment)
        elif name in deployment.allowed_params:
            continue
        elif deployment.drop_params:
            reasoning: dict[str, Any] = {k: v for k, v in body["reasoning"].items() if k != "effort"}
            body["reasoning"] = reasoning
        else:
            drop_or_refuse(body, "reasoning", f"effort {reason}", deployment)


def _effort(body: Json) -> Any:
    reasoning = body.get("reasoning")
    return reasoning.get("effort") if isinstance(reasoning, dict) else None
