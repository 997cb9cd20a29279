"""Whether a call asks to be answered later, with others, as a batch. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from shared import errors
from shared.call import Call
from shared.endpoints import ENDPOINTS, Endpoint

DEFER_HEADER = "x-tollgate-defer"
TIER = "batch"
BATCHED: frozenset[str] = frozenset({
    "chat_completions", "completions", "embeddings", "responses_create", "messages", "moderations",
    "images_generations",
})  # fmt: skip
"""Operations that a line of a batch may ask for."""
BY_URL: Mapping[str, Endpoint] = {f"/{ENDPOINTS[name].path}": ENDPOINTS[name] for name in sorted(BATCHED)}
"""The same by a line's url without `/v1`."""
_YES, _NO = frozenset({"1", "true", "yes"}), frozenset({"", "0", "false", "no"})


def is_deferred(call: Call) -> bool:
    """By the header, else by `service_tier: "batch"`. Raises ApiError 400 for a call that cannot be put off."""
    said = call.request.headers.get(DEFER_HEADER, "").strip().lower()
    if said not in _YES | _NO:
        raise errors.bad_request(f"The header {DEFER_HEADER} is 'true' or 'false'.", code="invalid_value")
    if said not in _YES and call.body.get("service_tier") != TIER:
        return False
    if call.endpoint.name not in BATCHED or call.request.form is not None:
        raise errors.bad_request(
            f"/{call.endpoint.path} cannot be answered later. Leave out 'service_tier: batch' and {DEFER_HEADER}.",
            code="not_deferrable",
        )
    if call.wishes.region:
        raise errors.bad_request(
            "A call that is answered later is sent to whatever region its model is in. Name a model that is in the "
            "region you mean and leave out x-tollgate-region, or do not put the call off.",
            code="not_deferrable",
        )
    if call.stream:
        raise errors.bad_request(
            "A call that is answered later has no stream. Leave out 'stream', or the wish to be answered later.",
            param="stream",
            code="not_deferrable",
        )
    return True
