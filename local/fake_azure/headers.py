"""The headers of an answer, as recorded from Azure, from Foundry's partner models and from OpenAI."""

import uuid

from .asked import LEFT, Asked
from .quota import Left


def azure_headers() -> dict[str, str]:
    return {
        "apim-request-id": str(uuid.uuid4()),
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
        "x-content-type-options": "nosniff",
        "x-ms-region": "East US 2",
    }


def openai_headers() -> dict[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}", "openai-version": "2020-10-01", "openai-processing-ms": "5"}


def answer_headers(asked: Asked, prompt_tokens: int) -> dict[str, str]:
    """Of the answer of a model, beside which stands what is left of its deployment's quota."""
    if asked.surface == "plain":
        return openai_headers()
    if asked.model.partner:
        tier = {"Azureai-Requested-Tier": "default", "Azureai-Processed-Tier": "default"}
        return {**azure_headers(), **tier, "Azureai-Fe-Offer-Type": "paygo", "Azureai-Fe-Is-Streaming": "False"}
    return {
        **azure_headers(),
        "azureml-model-session": "d20260330170902-0e618f323d34",
        "skip-error-remapping": "true",
        "x-accel-buffering": "no",
        "x-ms-rai-invoked": "true",
        "x-ratelimit-abusepenalty-active": "False",
        "x-request-id": str(uuid.uuid4()),
        **asked.request.get(LEFT, Left(asked.deployment)).headers(prompt_tokens),
    }
