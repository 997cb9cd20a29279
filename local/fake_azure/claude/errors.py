"""The errors of the Messages API, in Anthropic's form. Which request meets which is said elsewhere."""

import uuid

import orjson

from ..errors import ApiError, of_status

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error(status: int, message: str) -> ApiError:
    """The type of the error follows from the status."""
    identity = f"req_{uuid.uuid4().hex[:24]}"
    kind = _TYPES.get(status, "api_error")
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": identity}
    return ApiError(status, body, {"request-id": identity})


def invalid(message: str) -> ApiError:
    return error(400, message)


def extra(path: str) -> ApiError:
    return invalid(f"{path}: Extra inputs are not permitted")


def required(path: str) -> ApiError:
    return invalid(f"{path}: Field required")


def dressed(problem: ApiError) -> ApiError:
    """A fault's usual error in Anthropic's form. A body that the fault was given stays as it is."""
    try:
        told = orjson.loads(problem.body)["error"]
        usual = orjson.loads(of_status(problem.status).body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return problem
    if problem.status == 401 or not isinstance(told, dict) or told.get("code") != usual["code"]:
        return problem
    if told.get("message", "")[:40] != usual["message"][:40]:
        return problem
    made = error(problem.status, told["message"])
    made.headers |= problem.headers
    return made
