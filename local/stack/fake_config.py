"""Owns the gateway's configuration for the fake Azure: one alias for each way in which Azure serves a model.

Must not know how the app reads it. The form is that of `config.example.yaml`.
"""

import json
from collections.abc import Mapping
from typing import Any

HEAD = "# Written by `dev.py up` each time it starts: the fake Azure's models. For your own: --config FILE\n"
DATED = "2024-10-21"
PREVIEW = "2025-04-01-preview"


def models(
    resources: Mapping[str, Mapping[str, Any]], resource_ids: Mapping[str, str]
) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """Rows of alias, parameters and model information. An account's id at one of its deployments counts for all."""
    urls = (str(resources[name]["url"]).rstrip("/") for name in ("main", "second", "foundry", "openai"))
    main, second, foundry, plain = urls
    keys = {name: str(resource.get("key") or "") for name, resource in resources.items()}

    def azure(model: str, version: str = DATED, **changed: Any) -> dict[str, Any]:
        row = {"model": f"azure/{model}", "api_base": main, "api_key": keys["main"], "api_version": version}
        return {name: value for name, value in (row | changed).items() if value}

    grok = {"model": "azure_ai/grok-4", "api_base": foundry, "api_key": keys["foundry"]}
    claude = {"model": "azure/claude-sonnet-4-5", "api_base": foundry, "api_key": keys["foundry"]}
    turbo = {"model": "openai/gpt-3.5-turbo", "api_base": f"{plain}/v1", "api_key": keys["openai"]}
    ids = {name: {"azure_resource_id": found} for name, found in resource_ids.items()}
    provisioned: dict[str, Any] = {"sku": "GlobalProvisionedManaged", "ptu": {"units": 50, "hourly_cost": 50.0}}
    elsewhere = {"api_base": second, "api_key": keys["second"]}
    vision = f"{main}/openai/deployments/gpt-4-vision/extensions"
    return [
        ("gpt-4o", azure("gpt-4o", **ids.get("main", {})), {}),
        ("gpt-4.1-mini", azure("gpt-4.1-mini"), {}),
        ("gpt-4o-v1", azure("gpt-4o", "v1"), {}),
        ("o3-mini", azure("o_series/my-random-deployment-name", "2024-12-01-preview"), {"base_model": "o3-mini"}),
        ("gpt-5", azure("gpt5_series/my-gpt-5-deployment", PREVIEW), {"base_model": "gpt-5"}),
        ("gpt-5.1", azure("gpt-5.1", PREVIEW), {}),
        ("gpt-5-chat", azure("gpt-5-chat", PREVIEW), {}),
        ("gpt-4-vision", azure("gpt-4-vision", api_base=vision), {"base_model": "gpt-4-turbo"}),
        ("azure-openai-4o-audio", azure("azure-openai-4o-audio", "2025-01-01-preview"), {"base_model": "gpt-4o-audio"}),
        ("gpt-4o-entra", azure("gpt-4o", api_key=""), {}),
        ("gpt-4o-keyvault", azure("gpt-4o", api_key="keyvault/main-api-key"), {}),
        ("gpt-4o-asyncfilter", azure("gpt-4o-asyncfilter"), {"base_model": "gpt-4o"}),
        ("gpt-4o-routed", azure("my-gpt4-deployment", **provisioned), {"base_model": "gpt-4o"}),
        ("gpt-4o-routed", azure("gpt-4o", weight=3, tpm=300_000), {}),
        ("gpt-4o-routed", azure("my-gpt4-deployment", weight=1, tpm=100_000, **elsewhere), {"base_model": "gpt-4o"}),
        ("gpt-4o-batch", azure("gpt-4o-batch", sku="GlobalBatch"), {"mode": "batch", "base_model": "gpt-4o"}),
        (
            "gpt-4o-batch",
            azure("gpt-4o-batch", sku="GlobalBatch", **elsewhere),
            {"mode": "batch", "base_model": "gpt-4o"},
        ),
        ("grok-4", grok | ids.get("foundry", {}), {"base_model": "grok-4-1-fast-non-reasoning"}),
        ("gpt-3.5-turbo", azure("chatgpt-v-2"), {"base_model": "gpt-3.5-turbo"}),
        ("gpt-3.5-turbo", turbo, {}),
        ("gpt-5-codex", azure("my-codex"), {"base_model": "gpt-5-codex"}),
        ("o3-pro", azure("responses/o3-pro", "v1"), {}),
        ("gpt-3.5-turbo-instruct", {**azure("gpt-35-turbo-instruct"), "model": "azure_text/gpt-35-turbo-instruct"}, {}),
        ("text-embedding-3-small", azure("text-embedding-3-small"), {}),
        ("gpt-image-1", azure("gpt-image-1", PREVIEW), {}),
        ("dall-e-3", azure("dall-e-3"), {}),
        ("gpt-4o-mini-tts", azure("gpt-4o-mini-tts", PREVIEW), {}),
        ("whisper-1", azure("whisper"), {}),
        ("gpt-4o-transcribe", azure("gpt-4o-transcribe", PREVIEW), {}),
        ("sora-2", azure("sora-2"), {}),
        ("gpt-realtime", azure("gpt-realtime", "v1"), {}),
        ("claude-sonnet-4-5", claude, {}),
        ("omni-moderation-latest", {"model": "content_safety/text", "api_base": main, "api_key": keys["main"]}, {}),
    ]


def config_text(resources: Mapping[str, Mapping[str, Any]], resource_ids: Mapping[str, str]) -> str:
    """The configuration as YAML (its scalars are quoted as in JSON, which YAML includes)."""
    lines = [HEAD + "model_list:"]
    for alias, parameters, information in models(resources, resource_ids):
        lines += [f"  - model_name: {json.dumps(alias)}", "    litellm_params:"]
        lines += [f"      {name}: {json.dumps(value)}" for name, value in parameters.items()]
        if information:
            lines.append("    model_info:")
            lines += [f"      {name}: {json.dumps(value)}" for name, value in information.items()]
    lines += ["litellm_settings:", "  enable_loadbalancing_on_batch_endpoints: true"]
    return "\n".join(lines) + "\n"
