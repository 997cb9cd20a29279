"""A client's JSON body, read with care: bounds before parsing, one clear error for each way in which it can be wrong.

Why bounds on tokens: 20 MB of `[{},{},…` become 494 MB of Python objects, and an instance has 2 GB (measured
2026-11). orjson refuses NaN, Infinity and invalid UTF-8 by itself, and parses 32 MB in about 10 ms, so no thread
is needed (docs/adr/0002).
"""

from __future__ import annotations

from itertools import accumulate

import orjson

from shared.endpoints import Endpoint
from shared.errors import ApiError, bad_request
from shared.types import Json

MOST_DEPTH = 100
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_PLAIN = bytes(c for c in range(256) if c not in b'[]{}"')

OPERATORS_OWN = frozenset(
    "api_base api_key api_version api_type azure_ad_token azure_ad_token_provider azure_endpoint base_url client_id "
    "client_secret custom_llm_provider extra_body extra_headers extra_query headers organization tenant_id".split()
)
"""Top-level fields by which other gateways let a client choose the upstream or its credentials. Here only the
configuration can; deeper down such names are data (a tool may well have a parameter `api_key`)."""


def read_json(endpoint: Endpoint, body: bytes, content_type: str) -> Json:
    """-> the body's object. Raises ApiError 400, 413 or 415; says what to change."""
    if content_type and not _is_json(content_type):
        raise bad_request(
            f"Content-Type {content_type[:60]!r} is not served here. Send 'Content-Type: application/json'.",
            status=415,
            code="unsupported_media_type",
        )
    check_size(endpoint, len(body))
    if not body.strip():
        raise bad_request("The body is empty. Send a JSON object.", code="invalid_json")
    _check_tokens(endpoint, body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _not_json(error) from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object.", code="invalid_json")
    _check_fields(endpoint, value)
    return value


def check_size(endpoint: Endpoint, size: int) -> None:
    if size > endpoint.body_limit:
        raise bad_request(
            f"The body is larger than {endpoint.body_limit:,} bytes, the limit of this operation. Send less, or refer "
            "to large images and files by URL.",
            status=413,
            code="request_too_large",
        )


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _check_tokens(endpoint: Endpoint, body: bytes) -> None:
    openers = body.count(b"{") + body.count(b"[")
    if openers + body.count(b",") > endpoint.token_limit:
        raise bad_request(
            f"The JSON has more than {endpoint.token_limit:,} elements, the limit of this operation. Send less in one "
            "call.",
            status=413,
            code="request_too_large",
        )
    if openers > MOST_DEPTH and depth(body) > MOST_DEPTH:
        raise bad_request(f"The JSON is nested more than {MOST_DEPTH} levels deep. Flatten it.", code="too_deep")


def depth(body: bytes) -> int:
    """How deep the brackets nest; brackets inside strings do not count.

    Linear in time whatever the body holds (32 MB in 0.3 s at the worst), and without a copy of it per string:
    quotes are only counted where brackets lie between them. What is no JSON may count as deeper than a parser gets.
    """
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _PLAIN).replace(b'""', b"")
    outside = b"".join(text.split(b'"')[::2])
    return max(accumulate(map(_STEPS.__getitem__, outside)), default=0)


def _not_json(error: orjson.JSONDecodeError) -> ApiError:
    hint = "NaN and Infinity are not JSON: send null or a number." if error.msg.startswith("unexpected char") else ""
    return bad_request(
        f"The body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}). {hint}".rstrip(),
        code="invalid_json",
    )


def _check_fields(endpoint: Endpoint, body: Json) -> None:
    for name in endpoint.required:
        if body.get(name) is None:
            raise bad_request(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    for name in sorted(OPERATORS_OWN & body.keys()):
        raise bad_request(
            f"'{name}' cannot be set by a client: the gateway's configuration decides it. Leave it out.",
            param=name,
            code="unknown_parameter",
        )
