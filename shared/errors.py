"""Every error that the gateway itself makes. How Azure's are mapped is upstream_errors.py's.

    ApiError                     what the border turns into {"error": {message, type, param, code}}
      made by: bad_request …     the gateway's own refusals, one function each
      made by: from_failure      for an upstream that did not answer
    ConfigError                  a configuration that cannot work, with all its problems (operators only)
    BadSetting                   one field of it, before its place in the file is known
    UpstreamFailed               no usable answer: refused connection, reset, time-out (adapters raise it)

Public text is decided here: no host, deployment name, path or traceback passes `redact`.
Sources: OpenAI API errors guide (2026-08); recorded Azure and Foundry errors (reference of 2026-11-23).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson


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
    """No answer came. `detail` is for the log only."""

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


def model_not_found(alias: str, param: str = "model") -> ApiError:
    return ApiError(
        404,
        f"The model `{_short(alias)}` does not exist. GET /v1/models lists the models that your key may use.",
        code="model_not_found",
        param=param,
    )


def model_not_allowed(alias: str, param: str = "model") -> ApiError:
    return ApiError(
        403,
        f"You do not have access to the model `{_short(alias)}`. GET /v1/models lists the models that your key "
        "may use; your platform team can add others.",
        code="model_not_found",
        param=param,
    )


def endpoint_not_allowed(path: str) -> ApiError:
    return ApiError(
        403,
        f"Your key may not use /v1/{_short(path)}. Your platform team can allow it.",
        code="endpoint_not_allowed",
    )


def no_such_object() -> ApiError:
    """One 404 for ids that are unknown, another owner's, forged, or an upstream's own: a caller learns nothing."""
    return ApiError(
        404,
        "No such object. Use the id as this gateway gave it to your key or your team; ids that another key, another "
        "gateway or the Azure portal shows are not known here.",
        code="not_found",
    )


def route_not_found(method: str, path: str) -> ApiError:
    return ApiError(
        404,
        f"Invalid URL ({method} {_short(path)}). The operations are served under /v1/…, for example "
        "POST /v1/chat/completions; set your SDK's base_url to https://HOST/v1.",
        code="unknown_url",
    )


def retired(path: str) -> ApiError:
    return ApiError(
        404,
        f"Azure has retired assistants and threads, so that /{_short(path)} is not served. Use the Responses API: "
        "POST /v1/responses keeps the conversation (previous_response_id, or 'conversation' from "
        "POST /v1/conversations) and has tools, files and vector stores.",
        code="retired",
    )


def no_websockets() -> ApiError:
    return ApiError(
        404,
        "WebSockets are not served here. Get an ephemeral token by POST /v1/realtime/client_secrets and open the "
        "session at Azure itself, or send your SDP offer to POST /v1/realtime/calls for WebRTC "
        "(docs/realtime.md; your platform team can tell you Azure's address).",
        code="websockets_not_served",
    )


def method_not_allowed(method: str, allowed: Iterable[str]) -> ApiError:
    names = ", ".join(sorted(allowed))
    return ApiError(
        405, f"{method} is not allowed here. Use {names}.", code="method_not_allowed", headers={"allow": names}
    )


def unavailable(message: str, code: str, retry_after: int = 5) -> ApiError:
    return ApiError(503, message, type="server_error", code=code, headers={"retry-after": str(retry_after)})


def nothing_serves(retry_after: float | None, *, limited: bool) -> ApiError:
    """No deployment of a model can answer now. retry_after: seconds, where one is known."""
    headers = {"retry-after": whole_seconds(5.0 if retry_after is None else retry_after)}
    if limited:
        message = "The model is at its rate limit. Retry after the time in the Retry-After header."
        return ApiError(429, message, type="rate_limit_error", code="rate_limit_exceeded", headers=headers)
    message = (
        "The model cannot be served at the moment: every deployment of it has failed. Retry after the time in the "
        "Retry-After header; tell your platform team the x-request-id of this answer if it lasts."
    )
    return ApiError(503, message, type="server_error", code="no_deployment_available", headers=headers)


def home_unavailable(retry_after: float | None) -> ApiError:
    """What a call names by id is kept by one resource, and that one does not answer."""
    return ApiError(
        503,
        "The resource that keeps what this request names by id (previous_response_id, files, containers …) does not "
        "answer, and no other resource has it. Retry after the time in the Retry-After header; or leave the ids out "
        "and send their content itself, so that another resource can serve the call.",
        type="server_error",
        code="home_unavailable",
        headers={"retry-after": whole_seconds(5.0 if retry_after is None else retry_after)},
    )


def no_such_tags(alias: str) -> ApiError:
    return bad_request(
        f"No deployment of the model `{_short(alias)}` is for calls with these tags, or for calls without any. Name "
        "other tags, or ask your platform team which there are.",
        param="tags",
        code="tags_not_served",
    )


def no_such_place(alias: str) -> ApiError:
    return bad_request(
        f"No deployment of the model `{_short(alias)}` is in the region that this call is bound to. Name another "
        "region or another model; your platform team can add deployments.",
        code="region_not_served",
    )


def whole_seconds(seconds: float) -> str:
    """As Retry-After has it: never too early."""
    return str(max(1, math.ceil(seconds)))


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


def too_slow_for(seconds: float) -> ApiError:
    """A client's own time limit has ended its call."""
    return ApiError(
        504,
        f"There was no answer within the {seconds:g} s that this call allows ('timeout'). Allow more, ask for less, or "
        "stream the answer.",
        type="server_error",
        code="upstream_timeout",
    )


def from_failure(failure: UpstreamFailed) -> ApiError:
    status, code, message = _FAILED[failure.kind]
    return ApiError(status, message, type="server_error", code=code)


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
