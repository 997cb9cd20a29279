"""Timer triggers: one run at a time, at once again when a run took too long, in UTC.

When a timer last ran is not kept across restarts of the host, so IsPastDue is never set for what was missed while it
was off, and there is no lease against a second host. Knows nothing of how functions run.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from ..contract import Function, HostError, Typed
from ..settings import setting
from .bindings import Invoker
from .schedule import Schedule
from .work import Work

_PAST_DUE = 60.0  # seconds late


class TimerListener:
    """One function's schedule."""

    def __init__(self, function: Function, invoker: Invoker, work: Work) -> None:
        self.function, self._invoker, self._work = function, invoker, work
        self._last: datetime | None = None

    def _schedule(self) -> Schedule:
        text = setting(self.function.trigger["schedule"])
        try:
            return Schedule(text)
        except ValueError as error:
            raise HostError(
                f"Function '{self.function.name}': the schedule '{text}' cannot be read: {error}."
            ) from None

    def describe(self) -> str:
        self._schedule()
        return f"{self.function.name}: timerTrigger '{setting(self.function.trigger['schedule'])}'"

    async def run(self) -> None:
        schedule, due = self._schedule(), datetime.now(UTC)
        if str(self.function.trigger.get("runOnStartup", "")).lower() != "true":
            due = schedule.next(due)
        while True:
            while (left := (due - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(min(left, 3600))  # in pieces: the wall clock may be set meanwhile
            now = datetime.now(UTC)
            following = schedule.next(max(due, now))
            late = (now - due).total_seconds() > _PAST_DUE
            await asyncio.shield(self._work.start(self._fire(late, following)))
            self._last, due = due, max(following, datetime.now(UTC))

    async def _fire(self, late: bool, following: datetime) -> bool:
        return await self._invoker.invoke(self.function, self._value(late, following))

    def _value(self, late: bool, following: datetime) -> Typed:
        last = (self._last or datetime.min.replace(tzinfo=UTC)).isoformat()
        status = {"Last": last, "Next": following.isoformat(), "LastUpdated": last}
        return "json", json.dumps({"Schedule": {"AdjustForDST": True}, "IsPastDue": late, "ScheduleStatus": status})

    async def by_hand(self, given: str) -> bool:
        value: Typed = (
            ("json", given) if given.startswith("{") else self._value(False, self._schedule().next(datetime.now(UTC)))
        )
        return await self._invoker.invoke(self.function, value)
