"""Events as an operator sees them: the list, sending now, a test of the way out."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from shared.adapters.event_sinks import SinkFailed
from shared.adapters.outbox import GIVEN_UP, SENT, Event, event_of, events_table
from shared.books.days import iso
from shared.errors import ApiError
from shared.operations.asked_days import bad_cursor, now_of
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.operations.sending import SentReport, keep, send_events, send_matching

_FEW = 1000
"""Rows that the table service answers at once."""


class EventRow(Told):
    id: str = Field(description="The event's id, the same however often it is sent.")
    time: str
    kind: str = Field(description="What has happened; the event's type is `tollgate.` and this.")
    subject: str = Field(description="To what: `keys/ID`, `teams/NAME`, `models/ALIAS`, …")
    state: str = Field(
        description="waiting, sent, given_up, or kept: there was nowhere to send it when it happened (EVENTS)."
    )
    sent_at: str = Field(description="Empty while it is not sent.")
    attempts: int
    error: str = Field(description="Why the last attempt failed.")
    data: dict[str, Any]


class EventsAsked(Asked):
    kind: str = Field(default="", description="Only events of this kind, for example budget.threshold.", max_length=64)
    sent: Literal["any", "yes", "no"] = Field(default="any", description="Only those that were sent, or were not.")
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.", max_length=64)


class EventsTold(Told):
    rows: list[EventRow]
    next: str = Field(description="The cursor of the next page; empty: there is none.")


async def events_list(asked: EventsAsked, _actor: Actor, desk: Desk) -> EventsTold:
    """Newest first."""
    after = _place(asked.cursor)
    found: list[dict[str, Any]] = []
    for table in reversed(await desk.tables.table_names(events_table(""))):
        if not after or table <= events_table(after[0][:6]):
            found += await _of_month(desk, table, asked, after, asked.limit + 1 - len(found))
        if len(found) > asked.limit:
            break
    page = found[: asked.limit]
    more = f"{page[-1]['PartitionKey']}-{page[-1]['RowKey']}" if len(found) > asked.limit else ""
    return EventsTold(rows=[_shown(event_of(row)) for row in page], next=more)


async def _of_month(
    desk: Desk, table: str, asked: EventsAsked, after: tuple[str, str] | None, most: int
) -> list[dict[str, Any]]:
    """A table has its days in ascending order: a month of few events is read whole, else day by day, the last first."""
    month = table[-6:]
    last = min(f"{month}31", after[0]) if after else f"{month}31"
    rows, more = await desk.tables.page(table, f"PartitionKey le '{last}'{_filter(asked)}", _FEW)
    if not more:
        rows.sort(key=lambda row: row["RowKey"])  # whose times count downwards, across days as well
        return [row for row in rows if not after or row["RowKey"] > after[1]][:most]
    found: list[dict[str, Any]] = []
    for day in range(int(last), int(f"{month}00"), -1):
        wanted = f"PartitionKey eq '{day}'{_filter(asked)}"
        if after and after[0] == str(day):
            wanted += f" and RowKey gt '{after[1]}'"
        rows, _ = await desk.tables.page(table, wanted, most - len(found))
        found += rows
        if len(found) == most:
            break
    return found


def _filter(asked: EventsAsked) -> str:
    text = f" and kind eq '{asked.kind.replace("'", "''")}'" if asked.kind else ""
    if asked.sent != "any":
        text += f" and state {'eq' if asked.sent == 'yes' else 'ne'} '{SENT}'"
    return text


def _place(cursor: str) -> tuple[str, str] | None:
    """Day and row that a page ended with."""
    if not cursor:
        return None
    if not (found := re.fullmatch(r"(\d{8})-(\d{13}-[0-9a-f]{16})", cursor)):
        raise bad_cursor()
    return found[1], found[2]


def _shown(event: Event) -> EventRow:
    return EventRow(
        id=event.id,
        time=event.time,
        kind=event.kind,
        subject=event.subject,
        state=event.state,
        sent_at=iso(event.sent_at) if event.sent_at else "",
        attempts=event.attempts,
        error=event.error,
        data=dict(event.data),
    )


class SendAsked(Asked):
    retry: bool = Field(
        default=False, description="Also those that wait for their next attempt, were given up, or were only kept."
    )


async def events_send(asked: SendAsked, _actor: Actor, desk: Desk) -> SentReport:
    now = now_of(desk)
    if desk.sink is None:
        raise _nowhere()
    if not asked.retry:
        return await send_events(desk, now)
    return await send_matching(desk, now, f"state ne '{SENT}'")


class EventsTestAsked(Asked):
    pass


class EventsTestTold(Told):
    id: str
    sink: str = Field(description="Where the event went.")
    sent: bool
    error: str = Field(description="What the sink said, when it did not take the event.")


async def events_test(_asked: EventsTestAsked, actor: Actor, desk: Desk) -> EventsTestTold:
    sink, now = desk.sink, desk.clock()
    if sink is None:
        raise _nowhere()
    event = Event(uuid.uuid4().hex, "test", "events/test", now, {"asked_by": actor.name}, desk.outbox.source)
    error = ""
    try:
        await sink.send([event.cloud_event()])
    except SinkFailed as failure:
        error = str(failure)
    state = GIVEN_UP if error else SENT  # a test is of its moment: it is not tried again
    await keep(desk, [replace(event, state=state, sent_at=0.0 if error else now, attempts=1, error=error)])
    return EventsTestTold(id=event.id, sink=sink.name, sent=not error, error=error)


def _nowhere() -> ApiError:
    return ApiError(
        409,
        "Events go nowhere: the app setting EVENTS is empty. Set it to queue:NAME or to the address of an Event Grid "
        "topic (docs/events.md).",
        code="events_off",
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "events_list",
        "GET",
        "events",
        "What has happened: budgets used up, keys that end, drift, models without a price; newest first.",
        EventsAsked,
        EventsTold,
        events_list,
        columns=("time", "kind", "subject", "state", "attempts", "error"),
        example="--kind budget.threshold --sent no",
    ),
    Operation(
        "events_send",
        "POST",
        "events/send",
        "Send now what waits, as the timer does every five minutes.",
        SendAsked,
        SentReport,
        events_send,
        columns=("sent", "waiting", "given_up"),
        example="--retry",
    ),
    Operation(
        "events_test",
        "POST",
        "events/test",
        "Send one event of kind `test` and say what the sink answered.",
        EventsTestAsked,
        EventsTestTold,
        events_test,
        columns=("sink", "sent", "error"),
    ),
)
