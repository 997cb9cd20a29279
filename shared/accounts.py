"""What a call takes of its limits before it is made, and what is written down of it when it has ended, exactly once.

Owns the order of these: reserve, intend, settle. What limits and prices are is theirs; how an answer is read is not
known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from shared import errors
from shared.call import NO_USAGE, Call
from shared.expected import expected, expected_usage
from shared.money import in_usd
from shared.owners import Owners
from shared.ports import CallLog, Limiter, Prices, StoreUnavailable, UsageLog
from shared.prices.spill import Spillover
from shared.transform.stream import EventStream
from shared.types import Need, RawHeaders, UsageRecord


@dataclass(frozen=True, slots=True)
class Accounts:
    """Built once per configuration."""

    usage: UsageLog
    limiter: Limiter
    prices: Prices
    owners: Owners
    spillover: Spillover
    log: CallLog
    timer: Callable[[], float]
    """Monotonic seconds."""
    clock: Callable[[], float]
    """Unix seconds."""
    flush_each: bool = False
    """USAGE_FLUSH=request: a call is in the ledger before it is made, and its record before its last byte is sent."""
    closed_when_down: bool = False
    """STORAGE_DOWN=closed: nothing is served that cannot be limited and written down."""

    async def reserve(self, call: Call) -> None:
        """Take what the call may need at most of its key's and its team's limits. Raises ApiError 429, 503."""
        principal = call.principal
        assert principal is not None
        if principal.limited:
            call.need = expected(call, self.prices)
            call.grant = await self.limiter.reserve(principal, call.need)
        if self.flush_each and call.choices:
            await self._intend(call)

    async def _intend(self, call: Call) -> None:
        """A process that is killed while a call is under way leaves a trace of it. Raises ApiError 503."""
        record = call.record(self.timer(), self.prices)
        record.outcome, record.usage = "unfinished", replace(expected_usage(call), estimated=True)
        deployment = call.choices[0]
        record.deployment, record.upstream_model = deployment.id, deployment.model
        record.cost = self.prices.cost(deployment, record.usage, call.at)
        try:
            await self.usage.intend(record)
        except StoreUnavailable as error:
            self.log.warning("ledger unavailable", request_id=call.request.id, error=str(error))
            if self.closed_when_down:
                raise errors.unavailable(
                    "The gateway cannot write its ledger at the moment. Retry in a few seconds.", "ledger_unavailable"
                ) from error

    async def settle_early(self, call: Call) -> None:
        """USAGE_FLUSH=request: a client that has the whole answer has been counted, whatever happens next."""
        if not self.flush_each:
            return
        await self.settle(call)
        try:
            await self.usage.flush()
        except StoreUnavailable as error:
            self.log.warning("usage not yet durable", request_id=call.request.id, error=str(error))

    async def settle(self, call: Call) -> None:
        """Write the record of a call, once."""
        if call.settled:
            return
        call.settled = True
        record = None
        try:
            record = await self._record(call)
        finally:  # whatever fails, the call is no longer in flight
            self.usage.add(record)
            if call.grant:
                self.limiter.settle(call.grant, _spent(call, record))
            tokens = record.usage.total_tokens if record else 0
            call.left(self.clock(), tokens=tokens, good=call.blameless or call.outcome in _WELL)

    async def _record(self, call: Call) -> UsageRecord:
        if isinstance(call.answer, EventStream) and call.deployment is not None:  # a response in the background
            await self.owners.note(call, call.deployment, call.answer)
        record = call.record(self.timer(), self.prices)
        self.log.call(record)
        return record

    def cost_header(self, call: Call) -> RawHeaders:
        """What a whole answer costs; that of a stream is known too late for a header."""
        if call.endpoint.target != "model" or call.deployment is None or call.answer is None:
            return []
        _, cost = call.costs(self.prices)
        return [(b"x-tollgate-cost-usd", in_usd(cost.nanos).encode() if cost.priced else b"unknown")]


_WELL = frozenset({"ok", "client_closed", "client_error"})
"""Outcomes that say nothing against the deployment."""


def _spent(call: Call, record: UsageRecord | None) -> Need:
    """What goes on in the background keeps the tokens that it reserved; it is paid for when it has ended."""
    if record is None:
        return Need()
    if call.body.get("background") is True and call.status < 400 and record.usage == NO_USAGE:
        return Need(call.need.tokens)
    return Need(record.usage.total_tokens, record.cost.nanos)
