"""The gateway inside a program: `completion(model="azure/…", messages=…)` over the very same pipeline, no server.

Owns the public names and the module's settings. Answers and exceptions are the OpenAI SDK's own, which must be
installed; docs/sdk.md shows every function. Importing this loads none of it, nor any SDK of Azure's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from shared.client.connections import InvalidParameter
from shared.client.loops import Loops
from shared.client.operations import Operations
from shared.client.ports import OnUsage
from shared.types import Json, UsageRecord

__all__ = (
    "InvalidParameter", "Router", "UsageRecord", "aclose", "acompletion", "aembedding", "aimage_generation",
    "aresponses", "aspeech", "atext_completion", "atranscription", "close", "completion", "embedding",
    "image_generation", "responses", "speech", "text_completion", "transcription",
)  # fmt: skip

# Settings of the module, which a program may assign to, as the page that this gateway implements has them. A call's own
# parameters come first, environment variables last.
api_key: str | None = None
api_base: str | None = None
api_version: str | None = None
drop_params: bool = False
"""Leave out what a model does not take, instead of raising BadRequestError."""
enable_azure_ad_token_refresh: bool = False
"""Sign in by DefaultAzureCredential where a call gives no credential, whatever AZURE_API_KEY says."""
on_usage: OnUsage | None = None
"""Called with the UsageRecord of each call once it has ended, on an event loop: it must not wait for anything."""

_CREDENTIALS = frozenset(
    "azure_ad_token azure_federated_token_file azure_password client_id client_secret tenant_id".split()
)


def _describe(model: str, given: Json) -> Json:
    params: Json = {"api_base": api_base, "api_version": api_version, "api_key": api_key, "drop_params": drop_params}
    if _CREDENTIALS & given.keys():
        params["api_key"] = None
    if {"base_url", "azure_endpoint"} & given.keys():
        params["api_base"] = None
    params = {name: value for name, value in params.items() if value}
    settings = {"enable_azure_ad_token_refresh": bool(enable_azure_ad_token_refresh)}
    return {
        "model_list": [{"model_name": model, "litellm_params": {"model": model, **params, **given}}],
        "litellm_settings": settings,
        "router_settings": _ALONE,
    }


_ALONE = {"num_retries": 0, "disable_cooldowns": True}
"""There is one deployment, and the SDK asks it again by itself (max_retries)."""


@functools.cache
def _loops() -> Loops:
    return Loops(lambda: on_usage)


_operations = Operations(_loops, _describe)
completion, acompletion = _operations.completion, _operations.acompletion
text_completion, atext_completion = _operations.text_completion, _operations.atext_completion
embedding, aembedding = _operations.embedding, _operations.aembedding
responses, aresponses = _operations.responses, _operations.aresponses
image_generation, aimage_generation = _operations.image_generation, _operations.aimage_generation
speech, aspeech = _operations.speech, _operations.aspeech
transcription, atranscription = _operations.transcription, _operations.atranscription


class Router(Operations):
    """Several deployments behind aliases, as `model_list` of config.yaml has them: weights, order, strategies, retries
    and fallbacks as the gateway has them (docs/routing.md). Settings that only matter to several processes (redis_host
    …) are taken and mean nothing here."""

    def __init__(self, model_list: Iterable[Mapping[str, Any]], **router_settings: Any) -> None:
        document: Json = {"model_list": [dict(entry) for entry in model_list], "router_settings": router_settings}

        def describe(_: str, given: Json) -> Json:
            if given:
                name = next(iter(given))
                raise InvalidParameter(f"{name}: a Router's connections are its model_list's → write it there", name)
            settings = {"enable_azure_ad_token_refresh": enable_azure_ad_token_refresh, "drop_params": drop_params}
            return {**document, "litellm_settings": settings}

        super().__init__(_loops, describe, retries=0)


def close() -> None:
    """Close what the functions that are no coroutines have opened: connections, and their thread. It is done by itself
    when the program ends; a later call opens it anew."""
    _loops().close()


async def aclose() -> None:
    """Close what coroutines have opened on the running event loop. asyncio.run does it by itself at its end."""
    await _loops().aclose()
