"""Errors in Anthropic's shape: ours for Anthropic's clients, and an Anthropic upstream's for OpenAI's.

    {"type": "error", "error": {"type": …, "message": …}, "request_id": …}

Source: Anthropic "Errors" (2026-11): the type follows from the status. Nothing here decides a status or hides a name:
shared/errors.py and shared/upstream_errors.py do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from shared.errors import ApiError
from shared.types import Json, RawHeaders

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Any other status below 500 is `invalid_request_error`, from 500 on `api_error`."""

_OPENAI: Mapping[str, tuple[str, str | None]] = {
    "invalid_request_error": ("invalid_request_error", None),
    "authentication_error": ("authentication_error", "invalid_api_key"),
    "billing_error": ("billing_error", "billing_error"),
    "permission_error": ("permission_error", "permission_denied"),
    "not_found_error": ("invalid_request_error", "not_found"),
    "conflict_error": ("invalid_request_error", "conflict"),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "timeout_error": ("server_error", "upstream_timeout"),
    "overloaded_error": ("server_error", "overloaded"),
    "api_error": ("server_error", "server_error"),
}
_TOO_LONG = re.compile(r"prompt is too long|exceed(?:s|ed)?\b.{0,40}\bcontext (?:limit|window|length)", re.I | re.S)
_PLACE = re.compile(
    r"[`'\"]?((?:messages|system|tools|tool_choice|max_tokens|temperature|top_p|top_k|thinking|output_config|metadata|"
    r"stop_sequences|model)(?:\.\w+)*)[`'\"]?(?::| (?:is|and|may|must|cannot)\b)"
)
"""How Anthropic begins a message about one field: `max_tokens: …`, "`temperature` is deprecated …" (seen 2026)."""


def type_of(status: int) -> str:
    return TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def request_id_headers(request_id: str, *, anthropic: bool) -> RawHeaders:
    """The id of a call, as OpenAI's clients read it, and for Anthropic's clients under their name as well."""
    headers: RawHeaders = [(b"x-request-id", request_id.encode())]
    return [*headers, (b"request-id", request_id.encode())] if anthropic else headers


def anthropic_body(error: ApiError, request_id: str) -> bytes:
    """-> the body of an error answer. `code`, `param` and Azure's own fields stay, beside what Anthropic defines."""
    given: Json = {**error.extra, "type": type_of(error.status), "message": error.message, "code": error.code}
    if error.param is not None:
        given["param"] = error.param
    return orjson.dumps({"type": "error", "error": given, "request_id": request_id or None})


def anthropic_event(error: ApiError, request_id: str) -> bytes:
    """-> the same as one server-sent event, for a stream that has begun."""
    return b"event: error\ndata: " + anthropic_body(error, request_id) + b"\n\n"


def from_anthropic(status: int, body: bytes) -> Json:
    """-> message, type, code and param, as OpenAI's clients expect them, of an error answer or an error event.

    `status` counts where the body does not say: an error in a stream comes with 200, and then the type alone tells.
    Empty when the body is not Anthropic's. The message is the upstream's own: whoever shows it redacts it first.
    """
    error = _error_object(body)
    if error is None:
        return {}
    message = str(error.get("message") or "")
    kind, code = _OPENAI.get(str(error.get("type"))) or _OPENAI[type_of(max(status, 400))]
    if kind == "invalid_request_error" and _TOO_LONG.search(message):
        code = "context_length_exceeded"  # the code by which OpenAI's clients know when to shorten
    place = _PLACE.match(message)
    param = place[1] if place and kind == "invalid_request_error" else None
    return {"message": message, "type": kind, "code": code, "param": param}


def status_of(body: bytes) -> int | None:
    """-> the status that an error event would have had as an answer; None when it is no error of Anthropic's."""
    error = _error_object(body)
    return None if error is None else _STATUSES.get(str(error.get("type")), 500)


def status_of_type(kind: str) -> int | None:
    """-> the status that goes with a type of Anthropic's; None for any other word."""
    return _STATUSES.get(kind)


def _error_object(body: bytes) -> Json | None:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = parsed.get("error") if isinstance(parsed, dict) and parsed.get("type") == "error" else None
    return error if isinstance(error, dict) else None


_STATUSES: Mapping[str, int] = {"invalid_request_error": 400, "api_error": 500} | {
    kind: status for status, kind in TYPES.items() if status not in (408, 503)
}
