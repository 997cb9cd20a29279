"""What must not be seen, taken out of text: for answers to clients and for log lines alike.

Hosts, addresses, file paths, tokens and tracebacks go always; names that only the operator may know
(deployments, resources) are given by the caller. Links to public documentation stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PUBLIC_HOSTS = ("go.microsoft.com", "learn.microsoft.com", "aka.ms", "platform.openai.com", "help.openai.com")
# Azure may repeat a client's own text in an error: each pattern begins where a run of its characters does, so that
# none takes more than linear time.
_URL = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]++://([^\s/'\"<>)]+)[^\s'\"<>)]*", re.I)
_HOST = re.compile(
    r"(?<![a-z0-9.-])[a-z0-9.-]*\.(?:azure\.(?:com|us|cn|net)|azure-api\.net|windows\.net|microsoft\.com|"
    r"svc\.cluster\.local|internal|local)(?::\d+)?\b|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b",
    re.I,
)
_PATH = re.compile(r"(?<![\w.])/(?:home|usr|opt|var|tmp|etc|root|app|mnt|srv|proc|Users)/[^\s'\"]+|[A-Z]:\\[^\s'\"]+")
_TOKEN = re.compile(r"\b(?:sk-[\w-]{8,}|eyJ[\w.-]{10,})|\b(?:sig|code|api-key)=[^\s&'\"]+")

MOST_CHARACTERS = 4000


def redact(text: str, hide: Mapping[str, str]) -> str:
    """`text` without what a client must not see: given names, hosts, addresses, paths, tokens, tracebacks."""
    text = text[:MOST_CHARACTERS]
    if "Traceback (most recent call last)" in text or "<html" in text.lower():
        return ""
    pieces: list[str] = []
    end = 0
    for link in _URL.finditer(text):  # a link to public documentation stays whole, any other goes
        pieces += _redact_words(text[end : link.start()], hide), link.group(0) if _is_public(link.group(1)) else _HIDDEN
        end = link.end()
    return "".join(pieces) + _redact_words(text[end:], hide)


_HIDDEN = "[hidden]"


def _is_public(host: str) -> bool:
    return host.lower() in _PUBLIC_HOSTS


def _redact_words(text: str, hide: Mapping[str, str]) -> str:
    for name in sorted(filter(None, hide), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", lambda _, n=name: hide[n], text)
    text = _TOKEN.sub(_HIDDEN, text)
    text = _HOST.sub(lambda m: m.group(0) if _is_public(m.group(0)) else _HIDDEN, text)
    return _PATH.sub(_HIDDEN, text)


def without_tokens(text: str) -> str:
    """For the operator's eyes: hosts, names and paths stay, what opens something goes."""
    return _TOKEN.sub(_HIDDEN, text)


def redact_deep(value: Any, hide: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return redact(value, hide)
    if isinstance(value, dict):
        return {k: redact_deep(v, hide) for k, v in value.items()}
    if isinstance(value, list):
        return [redact_deep(v, hide) for v in value]
    return value
