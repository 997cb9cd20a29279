"""Events on their way out: which are sent when, how often they are tried, when they are given up.

What an event is and where it is kept is outbox.py's, where it goes event_sinks.py's. Delivery is at least once: an
event whose answer was lost is sent again, under the same id.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import Field

from shared.adapters.event_sinks import Sink, SinkFailed
from shared.adapters.outbox import GIVEN_UP, SENT, WAITING, Event, event_of, events_table, row_of
from shared.operations.operation import Desk, Told
from shared.types import Row

MOST_AT_ONCE = 500
"""Events that one run sends; the next run takes the rest."""
_MOST_READ = 5_000
GIVE_UP_DAYS = 3
_LOOK_BACK_DAYS = 14
"""Where unsent events are looked for: timers may have stood still for days."""
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0


class SentReport(Told):
    sent: int = Field(default=0, description="Events that the sink has taken.")
    waiting: int = Field(default=0, description="Events that failed and are tried again later.")
    given_up: int = Field(
        default=0, description=f"Events that have failed for {GIVE_UP_DAYS} days and are not tried again."
    )
    problems: list[str] = Field(default_factory=list[str], description="What the sink said of those that failed.")


async def send_events(desk: Desk, now: datetime) -> SentReport:
    """Send what waits and is due, oldest first. Raises StoreUnavailable."""
    return await send_matching(desk, now, f"state eq '{WAITING}' and due le {now.timestamp()!r}")


async def send_matching(desk: Desk, now: datetime, which: str) -> SentReport:
    """`which`: an OData filter. Raises StoreUnavailable."""
    report, sink = SentReport(), desk.sink
    if sink is None:
        return report
    waiting = [event async for event in _found(desk, now, which)]
    waiting.sort(key=lambda event: (event.at, event.id))
    now_sent = waiting[:MOST_AT_ONCE]
    batches = deque(list(batch) for batch in itertools.batched(now_sent, sink.batch, strict=False))
    while batches:
        batch = batches.popleft()
        failure = await _failure(sink, batch)
        if failure is None:
            at = now.timestamp()
            await keep(desk, [replace(e, state=SENT, sent_at=at, attempts=e.attempts + 1, error="") for e in batch])
            report.sent += len(batch)
        elif failure.refused and len(batch) > 1:  # one of them is what the sink does not take
            batches.extendleft([event] for event in reversed(batch))
        else:
            await _tried(desk, batch, failure, now, report)
            if not failure.refused:
                break  # the sink is down: what is behind keeps its place
    return report


async def _failure(sink: Sink, batch: Sequence[Event]) -> SinkFailed | None:
    try:
        await sink.send([event.cloud_event() for event in batch])
    except SinkFailed as failure:
        return failure
    return None


async def _tried(desk: Desk, batch: Sequence[Event], failure: SinkFailed, now: datetime, report: SentReport) -> None:
    report.problems.append(str(failure))
    kept: list[Event] = []
    for event in batch:
        lost = now.timestamp() - event.at > GIVE_UP_DAYS * 86400
        pause = min(_FIRST_PAUSE * 2**event.attempts, _LONGEST_PAUSE)
        due = now.timestamp() + pause
        kept.append(
            replace(
                event, state=GIVEN_UP if lost else WAITING, attempts=event.attempts + 1, due=due, error=str(failure)
            )
        )
        if lost:
            report.given_up += 1
            desk.log.warning("event given up", kind=event.kind, id=event.id, subject=event.subject, error=str(failure))
        else:
            report.waiting += 1
    await keep(desk, kept)


async def keep(desk: Desk, events: Iterable[Event]) -> None:
    """Write down what has become of events."""
    await desk.tables.write([Row(*row_of(event)) for event in events])


async def _found(desk: Desk, now: datetime, which: str) -> AsyncIterator[Event]:
    first = now - timedelta(days=_LOOK_BACK_DAYS)
    left = _MOST_READ
    for month in sorted({first.strftime("%Y%m"), now.strftime("%Y%m")}):
        wanted = f"PartitionKey ge '{first:%Y%m%d}' and {which}"
        async for row in desk.tables.query(events_table(month), wanted):
            yield event_of(row)
            left -= 1
            if left == 0:
                return
