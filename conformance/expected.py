"""NOT_SERVED: operations that the SDKs have and this gateway does not, and calls that it refuses, each with its reason.

A test that meets one of these and gets one of the statuses named counts as not served, or as refused when the row also
names the error. Everything else that fails through the gateway is a difference. A row that no test needs is reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What is called Azure's: the v1 specification, and "Azure OpenAI in Foundry Models: what's new", both 2026-08.
_UNKNOWN = frozenset({404})
_GONE = frozenset({404, 410})
_NEVER = frozenset({404, 405})
"""405 where the same path is served with another method."""
_BAD = frozenset({400})


@dataclass(frozen=True, slots=True)
class NotServed:
    """Operations that are not served, and what a client gets instead."""

    suite: str
    operations: str
    """A regular expression of `METHOD /path`, whole, the path below /v1 for OpenAI's."""
    reason: str
    statuses: frozenset[int] = _UNKNOWN
    error: str = ""
    """What the error says, for operations that are served otherwise: such a row is a refusal."""

    def covers(self, method: str, path: str, status: int, error: str) -> bool:
        known = re.fullmatch(self.operations, f"{method} {path}") is not None
        return known and status in self.statuses and self.error in error


NOT_SERVED = (
    NotServed(
        "openai", r"\w+ /(organization|projects)(/.*)?",
        "Administration of an OpenAI organisation. Azure's is Azure Resource Manager and its access control.",
    ),
    NotServed(
        "openai", r"\w+ /(assistants|threads)(/.*)?",
        "Azure has retired assistants and threads; the error names Responses and conversations.", _GONE,
    ),
    NotServed("openai", r"\w+ /chatkit/.*", "ChatKit is a product of OpenAI's; Azure has none."),
    NotServed("openai", r"\w+ /skills(/.*)?", "Azure has no skills."),
    NotServed("openai", r"\w+ /audio/voice(s|_consents)(/.*)?", "Azure has no custom voices on the OpenAI surface."),
    NotServed("openai", r"POST /images/variations", "Only dall-e-2 makes variations; Azure never had it."),
    NotServed(
        "openai", r"(GET|POST|DELETE) /chat/completions(/.*)?",
        "Stored chat completions: a preview of Azure's, not in its v1 specification. Responses keep theirs.",
        _NEVER,
    ),
    NotServed(
        "openai", r"POST /((chat/)?completions|responses)",
        "The test sends `stream_options` without `stream`: OpenAI and Azure refuse that, the mock does not.",
        _BAD, "'stream_options' is allowed only together with 'stream'",
    ),
    NotServed(
        "openai", r"POST /(responses|responses/input_tokens|images/\w+|videos|realtime/client_secrets)",
        "The test names no model. On Azure the model is a deployment, which nothing else tells; its specification "
        "requires it.",
        _BAD, "model'. GET /v1/models lists the models",
    ),
    NotServed(
        "openai", r"GET /[\w/]+",
        "The test asks for a page of 0 rows; where the references state a range, it begins at 1.",
        _BAD, "'limit' must be a number from 1",
    ),
    NotServed(
        "openai", r"\w+ /videos/(characters|edits|extensions)(/.*)?",
        "Azure's videos are created, remixed, read and deleted; it has no characters, edits or extensions.", _NEVER,
    ),
    NotServed(
        "openai", r"DELETE /models/.*", "Models are the configuration's aliases: no client deletes one.",
        _NEVER,
    ),
    NotServed("openai", r"\w+ /fine_tuning/checkpoints/.*", "Sharing checkpoints between projects: Azure has none."),
    NotServed("openai", r"\w+ /batches(/.*)?", "Batches are not served yet."),
    NotServed("openai", r"POST /content_provenance_checks", "Azure has no content provenance checks."),
    NotServed("openai", r"POST /realtime/translations/client_secrets", "Azure has no realtime translation."),
    NotServed("anthropic", r"\w+ /v1/messages/batches(/.*)?", "Claude on Foundry has no message batches."),
)  # fmt: skip
