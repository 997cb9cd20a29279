"""How a batch is told: as Azure did at first, as Azure does now, or as OpenAI does.

Owns the quirks. At first (documented with the first preview): capitalised states, dates in words, no counts until the
end, no endpoint. Now: empty strings for files that are not there, an endpoint without /v1. Lists say not what they are.
"""

from datetime import UTC, datetime
from typing import Any

from ...batch_desk import Style
from ...store import Json
from ..calls import Call
from .life import Batch

_USUAL_SINCE = "2024-08-01"
_TIMES = ("cancelled_at", "cancelling_at", "completed_at", "expired_at", "failed_at", "finalizing_at", "in_progress_at")


def dressed(batch: Batch, call: Call, style: Style) -> Json:
    counts: dict[str, Any] = {"total": batch.total, "completed": batch.completed, "failed": batch.failed}
    output, wrong = (batch.output_file, batch.error_file) if batch.files_told else (None, None)
    row: Json = {
        "id": batch.id,
        "completion_window": batch.order.window,
        "created_at": batch.created_at,
        "endpoint": batch.order.endpoint,
        "input_file_id": batch.order.input_file,
        "object": "batch",
        "status": batch.status,
        **{name: batch.times.get(name) for name in _TIMES},
        "error_file_id": wrong,
        "errors": {"object": "list", "data": batch.errors} if batch.status == "failed" else None,
        "expires_at": batch.created_at + 86_400,
        "metadata": batch.order.metadata,
        "output_file_id": output,
        "request_counts": counts,
    }
    if call.surface == "plain":
        return row
    blobs: Json = {}
    if batch.order.input_blob:
        blobs = {"input_file_id": None, "output_file_id": None, "error_file_id": None}
        blobs |= {"input_blob": batch.order.input_blob, "output_blob": output or "", "error_blob": wrong or ""}
    if style == "early" or (not style and call.query.get("api-version", "v1") < _USUAL_SINCE):
        return _early(row | blobs)
    files = {"error_file_id": wrong or "", "output_file_id": output or ""}
    return row | {"endpoint": batch.order.operation} | files | blobs


def listed_as(page: Json, call: Call) -> Json:
    if call.surface == "plain":
        return page
    return {name: value for name, value in page.items() if name != "object"}


def _early(row: Json) -> Json:
    told = {name: value for name, value in row.items() if name != "endpoint"}
    for name in (*_TIMES, "created_at", "expires_at"):
        if told[name] is not None:
            told[name] = datetime.fromtimestamp(told[name], UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000+00:00")
    if row["completed_at"] is None:
        told["request_counts"] = {"total": row["request_counts"]["total"] or None, "completed": None, "failed": None}
    return {**told, "status": "".join(word.capitalize() for word in row["status"].split("_"))}
