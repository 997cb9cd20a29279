"""A usage log with somebody who looks into it."""

from __future__ import annotations

import asyncio

from shared.adapters.observed_usage import ObservedUsage
from shared.types import UsageRecord
from tests.support.doubles import a_record


class Log:
    """A usage log that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def begin(self) -> None:
        self.told.append("begin")

    async def intend(self, record: UsageRecord) -> None:
        self.told.append(("intend", record.request_id))

    def add(self, record: UsageRecord | None) -> None:
        self.told.append(record and record.request_id)

    async def add_once(self, record: UsageRecord) -> None:
        self.told.append(("once", record.request_id))

    async def flush(self) -> None:
        self.told.append("flush")


def test_every_record_is_written_and_seen_once() -> None:
    async def work() -> None:
        log, seen = Log(), list[str]()
        observed = ObservedUsage(log, lambda record: seen.append(record.request_id))
        observed.begin()
        await observed.intend(a_record(1))
        observed.add(a_record(1))
        observed.add(None)
        await observed.add_once(a_record(2))
        await observed.flush()
        assert log.told == ["begin", ("intend", "req_1"), "req_1", None, ("once", "req_2"), "flush"]
        assert seen == ["req_1", "req_2"]

    asyncio.run(work())
