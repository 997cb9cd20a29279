"""What a resource says of a batch or a file, in OpenAI's words whatever Azure has sent. Pure.

Azure tells states capitalised (`InProgress`), times as ISO 8601, files that are not there as empty strings, and leaves
counts out (REST reference 2024-07-01-preview, and as of 2026-11); OpenAI does none of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast, get_args

from shared.batches.batch import ENDED, Status
from shared.redact import redact
from shared.types import Json

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s-]+")
_OTHER_WORDS: Mapping[str, Status] = {
    "canceled": "cancelled", "canceling": "cancelling", "not_started": "validating", "pending": "validating",
    "running": "in_progress", "succeeded": "completed",
}  # fmt: skip
_STATUSES: Mapping[str, Status] = {status: status for status in get_args(Status)}
MOST_ERRORS = 50
"""That are kept of a batch that has failed."""


@dataclass(frozen=True, slots=True)
class Told:
    """A batch as its resource tells it. Times are Unix seconds, 0 for what it does not say."""

    id: str
    status: Status | None
    """None: a word that nobody knows."""
    input_file: str = ""
    output_file: str = ""
    error_file: str = ""
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    errors: tuple[Json, ...] = ()
    """{code, message, line, param}, as it said them."""
    created_at: float = 0.0
    in_progress_at: float = 0.0
    ended_at: float = 0.0

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def stopped_empty(self) -> bool:
        """Whether it was stopped and says that no line was answered."""
        return self.status in ("cancelled", "expired") and self.completed == 0 and self.failed == 0

    @property
    def has_files(self) -> bool:
        """Whether it names all files that it must have: Azure may tell them some time after the end."""
        said = bool(self.output_file or self.error_file)
        return said and (bool(self.output_file) or not self.completed) and (bool(self.error_file) or not self.failed)


def read_batch(said: Json) -> Told:
    counts = _object(said.get("request_counts"))
    ends = (_time(said.get(f"{status}_at")) for status in ("completed", "failed", "expired", "cancelled"))
    return Told(
        id=_text(said.get("id")),
        status=read_status(said.get("status")),
        input_file=_text(said.get("input_file_id")),
        output_file=_text(said.get("output_file_id")),
        error_file=_text(said.get("error_file_id")),
        total=_count(counts.get("total")),
        completed=_count(counts.get("completed")),
        failed=_count(counts.get("failed")),
        errors=_errors(said.get("errors")),
        created_at=_time(said.get("created_at")),
        in_progress_at=_time(said.get("in_progress_at")),
        ended_at=max(ends),
    )


def read_status(said: Any) -> Status | None:
    """`InProgress`, `in progress`, `in_progress` -> `in_progress`."""
    word = _WORDS.sub("_", _text(said).strip()).lower()
    return _STATUSES.get(_OTHER_WORDS.get(word, word))


def public_errors(errors: tuple[Json, ...], hide: Mapping[str, str]) -> tuple[Json, ...]:
    """As a client may see them, one at least. hide: names, and what stands in their place."""
    return tuple(
        {
            "code": _text(error.get("code")) or "batch_failed",
            "message": redact(_text(error.get("message")), hide) or "The batch has failed.",
            "line": error.get("line") if isinstance(error.get("line"), int) else None,
            "param": _text(error.get("param")) or None,
        }
        for error in errors[:MOST_ERRORS] or ({},)
    )


def _errors(said: Any) -> tuple[Json, ...]:
    """A list, a list within an object, or one error."""
    if isinstance(said, dict) and "data" in said:
        said = cast("Json", said)["data"]
    if isinstance(said, dict):
        said = [said]
    rows = cast("list[Any]", said) if isinstance(said, list) else []
    return tuple(row for row in rows if isinstance(row, dict))


def _object(said: Any) -> Json:
    return cast("Json", said) if isinstance(said, dict) else {}


def _text(said: Any) -> str:
    return said if isinstance(said, str) else ""


def _count(said: Any) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None


def _time(said: Any) -> float:
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        return float(said) if math.isfinite(said) and said > 0 else 0.0
    text = _text(said).strip()
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
