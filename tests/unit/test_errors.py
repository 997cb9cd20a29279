"""Every error that the gateway itself makes."""

from __future__ import annotations

from typing import NamedTuple

import orjson
import pytest

from shared import errors
from shared.errors import (
    ApiError,
    BadSetting,
    ConfigError,
    Problem,
    UpstreamFailed,
    UpstreamFailure,
    from_failure,
)
from tests.unit.given import NOTHING

HIDE = {"dep-1": "alias", "myres": "the resource"}


def test_error_body_is_openais_shape() -> None:
    error = ApiError(400, "No.", param="p", code="c", extra={"innererror": {"code": "x"}})
    expect = {"message": "No.", "type": "invalid_request_error", "param": "p", "code": "c", "innererror": {"code": "x"}}
    assert orjson.loads(error.body()) == {"error": expect}
    assert error.event() == b"data: " + error.body() + b"\n\n"
    assert str(error) == "No."


class Made(NamedTuple):
    id: str
    error: ApiError
    status: int
    code: str | None
    type: str = "invalid_request_error"
    param: str | None = None
    headers: dict[str, str] = NOTHING
    says: str = ""


LONG = "x" * 300
MADE = [
    Made("bad request", errors.bad_request("m", param="p"), 400, None, param="p", says="m"),
    Made("key", errors.invalid_key(), 401, "invalid_api_key", headers={"www-authenticate": "Bearer"}, says="'api-key'"),
    Made("model", errors.model_not_found("x"), 404, "model_not_found", param="model", says="`x` does not exist"),
    Made("long model", errors.model_not_found(LONG), 404, "model_not_found", param="model", says=f"`{'x' * 99}…`"),
    Made("foreign model", errors.model_not_allowed("x"), 403, "model_not_found", param="model", says="do not have access"),
    Made("route", errors.route_not_found("GET", "/v2"), 404, "unknown_url", says="Invalid URL (GET /v2)"),
    Made("long route", errors.route_not_found("GET", LONG), 404, "unknown_url", says="xxx…)"),
    Made("method", errors.method_not_allowed("PUT", {"POST", "GET"}), 405, "method_not_allowed",
         headers={"allow": "GET, POST"}, says="Use GET, POST."),
    Made("unavailable", errors.unavailable("m", "c"), 503, "c", "server_error", headers={"retry-after": "5"}),
    Made("internal", errors.internal_error(), 500, "internal_error", "server_error", says="x-request-id"),
    Made("cut", errors.stream_cut(), 502, "upstream_disconnected", "server_error", says="partial"),
    Made("bad answer", errors.bad_answer(), 502, "upstream_bad_response", "server_error", says="not valid"),
]  # fmt: skip


@pytest.mark.parametrize("case", MADE, ids=lambda case: case.id)
def test_own_error_says_what_to_do(case: Made) -> None:
    error = case.error
    assert (error.status, error.code, error.type, error.param, error.headers) == (
        case.status, case.code, case.type, case.param, case.headers,
    )  # fmt: skip
    assert case.says in error.message


class Failure(NamedTuple):
    kind: UpstreamFailure
    status: int
    code: str


@pytest.mark.parametrize(
    "case",
    [
        Failure("unreachable", 502, "upstream_unreachable"),
        Failure("reset", 502, "upstream_disconnected"),
        Failure("timeout", 504, "upstream_timeout"),
        Failure("credential", 502, "upstream_auth_failed"),
        Failure("secret", 502, "upstream_auth_failed"),
    ],
    ids=lambda case: case.kind,
)
def test_failure_to_reach_azure_is_a_server_error_without_its_detail(case: Failure) -> None:
    failure = UpstreamFailed(case.kind, "myres.openai.azure.com refused")
    error = from_failure(failure)
    assert (error.status, error.code, error.type) == (case.status, case.code, "server_error")
    assert "azure.com" not in error.message
    assert str(failure) == f"{case.kind}: myres.openai.azure.com refused"


def test_config_error_lists_its_problems_in_file_order() -> None:
    late, early = Problem("b", 9, "wrong", "right"), Problem("a", 2, "missing", "add it")
    error = ConfigError([late, early, Problem("app setting X", 0, "not set", "set it")])
    assert [p.line for p in error.problems] == [0, 2, 9]
    assert str(error) == "app setting X: not set → set it\nline 2: a: missing → add it\nline 9: b: wrong → right"


def test_bad_setting_names_the_field_and_the_remedy() -> None:
    error = BadSetting("api_base", "wrong", "right")
    assert (error.field, str(error), error.remedy) == ("api_base", "wrong", "right")
