"""What a call is marked with in the ledger besides its key: tags and the end user, as the client named them.

Whatever a client sends is cut to what a report can hold. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HEADERS = ("x-tollgate-tags", "x-litellm-tags")
"""Tags separated by commas. The second name is what clients of LiteLLM send."""
MOST_TAGS = 10
MOST_CHARACTERS = 64
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_USERS = ("safety_identifier", "user", "end_user")


def tags_of(headers: Mapping[str, str], own: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The key's own tags and those of the request, each once; no more than MOST_TAGS of the request's."""
    given = next((headers[name] for name in HEADERS if headers.get(name)), "")
    if not given:
        return own
    found = [tag for text in given.split(",") if (tag := _short(text))]
    return tuple(dict.fromkeys([*own, *found[:MOST_TAGS]]))


def with_tags(tags: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """The same and those of a body."""
    return tuple(dict.fromkeys([*tags, *(tag for text in more if (tag := _short(text)))])) if more else tags


def user_of(body: Mapping[str, Any]) -> str:
    """The end user that a body names: OpenAI's `safety_identifier` or `user`, Anthropic's `metadata.user_id`."""
    for name in _USERS:
        if isinstance(value := body.get(name), str) and (found := _short(value)):
            return found
    metadata = body.get("metadata")
    value = metadata.get("user_id") if isinstance(metadata, dict) else None
    return _short(value) if isinstance(value, str) else ""


def _short(text: str) -> str:
    if not text.isprintable():
        text = _UNSEEN.sub(" ", text)
    return text.strip()[:MOST_CHARACTERS]
