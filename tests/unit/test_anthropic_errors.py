"""Errors in Anthropic's shape, there and back; the anthropic SDK says what it makes of them."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types.beta_error_response import BetaErrorResponse

from shared.anthropic_errors import anthropic_body, anthropic_event, from_anthropic, status_of, type_of
from shared.errors import ApiError, bad_request, internal_error, invalid_key, stream_cut

TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    405: "invalid_request_error", 408: "timeout_error", 409: "conflict_error", 413: "request_too_large", 415: "invalid_request_error",
    422: "invalid_request_error", 429: "rate_limit_error", 500: "api_error", 502: "api_error", 503: "overloaded_error",
    504: "timeout_error", 529: "overloaded_error", 599: "api_error",
}  # fmt: skip


@pytest.mark.parametrize("status", TYPES)
def test_the_type_follows_from_the_status(status: int) -> None:
    assert type_of(status) == TYPES[status]
    body: Any = orjson.loads(anthropic_body(ApiError(status, "m"), "req-1"))
    assert body == {
        "type": "error",
        "error": {"type": TYPES[status], "message": "m", "code": None},
        "request_id": "req-1",
    }


def test_no_id_is_null() -> None:
    assert orjson.loads(anthropic_body(internal_error(), ""))["request_id"] is None


def test_code_param_and_azures_fields_stay() -> None:
    error = bad_request("Bad.", param="top_k", code="unsupported_parameter")
    error.extra["innererror"] = {"code": "ResponsibleAIPolicyViolation"}
    body: Any = orjson.loads(anthropic_body(error, "req-1"))
    assert body["error"] == {
        "type": "invalid_request_error",
        "message": "Bad.",
        "code": "unsupported_parameter",
        "param": "top_k",
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
    BetaErrorResponse.model_validate(body)


def test_azures_own_type_does_not_take_its_place() -> None:
    error = ApiError(429, "Busy.", type="tokens", extra={"type": "x", "details": [{"message": "d"}]})
    assert orjson.loads(anthropic_body(error, "r"))["error"]["type"] == "rate_limit_error"


RAISED: list[tuple[ApiError, type[anthropic.APIStatusError]]] = [
    (bad_request("Bad."), anthropic.BadRequestError),
    (invalid_key(), anthropic.AuthenticationError),
    (ApiError(429, "Busy.", extra={"details": [{"message": "d"}]}), anthropic.RateLimitError),
    (internal_error(), anthropic.InternalServerError),
]


def client(answer: httpx2.Response) -> anthropic.Anthropic:
    transport = httpx2.MockTransport(lambda _: answer)
    return anthropic.Anthropic(
        api_key="k", base_url="http://gateway", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


@pytest.mark.parametrize(("error", "raised"), RAISED)
def test_the_sdk_raises_what_its_users_catch(error: ApiError, raised: type[anthropic.APIStatusError]) -> None:
    answer = httpx2.Response(
        error.status, content=anthropic_body(error, "req-1"), headers={"content-type": "application/json"}
    )
    with client(answer) as sdk, pytest.raises(raised) as caught:
        sdk.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    assert caught.value.type == type_of(error.status)
    assert caught.value.api_message == error.message


def test_an_error_event_ends_the_sdks_stream() -> None:
    answer = httpx2.Response(
        200, content=anthropic_event(stream_cut(), "req-1"), headers={"content-type": "text/event-stream"}
    )
    with client(answer) as sdk, pytest.raises(anthropic.APIStatusError) as caught:
        for _ in sdk.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}], stream=True
        ):
            pass
    assert caught.value.type == "api_error"


def upstream(kind: str, message: str = "m") -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


OPENAI: list[tuple[int, str, str, str | None]] = [
    (400, "invalid_request_error", "invalid_request_error", None),
    (401, "authentication_error", "authentication_error", "invalid_api_key"),
    (404, "not_found_error", "invalid_request_error", "not_found"),
    (413, "request_too_large", "invalid_request_error", "request_too_large"),
    (429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded"),
    (500, "api_error", "server_error", "server_error"),
    (504, "timeout_error", "server_error", "upstream_timeout"),
    (529, "overloaded_error", "server_error", "overloaded"),
    (429, "brand_new_error", "rate_limit_error", "rate_limit_exceeded"),
    (200, "overloaded_error", "server_error", "overloaded"),
    (200, "brand_new_error", "invalid_request_error", None),
]


@pytest.mark.parametrize(("status", "kind", "type_", "code"), OPENAI)
def test_an_upstreams_error_in_openais_words(status: int, kind: str, type_: str, code: str | None) -> None:
    assert from_anthropic(status, upstream(kind)) == {"message": "m", "type": type_, "code": code, "param": None}


MESSAGES: list[tuple[str, str | None, str | None]] = [
    ("prompt is too long: 208310 tokens > 200000 maximum", "context_length_exceeded", None),
    ("input length and `max_tokens` exceed context limit: 199000 + 8000 > 200000", "context_length_exceeded", None),
    ("max_tokens: 99999 > 64000, which is the maximum allowed number of output tokens", None, "max_tokens"),
    ("messages.0.content.1.image.source: Invalid", None, "messages.0.content.1.image.source"),
    ("`temperature` is deprecated for this model.", None, "temperature"),
    ('"thinking.type.enabled" is not supported for this model.', None, "thinking.type.enabled"),
    ("Error: something else", None, None),
]


@pytest.mark.parametrize(("message", "code", "param"), MESSAGES)
def test_what_the_message_tells(message: str, code: str | None, param: str | None) -> None:
    told = from_anthropic(400, upstream("invalid_request_error", message))
    assert (told["code"], told["param"], told["message"]) == (code, param, message)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": {"message": "m"}}', b'{"type": "error", "error": "m"}']
)
def test_what_is_not_anthropics_is_left_to_others(body: bytes) -> None:
    assert from_anthropic(500, body) == {}
    assert status_of(body) is None


STATUSES = {
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "overloaded_error": 529,
    "timeout_error": 504,
    "api_error": 500,
    "brand_new": 500,
}


@pytest.mark.parametrize("kind", STATUSES)
def test_an_error_event_tells_its_status(kind: str) -> None:
    assert status_of(upstream(kind)) == STATUSES[kind]
