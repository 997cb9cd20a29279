"""The model list in OpenAI's shape, with what is known of each model. The gateway's models are its aliases.

OpenAI's four fields come first, as clients expect them; what a platform team and its colleagues ask for besides
(context window, modes, prices) has the names that other gateways use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from shared.catalog import Catalog, Deployment
from shared.types import Json

CREATED = 1_700_000_000
"""OpenAI's field `created` has no meaning for an alias: one fixed time, so that lists compare equal."""

# What a model takes and gives at most, in tokens: (pattern of its name, context window, output). Azure "Foundry models"
# page and Anthropic "Models overview", 2026-08. The first pattern that fits counts; unknown models have no figures.
_WINDOWS: tuple[tuple[re.Pattern[str], int, int | None], ...] = tuple(
    (re.compile(pattern, re.I), window, output)
    for pattern, window, output in (
        (r"gpt-5(?:\.\d+)?-chat", 128_000, 16_384),
        (r"gpt-5", 400_000, 128_000),
        (r"gpt-4\.1", 1_047_576, 32_768),
        (r"gpt-4o", 128_000, 16_384),
        (r"gpt-4-turbo|gpt-4-vision|gpt-4-1106|gpt-4-0125", 128_000, 4_096),
        (r"gpt-4-32k", 32_768, 32_768),
        (r"gpt-4(?=-\d|$)", 8_192, 8_192),
        (r"gpt-3\.?5-turbo-instruct", 4_097, 4_097),
        (r"gpt-3\.?5", 16_385, 4_096),
        (r"(?:^|[^a-z0-9])o1-mini", 128_000, 65_536),
        (r"(?:^|[^a-z0-9])o1-preview", 128_000, 32_768),
        (r"(?:^|[^a-z0-9])o[134](?=[-.]|$)", 200_000, 100_000),
        (r"codex-mini", 200_000, 100_000),
        (r"text-embedding-3|ada-002", 8_192, None),
        (r"claude-(?:3-haiku|3-opus)", 200_000, 4_096),
        (r"claude-3-5", 200_000, 8_192),
        (r"claude", 200_000, None),
    )
)
_KNOWN = ("max_input_tokens", "max_output_tokens", "max_tokens", "input_cost_per_token", "output_cost_per_token",
          "cache_read_input_token_cost", "output_cost_per_image", "input_cost_per_character",
          "input_cost_per_second", "output_cost_per_second")  # fmt: skip
"""Fields of `model_info` that clients may see; anything else in it is the operator's own note."""
MODES = ("chat", "responses", "messages", "completions", "embeddings", "images", "speech", "transcription", "videos",
          "realtime", "moderations")  # fmt: skip
BATCH = "batch"
"""Stands last among the modes of a model that Azure's batch service serves, alone where it answers no call."""
_OF_CHAT = frozenset({"chat", "responses", "messages", "completions"})


def facts_of(deployment: Deployment, info: Mapping[str, Any]) -> Json:
    """What is known of an alias's model: its own row of the configuration first, then what its name tells."""
    facts: Json = {"owned_by": _owner(deployment)}
    if found := next(((w, o) for pattern, w, o in _WINDOWS if pattern.search(deployment.model)), None):
        facts["context_window"] = found[0]
        if found[1] is not None:
            facts["max_output_tokens"] = found[1]
    facts["modes"] = _modes_of(deployment)
    facts.update({name: info[name] for name in _KNOWN if isinstance(info.get(name), (int, float))})
    if "max_input_tokens" in facts:
        facts["context_window"] = facts["max_input_tokens"]
    return facts


def _modes_of(deployment: Deployment) -> list[str]:
    if deployment.only_batches:
        return [BATCH]
    served = set(deployment.serves)
    if served & _OF_CHAT:
        served |= _OF_CHAT  # by translation
    if not deployment.mode:  # nobody has said what it is: taken for a chat model
        served &= _OF_CHAT
    return [mode for mode in MODES if mode in served]


def _owner(deployment: Deployment) -> str:
    if deployment.mode == "messages":
        return "anthropic"
    if deployment.provider == "content_safety":
        return "azure"
    return "openai" if deployment.family.name != "open" else "foundry"


type Costs = Callable[[Deployment], Mapping[str, Any]]
"""A deployment's prices, by the names that other gateways use."""


def list_models(catalog: Catalog, aliases: Iterable[str], costs: Costs | None = None) -> bytes:
    return orjson.dumps({"object": "list", "data": [_model(catalog, alias, costs) for alias in aliases]})


def describe_model(catalog: Catalog, alias: str, costs: Costs | None = None) -> bytes:
    return orjson.dumps(_model(catalog, alias, costs))


def _model(catalog: Catalog, alias: str, costs: Costs | None) -> Json:
    """What the configuration says of a price stays as it says it; the rest is what calls really cost."""
    deployments = catalog.of(alias)
    priced = costs(deployments[0]) if costs and deployments else {}
    facts = catalog.facts.get(alias, {"owned_by": "tollgate"})
    if any(deployment.only_batches for deployment in deployments):
        called = next((deployment for deployment in deployments if not deployment.only_batches), None)
        facts = {**facts, "modes": [*(_modes_of(called) if called else ()), BATCH]}
    return {"id": alias, "object": "model", "created": CREATED, **priced, **facts}
