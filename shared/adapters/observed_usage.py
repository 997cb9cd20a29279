"""A usage log that others look into (ports.UsageLog over another): whoever reports on single calls sees each record."""

from __future__ import annotations

from collections.abc import Callable

from shared.ports import UsageLog
from shared.types import UsageRecord


class ObservedUsage:
    """observe: must neither wait nor raise."""

    def __init__(self, log: UsageLog, observe: Callable[[UsageRecord], None]) -> None:
        self._log = log
        self._observe = observe
        self.begin, self.intend, self.flush = log.begin, log.intend, log.flush

    def add(self, record: UsageRecord | None) -> None:
        self._log.add(record)
        if record is not None:
            self._observe(record)

    async def add_once(self, record: UsageRecord) -> None:
        await self._log.add_once(record)
        self._observe(record)
