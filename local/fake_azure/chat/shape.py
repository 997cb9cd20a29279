"""How an answer is dressed by who serves it: Azure's own models, a partner's model on Foundry, plain OpenAI.

Owns ids, filter results, fingerprints and the form of `usage`. Knows nothing of what the answer says.
"""

import hashlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .request import ChatRequest

Json = dict[str, Any]

_SAFE: Json = {"filtered": False, "severity": "safe"}
_ABSENT: Json = {"detected": False, "filtered": False}
_SEVERITIES: Json = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}

PROMPT_FILTER_RESULTS: list[Json] = [
    {"prompt_index": 0, "content_filter_results": dict(sorted({**_SEVERITIES, "jailbreak": _ABSENT}.items()))}
]
PROTECTED_MATERIAL: Json = {"protected_material_code": _ABSENT, "protected_material_text": _ABSENT}
SAFE_ANSWER: Json = dict(sorted({**_SEVERITIES, **PROTECTED_MATERIAL}.items()))
FILTERED_ANSWER: Json = {**SAFE_ANSWER, "violence": {"filtered": True, "severity": "medium"}}

_PADDING = "JiOWeZWGpcIbgfT7"


@dataclass(frozen=True, slots=True)
class Usage:
    prompt: int
    cached: int
    prompt_audio: int
    completion: int  # reasoning included
    reasoning: int
    audio: int
    accepted: int
    rejected: int


class Shape:
    """Azure's own models. The identity of one answer: made once, the same in each of its chunks."""

    filters = True
    announces = True  # the role comes in a chunk of its own
    tells_tier = False  # a partner's model and OpenAI do so always, Azure where it was asked for

    def __init__(self, chat: ChatRequest, tier: str = "default") -> None:
        told = self.tells_tier or "service_tier" in chat.body
        self.tier: Json = {"service_tier": tier} if told else {}
        self.created = int(time.time())
        self.id = f"chatcmpl-{uuid.uuid4().hex[:29]}"
        self.model = chat.model.version
        self.fingerprint = None if chat.model.reasons and "seed" not in chat.body else _fingerprint(chat)

    def completion(self, choices: list[Json], usage: Json | None, metadata: Mapping[str, Any] | None) -> bytes:
        body: Json = {
            "choices": choices,
            "created": self.created,
            "id": self.id,
            "model": self.model,
            "object": "chat.completion",
        }
        if metadata is not None:
            body["metadata"] = metadata
        if self.filters:
            body["prompt_filter_results"] = PROMPT_FILTER_RESULTS
        body["system_fingerprint"] = self.fingerprint
        body |= self.tier
        if usage is not None:
            body["usage"] = usage
        return orjson.dumps(body)

    def chunk(self, choices: list[Json], extra: Json, padding: int) -> bytes:
        """One event. `extra` goes last; `padding` is the length of the text, which the obfuscation hides."""
        body: Json = {
            "choices": choices,
            "created": self.created,
            "id": self.id,
            "model": self.model,
        }
        if self.filters:
            body["obfuscation"] = _PADDING[: len(_PADDING) - padding % len(_PADDING)]
        body |= {"object": "chat.completion.chunk", "system_fingerprint": self.fingerprint}
        return event({**body, **self.tier, **extra})

    def opening(self) -> bytes | None:
        """The event before the first chunk, with the verdict on the prompt."""
        body = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        return event({**body, "prompt_filter_results": PROMPT_FILTER_RESULTS})

    def usage(self, usage: Usage) -> Json:
        return {
            "completion_tokens": usage.completion,
            "completion_tokens_details": {
                "accepted_prediction_tokens": usage.accepted,
                "audio_tokens": usage.audio,
                "reasoning_tokens": usage.reasoning,
                "rejected_prediction_tokens": usage.rejected,
            },
            "prompt_tokens": usage.prompt,
            "prompt_tokens_details": {"audio_tokens": usage.prompt_audio, "cached_tokens": usage.cached},
            "total_tokens": usage.prompt + usage.completion,
        }

    def choice(self, index: int, delta: Json, verdict: Json | None, finish: str | None, logprobs: Any) -> Json:
        """A choice of a chunk; `verdict` None stands for a filter that speaks later, if at all."""
        choice: Json = {} if verdict is None or not self.filters else {"content_filter_results": verdict}
        return choice | {"delta": delta, "finish_reason": finish, "index": index, "logprobs": logprobs}


class OpenAIShape(Shape):
    filters = False
    tells_tier = True

    def opening(self) -> bytes | None:
        return None


class PartnerShape(OpenAIShape):
    """A model on Foundry that is not OpenAI's: nothing that could be left out is there."""

    announces = False

    def __init__(self, chat: ChatRequest, tier: str = "default") -> None:
        super().__init__(chat, tier)
        self.id = str(uuid.uuid4())
        self.fingerprint = "fp_49c5j0a323"

    def choice(self, index: int, delta: Json, verdict: Json | None, finish: str | None, logprobs: Any) -> Json:
        full = super().choice(index, delta, verdict, finish, logprobs)
        del full["logprobs"]
        if finish is None:
            del full["finish_reason"]
        return full

    def usage(self, usage: Usage) -> Json:
        common = super().usage(usage)
        details = {"text_tokens": usage.prompt, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": usage.cached}
        return {**common, "prompt_tokens_details": details, "num_sources_used": 0, "cost_in_usd_ticks": 0}


def shape_of(chat: ChatRequest, tier: str = "default") -> Shape:
    """`tier`: by which the request is served."""
    if chat.model.partner:
        return PartnerShape(chat, tier)
    return OpenAIShape(chat, tier) if chat.surface == "plain" else Shape(chat, tier)


def event(body: Any) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _fingerprint(chat: ChatRequest) -> str:
    material = f"{chat.model.version} {chat.body.get('seed')}"
    return f"fp_{hashlib.sha256(material.encode()).hexdigest()[:10]}"
