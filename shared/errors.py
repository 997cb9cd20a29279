"""Every error that a client can see, and the one table that maps Azure's errors to them.

    ApiError                     what the border turns into {"error": {message, type, param, code}}
      made by: bad_request …     the gateway's own refusals, one function each
      made by: from_upstream     Azure's answers, by the table UPSTREAM
    ConfigError                  a configuration that cannot work, with all its problems (operators only)
    BadSetting                   one field of it, before its place in the file is known
    UpstreamFailed               no usable answer: refused connection, reset, time-out (adapters raise it)

Public text is decided here: no host, deployment name, path or traceback passes `redact`.
Sources: OpenAI API errors guide (2026-08); recorded Azure and Foundry errors (reference of 2026-11-23).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from shared.redact import redact, redact_deep
from shared.types import Json


class ApiError(Exception):
    """An error that ends one call. `extra` holds Azure's own fields that must survive, such as `innererror`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def body(self) -> bytes:
        """OpenAI's error shape, as bytes of JSON."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code, **self.extra}
        return orjson.dumps({"error": error})

    def event(self) -> bytes:
        """The same as one server-sent event, for a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where, what, and what to write instead."""

    where: str
    line: int
    """0 where there is no file."""
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"line {self.line}: {self.where}" if self.line else self.where
        return f"{place}: {self.message} → {self.remedy}"


class ConfigError(Exception):
    """A configuration that is refused as a whole. `problems` lists everything that is wrong, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: p.line)
        super().__init__("\n".join(str(p) for p in self.problems))


class BadSetting(ValueError):
    """One field of a configuration that cannot be understood; `remedy` says what to write instead."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.field = field
        self.remedy = remedy


UpstreamFailure = Literal["unreachable", "reset", "timeout", "credential", "secret"]


class UpstreamFailed(Exception):
    """No answer came. `retryable` says whether another deployment may be asked; `detail` is for the log only."""

    def __init__(self, kind: UpstreamFailure, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: UpstreamFailure = kind
        self.detail = detail


def bad_request(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> ApiError:
    return ApiError(status, message, param=param, code=code)


def invalid_key() -> ApiError:
    """One 401 for unknown, disabled and expired keys: a caller learns nothing about which."""
    return ApiError(
        401,
        "Incorrect API key provided. Send the key that your platform team gave you as "
        "'Authorization: Bearer sk-…' or in the header 'api-key'; ask them for a new one if it has expired.",
        code="invalid_api_key",
        headers={"www-authenticate": "Bearer"},
    )


def model_not_found(alias: str) -> ApiError:
    return ApiError(
        404,
        f"The model `{_short(alias)}` does not exist. GET /v1/models lists the models that your key may use.",
        code="model_not_found",
        param="model",
    )


def model_not_allowed(alias: str) -> ApiError:
    return ApiError(
        403,
        f"You do not have access to the model `{_short(alias)}`. GET /v1/models lists the models that your key "
        "may use; your platform team can add others.",
        code="model_not_found",
        param="model",
    )


def route_not_found(method: str, path: str) -> ApiError:
    return ApiError(
        404,
        f"Invalid URL ({method} {_short(path)}). The operations are served under /v1/…, for example "
        "POST /v1/chat/completions; set your SDK's base_url to https://HOST/v1.",
        code="unknown_url",
    )


def method_not_allowed(method: str, allowed: Iterable[str]) -> ApiError:
    names = ", ".join(sorted(allowed))
    return ApiError(
        405, f"{method} is not allowed here. Use {names}.", code="method_not_allowed", headers={"allow": names}
    )


def unavailable(message: str, code: str, retry_after: int = 5) -> ApiError:
    return ApiError(503, message, type="server_error", code=code, headers={"retry-after": str(retry_after)})


def internal_error() -> ApiError:
    return ApiError(
        500,
        "The gateway failed on this call; it has been logged. Retry, and give your platform team the "
        "x-request-id of this answer if it happens again.",
        type="server_error",
        code="internal_error",
    )


def stream_cut() -> ApiError:
    """Sent as the last event of a stream whose upstream ended without finishing."""
    return ApiError(
        502,
        "The model's answer was cut off before it was complete. What you have received is partial; retry the call.",
        type="server_error",
        code="upstream_disconnected",
    )


def bad_answer() -> ApiError:
    return ApiError(
        502,
        "The model's deployment sent an answer that is not valid. Retry the call; tell your platform team the "
        "x-request-id of this answer if it happens again.",
        type="server_error",
        code="upstream_bad_response",
    )


_FAILED: Mapping[UpstreamFailure, tuple[int, str, str]] = {
    "unreachable": (502, "upstream_unreachable", "The model's deployment could not be reached. Retry in a moment."),
    "reset": (502, "upstream_disconnected", "The model's deployment closed the connection before it answered. Retry."),
    "timeout": (504, "upstream_timeout", "The model's deployment did not answer in time. Retry, or ask for less: "
                "a lower reasoning effort, fewer output tokens, or a stream."),
    "credential": (502, "upstream_auth_failed", "The gateway could not get a token for the model's deployment. Your "
                   "key is fine: tell your platform team the x-request-id of this answer."),
    "secret": (502, "upstream_auth_failed", "The gateway could not read the secret of the model's deployment. Your "
               "key is fine: tell your platform team the x-request-id of this answer."),
}  # fmt: skip


def from_failure(failure: UpstreamFailed) -> ApiError:
    status, code, message = _FAILED[failure.kind]
    return ApiError(status, message, type="server_error", code=code)


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
    504: _Row(504, "server_error", "upstream_timeout", "The model's deployment did not answer in time. Retry."),
}  # fmt: skip


def from_upstream(status: int, headers: Mapping[str, str], body: bytes, hide: Mapping[str, str]) -> ApiError:
    """Map an error answer of Azure, Foundry or OpenAI.

    `hide` maps names that no client may see (deployment, host, resource) to what stands in their place.
    Azure's `code`, `param` and inner error survive; `Retry-After` in every form survives when it is usable.
    """
    row = UPSTREAM.get(status) or (UPSTREAM[400] if status < 500 else UPSTREAM[500])
    given = _error_object(body) if row.keep else {}
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


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
