"""`python -m bench micro`: microseconds of each pure piece of the gateway, one after the other, in this process.

It owns a registry, `PIECES`: a name, and a function that builds the piece and returns the callable to time. A piece
whose module is not in the checkout is said to be missing, not an error. Inputs are built once, outside the timing.
"""

import json
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from bench import accounting, upstream
from bench.measure import body

Piece = Callable[[], Callable[[], object]]
STRATEGIES = ("simple-shuffle", "least-used", "least-busy", "lowest-latency", "lowest-cost", "prompt-cache")
BATCHES, BATCH = 7, 0.05  # batches of so many seconds each; the median batch counts


def _json_parse() -> Callable[[], object]:
    import orjson

    text = body(False).encode()
    return lambda: orjson.loads(text)


def _json_parse_stdlib() -> Callable[[], object]:
    text = body(False).encode()
    return lambda: json.loads(text)


def _usage_of_answer() -> Callable[[], object]:
    import orjson

    answer = upstream.ANSWER.partition(b"\r\n\r\n")[2]
    return lambda: orjson.loads(answer)["usage"]["total_tokens"]


def _chunk() -> bytes:
    return upstream.NEXT.split(b"\r\n", 1)[1][:-2]


def _sse_split() -> Callable[[], object]:
    from shared.sse import Splitter

    splitter, chunk = Splitter(), _chunk()
    return lambda: splitter.feed(chunk)


def _usage_read() -> Callable[[], object]:
    from shared.usage import read_usage

    return lambda: read_usage(upstream.USAGE)


def _deployment() -> Any:
    from bench.tollgate import CONFIG
    from shared.config import parse
    from shared.document import read_document
    from shared.transform.resolve import resolve

    document = read_document(CONFIG.format(base="http://127.0.0.1:1"))
    return resolve(parse(document, {}, {}), document, {}, ("127.0.0.1",)).of("gpt-4o")[0]


def _read_body() -> Callable[[], object]:
    from shared.endpoints import ENDPOINTS
    from shared.payload import read_json

    endpoint, text = ENDPOINTS["chat_completions"], body(False).encode()
    return lambda: read_json(endpoint, text, "application/json")


def _transform_request() -> Callable[[], object]:
    from shared.transform.chat import chat_request

    given, deployment = json.loads(body(False)), _deployment()
    return lambda: chat_request(given, deployment)


def _transform_answer() -> Callable[[], object]:
    from shared.transform.chat import ChatAnswer

    given, deployment = json.loads(body(False)), _deployment()
    answer = upstream.ANSWER.partition(b"\r\n\r\n")[2]
    return lambda: ChatAnswer(given, deployment).read(answer)


def _relay_chunk() -> Callable[[], object]:
    from shared.transform.chat import ChatStream

    stream, chunk = ChatStream(json.loads(body(True)), _deployment()), _chunk()
    return lambda: stream.feed(chunk)


class _NoLimits:
    """ports.Capacity of deployments whose tpm and rpm are never near: what leases cost is measured by itself."""

    def left(self, deployment: object, now: float) -> float:
        return 1.0

    def take(self, deployment: object, tokens: int, now: float) -> None: ...

    def settle(self, deployment: object, at: float, tokens: int, spent: int) -> None: ...


def _route(strategy: str, count: int, bad: int = 0) -> Piece:
    """All of what a call pays for routing: begin, next, answered, ended. bad: so many of the deployments rest."""

    def build() -> Callable[[], object]:
        from dataclasses import replace

        from shared.router_settings import RouterSettings
        from shared.routing import Failure, Router, States, Wish

        rows = tuple(replace(_deployment(), id=f"r/{i}", order=1, tpm=1_000_000) for i in range(count))
        settings: Any = {"strategy": strategy}
        router = Router(RouterSettings(**settings), States(), _NoLimits(), random.Random(1), lambda _: 1.0)
        for row in rows[:bad]:
            journey = router.begin((row,), Wish(), 1e9)
            journey.next(1e9)
            journey.failed(Failure("rate_limit", 60), 1e9)
        wish, said = Wish(tokens=1000, cache_key="a system prompt"), {**LIMITS, "content-type": "application/json"}

        def call() -> None:
            journey = router.begin(rows, wish, 1e9)
            journey.next(1e9)
            journey.answered(1e9, said)
            journey.ended(1e9, 300, None, good=True)

        return call

    return build


LIMITS = {
    f"x-ratelimit-{what}-{of}": value
    for of in ("requests", "tokens")
    for what, value in (("limit", "1000000"), ("remaining", "900000"), ("reset", "30"))
}
"""Of an answer that takes the longest to read."""


def _key_digest() -> Callable[[], object]:
    from shared.auth import key_digest, key_of, new_key

    headers = {"authorization": f"Bearer {new_key(bytes(32))}", "content-type": "application/json"}
    pepper = bytes(32)
    return lambda: key_digest(pepper, key_of(headers))


PIECES: dict[str, Piece] = {
    "parse a request (orjson)": _json_parse,
    "parse a request (json)": _json_parse_stdlib,
    "read an answer's usage (orjson)": _usage_of_answer,
    "read and digest a key (shared.auth)": _key_digest,
    "read and check a body (shared.payload)": _read_body,
    "choose the only deployment (shared.routing)": _route("simple-shuffle", 1),
    **{f"choose one of 20, {name} (shared.routing)": _route(name, 20) for name in STRATEGIES},
    "choose one of 20, 10 of them rest (shared.routing)": _route("simple-shuffle", 20, 10),
    "transform a request (shared.transform.chat)": _transform_request,
    "transform an answer (shared.transform.chat)": _transform_answer,
    "relay a streamed chunk (shared.transform.chat)": _relay_chunk,
    "split a streamed chunk (shared.sse)": _sse_split,
    "map usage to our names (shared.usage)": _usage_read,
}


def time_one(call: Callable[[], object]) -> float:
    """Microseconds a call: the median of a few batches, each long enough for the clock."""
    count, spent = 1, 0.0
    while spent < BATCH / 10:
        count *= 4
        spent = _batch(call, count)
    count = max(int(count * BATCH / spent), 1)
    return median(_batch(call, count) / count for _ in range(BATCHES)) * 1e6


def _batch(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - began


def main(say: Callable[[str], None]) -> int:
    width = max(len(name) for name in PIECES)
    for name, build in PIECES.items():
        try:
            call = build()
        except (ImportError, AttributeError, TypeError) as error:
            say(f"{name.ljust(width)}  not here: {error}")
            continue
        say(f"{name.ljust(width)}  {time_one(call):8.2f} µs")
    _accounting(say)
    return 0


def _accounting(say: Callable[[str], None]) -> None:
    say("\nA warm key, its limits and the ledger, CPU a call:")
    try:
        found = accounting.time_each()
    except (ImportError, AttributeError, TypeError) as error:
        say(f"not here: {error}")
        return
    width = max(map(len, found))
    for name, each in found.items():
        say(f"{name.ljust(width)}  {each:8.2f} µs")
