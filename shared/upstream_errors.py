"""UPSTREAM: the one table that maps the errors of Azure, Foundry and OpenAI to what a client sees.

Azure's `code`, `param`, inner error and Retry-After survive; no host, deployment name, path or traceback does.
Sources: OpenAI API errors guide (2026-08); recorded Azure and Foundry errors (2026-03 to 2026-08).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from shared.anthropic_errors import from_anthropic, status_of_type
from shared.errors import ApiError
from shared.redact import redact, redact_deep
from shared.types import Json


@dataclass(frozen=True, slots=True)
class _Row:
    """How an upstream status reaches the client. `keep` lets Azure's own code and message pass (redacted)."""

    status: int
    type: str
    code: str | None
    message: str
    keep: bool = True


_SIGN_IN = (
    "The gateway could not sign in to the model's deployment. Your key is fine: tell your platform team the "
    "x-request-id of this answer."
)
_FAULT = "The model's deployment failed on this call. Retry in a moment."
UPSTREAM: Mapping[int, _Row] = {
    400: _Row(400, "invalid_request_error", None, "The model's deployment refused this request."),
    401: _Row(502, "server_error", "upstream_auth_failed", _SIGN_IN, keep=False),
    403: _Row(502, "server_error", "upstream_auth_failed", _SIGN_IN, keep=False),
    404: _Row(404, "invalid_request_error", "not_found", "The model's deployment was not found."),
    408: _Row(408, "server_error", "upstream_timeout", "The model's deployment did not answer in time. Retry."),
    409: _Row(409, "invalid_request_error", "conflict", "The model's deployment reports a conflict. Retry."),
    413: _Row(413, "invalid_request_error", "request_too_large", "The request is too large for the model."),
    415: _Row(415, "invalid_request_error", "unsupported_media_type", "The model does not take this content type."),
    422: _Row(422, "invalid_request_error", "unprocessable", "The model's deployment could not process this request."),
    429: _Row(429, "rate_limit_error", "rate_limit_exceeded", "The model is at its rate limit. Retry after the "
              "time in the Retry-After header."),
    500: _Row(500, "server_error", "server_error", _FAULT),
    502: _Row(502, "server_error", "bad_gateway", _FAULT),
    503: _Row(503, "server_error", "service_unavailable", _FAULT),
    529: _Row(529, "server_error", "overloaded", _FAULT),  # Anthropic's own; SDKs retry it as any from 500 on
    504: _Row(504, "server_error", "upstream_timeout", "The model's deployment did not answer in time. Retry."),
}  # fmt: skip


def from_upstream(status: int, headers: Mapping[str, str], body: bytes, hide: Mapping[str, str]) -> ApiError:
    """Map an error answer of Azure, Foundry or OpenAI.

    `hide` maps names that no client may see (deployment, host, resource) to what stands in their place.
    Azure's `code`, `param` and inner error survive; `Retry-After` in every form survives when it is usable.
    """
    row = UPSTREAM.get(status) or (UPSTREAM[400] if status < 500 else UPSTREAM[500])
    given = (from_anthropic(status, body) or _error_object(body)) if row.keep else {}
    message = redact(str(given.get("message") or ""), hide) or row.message
    extra = {k: redact_deep(v, hide) for k, v in given.items() if k in _SURVIVING}
    code = given.get("code")
    if code is None or str(code).isdigit():  # Azure's "429" says no more than the status does
        code = row.code
    return ApiError(
        row.status if status in UPSTREAM else status,
        message,
        type=str(given.get("type") or row.type),
        code=None if code is None else str(code),
        param=given.get("param") if isinstance(given.get("param"), str) else None,
        headers=retry_headers(headers) if row.keep else {},
        extra=extra,
    )


_SURVIVING = frozenset({"innererror", "inner_error", "content_filter_results", "content_filter_result", "details"})


def _error_object(body: bytes) -> Json:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    error = parsed.get("error", parsed)
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


_NO_ROLE = (
    "PermissionDenied: the gateway's identity lacks the role {} on this deployment's resource: assign it (a role that "
    "was just assigned takes up to 10 minutes)"
)
_KEEPS = re.compile(r"accounts/OpenAI/(?:files|uploads|batch|fine|jobs)", re.I)


def remedy_of(status: int, body: bytes) -> str:
    """What the operator can do about a refusal of the gateway itself; empty for any other error."""
    if status not in (401, 403):
        return ""
    error = _error_object(body)
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    if code == "PermissionDenied":
        of_openai = "accounts/OpenAI/" in message or "data action" not in message
        role = "Cognitive Services OpenAI Contributor" if _KEEPS.search(message) else "Cognitive Services OpenAI User"
        return _NO_ROLE.format(role if of_openai else "Cognitive Services User")
    if "Virtual Network/Firewall" in message or "Public access is disabled" in message:
        return "the resource's network rules do not let the gateway in: add its subnet or a private endpoint"
    if "subscription key" in message:
        return "the api key is not this resource's, or api_base is another one's"
    if "Access token" in message:
        return "the token was refused: check the identity's tenant, and azure_scope"
    return ""


def status_of_code(code: str) -> int:
    """The status of an error that came as an event of a stream: its code may be a status, or name what it was."""
    if code.isdigit() and 400 <= int(code) < 600:
        return int(code)
    return _STATUS_OF_CODE.get(code) or status_of_type(code) or 500


_STATUS_OF_CODE = {
    "content_filter": 400, "context_length_exceeded": 400, "invalid_prompt": 400, "rate_limit_exceeded": 429,
}  # fmt: skip

_HTTP_DATE = re.compile(r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT")


def retry_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The Retry-After headers that a client can use.

    Foundry sends `retry-after: 1` beside `retry-after-ms: 0`; OpenAI's SDKs read the milliseconds first,
    reject 0 and then ignore both (recorded 2026-08), so a value that is not positive is left out.
    """
    kept: dict[str, str] = {}
    for name in ("retry-after", "retry-after-ms", "x-ms-retry-after-ms"):
        value = headers.get(name, "")
        number = _number(value)
        is_date = name == "retry-after" and _HTTP_DATE.fullmatch(value)
        if is_date or (number is not None and number > 0):
            kept[name] = value
    if "retry-after" not in kept:
        milliseconds = _number(kept.get("retry-after-ms") or kept.get("x-ms-retry-after-ms") or "")
        if milliseconds:
            kept["retry-after"] = str(max(1, round(milliseconds / 1000)))
    return kept


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else 0.0
