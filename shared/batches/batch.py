"""One batch as the gateway keeps it: a value, its row, and how OpenAI tells it. Pure.

A batch is a row that any instance may advance, at any time and more than once. What it needs for that is in the row.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import orjson

from shared.principals import Principal
from shared.types import Json

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
"""OpenAI's words (openai-openapi 2026-08-21)."""
Engine = Literal["azure", "own"]
"""Who runs the lines: Azure's batch service, or the gateway's own calls."""
Source = Literal["api", "drop", "defer", "retry"]
"""Where it came from: a client's POST /v1/batches, a file dropped in a container, calls that were put off, an
operator."""
ENDED: frozenset[Status] = frozenset({"failed", "completed", "expired", "cancelled"})
WINDOW_SECONDS = 24 * 3600
_FAR = 0xFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a batch, and whose it is: all that is needed to find the principal again."""

    key_id: str
    key_name: str
    team: str
    owner: str
    """Principal.owner: by it ids are sealed, and lists are kept."""
    entra: bool = False
    """An Entra caller who has no key of their own: the team is all there is to find."""
    tags: tuple[str, ...] = ()
    user: str = ""

    @property
    def principal(self) -> Principal:
        """Whose ids are opened and sealed. No right follows from it."""
        return Principal(self.key_id, self.key_name, self.team)


@dataclass(frozen=True, slots=True)
class Try:
    """A placement that came to nothing."""

    deployment: str
    """Its id."""
    why: str
    """In words for the operator: no host, no secret."""
    upstream_batch: str = ""
    """A batch that may still be there, and is to be cancelled when its resource answers again; empty: there is none."""
    upstream_file: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where Azure's engine runs it. Ids are those of the resource."""

    resource: str
    deployment: str
    """Its id (`resource/name`)."""
    upstream_file: str = ""
    upstream_batch: str = ""
    status: str = ""
    """As the resource said last, in OpenAI's words; empty: nothing was made there yet."""
    placed_at: float = 0.0
    seen_at: float = 0.0
    """When the resource last answered."""
    asked_at: float = 0.0
    """When the resource was asked to make it."""
    silent_since: float = 0.0
    """Since when the resource tells nothing of it; 0: it did when it was last asked."""
    ended_at: float = 0.0
    """When it ended there, as was told first: it does not change any more."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a batch has used, as far as it is settled."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    unpriced: bool = False

    def plus(self, other: Figures) -> Figures:
        return Figures(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cost_nanos + other.cost_nanos,
            self.unpriced or other.unpriced,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Times are Unix seconds, 0 for what has not happened. Changed by BatchRows.change alone."""

    id: str
    """`batch_` and 32 hex digits, the first 12 of which are the milliseconds of its making."""
    payer: Payer
    alias: str
    endpoint: str
    """As OpenAI writes it: `/v1/chat/completions`; Azure's spelling without /v1 becomes that."""
    input_file: str
    """A file kept here."""
    lines: int
    input_bytes: int
    tokens: int
    """Input tokens by the gateway's own rule: the depth of a queue is counted in them."""
    engine: Engine
    source: Source
    created_at: float
    expires_at: float
    status: Status = "validating"
    bound: str = ""
    """The resource that its lines' ids bind it to; empty: none."""
    metadata: Mapping[str, str] | None = None
    completion_window: str = "24h"
    output_seconds: int = 0
    """How long its output files are kept (output_expires_after); 0: as usual."""
    placement: Placement | None = None
    tries: tuple[Try, ...] = ()
    chunks: int = 0
    """Of the own engine: how many there are; 0 before they were sent."""
    completed: int = 0
    failed: int = 0
    """Lines."""
    output_file: str = ""
    error_file: str = ""
    """Files kept here; empty: there is none (yet)."""
    errors: tuple[Mapping[str, Any], ...] = ()
    """{code, message, line, param} of a batch that has failed."""
    figures: Figures = Figures()
    in_progress_at: float = 0.0
    finalizing_at: float = 0.0
    completed_at: float = 0.0
    failed_at: float = 0.0
    expired_at: float = 0.0
    cancelling_at: float = 0.0
    cancelled_at: float = 0.0
    callback_url: str = ""
    callback: Literal["", "sent", "given_up"] = ""
    origin: str = ""
    """What it was made of: the blob's name below in/ for a drop, the group for deferred calls, the batch for a
    retry."""
    told: bool = False
    """It has ended and everybody has been told: events, results written where they belong. Nothing is left to do."""
    turn: int = 0
    next_look: float = 0.0
    """Of looking.py: which message looks next, and when it comes."""
    claimed_by: str = ""
    claimed_until: float = 0.0
    """Who is advancing it just now: what has effects outside is done by one at a time."""
    etag: str = ""
    """Of the row it was read from."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def ended_at(self) -> float:
        return max(self.completed_at, self.failed_at, self.expired_at, self.cancelled_at)

    def to(self, status: Status, now: float, **changed: Any) -> Batch:
        """The same in another state, with the time of it."""
        return replace(self, status=status, **({f"{status}_at": now} if status != "validating" else {}), **changed)


def new_batch_id(now: float, tail: str = "") -> str:
    """tail: 20 hex digits that are the same whenever the same thing makes it; else random."""
    return f"batch_{int(now * 1000) & _FAR:012x}{tail or secrets.token_hex(10)}"


def row_key(batch_id: str) -> str:
    """Newest first in the order of a table's keys."""
    text = batch_id.removeprefix("batch_")
    return f"{_FAR - int(text[:12], 16):012x}{text[12:]}"


_PLAIN = {f.name for f in fields(Batch)} - {"payer", "placement", "tries", "errors", "figures", "metadata", "etag"}


def batch_values(batch: Batch) -> dict[str, Any]:
    """The columns of its row, without keys."""
    values = {name: getattr(batch, name) for name in _PLAIN}
    values["payer"] = _dumped(batch.payer)
    values["placement"] = _dumped(batch.placement) if batch.placement else ""
    values["tries"] = orjson.dumps(batch.tries).decode()
    values["errors"] = orjson.dumps([dict(error) for error in batch.errors]).decode()
    values["figures"] = _dumped(batch.figures)
    values["metadata"] = "" if batch.metadata is None else orjson.dumps(dict(batch.metadata)).decode()
    return values


def read_batch(values: Mapping[str, Any]) -> Batch:
    """From a row. A column that an older row lacks is as if it had never been set."""
    given: dict[str, Any] = {name: values[name] for name in _PLAIN if name in values}
    payer: dict[str, Any] = orjson.loads(values["payer"])
    payer["tags"] = tuple(payer["tags"])
    placement = orjson.loads(values["placement"]) if values.get("placement") else None
    return Batch(
        **given,
        payer=Payer(**payer),
        placement=Placement(**placement) if placement else None,
        tries=tuple(Try(**each) for each in orjson.loads(values.get("tries") or "[]")),
        errors=tuple(orjson.loads(values.get("errors") or "[]")),
        figures=Figures(**orjson.loads(values.get("figures") or "{}")),
        metadata=orjson.loads(values["metadata"]) if values.get("metadata") else None,
        etag=str(values.get("etag", "")),
    )


def _dumped(value: Any) -> str:
    return orjson.dumps(value).decode()


def batch_error(code: str, message: str, param: str | None = None) -> Json:
    """Why a batch has failed as a whole."""
    return {"code": code, "message": message, "line": None, "param": param}


def batch_json(batch: Batch, seal: Any) -> Json:
    """As OpenAI tells a batch, to the letter (openai-openapi 2026-08-21). `seal`: (own id) -> the client's id."""

    def at(time: float) -> int | None:
        return int(time) if time else None

    def file(name: str) -> str | None:
        return seal(name) if name else None

    usage = batch.figures
    return {
        "id": seal(batch.id),
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.alias,
        "errors": {"object": "list", "data": [dict(error) for error in batch.errors]} if batch.errors else None,
        "input_file_id": seal(batch.input_file),
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": file(batch.output_file),
        "error_file_id": file(batch.error_file),
        "created_at": int(batch.created_at),
        "in_progress_at": at(batch.in_progress_at),
        "expires_at": int(batch.expires_at),
        "finalizing_at": at(batch.finalizing_at),
        "completed_at": at(batch.completed_at),
        "failed_at": at(batch.failed_at),
        "expired_at": at(batch.expired_at),
        "cancelling_at": at(batch.cancelling_at),
        "cancelled_at": at(batch.cancelled_at),
        "request_counts": {"total": batch.lines, "completed": batch.completed, "failed": batch.failed},
        "usage": {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
        "metadata": None if batch.metadata is None else dict(batch.metadata),
    }


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """What is known of a batch that still has something to do, without reading its own row."""

    id: str
    input_file: str
    deployment: str = ""
    """Where it is placed (id); empty: nowhere, or it is run by the own engine."""
    tokens: int = 0
    next_look: float = 0.0
    engine: Engine = "own"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the input that the own engine runs in one go, and how far it has come."""

    number: int
    done: bool = False
    """Every line has its answer, and it is in the ledger."""
    completed: int = 0
    failed: int = 0
    figures: Figures = field(default_factory=Figures)
