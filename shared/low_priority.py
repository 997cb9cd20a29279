"""The pipeline as the own engine uses it (ports.Lines): what other calls leave, and nothing goes to the ledger.

The same deployments, states and limits as those of every call. What differs: a deployment is only asked while a good
part of its limits is left, so that a call that somebody waits for finds room; and where there is none, nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import orjson

from shared import errors
from shared.accounts import Accounts
from shared.anthropic_errors import anthropic_body
from shared.batches.ports import LineAnswer
from shared.catalog import Catalog, Deployment
from shared.delivery import Limits
from shared.endpoints import ANTHROPIC, ENDPOINTS
from shared.errors import ApiError
from shared.gateway import Gateway, assembled
from shared.objects import Registry
from shared.ports import CallLog, Capacity, KeyStore, Upstream
from shared.principals import Principal
from shared.routing import Journey, Router, States, Wish
from shared.routing.lineup import Entry
from shared.routing.ranks import WELL
from shared.types import ApiRequest, Json, Reply, UsageRecord

LEAVES = 0.3
"""The share of a deployment's limits that is left to other calls."""
LONGEST_WAIT = 2.0
"""A line waits no longer within a call: there are others to be asked meanwhile."""
NO_ROOM_SECONDS = 5.0
"""When to ask again where nothing says it."""
SHORTEST_WAIT = 1.0
LINE_SECONDS = 600.0
"""An answer may take longer here than for a client, whose front end gives up after 230 s."""
_LATER = frozenset({429, 503})


def low_priority_settings(catalog: Catalog) -> Catalog:
    """The same deployments with routing settings for calls that nobody waits for."""
    settings = replace(
        catalog.router,
        near_limit=1 - LEAVES,
        num_retries=1,
        retries={},
        longest_wait=min(catalog.router.longest_wait, LONGEST_WAIT),
        fallbacks={},
        context_window_fallbacks={},
        content_policy_fallbacks={},
        default_fallbacks=(),
    )
    return replace(catalog, router=settings)


class LeavingRouter(Router):
    """A router that begins nothing where it would take what others may need."""

    def begin(self, choices: Sequence[Deployment], wish: Wish, now: float) -> Journey:
        """Raises NothingFits; ApiError 429 when there is no room."""
        entries = self._known(choices).fitting(wish).entries
        grade = self._trip.ranks.grade
        if not any(grade(entry, wish.tokens, now) == WELL for entry in entries):
            wait = min(_room_at(entry, now) for entry in entries) - now
            raise errors.nothing_serves(max(wait, SHORTEST_WAIT), limited=True)
        return super().begin(choices, wish, now)


def _room_at(entry: Entry, now: float) -> float:
    """When there may be room again: its rest is over, Azure's window ends, or the minute of its own limits does."""
    state = entry.state
    if now < state.until:
        return state.until
    said = state.quota
    if said is not None and now < said.until:
        return said.until
    return (now // 60 + 1) * 60 if entry.bounded else now + NO_ROOM_SECONDS


class KeptRecords:
    """ports.UsageLog that keeps what calls have used for whoever has made them."""

    def __init__(self) -> None:
        self._records: dict[str, UsageRecord] = {}

    def begin(self) -> None:
        return None

    async def intend(self, record: UsageRecord) -> None:
        return None

    def add(self, record: UsageRecord | None) -> None:
        if record is not None:
            self._records[record.request_id] = record

    async def add_once(self, record: UsageRecord) -> None:
        return None

    async def flush(self) -> None:
        return None

    def take(self, request_id: str) -> UsageRecord | None:
        return self._records.pop(request_id, None)


class QuietLog:
    """ports.CallLog without a line for each call: a batch has a hundred thousand."""

    def __init__(self, log: CallLog) -> None:
        self._log = log

    def call(self, record: UsageRecord) -> None:
        return None

    def warning(self, message: str, **fields: object) -> None:
        self._log.warning(message, **fields)


class Nobody:
    """ports.Client of a call that no connection waits for."""

    gone = False

    def when_gone(self, act: Callable[[], None]) -> Callable[[], None]:
        return _nothing


class GatewayLines:
    """batches.ports.Lines."""

    def __init__(self, gateway: Gateway, records: KeptRecords) -> None:
        """gateway: made with low_priority_settings, a LeavingRouter and these records as its usage log."""
        self._gateway = gateway
        self._records = records
        self._client = Nobody()

    async def ask(self, request: ApiRequest, principal: Principal, tags: tuple[str, ...]) -> LineAnswer:
        endpoint = ENDPOINTS[request.endpoint]
        try:
            if not principal.may_call(endpoint.name, endpoint.path):
                raise errors.endpoint_not_allowed(endpoint.path)
            reply = await self._gateway.relay(request, _tagged(principal, tags), self._client)
            body = await _whole(reply)
        except ApiError as error:
            record = self._records.take(request.id)
            said = anthropic_body(error, request.id) if endpoint.shape in ANTHROPIC else error.body()
            return LineAnswer(error.status, request.id, orjson.loads(said), record, _later(error))
        except BaseException:
            self._records.take(request.id)
            raise
        return LineAnswer(reply.status, request.id, _read(body), self._records.take(request.id))


def _tagged(principal: Principal, tags: tuple[str, ...]) -> Principal:
    more = tuple(tag for tag in tags if tag not in principal.tags)
    return replace(principal, tags=principal.tags + more) if more else principal


def _later(error: ApiError) -> float | None:
    """Seconds until there may be room; None: there is not going to be any."""
    if error.status not in _LATER:
        return None
    said = error.headers.get("retry-after", "")
    if said.isdigit():
        return max(float(said), SHORTEST_WAIT)
    final = error.code == "insufficient_quota" or error.headers.get("x-should-retry") == "false"
    return None if final else NO_ROOM_SECONDS


async def _whole(reply: Reply) -> bytes:
    """The answer, read to its end and settled."""
    try:
        if isinstance(reply.body, bytes):
            return reply.body
        return b"".join([chunk async for chunk in reply.body])
    finally:
        await reply.finish(False)


def _read(body: bytes) -> Json:
    return orjson.loads(body) if body else {}


def _nothing() -> None:
    return None


def low_priority(
    catalog: Catalog,
    registry: Registry,
    accounts: Accounts,
    upstream: Upstream,
    limits: Limits,
    keys: KeyStore,
    *,
    states: States,
    capacity: Capacity,
    rng: Random,
) -> GatewayLines:
    """The pipeline of one configuration. accounts: those of every call; of these the lines take all but the ledger."""
    records = KeptRecords()
    catalog = low_priority_settings(catalog)
    limits = replace(limits, first_byte=max(limits.first_byte, LINE_SECONDS))
    accounts = replace(accounts, usage=records, log=QuietLog(accounts.log), flush_each=False)
    gateway = assembled(
        catalog, registry, accounts, upstream, limits, keys,
        states=states, capacity=capacity, rng=rng, routing=LeavingRouter,
    )  # fmt: skip
    return GatewayLines(gateway, records)
