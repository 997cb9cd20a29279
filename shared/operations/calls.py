"""Single calls, newest first, as the ledger has them."""

from __future__ import annotations

import base64
import heapq
from datetime import date, timedelta
from typing import Any, Literal

import orjson
from pydantic import Field

from shared.adapters.book_tables import totals
from shared.adapters.ledger import Entry, entries
from shared.adapters.tables import Tables
from shared.books.days import day_name
from shared.books.reports import LEAST_OF_AN_ID
from shared.books.sums import counted
from shared.money import in_usd
from shared.operations.asked_days import bad_cursor, now_of
from shared.operations.operation import Actor, Asked, Desk, Operation, Told

LOOK_BACK = 7
"""Days that are searched when none is named."""
type Place = tuple[str, str, str, str]
"""Day, time, request id and key: where a page ends."""
_HEX = frozenset("0123456789abcdef")


class CallsAsked(Asked):
    key: str = Field(default="", description="Only this key's: its name, or its id.", max_length=256)
    day: date | None = Field(
        default=None, description=f"YYYY-MM-DD (UTC). Without: today and the {LOOK_BACK} days before."
    )
    model: str = Field(default="", description="Only of this model.", max_length=256)
    request_id: str = Field(default="", description="Only this call: `x-request-id` of its answer.", max_length=256)
    outcome: Literal[
        "", "ok", "client_error", "client_closed", "upstream_error", "upstream_cut", "gateway_error", "unfinished"
    ] = Field(default="", description="Only calls that ended so.")
    batch: str = Field(
        default="", description="Only what this batch has used: its id as the ledger has it.", max_length=256
    )
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.", max_length=512)


class CallRow(Told):
    at: str = Field(description="When the call began.")
    request_id: str
    calls: int = Field(
        description="1; more in a row for the lines of a batch, or for calls whose events had to be given up."
    )
    key: str
    key_id: str
    team: str
    model: str
    deployment: str
    upstream_model: str
    endpoint: str
    status: int
    outcome: str
    stream: bool
    attempts: int
    latency_ms: float
    first_token_ms: float | None
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    images: int
    characters: int
    audio_ms: int
    video_ms: int
    estimated: bool
    cost_usd: str
    unpriced: bool
    price: str = Field(description="Where the price is from.")
    tier: str
    capacity: str = Field(
        description="Of a model with provisioned throughput, what served: ptu, spill, azure-spill (docs/ledger.md)."
    )
    served_model: str = Field(description="The model that stood in for the one that was asked for.")
    batch: str = Field(description="The batch that it is of.")
    engine: str = Field(description="What ran the batch: azure, own.")
    tags: list[str]
    user: str
    shadow: str = Field(description="The limit that would have refused the call, had it not been in shadow mode.")


class CallsTold(Told):
    rows: list[CallRow]
    next: str = Field(description="The cursor of the next page; empty: there is none.")


async def calls_list(asked: CallsAsked, _actor: Actor, desk: Desk) -> CallsTold:
    """Day by day, and within a day the newest of what is older than the page before. The days are walked again for
    each page; no more than a page of their calls is held."""
    now, before = now_of(desk), _place(asked.cursor)
    last = asked.day or now.date()
    found: list[Entry] = []
    for back in range(1 if asked.day else LOOK_BACK + 1):
        day = last - timedelta(days=back)
        if before and day_name(day) > before[0]:
            continue
        newest = _Newest(asked.limit + 1 - len(found), before)
        for key in await _keys(desk.tables, asked.key, day):
            async for entry in entries(desk.tables, day, day, now, key=key):
                if _is_wanted(asked, entry):
                    newest.add(entry)
        found += newest.sorted()
        if len(found) > asked.limit or (asked.request_id and found):
            break
    page = found[: asked.limit]
    more = _cursor(place_of(page[-1])) if len(found) > asked.limit else ""
    return CallsTold(rows=[_row(entry) for entry in page], next=more)


class _Newest:
    """The newest calls of one day."""

    def __init__(self, most: int, before: Place | None) -> None:
        self._most, self._before = most, before
        self._heap: list[tuple[Place, int, Entry]] = []
        self._number = 0

    def add(self, entry: Entry) -> None:
        place = place_of(entry)
        if self._before and place >= self._before:
            return
        self._number += 1  # tells two apart that began in the same moment with the same name
        item = place, self._number, entry
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    def sorted(self) -> list[Entry]:
        return [entry for _, _, entry in sorted(self._heap, reverse=True)]


def place_of(entry: Entry) -> Place:
    return entry.day, str(entry.event["at"]), str(entry.event["request_id"]), entry.key_id


async def _keys(tables: Tables, key: str, day: date) -> list[str]:
    """Whose partitions are read: ids or their beginnings; an empty one stands for all."""
    if not key or is_id(key):
        return [key]
    return sorted({use.key_id async for use in totals(tables, day, day) if use.key_name == key})


def is_id(text: str) -> bool:
    return len(text) >= LEAST_OF_AN_ID and set(text) <= _HEX


def _is_wanted(asked: CallsAsked, entry: Entry) -> bool:
    event = entry.event
    return (
        (not asked.request_id or asked.request_id == event.get("request_id"))
        and (not asked.model or asked.model == event.get("alias"))
        and (not asked.batch or asked.batch == event.get("batch"))
        and (not asked.outcome or asked.outcome == event.get("outcome"))
    )


def _row(entry: Entry) -> CallRow:
    event, sums = entry.event, counted(entry.event)

    def text(name: str) -> str:
        return str(event.get(name) or "")

    figures: dict[str, Any] = {
        name: sums[name]
        for name in (
            "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "images", "characters",
            "audio_ms", "video_ms",
        )
    }  # fmt: skip
    return CallRow(
        at=text("at"),
        request_id=text("request_id"),
        calls=sums["requests"],
        key=text("key_name"),
        key_id=entry.key_id[:12],
        team=text("team"),
        model=text("alias"),
        deployment=text("deployment"),
        upstream_model=text("upstream_model"),
        endpoint=text("endpoint"),
        status=int(event.get("status") or 0),
        outcome=text("outcome") or "given_up",
        stream=bool(event.get("stream")),
        attempts=int(event.get("attempts") or 0),
        latency_ms=float(event.get("latency_ms") or 0),
        first_token_ms=event.get("first_token_ms"),
        estimated=bool(event.get("estimated")),
        cost_usd=in_usd(sums["cost_nanos"]),
        unpriced=bool(event.get("unpriced")),
        price=text("price"),
        tier=text("tier"),
        capacity=text("capacity"),
        served_model=text("served_alias"),
        batch=text("batch"),
        engine=text("engine"),
        tags=list(event.get("tags") or ()),
        user=text("user"),
        shadow=text("shadow"),
        **figures,
    )


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def _place(cursor: str) -> Place | None:
    """Raises ApiError."""
    if not cursor:
        return None
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise bad_cursor() from None
    if not (isinstance(found, list) and len(found) == 4 and all(isinstance(part, str) for part in found)):
        raise bad_cursor()
    return found[0], found[1], found[2], found[3]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "calls_list",
        "GET",
        "calls",
        "Single calls as the ledger has them, newest first.",
        CallsAsked,
        CallsTold,
        calls_list,
        columns=(
            "at", "request_id", "key", "model", "endpoint", "status", "outcome", "input_tokens", "output_tokens",
            "cost_usd", "latency_ms",
        ),
        example="--day 2026-11-22 --outcome upstream_error",
    ),
)  # fmt: skip
