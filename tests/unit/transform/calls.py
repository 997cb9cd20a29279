"""Calls as the transforms see them, for the tests of exchanges; and streams as they are on the wire."""

from __future__ import annotations

from typing import Any

import orjson

from shared.catalog import Deployment
from shared.endpoints import ENDPOINTS
from shared.transform.exchange import Asked, Part
from tests.unit.given import deployment

type Json = dict[str, Any]


def seal(upstream_id: str) -> str:
    return f"sealed-{upstream_id}"


def asked(endpoint: str, body: Json | None = None, on: Deployment | None = None, **given: Any) -> Asked:
    row = ENDPOINTS[endpoint]
    usual: Json = {"seal": seal, "now": 7, "stream": bool((body or {}).get("stream"))}
    return Asked(row, row.path, body or {}, on or deployment(), **(usual | given))


def sent(part: Part) -> Any:
    assert isinstance(part.body, bytes)
    return orjson.loads(part.body)


def wire(*events: Json | bytes) -> bytes:
    """Events as an upstream frames them; bytes as they are."""
    return b"".join(
        event if isinstance(event, bytes)
        else (b"event: " + event["type"].encode() + b"\n" if "type" in event else b"")
        + b"data: " + orjson.dumps(event) + b"\n\n"
        for event in events
    )  # fmt: skip


def read(out: bytes) -> list[Any]:
    """What a client reads; also proves that only whole events were sent."""
    assert out == b"" or out.endswith(b"\n\n")
    blocks = [block.rpartition(b"data: ")[2] for block in out.split(b"\n\n") if block]
    return ["[DONE]" if block == b"[DONE]" else orjson.loads(block) for block in blocks]
