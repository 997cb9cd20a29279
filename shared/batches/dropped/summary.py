"""What has come of a dropped file, for a person and for a program. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import orjson

from shared.batches.batch import Batch
from shared.batches.dropped.names import ResultNames
from shared.money import in_usd
from shared.types import Json


def summary(batch: Batch, names: ResultNames, seal: Callable[[str], str]) -> bytes:
    """seal: (own id) -> the client's id."""
    used, has_errors = batch.figures, bool(batch.error_file or batch.errors)
    told: Json = {
        "message": _message(batch, names.errors.rpartition("/")[2]),
        "file": batch.origin,
        "status": batch.status,
        "batch_id": seal(batch.id),
        "model": batch.alias,
        "endpoint": batch.endpoint,
        "engine": batch.engine,
        "paid_by": batch.payer.key_name,
        "lines": {"total": batch.lines, "completed": batch.completed, "failed": batch.failed},
        "usage": {
            "input_tokens": used.input_tokens,
            "cached_input_tokens": used.cached_input_tokens,
            "output_tokens": used.output_tokens,
            "reasoning_tokens": used.reasoning_tokens,
        },
        "cost_usd": in_usd(used.cost_nanos),
        "cost_is_complete": not used.unpriced,
        "started_at": _moment(batch.created_at),
        "ended_at": _moment(batch.ended_at),
        "results": names.output,
        "errors": names.errors if has_errors else None,
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"


def errors_of(batch: Batch) -> Iterable[bytes]:
    """The lines of the errors of a batch that has failed as a whole."""
    for error in batch.errors:
        yield orjson.dumps({"id": None, "custom_id": None, "response": None, "error": dict(error)}) + b"\n"


def _message(batch: Batch, errors: str) -> str:
    took = _duration(max(batch.ended_at - batch.created_at, 0))
    see = f" See {errors}." if batch.error_file or batch.errors else ""
    match batch.status:
        case "failed":
            return f"The batch failed after {took}: none of its {_lines(batch.lines)} was answered.{see}"
        case "cancelled":
            return f"The batch was cancelled after {took}: {_answered(batch)}.{see}"
        case "expired":
            return f"The batch ran out of time after {took}: {_answered(batch)}.{see}"
        case _:
            return f"{_answered(batch)[0].upper()}{_answered(batch)[1:]} in {took}.{see}"


def _answered(batch: Batch) -> str:
    if batch.completed == batch.lines:
        return "the one line was answered" if batch.lines == 1 else f"all {_lines(batch.lines)} were answered"
    failed = f", {batch.failed:,} failed" if batch.failed else ""
    verb = "was" if 1 in (batch.completed, batch.lines) else "were"
    return f"{batch.completed:,} of {_lines(batch.lines)} {verb} answered{failed}"


def _lines(count: int) -> str:
    return f"{count:,} {'line' if count == 1 else 'lines'}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _moment(at: float) -> str | None:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
