"""The small changes that a Responses body needs for the model behind it, by the same rules as on chat (edits.py)."""

from __future__ import annotations

from typing import Any

from shared.catalog import Deployment
from shared.transform.edits import drop_or_refuse, refusals
from shared.types import Json

_SHARED = ("temperature", "top_p", "top_logprobs")


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
        elif name not in deployment.allowed_params and deployment.drop_params:
            reasoning: dict[str, Any] = {k: v for k, v in body["reasoning"].items() if k != "effort"}
            body["reasoning"] = reasoning
        else:
            drop_or_refuse(body, "reasoning", f"effort {reason}", deployment)


def _effort(body: Json) -> Any:
    reasoning = body.get("reasoning")
    return reasoning.get("effort") if isinstance(reasoning, dict) else None
