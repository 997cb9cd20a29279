"""What calls have in common that could share a prompt cache: the client's own key, or how their prompts begin. Pure.

Azure looks a prompt up by its first tokens (Azure "Prompt caching", 2026-10: the same 1,024 at least), so that calls
which begin alike are best sent to one deployment.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from shared.types import Json

CHARACTERS = 1024
"""So many of a prompt's first characters count."""
_FIRST = ("instructions", "system")
_THEN = ("messages", "input", "prompt")


def prompt_key(body: Json) -> str:
    """-> the same for calls whose prompts begin alike, of one end user or many; empty when there is no prompt."""
    given = body.get("prompt_cache_key")
    if isinstance(given, str) and given:
        return given[:200]
    beginning, left = blake2b(digest_size=12), CHARACTERS
    for text in _texts(body):
        beginning.update(text[:left].encode("utf-8", "surrogatepass"))
        left -= len(text)
        if left <= 0:
            break
    return beginning.hexdigest() if left < CHARACTERS else ""


def _texts(body: Json) -> Iterator[str]:
    for name in (*_FIRST, *_THEN):
        yield from _said(body.get(name))


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield from _said(one.get("content") or one.get("text"))
            elif isinstance(one, str):
                yield one
