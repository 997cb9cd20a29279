"""The small changes that a chat body needs for the model behind it. Each edit does one thing to the body it is given.

An edit knows the family and the configuration of one deployment; it knows nothing of URLs or credentials.
The body is a copy whose top level may be changed freely; what lies below is the client's and is replaced, not mutated.
"""

from __future__ import annotations

from typing import Any

from shared.catalog import Deployment, Family
from shared.errors import ApiError, bad_request
from shared.types import Json

# The default that a parameter has anyway: sending it changes nothing, so it is left out rather than refused.
_NO_OPS: dict[str, Any] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "verbosity": "medium",
}

_TOKEN_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})

# First dated api-version that knows a parameter (Azure "API version lifecycle" and REST changes, 2026-10).
_TOOL_CHOICE_SINCE = "2023-12-01"
_TOOL_CHOICE_REQUIRED_SINCE = "2024-06-01"
_JSON_SCHEMA_SINCE = "2024-08-01"


def edit_chat(body: Json, deployment: Deployment) -> None:
    """All edits, in the order in which they depend on each other. Raises ApiError (400) naming the parameter."""
    fill_defaults(body, deployment)
    name_token_limit(body, deployment.family)
    adapt_roles(body, deployment.family)
    for name in deployment.dropped_params:
        body.pop(name, None)
    for name, reason in refusals(body, deployment):
        drop_or_refuse(body, name, reason, deployment)


def drop_or_refuse(body: Json, name: str, reason: str, deployment: Deployment) -> None:
    """What becomes of a parameter that the deployment does not take. Raises ApiError (400)."""
    if name not in deployment.allowed_params:
        drop_or_raise(body, name, _refused(name, reason, deployment), deployment)


def drop_or_raise(body: Json, name: str, refusal: ApiError, deployment: Deployment) -> None:
    """The parameter is left out where that changes nothing or the configuration wants it, else refused."""
    if not (_is_no_op(body, name) or (deployment.drop_params and name not in _NEVER_DROPPED)):
        raise refusal
    body.pop(name, None)


_NEVER_DROPPED = frozenset(
    "response_format messages n tools functions function_call prompt input background previous_response_id "
    "conversation".split()
)
"""Dropping these would change what the answer means, in silence."""


def _is_no_op(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is None:
        return True
    if name == "modalities":
        return value == ["text"]
    if name == "tool_choice":
        return not body.get("tools") and value in ("auto", "none")
    return name in _NO_OPS and value == _NO_OPS[name]


def _refused(name: str, reason: str, deployment: Deployment) -> ApiError:
    return bad_request(
        f"Unsupported parameter: '{name}' {reason} with the model '{deployment.alias}'. Leave it out, or ask your "
        "platform team to set drop_params for this model.",
        param=name,
        code="unsupported_parameter",
    )


def fill_defaults(body: Json, deployment: Deployment) -> None:
    """Body fields that the configuration gives for every call; the client's own value wins."""
    limited = any(body.get(name) is not None for name in _TOKEN_LIMITS)  # by either name: the two exclude each other
    for name, value in deployment.defaults.items():
        if not (limited and name in _TOKEN_LIMITS):
            body.setdefault(name, value)


def name_token_limit(body: Json, family: Family) -> None:
    """`max_tokens` by the name that the model knows; an explicit `max_completion_tokens` wins over it."""
    if family.token_limit == "max_completion_tokens" and "max_tokens" in body:
        limit = body.pop("max_tokens")
        if limit is not None and body.get("max_completion_tokens") is None:
            body["max_completion_tokens"] = limit
    elif family.token_limit == "max_tokens" and "max_completion_tokens" in body:
        limit = body.pop("max_completion_tokens")
        if limit is not None:
            body["max_tokens"] = limit


def adapt_roles(body: Json, family: Family) -> None:
    """`developer` becomes `system`, or both become `user`, where the model knows no better."""
    if family.system_role == "keep":
        return
    changed = {"developer": "system"} if family.system_role == "system" else {"developer": "user", "system": "user"}
    messages = body["messages"]
    if any(isinstance(m, dict) and m.get("role") in changed for m in messages):
        body["messages"] = [
            {**m, "role": changed[m["role"]]} if isinstance(m, dict) and m.get("role") in changed else m
            for m in messages
        ]


def refusals(body: Json, deployment: Deployment) -> list[tuple[str, str]]:
    """-> (parameter, why) for each parameter that the deployment does not take."""
    family = deployment.family
    found = [(name, "is not supported") for name in family.unsupported if name in body]
    found += _sampling_refusals(body, family)
    found += _effort_refusals(body, family)
    found += _modality_refusals(body, family)
    found += _format_refusals(body, deployment)
    found += _tool_choice_refusals(body, deployment)
    return found


def _sampling_refusals(body: Json, family: Family) -> list[tuple[str, str]]:
    effort = body.get("reasoning_effort") or family.default_effort
    found: list[tuple[str, str]] = []
    for names, rule in ((("temperature", "top_p"), family.sampling), (("logprobs", "top_logprobs"), family.logprobs)):
        if rule == "fixed" or (rule == "without_effort" and effort != "none"):
            why = "is not supported" if rule == "fixed" else "is supported only with reasoning_effort 'none'"
            found += [(name, why) for name in names if name in body]
    return found


def _effort_refusals(body: Json, family: Family) -> list[tuple[str, str]]:
    effort = body.get("reasoning_effort")
    if effort is None or family.efforts is None or effort in family.efforts:
        return []
    if not family.efforts:
        return [("reasoning_effort", "is not supported")]
    return [("reasoning_effort", f"must be one of {', '.join(sorted(family.efforts))}")]


def _modality_refusals(body: Json, family: Family) -> list[tuple[str, str]]:
    if family.audio_output:
        return []
    found = [("audio", "is not supported")] if "audio" in body and "audio" not in family.unsupported else []
    if body.get("modalities") not in (None, ["text"]):
        found.append(("modalities", "must be ['text']"))
    return found


def _format_refusals(body: Json, deployment: Deployment) -> list[tuple[str, str]]:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return []
    if not deployment.family.json_schema:
        return [("response_format", "of type 'json_schema' is not supported (use 'json_object')")]
    if older(deployment, _JSON_SCHEMA_SINCE):
        return [("response_format", "of type 'json_schema' needs api_version 2024-08-01-preview, v1 or later")]
    return []


def _tool_choice_refusals(body: Json, deployment: Deployment) -> list[tuple[str, str]]:
    choice = body.get("tool_choice")
    if choice is None:
        return []
    if older(deployment, _TOOL_CHOICE_SINCE):
        return [("tool_choice", "needs api_version 2023-12-01-preview or later")]
    if choice == "required" and older(deployment, _TOOL_CHOICE_REQUIRED_SINCE):
        return [("tool_choice", "'required' needs api_version 2024-06-01 or later")]
    if not body.get("tools"):
        return [("tool_choice", "is allowed only together with 'tools'")]
    return []


def older(deployment: Deployment, since: str) -> bool:
    """Whether the deployment is called at a dated api-version of Azure OpenAI from before `since` (YYYY-MM-DD).

    Foundry's /models route has dates of its own, of which 2024-05-01-preview is the last.
    """
    surface = deployment.surface
    return surface.version == "dated" and surface.name != "foundry" and deployment.api_version[:10] < since
