"""Reads the messages of a request: the text that decides the answer, and what the prompt costs in tokens.

Owns the prompt cache, which is what Azure reports as `cached_tokens`.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .tokenizer import split

IMAGE_TOKENS = 85  # what a low-detail image costs with real models
AUDIO_TOKENS = 10
_BLOCK = 128
_CACHEABLE = 1_024  # Azure caches no shorter prefix
_REMEMBERED_BLOCKS = 100_000

Message = Mapping[str, Any]


def text_of(content: Any) -> str:
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(p.get("text", "")) for p in content if isinstance(p, dict) and p.get("type") == "text")
    return ""


def parts_of(content: Any, kind: str) -> int:
    return sum(isinstance(p, dict) and p.get("type") == kind for p in content) if isinstance(content, list) else 0


@dataclass(frozen=True)
class Prompt:
    messages: Sequence[Message]

    @cached_property
    def last_user(self) -> Message:
        return next((m for m in reversed(self.messages) if m.get("role") == "user"), {})

    @cached_property
    def text(self) -> str:
        return text_of(self.last_user.get("content"))

    @cached_property
    def tool_results(self) -> list[str]:
        """What the tools said, when the conversation ends with their messages."""
        results: list[str] = []
        for message in reversed(self.messages):
            if message.get("role") not in ("tool", "function"):
                break
            results.append(text_of(message.get("content")))
        return results[::-1]

    @cached_property
    def audio_tokens(self) -> int:
        return AUDIO_TOKENS * sum(parts_of(m.get("content"), "input_audio") for m in self.messages)

    @cached_property
    def count(self) -> int:
        """All tokens: of the texts, 3 for the frame of each message, a fixed price for each image and sound."""
        images = sum(parts_of(m.get("content"), "image_url") for m in self.messages)
        return len(self._tokens) + images * IMAGE_TOKENS + self.audio_tokens

    @cached_property
    def _tokens(self) -> list[str]:
        flat: list[str] = []
        for message in self.messages:
            flat += ("<|start|>", str(message.get("role")), "<|message|>")
            flat += split(text_of(message.get("content")))
        return flat

    def blocks(self) -> Iterator[bytes]:
        """A digest for each prefix whose length is a multiple of 128 tokens."""
        digest = hashlib.blake2b(digest_size=16)
        for start in range(0, len(self._tokens) - _BLOCK + 1, _BLOCK):
            digest.update("\0".join(self._tokens[start : start + _BLOCK]).encode("utf-8", "surrogatepass"))
            yield digest.digest()


class PromptCache:
    """Which prefixes a deployment has seen. Bounded: the oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def cached_tokens(self, deployment: str, prompt: Prompt) -> int:
        if prompt.count <= _CACHEABLE:
            return 0
        known, still_known = 0, True
        for digest in prompt.blocks():
            block = (deployment, digest)
            still_known = still_known and block in self._seen
            known += still_known
            self._seen[block] = None
            self._seen.move_to_end(block)
        while len(self._seen) > _REMEMBERED_BLOCKS:
            self._seen.popitem(last=False)
        return known * _BLOCK if known * _BLOCK >= _CACHEABLE else 0
