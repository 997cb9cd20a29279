"""The names that `router_settings` may hold, the bounds of their values, and LiteLLM's names that mean nothing here.

What the values come to is router_config.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from shared.checked import Checked, after, anything, flag, mapping, nullable, number, optional, text, usually, whole
from shared.router_settings import FailureKind, Strategy

MOST_SECONDS = 230.0
"""After so long the front end of Azure Functions gives a call up that has not begun to answer."""


def _number(given: Any) -> Any:
    if isinstance(given, bool):
        raise PydanticCustomError("number", "input should be a number")
    return given


_COUNT = after(_number, whole(ge=0, le=100))
_FAILS = after(_number, whole(ge=0, le=1_000_000))
_REST = after(_number, number(ge=0, le=86400))
_WAIT = after(_number, number(ge=0, le=MOST_SECONDS))
_TIMEOUT = after(_number, number(gt=0, allow_inf_nan=False))


class Given(Checked, extra="forbid"):
    """`router_settings`. None: not given. What names models, strategies or kinds of failure is read afterwards."""

    routing_strategy: str | None = optional(text())
    num_retries: int | None = optional(_COUNT)
    retry_policy: dict[str, int | None] = usually(dict, mapping(nullable(_COUNT)))
    retry_after: float | None = optional(_WAIT)
    max_wait: float | None = optional(_WAIT)
    max_retries_of_clients: int | None = optional(_COUNT)
    allowed_fails: int | None = optional(_FAILS)
    allowed_fails_policy: dict[str, int | None] = usually(dict, mapping(nullable(_FAILS)))
    cooldown_time: float | None = optional(_REST)
    max_cooldown: float | None = optional(_REST)
    disable_cooldowns: bool = usually(False, flag())
    near_limit: float | None = optional(after(_number, number(gt=0, le=1)))
    fallbacks: Any = usually(None, anything())
    context_window_fallbacks: Any = usually(None, anything())
    content_policy_fallbacks: Any = usually(None, anything())
    default_fallbacks: Any = usually(None, anything())
    max_fallbacks: int | None = optional(_COUNT)
    model_group_alias: Any = usually(None, anything())
    timeout: float | None = optional(_TIMEOUT)
    first_byte_timeout: float | None = optional(_TIMEOUT)
    stream_timeout: float | None = optional(_TIMEOUT)
    connect_timeout: float | None = optional(_TIMEOUT)
    idle_timeout: float | None = optional(_TIMEOUT)
    total_timeout: float | None = optional(_TIMEOUT)
    enable_tag_filtering: bool = usually(True, flag())
    tag_filtering_match_any: bool = usually(True, flag())
    regions: Any = usually(None, anything())


FROM_SETTINGS: Mapping[str, str] = {
    name: name
    for name in (
        "num_retries", "allowed_fails", "cooldown_time", "fallbacks", "context_window_fallbacks",
        "content_policy_fallbacks", "default_fallbacks",
    )
} | {"request_timeout": "timeout"}  # fmt: skip
"""What may stand among the settings for all entries as well, as the setting that it is here; router_settings win."""

STRATEGIES: Mapping[str, Strategy] = {
    "simple-shuffle": "simple-shuffle",
    "least-used": "least-used",
    "least-busy": "least-busy",
    "lowest-latency": "lowest-latency",
    "lowest-cost": "lowest-cost",
    "prompt-cache": "prompt-cache",
    "usage-based-routing": "least-used",
    "usage-based-routing-v2": "least-used",
    "latency-based-routing": "lowest-latency",
    "cost-based-routing": "lowest-cost",
}

KINDS: Mapping[str, tuple[FailureKind, ...]] = {
    "RateLimitError": ("rate_limit",),
    "TimeoutError": ("timeout",),
    "InternalServerError": ("server", "bad_answer"),
    "ServiceUnavailableError": ("server",),
    "BadGatewayError": ("server",),
    "AuthenticationError": ("auth",),
    "BadRequestError": ("bad_request",),
    "ContentPolicyViolationError": ("content_filter",),
    "NotFoundError": ("not_found",),
}
"""The kinds of failure that the names of a policy begin with: `RateLimitErrorRetries`."""
OWN_KINDS: tuple[FailureKind, ...] = (
    "rate_limit", "timeout", "unreachable", "server", "auth", "conflict", "bad_answer",
)  # fmt: skip
"""The kinds by their own names; a policy may hold these too."""
NOT_COUNTED: frozenset[FailureKind] = frozenset({"rate_limit", "conflict"})
"""Failures that make a deployment rest at once, or never, however many are allowed."""

_STORE = ": instances share what they know through Table Storage"
NO_EFFECT: Mapping[str, str] = {
    **dict.fromkeys("redis_url redis_host redis_port redis_password redis_db redis_ssl redis_username".split(), _STORE),
    **dict.fromkeys("cache_responses cache_kwargs caching_groups".split(), ": answers are not kept"),
    "optional_pre_call_checks": ": ids always lead to their resource; for cached prompts write routing_strategy: "
    "prompt-cache",
    "enable_pre_call_checks": ": tpm, rpm, tags and regions are always looked at",
    "enable_weighted_failover": ": the next deployment is always chosen by the strategy",
    **dict.fromkeys(
        "alerting_config assistants_config auto_router_capability_limit background_health_check_model_groups "
        "client_ttl debug_level default_litellm_params default_max_parallel_requests default_priority "
        "deployment_affinity_ttl_seconds enable_health_check_routing fallback_access_check fallback_budget_check "
        "guardrail_list health_check_ignore_transient_errors health_check_staleness_threshold "
        "ignore_invalid_deployments max_retries model_group_affinity_config model_group_retry_policy plugins "
        "polling_interval provider_budget_config router_general_settings routing_groups routing_strategy_args "
        "search_tools set_verbose tag_routing_prefix weights".split(),
        "",
    ),
}
"""LiteLLM's settings of a router that mean nothing to this one, with what is so instead: a warning, never an error."""
