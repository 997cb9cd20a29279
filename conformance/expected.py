"""NOT_SERVED: operations that the SDKs have and this gateway does not, each with its reason.

A test that meets one of these and gets one of the statuses named counts as not served. Everything else that fails
through the gateway is a difference. A row that no test needs is reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# "Azure's specifications": its v1 and its dated inference specification as published, up to 2026-08. They are no proof
# of absence: v1 has no audio, images or videos, which Azure serves.
_UNKNOWN = frozenset({404})
_GONE = frozenset({404})
_NEVER = frozenset({404, 405})
"""405 where the same path is served with another method."""


@dataclass(frozen=True, slots=True)
class NotServed:
    """Operations that are not served, and what a client gets instead."""

    suite: str
    operations: str
    """A regular expression of `METHOD /path`, whole, the path below /v1 for OpenAI's."""
    reason: str
    statuses: frozenset[int] = _UNKNOWN

    def covers(self, method: str, path: str, status: int) -> bool:
        return status in self.statuses and re.fullmatch(self.operations, f"{method} {path}") is not None


NOT_SERVED = (
    NotServed(
        "openai", r"\w+ /(organization|projects)(/.*)?",
        "Administration of an OpenAI organisation. Azure's is Azure Resource Manager and its access control.",
    ),
    NotServed(
        "openai", r"\w+ /(assistants|threads)(/.*)?",
        "Azure has retired assistants and threads; the error names Responses and conversations.", _GONE,
    ),
    NotServed("openai", r"\w+ /chatkit/.*", "ChatKit: OpenAI's own, in none of Azure's specifications."),
    NotServed("openai", r"\w+ /skills(/.*)?", "Skills: OpenAI's own, in none of Azure's specifications."),
    NotServed(
        "openai", r"\w+ /audio/voice(s|_consents)(/.*)?",
        "Custom voices: OpenAI's own, in none of Azure's specifications.",
    ),
    NotServed("openai", r"POST /images/variations", "Only dall-e-2 makes variations; Azure never had it."),
    NotServed(
        "openai", r"(GET|POST|DELETE) /chat/completions(/.*)?",
        "Stored chat completions: a preview of Azure's, not in its v1 specification. Responses keep theirs.",
        _NEVER,
    ),
    NotServed(
        "openai", r"\w+ /videos/(characters|edits|extensions)(/.*)?",
        "Azure's videos are created, remixed, read and deleted (\"Sora video generation\", 2026-08).", _NEVER,
    ),
    NotServed(
        "openai", r"DELETE /models/.*", "Models are the configuration's aliases: no client deletes one.",
        _NEVER,
    ),
    NotServed(
        "openai", r"\w+ /fine_tuning/checkpoints/.*",
        "Permissions on checkpoints: of OpenAI's projects, in none of Azure's specifications.",
    ),
    NotServed(
        "openai", r"(POST /batches|GET /batches/.*|POST /batches/.*)",
        "The gateway keeps batches itself: the ids that the tests make up name none.",
    ),
    NotServed(
        "openai", r"POST /content_provenance_checks",
        "Content provenance checks: OpenAI's own, in none of Azure's specifications.",
    ),
    NotServed(
        "openai", r"POST /realtime/translations/client_secrets",
        "Realtime translation: OpenAI's own, in none of Azure's specifications.",
    ),
    NotServed("anthropic", r"\w+ /v1/messages/batches(/.*)?", "Claude on Foundry has no message batches."),
)  # fmt: skip
