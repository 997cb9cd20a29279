"""What a client says of a file for batches besides its content: in a form, in JSON, in headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from shared import errors
from shared.call import Call
from shared.choices import MODEL_HEADERS
from shared.ports import Form

SHORTEST, LONGEST = 3600, 30 * 86400
"""Seconds that expires_after may say (openai-openapi 2026-08-21)."""


def check_file(form: Form, name: str) -> None:
    """There is one file, under this name, as far as has been read. Raises ApiError 400."""
    if len(form.files) != 1 or form.files[0].name != name:
        raise errors.bad_request(
            f"Send one file in each call, as the field '{name}' of the form.", param=name, code="invalid_value"
        )


def named_alias(call: Call, fields: Mapping[str, Sequence[str]] | None = None) -> str:
    """Which model the lines are for that name none; empty: nobody says. fields: of a form."""
    if fields and fields.get("model"):
        return fields["model"][-1]
    headers = call.request.headers
    named = next((headers[name] for name in MODEL_HEADERS if headers.get(name)), "")
    return named or dict(call.request.query).get("model", "")


def seconds_in_form(fields: Mapping[str, Sequence[str]]) -> int:
    """How long the file is to be kept; 0: as usual. Raises ApiError 400."""
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if not anchor and not seconds:
        return 0
    text = seconds[-1] if seconds else ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return seconds_of({"anchor": anchor[-1] if anchor else "", "seconds": number})


def seconds_of(expires_after: Any) -> int:
    """Raises ApiError 400."""
    seconds = expires_after.get("seconds") if isinstance(expires_after, dict) else None
    if type(seconds) is not int or not SHORTEST <= seconds <= LONGEST or expires_after.get("anchor") != "created_at":
        raise errors.bad_request(
            f'\'expires_after\' must be {{"anchor": "created_at", "seconds": …}} with {SHORTEST} to {LONGEST} seconds.',
            param="expires_after",
            code="invalid_value",
        )
    return seconds


def part_ids(given: Sequence[Any]) -> list[str]:
    """Of an upload's parts, opened. Raises ApiError 400."""
    parts = [part for part in given if isinstance(part, str) and _PART_ID.fullmatch(part)]
    if not parts or len(parts) < len(given) or len(parts) > _MOST_PARTS:
        raise errors.bad_request(
            "'part_ids' must be the ids of the upload's parts, in the order of the file.",
            param="part_ids",
            code="invalid_value",
        )
    return parts


def no_parts(given: Sequence[Any]) -> list[str]:
    """Of a direct upload. Raises ApiError 400."""
    if given:
        raise errors.bad_request(
            "A direct upload has no parts. Send 'part_ids': [].", param="part_ids", code="invalid_value"
        )
    return []


_PART_ID = re.compile(r"part_[0-9a-f]{32}")
_MOST_PARTS = 10_000
