"""The model list in OpenAI's shape. The gateway's models are its aliases."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from shared.types import Json

CREATED = 1_700_000_000
"""OpenAI's field `created` has no meaning for an alias: one fixed time, so that lists compare equal."""


def list_models(aliases: Iterable[str]) -> bytes:
    return orjson.dumps({"object": "list", "data": [_model(alias) for alias in aliases]})


def describe_model(alias: str) -> bytes:
    return orjson.dumps(_model(alias))


def _model(alias: str) -> Json:
    return {"id": alias, "object": "model", "created": CREATED, "owned_by": "tollgate"}
