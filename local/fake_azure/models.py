"""What each model accepts and does, and the resources and deployments that the fake starts with.

A model is told by the prefix of its version string, so that a deployment of any model can be added while
the fake runs. Nothing here knows of HTTP or of a request's body.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

ResourceKind = Literal["openai", "foundry", "plain"]

_TALK = ("chatCompletion", "responses")
_CHAT = ("chatCompletion",)
_RESPONSES = ("responses",)
_LOW = ("low", "medium", "high")
_XHIGH = ("none", "low", "medium", "high", "xhigh")


@dataclass(frozen=True, slots=True)
class Model:
    version: str  # what an answer reports in `model`
    efforts: tuple[str, ...] = ()  # empty: not a reasoning model
    default_effort: str = "none"
    audio: bool = False
    partner: bool = False  # not OpenAI's: served on Foundry in its vendor's own shape
    operations: tuple[str, ...] = _TALK  # Azure's words, which it uses in refusals

    @property
    def reasons(self) -> bool:
        return bool(self.efforts)


# Ordered: the first prefix that fits wins. Efforts: Azure's page on reasoning as of 2026-08. Operations: what users of
# Azure report to be refused (codex, embeddings, gpt-35-turbo-instruct), the others by what the models are for.
_FAMILIES: tuple[tuple[str, Model], ...] = (
    ("gpt-5-chat", Model("")),
    ("gpt-5-codex", Model("", _LOW, "medium", operations=_RESPONSES)),
    ("gpt-5-pro", Model("", ("high",), "high", operations=_RESPONSES)),
    ("gpt-5.1-codex", Model("", ("none", *_LOW), "none", operations=_RESPONSES)),
    ("gpt-5.1", Model("", ("none", *_LOW), "none")),
    ("gpt-5.2-codex", Model("", _XHIGH, "none", operations=_RESPONSES)),
    ("gpt-5.", Model("", _XHIGH, "none")),
    ("gpt-5", Model("", ("minimal", *_LOW), "medium")),
    ("codex-mini", Model("", _LOW, "medium", operations=_RESPONSES)),
    ("o1-pro", Model("", _LOW, "medium", operations=_RESPONSES)),
    ("o1", Model("", _LOW, "medium")),
    ("o3-pro", Model("", _LOW, "medium", operations=_RESPONSES)),
    ("o3-deep-research", Model("", _LOW, "medium", operations=_RESPONSES)),
    ("o3", Model("", _LOW, "medium")),
    ("o4", Model("", _LOW, "medium")),
    ("gpt-4o-audio", Model("", audio=True, operations=_CHAT)),
    ("gpt-audio", Model("", audio=True, operations=_CHAT)),
    ("gpt-4o-mini-tts", Model("", operations=("audioSpeech",))),
    ("gpt-4o-transcribe", Model("", operations=("audioTranscription",))),
    ("gpt-4o-mini-transcribe", Model("", operations=("audioTranscription",))),
    ("tts", Model("", operations=("audioSpeech",))),
    ("whisper", Model("", operations=("audioTranscription", "audioTranslation"))),
    ("gpt-35-turbo-instruct", Model("", operations=("completion",))),
    ("gpt-3.5-turbo-instruct", Model("", operations=("completion",))),
    ("gpt-35", Model("", operations=_CHAT)),
    ("text-embedding", Model("", operations=("embeddings",))),
    ("gpt-image", Model("", operations=("imageGenerations", "imageEdits"))),
    ("dall-e-2", Model("", operations=("imageGenerations", "imageEdits", "imageVariations"))),
    ("dall-e", Model("", operations=("imageGenerations",))),
    ("gpt-realtime", Model("", operations=("realtime",))),
    ("gpt-4o-realtime", Model("", operations=("realtime",))),
    ("gpt-4o-mini-realtime", Model("", operations=("realtime",))),
    ("sora", Model("", operations=("videoGenerations",))),
    ("omni-moderation", Model("", operations=("moderations",))),
    ("text-moderation", Model("", operations=("moderations",))),
    ("claude", Model("", partner=True, operations=("messages",))),
    ("grok", Model("", partner=True, operations=_CHAT)),
)


def model_of(version: str) -> Model:
    for prefix, row in _FAMILIES:
        if version.startswith(prefix):
            return replace(row, version=version)
    return Model(version)


_AZURE_DEPLOYMENTS = {
    "gpt-4o": "gpt-4o-2024-11-20",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "chatgpt-v-2": "gpt-35-turbo-0125",
    "chatgpt-functioncalling": "gpt-35-turbo-0125",
    "o3-model": "o3-2025-04-16",
    "my-o3-deployment": "o3-mini-2025-01-31",
    "my-random-deployment-name": "o3-mini-2025-01-31",
    "my-gpt-5-deployment": "gpt-5-2025-08-07",
    "gpt-5.1": "gpt-5.1-2025-11-13",
    "gpt-5-chat": "gpt-5-chat-2025-08-07",
    "gpt-4-vision": "gpt-4-turbo-2024-04-09",
    "azure-openai-4o-audio": "gpt-4o-audio-preview-2024-12-17",
    "my-gpt4-deployment": "gpt-4-turbo-2024-04-09",
    "gpt-4o-asyncfilter": "gpt-4o-2024-11-20",
    "my-codex": "gpt-5-codex-2025-09-15",
    "o3-pro": "o3-pro-2025-06-10",
    "text-embedding-3-small": "text-embedding-3-small",
    "gpt-35-turbo-instruct": "gpt-35-turbo-instruct-0914",
    "gpt-image-1": "gpt-image-1-2025-04-15",
    "dall-e-3": "dall-e-3-3.0",
    "gpt-4o-mini-tts": "gpt-4o-mini-tts-2025-03-20",
    "tts-1": "tts-001",
    "whisper": "whisper-001",
    "gpt-4o-transcribe": "gpt-4o-transcribe-2025-03-20",
    "sora-2": "sora-2-2025-10-06",
    "text-embedding-3-large": "text-embedding-3-large",
    "text-embedding-ada-002": "text-embedding-ada-002",
    "gpt-4o-transcribe-diarize": "gpt-4o-transcribe-diarize-2025-10-15",
    "gpt-realtime": "gpt-realtime-2025-08-28",
    "gpt-4o-batch": "gpt-4o-2024-11-20",  # the SKU of a deployment is told by its name, unless a control says it
    "gpt-4.1-mini-batch": "gpt-4.1-mini-2025-04-14",
}
_FOUNDRY_DEPLOYMENTS = {
    **_AZURE_DEPLOYMENTS,
    "grok-4": "grok-4-1-fast-non-reasoning",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-6": "claude-sonnet-4-6",
    "my-claude": "claude-opus-4-1-20250805",
}
_PLAIN_DEPLOYMENTS = {
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-4o": "gpt-4o-2024-11-20",
    "o3-mini": "o3-mini-2025-01-31",
    "gpt-5-codex": "gpt-5-codex",
    "text-embedding-3-small": "text-embedding-3-small",
    "gpt-3.5-turbo-instruct": "gpt-3.5-turbo-instruct-0914",
    "gpt-image-1": "gpt-image-1",
    "dall-e-2": "dall-e-2",
    "tts-1": "tts-1",
    "whisper-1": "whisper-1",
    "omni-moderation-latest": "omni-moderation-2024-09-26",
}
_DEPLOYMENTS: dict[ResourceKind, dict[str, str]] = {
    "openai": _AZURE_DEPLOYMENTS,
    "foundry": _FOUNDRY_DEPLOYMENTS,
    "plain": _PLAIN_DEPLOYMENTS,
}
_KINDS: dict[str, ResourceKind] = {"foundry": "foundry", "openai": "plain"}

DEFAULT_RESOURCES = ("main", "second", "foundry", "openai")


@dataclass(slots=True)
class Resource:
    """One Azure resource (or one OpenAI-compatible server): a key and its deployments."""

    name: str
    kind: ResourceKind
    key: str
    deployments: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def default(cls, name: str, key: str) -> "Resource":
        kind = _KINDS.get(name, "openai")
        return cls(name, kind, key, dict(_DEPLOYMENTS[kind]))

    def model(self, deployment: str) -> Model | None:
        version = self.deployments.get(deployment)
        return None if version is None else model_of(version)
