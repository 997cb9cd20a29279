"""Events that the gateway has to tell, kept until they are sent: CloudEvents in a table per month.

Owns the rows and that one fact is one event. Knows neither who reports (event_reports.py) nor where events go
(event_sinks.py, operations/events.py).

`unique` names the fact for ever ("key K, November 2026, 80 %"), and the event's id is its digest. Two rows:

    tollgatestate      event | DIGEST               when the fact was first seen: decides where its event stands
    tollgateeventsYYYYMM    DAY | TIME-DIGEST       the event, newest first within a day

The mark is written first, by insert-if-absent: of many instances one decides the time, and every other writer, and
every repetition after a crash, writes the same event row, again by insert-if-absent. `stored` is set last: from then on
the fact is known without looking, also when the month's table has been dropped. A mark without `stored` is a writer
that ended between the two; whoever sees the fact next completes it, and gives it a new time when the old one is so
long ago that nobody looks there for unsent events any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.adapters.tables import STATE_TABLE, Tables
from shared.books.days import iso
from shared.ports import CallLog, StoreUnavailable
from shared.types import Row

MARKS = "event"
TYPES = "tollgate."
"""An event's type is this and its kind: `tollgate.budget.threshold`."""
WAITING, SENT, GIVEN_UP, KEPT = "waiting", "sent", "given_up", "kept"
_LAST_MS = 9_999_999_999_999
_TAKEN_OVER = 3600.0
"""Seconds after which a mark without its event gets a new time."""
_DELAYS = (1.0, 5.0, 30.0, 120.0)
_MOST_WRITING = 1000
_MOST_DATA = 30_000
"""Bytes of an event's data: a message of a queue holds 48 KB, a text property 64 KiB of UTF-16."""
_MOST_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent and what has become of it. Times in Unix seconds."""

    id: str
    kind: str
    subject: str
    at: float
    data: Mapping[str, Any]
    source: str
    state: str = WAITING
    sent_at: float = 0.0
    attempts: int = 0
    due: float = 0.0
    """Not sent before."""
    error: str = ""
    """Why the last attempt failed."""

    @property
    def time(self) -> str:
        return iso(self.at)

    def cloud_event(self) -> dict[str, Any]:
        """As it is sent: CloudEvents 1.0, structured JSON."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": TYPES + self.kind,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": dict(self.data),
        }


class Outbox:
    """`source`: CloudEvents' attribute of that name for this gateway, see `source_of`. `sending` says whether there is
    anywhere to send events to: without, they are only kept."""

    def __init__(
        self, tables: Tables, clock: Callable[[], float], log: CallLog, source: str, sending: bool = False
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._log = log
        self.source = source
        self._state = WAITING if sending else KEPT
        self._known: OrderedDict[str, None] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    def add(self, kind: str, subject: str, data: Mapping[str, Any], unique: str) -> None:
        """Never blocks and never fails: written in the background, for some minutes if need be; what cannot be
        written is in the log."""
        digest = _digest(unique)
        if digest in self._known:
            return
        if len(self._writing) >= _MOST_WRITING:
            self._log.warning("event lost: too many wait for the table store", kind=kind, subject=subject)
            return
        self._know(digest)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop: the process ends, or is no gateway
            self._log.warning("event lost: nothing can be written any more", kind=kind, subject=subject)
            return
        task = loop.create_task(self._write(kind, subject, dict(data), digest))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def add_now(self, kind: str, subject: str, data: Mapping[str, Any], unique: str) -> str:
        """Durable when this returns. -> the event's id. Raises StoreUnavailable."""
        digest = _digest(unique)
        await self._store(kind, subject, data, digest)
        self._know(digest)
        return digest[:32]

    async def written(self) -> None:
        """Wait for what `add` has begun, however it ends."""
        while self._writing:
            await asyncio.wait(set(self._writing))

    def _know(self, digest: str) -> None:
        self._known[digest] = None
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def _write(self, kind: str, subject: str, data: Mapping[str, Any], digest: str) -> None:
        for delay in (*_DELAYS, None):
            try:
                await self._store(kind, subject, data, digest)
                return
            except StoreUnavailable as error:
                if delay is None:
                    self._known.pop(digest, None)  # whoever reports it again gets another try
                    self._log.warning("event lost", kind=kind, subject=subject, error=str(error))
                    return
            except Exception as error:  # whatever it is, a call must not fail by its report
                self._log.warning("event lost", kind=kind, subject=subject, error=f"{type(error).__name__}: {error}")
                return
            await asyncio.sleep(delay)

    async def _store(self, kind: str, subject: str, data: Mapping[str, Any], digest: str) -> None:
        now, told = self._clock(), _short(data)
        mark: dict[str, Any] = {"PartitionKey": MARKS, "RowKey": digest, "at": now, "kind": kind, "stored": False}
        if not await self._tables.insert(STATE_TABLE, mark):
            known = await self._tables.get(STATE_TABLE, MARKS, digest)
            if known is None or known["stored"]:
                return
            mark = known
            if now - float(known["at"]) > _TAKEN_OVER and not await self._exists(float(known["at"]), digest):
                mark = known | {"at": now}
                if await self._tables.replace_if(STATE_TABLE, mark, known["etag"]) is None:
                    return  # somebody else has taken it over
        event = Event(digest[:32], kind, subject, float(mark["at"]), told, self.source, self._state)
        await self._tables.insert(*row_of(event))
        await self._tables.write([Row(STATE_TABLE, mark | {"stored": True})])

    async def _exists(self, at: float, digest: str) -> bool:
        table, day, key = place_of(at, digest)
        return await self._tables.get(table, day, key) is not None


def source_of(pepper: str) -> str:
    """The same on every instance, another for every gateway; tells no host."""
    return "/tollgate/" + hmac.digest(pepper.encode(), b"event source", "sha256").hex()[:12]


def events_table(month: str) -> str:
    return f"tollgateevents{month}"


def place_of(at: float, event_id: str) -> tuple[str, str, str]:
    """Table, partition and row. Times count downwards, so that a day's rows come newest first."""
    day = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d")
    return events_table(day[:6]), day, f"{_LAST_MS - round(at * 1000):013}-{event_id[:16]}"


def row_of(event: Event) -> tuple[str, dict[str, Any]]:
    """-> its table, its row."""
    table, day, key = place_of(event.at, event.id)
    return table, {
        "PartitionKey": day,
        "RowKey": key,
        "id": event.id,
        "kind": event.kind,
        "specversion": "1.0",
        "source": event.source,
        "type": TYPES + event.kind,
        "subject": event.subject,
        "time": event.time,
        "at": event.at,
        "datacontenttype": "application/json",
        "data": orjson.dumps(event.data).decode(),
        "state": event.state,
        "sent_at": event.sent_at,
        "attempts": event.attempts,
        "due": event.due,
        "error": event.error,
    }


def event_of(row: Mapping[str, Any]) -> Event:
    return Event(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        at=float(row["at"]),
        data=orjson.loads(row["data"]),
        source=row["source"],
        state=row["state"],
        sent_at=float(row["sent_at"]),
        attempts=int(row["attempts"]),
        due=float(row["due"]),
        error=row["error"],
    )


def _short(data: Mapping[str, Any]) -> Mapping[str, Any]:
    size = len(orjson.dumps(data))
    return data if size <= _MOST_DATA else {"omitted": f"the data were too long: {size} bytes"}


def _digest(unique: str) -> str:
    return hashlib.sha256(unique.encode()).hexdigest()
