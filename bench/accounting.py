"""What a warm key costs a call besides the answer itself: authentication, limits, prices and metering, by the CPU.

It owns the pieces and their inputs: the pipeline's own objects over stores in memory, so that nothing here waits for a
network. Each piece is a coroutine that does so many calls, with the share that they have in flushes and leases.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any

from bench import upstream
from bench.measure import body
from bench.tollgate import CONFIG

Many = Callable[[int], Awaitable[None]]
CALLS = 200  # of one batch: about what a busy process writes down with one flush
BATCHES = 15
FAR = 1_000_000_000  # no call is refused


class Rows:
    """ports.RowStore that keeps nothing: rows have been built when they come here."""

    async def write(self, rows: Iterable[Any]) -> None:
        for _ in rows:
            pass


class Silent:
    """ports.CallLog."""

    def call(self, record: object) -> None:
        return None

    def warning(self, message: str, **fields: object) -> None:
        return None


class Client:
    """ports.Client that stays."""

    gone = False

    def when_gone(self, act: Callable[[], None]) -> Callable[[], None]:
        return act


class OneKey:
    """ports.KeyStore of one principal, whatever the digest."""

    def __init__(self, principal: Any) -> None:
        self._principal = principal

    async def get(self, digest: str, /) -> Any:
        return self._principal


class Leases:
    """limits.lease.LeaseStore in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}

    async def change(self, place: Any, edit: Callable[[Mapping[str, Any] | None], tuple[Any, Any]]) -> Any:
        row, said = edit(self._rows.get((place.partition, place.key)))
        if row is not None:
            self._rows[place.partition, place.key] = row
        return said


def _principal() -> Any:
    """A key and its team, each with every kind of limit."""
    from shared.principals import Allowance, Budget, Principal, Team

    budgets = tuple(Budget(period, FAR * 1_000) for period in ("day", "month", "total"))
    every = Allowance(frozenset({"gpt-4o"}), frozenset({"chat"}), FAR, FAR, 100_000, budgets)
    return Principal("d" * 64, "bench", "team", every, Team("team", every), tags=("bench",))


def _limiter() -> Any:
    from shared.limits import LeaseLimiter

    return LeaseLimiter(
        Leases(), "bench", time.time, Silent(), closed=False, contact="", on_threshold=lambda _: None
    )  # fmt: skip


def _prices() -> Any:
    from shared.adapters.price_store import shipped_book
    from shared.prices import PriceList

    return PriceList(shipped_book)


@dataclass
class Parts:
    """One gateway, and what its calls have in common."""

    gateway: Any
    request: Any
    principal: Any
    answer: Any
    deployment: Any
    body: Any
    log: Any
    new_call: Callable[[], Any]

    def call(self) -> Any:
        """A call as it is when its body has been read and its deployments are known."""
        call = self.new_call()
        call.principal, call.body, call.alias, call.known = self.principal, self.body, "gpt-4o", True
        call.choices = [self.deployment]
        return call


def parts() -> Parts:
    """Raises ImportError where the checkout lacks a piece."""
    import orjson

    from shared.accounts import Accounts
    from shared.adapters.key_cache import CachedKeys
    from shared.adapters.usage_log import TableUsageLog
    from shared.auth import new_key
    from shared.call import Call
    from shared.config import parse
    from shared.delivery import Limits
    from shared.document import read_document
    from shared.endpoints import ENDPOINTS
    from shared.gateway import assembled
    from shared.limits import FreeCapacity
    from shared.prices.spill import Spillover
    from shared.routing import States
    from shared.transform.chat import ChatAnswer
    from shared.transform.resolve import resolve
    from shared.types import ApiRequest

    document = read_document(CONFIG.format(base="http://127.0.0.1:1"))
    catalog = resolve(parse(document, {}, {}), document, {}, ("127.0.0.1",))
    deployment, given, log = catalog.of("gpt-4o")[0], orjson.loads(body(False)), Silent()
    answer = ChatAnswer(given, deployment)
    answer.read(upstream.ANSWER.partition(b"\r\n\r\n")[2])
    principal, limiter, prices = _principal(), _limiter(), _prices()
    usage = TableUsageLog(Rows(), "bench", time.time, log)
    nothing: Any = None
    accounts = Accounts(usage, limiter, prices, nothing, Spillover(catalog), log, time.monotonic, time.time)
    gateway = assembled(
        catalog, nothing, accounts, nothing, Limits(), CachedKeys(OneKey(principal), 60.0, time.monotonic, log),
        states=States(), capacity=FreeCapacity(), rng=Random(1), pepper=bytes(32),
    )  # fmt: skip
    headers = {"authorization": f"Bearer {new_key(bytes(32))}", "content-type": "application/json", "host": "h",
               "x-tollgate-tags": "team-a,nightly"}  # fmt: skip
    request = ApiRequest("req_0123456789abcdef01234567", "chat_completions", "POST", headers, {}, b"")
    endpoint, client = ENDPOINTS["chat_completions"], Client()
    return Parts(
        gateway, request, principal, answer, deployment, given, log,
        lambda: Call(request, endpoint, client, 0.0, time.time()),
    )  # fmt: skip


def _authenticate(found: Parts) -> Many:
    async def many(count: int) -> None:
        for _ in range(count):
            await found.gateway.authenticate(found.request)

    return many


def _prices_twice(found: Parts) -> Many:
    from shared.expected import expected_usage

    prices, at, usage = found.gateway.accounts.prices, time.time(), found.answer.usage_or_estimate()
    most = expected_usage(found.call())

    async def many(count: int) -> None:
        for _ in range(count):
            prices.cost(found.deployment, most, at)
            prices.cost(found.deployment, usage, at)

    return many


def _expect(found: Parts) -> Many:
    from shared.expected import expected_usage

    call = found.call()

    async def many(count: int) -> None:
        for _ in range(count):
            expected_usage(call)

    return many


def _limits(found: Parts) -> Many:
    from shared.types import Need

    limiter, most, spent = found.gateway.accounts.limiter, Need(4_200, 50_000_000), Need(160, 900_000)

    async def many(count: int) -> None:
        for _ in range(count):
            grant = await limiter.reserve(found.principal, most)
            if grant is not None:
                grant.headers()
                limiter.settle(grant, spent)

    return many


def _metering(found: Parts) -> Many:
    """The record, without its price, and its way into the tables."""
    usage, prices = found.gateway.accounts.usage, _Free()
    call = found.call()
    call.deployment, call.answer, call.attempts = found.deployment, found.answer, 1

    async def many(count: int) -> None:
        for _ in range(count):
            usage.begin()
            usage.add(call.record(time.monotonic(), prices))
        await usage.flush()

    return many


class _Free:
    """ports.Prices, to leave prices out of a figure."""

    def cost(self, deployment: object, usage: object, at: float) -> Any:
        from shared.types import NO_COST

        return NO_COST


def _together(found: Parts) -> Many:
    """What the gateway does around an answer, in its order."""
    from shared.tagging import tags_of, user_of

    gateway, accounts = found.gateway, found.gateway.accounts

    async def many(count: int) -> None:
        for _ in range(count):
            principal = await gateway.authenticate(found.request)
            call = found.call()
            accounts.usage.begin()
            call.tags, call.user = tags_of(found.request.headers, principal.tags), user_of(call.body)
            await accounts.reserve(call)
            call.deployment, call.answer, call.attempts = found.deployment, found.answer, 1
            call.grant.headers()
            accounts.cost_header(call)
            await accounts.settle(call)
        await accounts.usage.flush()

    return many


PIECES: dict[str, Callable[[Parts], Many]] = {
    "authenticate a warm key (HMAC, key cache, checks)": _authenticate,
    "estimate what a call may take (shared.expected)": _expect,
    "look its price up, twice (shared.prices)": _prices_twice,
    "reserve and settle: all limits of a key and its team": _limits,
    "meter: record, begin, add, its share of a flush": _metering,
    "all of it together, for one call": _together,
}


def time_each() -> dict[str, float]:
    """Microseconds of CPU a call, by piece. Raises ImportError where the checkout lacks one."""
    return {name: asyncio.run(_timed(piece)) for name, piece in PIECES.items()}


async def _timed(piece: Callable[[Parts], Many]) -> float:
    many = piece(parts())
    await many(CALLS)  # the first call of all takes leases and makes tables of prices
    spent: list[float] = []
    for _ in range(BATCHES):
        began = time.process_time()
        await many(CALLS)
        spent.append((time.process_time() - began) / CALLS)
        await asyncio.sleep(0)
    return median(spent) * 1e6
