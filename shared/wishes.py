"""What a client says of routing in its own call: fallbacks, retries, a time limit, tags, a region.

Taken out of the body, so that none of it reaches an upstream; bounded by the operator's settings elsewhere. The names
are those that clients of LiteLLM send, in the body or as headers. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import ApiError, bad_request
from shared.types import Json

NAMES = frozenset({"fallbacks", "num_retries", "timeout", "stream_timeout", "disable_fallbacks", "tags"})
"""Fields of a body; in a form they are fields as well."""
_LISTS = {f"{name}[]": name for name in ("fallbacks", "tags")} | {"metadata[tags][]": "tags"}
"""How the OpenAI SDK writes lists into a form."""
IN_FORMS = NAMES | _LISTS.keys()
_PREFIXES = ("x-tollgate-", "x-litellm-")
_MOST_FALLBACKS = 20
_MOST_TAGS = 10


@dataclass(frozen=True, slots=True)
class Wishes:
    """Times in seconds. None and empty: nothing was said."""

    fallbacks: tuple[str, ...] = ()
    """Aliases, not checked yet."""
    fallbacks_off: bool = False
    num_retries: int | None = None
    timeout: float | None = None
    """Until the answer must have begun."""
    tags: tuple[str, ...] = ()
    """Those of the body; headers' are read for the ledger anyway (tagging.py)."""
    region: str = ""


NONE = Wishes()


def take_wishes(body: Json, headers: Mapping[str, str], *, stream: bool) -> Wishes:
    """-> what the client wishes; its fields are gone from the body. Raises ApiError 400 for a value that is none."""
    given = {name: body.pop(name) for name in NAMES & body.keys()} if not NAMES.isdisjoint(body) else {}
    if isinstance(metadata := body.get("metadata"), dict) and isinstance(metadata.get("tags"), list):
        given.setdefault("tags", metadata["tags"])
        body["metadata"] = {name: value for name, value in metadata.items() if name != "tags"}
        if not body["metadata"]:
            del body["metadata"]
    for name, header in _HEADERS:
        if header in headers:
            given.setdefault(name, headers[header])
    if not given:
        return NONE
    timeout = _seconds(given.get("timeout"), "timeout")
    streamed = _seconds(given.get("stream_timeout"), "stream_timeout")
    return Wishes(
        fallbacks=_aliases(given.get("fallbacks")),
        fallbacks_off=_yes(given.get("disable_fallbacks")),
        num_retries=_count(given.get("num_retries")),
        timeout=streamed if stream and streamed is not None else timeout,
        tags=_words(given.get("tags")),
        region=str(given.get("region") or "").strip().lower()[:64],
    )


def lists_in_form(fields: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """-> the lists among a form's fields, by the names that they have in a body."""
    return {name: fields[written] for written, name in _LISTS.items() if written in fields}


REGION_HEADERS = tuple(f"{prefix}region" for prefix in _PREFIXES)
_HEADERS = tuple(
    (name, prefix + name.replace("_", "-"))
    for name in ("num_retries", "timeout", "stream_timeout", "region")
    for prefix in _PREFIXES
)


def _aliases(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):  # a field of a form
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or len(value) > _MOST_FALLBACKS:
        raise bad_request(
            f"'fallbacks' must be a list of at most {_MOST_FALLBACKS} models, as GET /v1/models names them.",
            param="fallbacks",
            code="invalid_type",
        )
    return tuple(value)


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise bad_request("'tags' must be a list of strings.", param="tags", code="invalid_type")
    return tuple(value[:_MOST_TAGS])


def _yes(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise bad_request("'disable_fallbacks' must be true or false.", param="disable_fallbacks", code="invalid_type")


def _count(value: Any) -> int | None:
    if value is None:
        return None
    number = _number(value)
    if number is None or number < 0 or number != int(number):
        raise bad_request("'num_retries' must be a whole number, 0 or more.", param="num_retries", code="invalid_type")
    return int(number)


def _seconds(value: Any, name: str) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if number is None or number <= 0:
        raise _no_time(name)
    return number


def _no_time(name: str) -> ApiError:
    return bad_request(f"'{name}' must be a number of seconds above 0.", param=name, code="invalid_type")


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(float(value), 1e9)
