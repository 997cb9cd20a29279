"""Which failures say that a deployment is ill, which that the call is wrong, and how long an upstream asks to wait."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.errors import ApiError, UpstreamFailed, UpstreamFailure
from shared.failures import of_failure, of_refusal, retry_after
from shared.router_settings import FINAL, FailureKind

NOW = datetime(2026, 10, 14, 13, 46, 40, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, "bad_request"),
        (400, "content_filter", "content_filter"),
        (400, "content_policy_violation", "content_filter"),
        (400, "context_length_exceeded", "context_window"),
        (401, None, "auth"),
        (403, None, "auth"),
        (404, "DeploymentNotFound", "not_found"),
        (408, None, "timeout"),
        (409, None, "conflict"),
        (413, None, "bad_request"),
        (422, None, "bad_request"),
        (429, "rate_limit_exceeded", "rate_limit"),
        (429, "insufficient_quota", "quota"),
        (500, None, "server"),
        (502, "upstream_bad_response", "bad_answer"),
        (503, None, "server"),
        (504, None, "timeout"),
        (529, "overloaded", "server"),
    ],
)
def test_kind_of_a_refusal(status: int, code: str | None, kind: FailureKind) -> None:
    assert of_refusal(status, ApiError(status, "no", code=code), {}, NOW).kind == kind


def test_a_server_that_fails_over_its_filter_is_a_server_that_fails() -> None:
    assert of_refusal(500, ApiError(500, "no", code="content_filter"), {}, NOW).kind == "server"


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        ("unreachable", "unreachable"),
        ("reset", "server"),
        ("timeout", "timeout"),
        ("credential", "auth"),
        ("secret", "auth"),
    ],
)
def test_kind_where_no_answer_came(failed: UpstreamFailure, kind: FailureKind) -> None:
    assert of_failure(UpstreamFailed(failed)).kind == kind
    assert kind not in FINAL


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 14 Oct 2026 13:47:10 GMT"}, 30.0),
        ({"retry-after": "Wed, 14 Oct 2026 13:46:10 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_only_who_may_be_asked_again_is_waited_for() -> None:
    headers = {"retry-after": "7"}
    assert of_refusal(429, ApiError(429, "no"), headers, NOW).retry_after == 7.0
    assert of_refusal(503, ApiError(503, "no"), headers, NOW).retry_after == 7.0
    assert of_refusal(400, ApiError(400, "no"), headers, NOW).retry_after is None
