"""The load generator: keep-alive connections that each send, read the whole answer, and send again.

It owns what counts as a good answer: status 200; in every stream all chunks and `[DONE]`; on a sample of the JSON
answers, a body that parses and has choices and usage. It runs in its own process (`python -m bench.load`, a `Spec` as
JSON on standard input, a `Result` as JSON on standard output) so that its work is never on the gateway's core.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Self

import httptools

from bench.upstream import run

SAMPLE = 50  # one answer in so many is parsed
DRAIN = 20.0  # seconds that open calls get to finish after the end


@dataclass(frozen=True)
class Spec:
    """What to send, where, how hard and for how long."""

    port: int
    path: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = 16
    seconds: float = 3.0
    calls: int = 10_000_000
    chunks: int = 0  # more than 0: the answer is a stream of so many chunks
    spread: float = 0.0  # seconds over which connections start, and rest at random between calls

    def wire(self) -> bytes:
        headers = {"host": f"127.0.0.1:{self.port}", "content-type": "application/json", **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        body = self.body.encode()
        return f"POST {self.path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Result:
    """What came of it. Times in milliseconds; `rate` counts calls that ended before the time was up."""

    calls: int = 0
    errors: int = 0
    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    first_p50: float = 0.0
    first_p99: float = 0.0
    example: str = ""

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        return cls(**json.loads(text))


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * q), len(ordered) - 1)] if ordered else 0.0


class Tally:
    """The running count of one load, shared by its connections."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.wire = spec, spec.wire()
        self.began = time.perf_counter()
        self.until = self.began + spec.seconds
        self.sent = self.ended = self.in_time = self.errors = 0
        self.whole: list[float] = []
        self.first: list[float] = []
        self.example = ""

    def more(self) -> bool:
        return self.sent < self.spec.calls and time.perf_counter() < self.until

    def error(self, why: str) -> None:
        self.errors += 1
        self.example = self.example or why[:300]

    def result(self) -> Result:
        spent = min(time.perf_counter(), self.until) - self.began
        return Result(
            self.ended,
            self.errors,
            self.in_time / spent if spent > 0 else 0.0,
            statistics.median(self.whole) * 1e3 if self.whole else 0.0,
            quantile(self.whole, 0.99) * 1e3,
            statistics.median(self.first) * 1e3 if self.first else 0.0,
            quantile(self.first, 0.99) * 1e3,
            self.example,
        )


class Client(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, tally: Tally) -> None:
        self.loop, self.tally = asyncio.get_running_loop(), tally
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.stream = tally.spec.chunks > 0
        self.transport: asyncio.Transport | None = None
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.open:
            self.tally.error(f"connection lost: {exc or 'closed in the middle of an answer'}")
            self.open = False
        if not self.done.done():
            self.done.set_result(None)

    def send(self) -> None:
        if self.done.done() or self.transport is None or self.transport.is_closing():
            return
        if not self.tally.more():
            self.transport.close()
            return
        self.tally.sent += 1
        self.open, self.first = True, 0.0
        self.keep = self.stream or self.tally.sent % SAMPLE == 1
        self.body: list[bytes] = []
        self.parser = httptools.HttpResponseParser(self)
        self.start = time.perf_counter()
        self.transport.write(self.tally.wire)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.tally.error(f"not HTTP: {error}")
            self.open = False
            if self.transport:
                self.transport.close()

    def on_body(self, body: bytes) -> None:
        if not self.first and b"data:" in body:
            self.first = time.perf_counter()
        if self.keep or self.parser.get_status_code() != 200:
            self.body.append(body)

    def on_message_complete(self) -> None:
        now, tally, self.open = time.perf_counter(), self.tally, False
        why = self.wrong()
        if why:
            tally.error(why)
        else:
            tally.ended += 1
            tally.in_time += now <= tally.until
            tally.whole.append(now - self.start)
            if self.first:
                tally.first.append(self.first - self.start)
        if not self.parser.should_keep_alive() and self.transport:
            self.transport.close()
        elif tally.spec.spread:
            self.loop.call_later(random.random() * tally.spec.spread / 4, self.send)
        else:
            self.loop.call_soon(self.send)

    def wrong(self) -> str:
        """Why this answer is no good; empty when it is."""
        status, body = self.parser.get_status_code(), b"".join(self.body)
        if status != 200:
            return f"status {status}: {body[:250].decode(errors='replace')}"
        if self.stream:
            whole = body.rstrip().endswith(b"data: [DONE]") and body.count(b"data: ") > self.tally.spec.chunks
            return "" if whole else f"a stream that is not whole: …{body[-200:].decode(errors='replace')}"
        if self.keep:
            try:
                return "" if json.loads(body)["choices"] and json.loads(body)["usage"] else "an answer without choices"
            except (ValueError, KeyError, TypeError) as error:
                return f"an answer that does not parse ({error!r}): {body[:200].decode(errors='replace')}"
        return ""


async def one(tally: Tally) -> None:
    """Keep one connection busy, opening it again whenever the server closes it."""
    if tally.spec.spread:
        await asyncio.sleep(random.random() * tally.spec.spread)
    while tally.more():
        try:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(tally), "127.0.0.1", tally.spec.port
            )
        except OSError as error:
            tally.error(f"cannot connect: {error}")
            await asyncio.sleep(0.05)
            continue
        await client.done


async def load(spec: Spec) -> Result:
    tally = Tally(spec)
    tasks = [asyncio.create_task(one(tally)) for _ in range(spec.connections)]
    _, pending = await asyncio.wait(tasks, timeout=spec.seconds + DRAIN)
    for task in pending:
        tally.error("no answer until long after the end")
        task.cancel()
    return tally.result()


if __name__ == "__main__":
    outcome = run(load(Spec(**json.load(sys.stdin))))
    print(json.dumps(asdict(outcome)))
