"""What each model accepts, and the resources and deployments that the fake starts with.

A model is told by the prefix of its version string, so that a deployment of any model can be added while
the fake runs. Nothing here knows of HTTP or of a request's body.
"""

from dataclasses import dataclass, field
from typing import Literal

ResourceKind = Literal["openai", "foundry", "plain"]


@dataclass(frozen=True, slots=True)
class Model:
    version: str  # what an answer reports in `model`
    efforts: tuple[str, ...] = ()  # empty: not a reasoning model
    default_effort: str = "none"
    audio: bool = False
    partner: bool = False  # not OpenAI's: served on Foundry in its vendor's own shape

    @property
    def reasons(self) -> bool:
        return bool(self.efforts)


# Ordered: the first prefix that fits wins. Dated facts: Azure's reasoning page as of 2026-08.
_FAMILIES: tuple[tuple[str, Model], ...] = (
    ("gpt-5-chat", Model("")),
    ("gpt-5.1", Model("", ("none", "low", "medium", "high"), "none")),
    ("gpt-5.", Model("", ("none", "low", "medium", "high", "xhigh"), "none")),
    ("gpt-5", Model("", ("minimal", "low", "medium", "high"), "medium")),
    ("o1", Model("", ("low", "medium", "high"), "medium")),
    ("o3", Model("", ("low", "medium", "high"), "medium")),
    ("o4", Model("", ("low", "medium", "high"), "medium")),
    ("gpt-4o-audio", Model("", audio=True)),
    ("grok", Model("", partner=True)),
)


def model_of(version: str) -> Model:
    for prefix, row in _FAMILIES:
        if version.startswith(prefix):
            return Model(version, row.efforts, row.default_effort, row.audio, row.partner)
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
}
_DEPLOYMENTS: dict[ResourceKind, dict[str, str]] = {
    "openai": _AZURE_DEPLOYMENTS,
    "foundry": {**_AZURE_DEPLOYMENTS, "grok-4": "grok-4-1-fast-non-reasoning"},
    "plain": {"gpt-3.5-turbo": "gpt-3.5-turbo-0125", "gpt-4o": "gpt-4o-2024-11-20", "o3-mini": "o3-mini-2025-01-31"},
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
