"""The configuration of the gateways under test: one alias for each way in which a deployment can be reached.

Owns the aliases and the YAML. Knows nothing of how a gateway is started.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from local.fake_azure import FakeAzure

DATED = "2024-10-21"
PREVIEW = "2025-04-01-preview"
type Row = tuple[str, dict[str, Any], dict[str, Any]]
UNMOVED: dict[str, Any] = {"num_retries": 0, "disable_cooldowns": True}
"""What a test does to a deployment is over with the test: nobody waits and asks again, and nobody rests."""


def aliases(fake: FakeAzure) -> list[Row]:
    """Rows of alias, parameters and model information."""
    resources = fake.state.resources
    main, second, foundry, plain = (resources[n] for n in ("main", "second", "foundry", "openai"))
    ((client, secret),) = fake.state.clients.items()

    def azure(deployment: str, version: str | None = DATED, **changed: Any) -> dict[str, Any]:
        row = {"model": f"azure/{deployment}", "api_base": main.url, "api_key": main.key, "api_version": version}
        return {k: v for k, v in (row | changed).items() if v is not None}

    on_foundry = {"api_base": foundry.url, "api_key": foundry.key}
    elsewhere = {"api_base": second.url, "api_key": second.key}
    signing_in: dict[str, Any] = {"api_key": None, "tenant_id": fake.state.tenant_id, "client_id": client}
    for_batches = {"mode": "batch", "base_model": "gpt-4o-2024-11-20"}
    vision = f"{main.url}/openai/deployments/gpt-4-vision/extensions"
    return [
        ("gpt-4o", azure("gpt-4o"), {}),
        ("gpt-4o-v1", azure("gpt-4o", "v1"), {}),
        ("o3-mini", azure("o_series/my-random-deployment-name", "2024-12-01-preview"), {"base_model": "o3-mini"}),
        ("gpt-5", azure("gpt5_series/my-gpt-5-deployment", PREVIEW), {"base_model": "gpt-5"}),
        ("gpt-5-lenient", azure("gpt5_series/my-gpt-5-deployment", PREVIEW, drop_params=True), {}),
        ("gpt-5.1", azure("gpt-5.1", PREVIEW), {}),
        ("gpt-5-chat", azure("gpt-5-chat", PREVIEW), {}),
        ("gpt-4-vision", azure("gpt-4-vision", api_base=vision), {}),
        ("audio", azure("azure-openai-4o-audio", "2025-01-01-preview"), {"base_model": "gpt-4o-audio-preview"}),
        ("entra", azure("gpt-4o", api_key=None), {}),
        ("secret-client", azure("gpt-4o", **signing_in, client_secret=secret), {}),
        (
            "federated",
            azure("gpt-4o", **signing_in, azure_federated_token_file=fake.state.federated_token_file),
            {},
        ),
        ("vault", azure("gpt-4o", api_key="keyvault/main_api_key"), {}),
        ("grok-4", {"model": "azure_ai/grok-4", "api_base": foundry.url, "api_key": foundry.key}, {}),
        ("plain", {"model": "openai/gpt-4o", "api_base": f"{plain.url}/v1", "api_key": plain.key}, {}),
        ("asyncfilter", azure("gpt-4o-asyncfilter"), {"base_model": "gpt-4o"}),
        ("old-version", azure("chatgpt-v-2"), {}),
        ("hidden-name", azure("my-gpt4-deployment"), {}),
        ("two", azure("my-gpt4-deployment", weight=1), {}),
        ("two", azure("my-gpt4-deployment", weight=1, **elsewhere), {}),
        ("ordered", azure("my-gpt4-deployment", order=1), {}),
        ("ordered", azure("my-gpt4-deployment", order=2, **elsewhere), {}),
        ("hasty", azure("my-gpt4-deployment", timeout=0.4), {}),
        ("hasty-ordered", azure("my-gpt4-deployment", order=1, timeout=0.4), {}),
        ("hasty-ordered", azure("my-gpt4-deployment", order=2, **elsewhere), {}),
        ("wrong-key", azure("my-gpt4-deployment", api_key="not-the-key"), {}),
        ("unreachable", azure("my-gpt4-deployment", api_base="http://127.0.0.1:9"), {}),
        ("dead-deployment", azure("no-such-deployment"), {}),
        ("no-chat", azure("gpt-4o"), {"mode": "embedding"}),
        ("codex", azure("my-codex"), {"base_model": "gpt-5-codex"}),
        ("codex-lenient", azure("my-codex", drop_params=True), {"base_model": "gpt-5-codex"}),
        ("o3-pro", azure("responses/o3-pro", "v1"), {}),
        ("instruct", {**azure("gpt-35-turbo-instruct"), "model": "azure_text/gpt-35-turbo-instruct"}, {}),
        ("embedding", azure("text-embedding-3-small"), {}),
        ("embedding-two", azure("text-embedding-3-small", order=1), {}),
        ("embedding-two", azure("text-embedding-3-small", order=2, **elsewhere), {}),
        ("embedding-ada", azure("text-embedding-ada-002", "v1"), {}),
        ("image", azure("gpt-image-1", PREVIEW), {}),
        ("image-v1", azure("gpt-image-1", "v1"), {}),
        ("dall-e-3", azure("dall-e-3"), {}),
        ("dall-e-legacy", azure("dall-e-3", "2023-06-01-preview"), {}),
        ("tts", azure("gpt-4o-mini-tts", PREVIEW), {}),
        ("tts-v1", azure("tts-1", "v1"), {"mode": "audio_speech"}),
        ("whisper", azure("whisper"), {}),
        ("whisper-two", azure("whisper", order=1), {}),
        ("whisper-two", azure("whisper", order=2, **elsewhere), {}),
        ("transcribe", azure("gpt-4o-transcribe", PREVIEW), {}),
        ("sora", azure("sora-2"), {}),
        ("realtime", azure("gpt-realtime", "v1"), {}),
        ("claude", azure("claude-sonnet-4-5", None, **on_foundry), {}),
        ("claude-ai", {**azure("claude-haiku-4-5", None, **on_foundry), "model": "azure_ai/claude-haiku-4-5"}, {}),
        ("claude-new", azure("claude-sonnet-4-6", None, **on_foundry), {}),
        ("claude-named", azure("my-claude", None, **on_foundry), {"base_model": "claude-opus-4-1"}),
        ("claude-entra", azure("claude-sonnet-4-5", None, api_base=foundry.url, api_key=None), {}),
        ("safety", {"model": "content_safety/text", "api_base": main.url, "api_key": main.key}, {}),
        ("second", azure("gpt-4o", "v1", **elsewhere), {}),
        ("gpt-4o-batch", azure("gpt-4o-batch", sku="GlobalBatch"), for_batches),
        ("gpt-4o-batch", azure("gpt-4o-batch", "v1", sku="GlobalBatch", **elsewhere), for_batches),
    ]


def config_text(rows: Iterable[Row], router: Mapping[str, Any] = UNMOVED) -> str:
    """The rows and router_settings as YAML (its values are written as JSON, which YAML includes)."""
    lines = ["model_list:"]
    for alias, parameters, information in rows:
        lines += [f"  - model_name: {json.dumps(alias)}", "    litellm_params:"]
        lines += [f"      {name}: {json.dumps(value)}" for name, value in parameters.items()]
        if information:
            lines.append("    model_info:")
            lines += [f"      {name}: {json.dumps(value)}" for name, value in information.items()]
    return "\n".join([*lines, f"router_settings: {json.dumps(router)}"]) + "\n"
