"""What becomes of the errors of Azure, Foundry and OpenAI."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
import pytest

from shared.upstream_errors import from_upstream, retry_headers
from tests.unit.given import NOTHING, sample, sample_headers, sample_status

HIDE = {"dep-1": "alias", "myres": "the resource"}
SIGN_IN = (
    "The gateway could not sign in to the model's deployment. Your key is fine: tell your platform team the "
    "x-request-id of this answer."
)
FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify "
    "your prompt and retry. To learn more about our content filtering policies please read our documentation: "
    "https://go.microsoft.com/fwlink/?linkid=2198766"
)
FILTER_RESULT = {
    "hate": {"filtered": False, "severity": "safe"},
    "jailbreak": {"detected": True, "filtered": True},
    "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": False, "severity": "safe"},
}
LIMIT = "Your requests to alias for alias in westeurope have exceeded rate limit."


class Sample(NamedTuple):
    name: str
    status: int
    error: dict[str, Any]
    headers: dict[str, str] = NOTHING


def shape(message: str, type: str, param: str | None, code: str, **extra: Any) -> dict[str, Any]:
    return {"message": message, "type": type, "param": param, "code": code, **extra}


SAMPLES = [
    Sample("az-401", 502, shape(SIGN_IN, "server_error", None, "upstream_auth_failed")),
    Sample(
        "az-404-deployment",
        404,
        shape(
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
            "minutes, please wait a moment and try again.",
            "invalid_request_error",
            None,
            "DeploymentNotFound",
        ),
    ),
    Sample(
        "err-400-content-filter",
        400,
        shape(
            FILTERED,
            "invalid_request_error",
            "prompt",
            "content_filter",
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTER_RESULT},
        ),
    ),
    Sample(
        "err-unsupported-max-tokens",
        400,
        shape(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "invalid_request_error",
            "max_tokens",
            "unsupported_parameter",
        ),
    ),
    Sample(
        "foundry-429",
        429,
        shape(LIMIT, "rate_limit_error", None, "RateLimitReached", details=LIMIT),
        {"retry-after": "1"},
    ),
    Sample(
        "oai-chat-unknown-model",
        404,
        shape(
            "The model `alias` does not exist or you do not have access to it.",
            "invalid_request_error",
            None,
            "model_not_found",
        ),
    ),
]


@pytest.mark.parametrize("case", SAMPLES, ids=lambda case: case.name)
def test_recorded_error_reaches_the_client_as(case: Sample) -> None:
    hide = {"grok-4-1-fast-non-reasoning": "alias", "gpt-4.1-nano-wrong": "alias"}
    body = sample(f"{case.name}.body.json")
    error = from_upstream(sample_status(case.name), sample_headers(case.name), body, hide)
    assert (error.status, orjson.loads(error.body())) == (case.status, {"error": case.error})
    assert error.headers == case.headers


class Status(NamedTuple):
    upstream: int
    status: int
    type: str
    code: str | None


@pytest.mark.parametrize(
    "case",
    [
        Status(400, 400, "invalid_request_error", None),
        Status(401, 502, "server_error", "upstream_auth_failed"),
        Status(403, 502, "server_error", "upstream_auth_failed"),
        Status(404, 404, "invalid_request_error", "not_found"),
        Status(408, 408, "server_error", "upstream_timeout"),
        Status(409, 409, "invalid_request_error", "conflict"),
        Status(413, 413, "invalid_request_error", "request_too_large"),
        Status(415, 415, "invalid_request_error", "unsupported_media_type"),
        Status(418, 418, "invalid_request_error", None),
        Status(422, 422, "invalid_request_error", "unprocessable"),
        Status(424, 424, "invalid_request_error", None),
        Status(429, 429, "rate_limit_error", "rate_limit_exceeded"),
        Status(500, 500, "server_error", "server_error"),
        Status(502, 502, "server_error", "bad_gateway"),
        Status(503, 503, "server_error", "service_unavailable"),
        Status(504, 504, "server_error", "upstream_timeout"),
        Status(529, 529, "server_error", "overloaded"),
    ],
    ids=lambda case: case.upstream,
)
def test_status_without_a_usable_body_has_a_message_of_our_own(case: Status) -> None:
    for body in (b"", b"<html><body>Bad</body></html>", b"[]", b"5", b'{"error":null}', b'{"error":[]}', b"{", b"\xff"):
        error = from_upstream(case.upstream, {}, body, HIDE)
        assert (error.status, error.type, error.code, error.param) == (case.status, case.type, case.code, None)
        assert error.message.endswith(".")


class Body(NamedTuple):
    id: str
    given: Any
    message: str
    code: str | None
    type: str = "invalid_request_error"
    extra: dict[str, Any] = NOTHING


OWN = "The model's deployment refused this request."
BODIES = [
    Body("text", {"error": "No."}, "No.", None),
    Body("bare", {"statusCode": 400, "message": "No."}, "No.", None),
    Body("numeric code", {"error": {"code": "400", "message": "No."}}, "No.", None),
    Body("number as a code", {"error": {"code": 400, "message": "No."}}, "No.", None),
    Body("type", {"error": {"code": "x", "message": "No.", "type": "BadRequest"}}, "No.", "x", "BadRequest"),
    Body("odd fields", {"error": {"code": True, "message": 5, "param": 3, "type": None}}, "5", "True"),
    Body("names", {"error": {"message": "dep-1 at myres.openai.azure.com"}}, "alias at the [hidden]", None),
    Body("traceback", {"error": {"message": "Traceback (most recent call last):\n x"}}, OWN, None),
    Body(
        "inner error", {"error": {"message": "No.", "inner_error": {"at": "/home/x/y.py"}, "other": 1}}, "No.", None,
        extra={"inner_error": {"at": "[hidden]"}},
    ),
    Body("details", {"error": {"message": "No.", "details": ["dep-1", 1, None]}}, "No.", None, extra={"details": ["alias", 1, None]}),
]  # fmt: skip


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case.id)
def test_body_of_an_error_survives_without_its_secrets(case: Body) -> None:
    error = from_upstream(400, {}, orjson.dumps(case.given), HIDE)
    assert (error.message, error.code, error.type, error.extra) == (case.message, case.code, case.type, case.extra)


def test_sign_in_failure_shows_nothing_of_azures_answer() -> None:
    body = orjson.dumps(
        {"error": {"code": "PermissionDenied", "message": "principal x lacks y", "innererror": {"a": 1}}}
    )
    error = from_upstream(403, {"retry-after": "5"}, body, HIDE)
    assert (error.message, error.extra, error.headers) == (SIGN_IN, {}, {})


class Retry(NamedTuple):
    id: str
    given: dict[str, str]
    expect: dict[str, str]


DATE = "Wed, 19 Aug 2026 14:34:22 GMT"
RETRIES = [
    Retry("absent", {}, {}),
    Retry("seconds", {"retry-after": "7"}, {"retry-after": "7"}),
    Retry("fraction", {"retry-after": "0.5"}, {"retry-after": "0.5"}),
    Retry("date", {"retry-after": DATE}, {"retry-after": DATE}),
    Retry("zero", {"retry-after": "0"}, {}),
    Retry("negative", {"retry-after": "-1", "retry-after-ms": "-5"}, {}),
    Retry("empty", {"retry-after": ""}, {}),
    Retry("not finite", {"retry-after": "inf", "retry-after-ms": "nan", "x-ms-retry-after-ms": "1e999"}, {}),
    Retry("Foundry's zero", {"retry-after": "1", "retry-after-ms": "0"}, {"retry-after": "1"}),
    Retry("milliseconds", {"retry-after-ms": "1600"}, {"retry-after-ms": "1600", "retry-after": "2"}),
    Retry("few milliseconds", {"retry-after-ms": "20"}, {"retry-after-ms": "20", "retry-after": "1"}),
    Retry("Azure's milliseconds", {"x-ms-retry-after-ms": "3000"}, {"x-ms-retry-after-ms": "3000", "retry-after": "3"}),
    Retry("words as milliseconds", {"retry-after-ms": "soon"}, {}),
    Retry(
        "all", {"retry-after": "2", "retry-after-ms": "1500", "x-ms-retry-after-ms": "1500", "x-other": "1"},
        {"retry-after": "2", "retry-after-ms": "1500", "x-ms-retry-after-ms": "1500"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", RETRIES, ids=lambda case: case.id)
def test_retry_after_survives_in_every_form_that_a_client_can_use(case: Retry) -> None:
    assert retry_headers(case.given) == case.expect
    assert from_upstream(429, case.given, b"", {}).headers == case.expect
    assert from_upstream(503, case.given, b"", {}).headers == case.expect
