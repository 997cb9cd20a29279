"""One process whose callers take calls from its leases as fast as they get them, until a given time.

    python -m bench.lease_worker '{"connection": …, "instance": …, "key": …, "limits": {…}, "until": …}'

It prints a line of JSON now and then and one at its end: what it was granted, by window. Its limiter and the table
service are real; there is no HTTP. Used by limits_proof.py and by the tests, which kill it.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import SystemRandom
from typing import Any

from azure.data.tables.aio import TableServiceClient

from shared.adapters.lease_store import TableLeases
from shared.adapters.tables import Tables
from shared.errors import ApiError
from shared.limits import LeaseLimiter, Pace
from shared.limits.grant import LeaseGrant
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Budget, Principal
from shared.types import Need


class NoLog:
    def call(self, record: Any) -> None:
        pass

    def warning(self, message: str, **fields: object) -> None:
        print(message, fields, file=sys.stderr)


class Process:
    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        connection = given["connection"]
        self.tables = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=3))
        self.leases = TableLeases(self.tables, SystemRandom())
        pace = Pace(**given.get("pace", {}))
        self.limiter = LeaseLimiter(self.leases, given["instance"], time.time, NoLog(), pace=pace)
        limits = dict(given["limits"])
        budgets = tuple(Budget(*budget) for budget in limits.pop("budgets", ()))
        self.who = Principal(given["key"], "ci", allowance=Allowance(**limits, budgets=budgets))
        self.need, self.spent = Need(*given.get("need", (0, 0))), Need(*given.get("spent", given.get("need", (0, 0))))
        self.admitted: Counter[int] = Counter()
        self.nanos = self.calls = self.refused = self.running = self.most = 0
        self.busy = 0.0
        self.trace: list[tuple[float, int]] = []
        """When calls begin and end, for who must know how many ran at once in all processes."""

    async def run(self) -> None:
        with suppress(StoreUnavailable):  # the SDK's import and the connection are no part of what is measured
            await self.tables.get("tollgatelimits", "nobody", "nothing")
        callers = [asyncio.ensure_future(self._caller()) for _ in range(self.given.get("callers", 10))]
        while time.time() < self.given["until"]:
            self._say()
            await asyncio.sleep(min(0.2, max(0.01, self.given["until"] - time.time())))
        await asyncio.gather(*callers)
        if self.given.get("close", True):
            await self.limiter.close()
        await self.tables.close()
        self._say(self.trace)

    async def _caller(self) -> None:
        lasts, again = self.given.get("lasts", 0.02), self.given.get("again", 0.2)
        await asyncio.sleep(max(0.0, self.given.get("from", 0) - time.time()))
        while time.time() < self.given["until"]:
            try:
                grant = await self.limiter.reserve(self.who, self.need)
            except ApiError:
                self.refused += 1
                await asyncio.sleep(again)
                continue
            self.calls += 1
            if isinstance(grant, LeaseGrant) and grant.rates:
                self.admitted[grant.rates[0].win] += 1
            self.running += 1
            self.most = max(self.most, self.running)
            began = time.time()
            await asyncio.sleep(lasts)
            ended = time.time()
            self.busy += min(ended, self.given["until"]) - began
            self.running -= 1
            if self.given.get("trace"):
                self.trace += [(began, 1), (ended, -1)]
            assert grant is not None
            self.nanos += self.spent.nanos
            self.limiter.settle(grant, self.spent)

    def _say(self, trace: Sequence[tuple[float, int]] = ()) -> None:
        said = {
            "admitted": self.admitted, "nanos": self.nanos, "calls": self.calls, "refused": self.refused,
            "most": self.most, "running": self.running, "busy": self.busy, "operations": self.leases.operations,
            "cpu": time.process_time(), "trace": trace,
        }  # fmt: skip
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(Process(json.loads(sys.argv[1])).run())
