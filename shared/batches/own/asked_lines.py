"""One line of an input as a call of the gateway's own, and its answer as a line of the output or the error file. Pure.

The form of both files is OpenAI's (Batch API, "The request output object", openai-openapi 2026-08-21).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.batches.batch import Batch
from shared.batches.settling import endpoint_of
from shared.deferral import TIER
from shared.endpoints import ENDPOINTS, Endpoint
from shared.types import ApiRequest, Json

_HEADERS: Mapping[str, str] = {"content-type": "application/json", "x-tollgate-engine": "own"}


@dataclass(frozen=True, slots=True)
class AskedLine:
    """A line of an input."""

    index: int
    """Within its chunk, from 0."""
    custom_id: str
    body: Json

    def request(self, endpoint: Endpoint, alias: str) -> ApiRequest:
        body = {**self.body, "model": alias}
        if body.get("service_tier") == TIER:
            del body["service_tier"]  # what asked for the batch is nothing that a deployment knows
        return ApiRequest(
            id="req_" + secrets.token_hex(12),
            endpoint=endpoint.name,
            method="POST",
            headers=_HEADERS,
            path_params={},
            body=orjson.dumps(body),
        )


def lines_of(content: bytes) -> list[AskedLine]:
    """Of one chunk. They were checked when the file was taken in."""
    found: list[AskedLine] = []
    for line in content.split(b"\n"):
        if line.strip():
            said = orjson.loads(line)
            found.append(AskedLine(len(found), said["custom_id"], said["body"]))
    return found


def endpoint_for(batch: Batch) -> Endpoint:
    return ENDPOINTS[endpoint_of(batch.endpoint)]


def answered(custom_id: str, status: int, request_id: str, body: Any) -> bytes:
    """The line of either file."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return _line(custom_id, response, None)


def unanswered(custom_id: str, code: str, message: str) -> bytes:
    """The line of the error file for one that was never asked, or never answered."""
    return _line(custom_id, None, {"code": code, "message": message})


def _line(custom_id: str, response: Json | None, error: Json | None) -> bytes:
    line_id = "batch_req_" + secrets.token_hex(16)
    return orjson.dumps({"id": line_id, "custom_id": custom_id, "response": response, "error": error})
