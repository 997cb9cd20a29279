"""A fake chat completion service that is much faster than what is measured in front of it.

It owns the answers: every POST whose path ends in `/chat/completions` (the dated route, v1 and plain) gets a JSON
answer of about 600 bytes, or with `"stream": true` a stream of server-sent events. How many chunks and how far apart
is said by the request, in the prompt, because a prompt is the one thing that every gateway passes on unchanged:
`[chunks=100 delay=20]` (milliseconds; default 20 chunks, no delay). It parses no JSON and knows nothing of gateways.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Coroutine
from typing import Any

import httptools

Json = dict[str, Any]
MARK = re.compile(rb"\[chunks=(\d+) delay=([\d.]+)\]")
STREAM = re.compile(rb'"stream"\s*:\s*true')
WITH_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
AZURE_HEADERS = (
    b"apim-request-id: 6f1c1b0e-5d0c-4a4e-9d0b-0c5b2f0e7a11\r\nx-ms-region: East US 2\r\n"
    b"x-ratelimit-remaining-requests: 99999\r\nx-ratelimit-remaining-tokens: 9999999\r\n"
)
USAGE: Json = {"prompt_tokens": 96, "completion_tokens": 64, "total_tokens": 160}
TEXT = "A gateway reads the request, finds the deployment, attaches the credential and hands the answer back. "
MOST_CHUNKS = 10_000


def _answer() -> bytes:
    message = {"role": "assistant", "content": TEXT + TEXT[:78], "refusal": None}
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "gpt-4o-2024-11-20",
        "system_fingerprint": "fp_bench",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 0}},
    }
    return json.dumps(body).encode()


def _event(choices: list[Json], usage: Json | None = None) -> bytes:
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": "gpt-4o-2024-11-20",
        "system_fingerprint": "fp_bench",
        "choices": choices,
        "usage": usage,
    }
    return _framed(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _delta(delta: Json, finish: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}])


def _response(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, AZURE_HEADERS, len(body)) + body


ANSWER = _response(b"200 OK", _answer())
HEALTHY = _response(b"200 OK", b'{"status":"ok"}')
NOT_FOUND = _response(b"404 Not Found", b'{"error":{"code":"404","message":"Resource not found"}}')
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n%btransfer-encoding: chunked\r\n\r\n"
    % AZURE_HEADERS
)
FIRST = _delta({"role": "assistant", "content": "A", "refusal": None})
NEXT = _delta({"content": " gateway"})
LAST = _delta({}, "stop")
COUNTED = _event([], USAGE)
DONE = _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection. Requests on it are answered one after the other, as HTTP/1.1 clients send them."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.url, self.body = b"", b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.timer:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self.transport:
                self.transport.close()

    def on_message_begin(self) -> None:
        self.url, self.body = b"", b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self.body = self.body + body if self.body else body

    def on_message_complete(self) -> None:
        if not self.url.partition(b"?")[0].endswith(b"/chat/completions"):
            self._write(HEALTHY if self.url in (b"/", b"/health") else NOT_FOUND)
        elif STREAM.search(self.body):
            self._stream()
        else:
            self._write(ANSWER)

    def _stream(self) -> None:
        mark = MARK.search(self.body)
        chunks = min(int(mark[1]), MOST_CHUNKS) if mark else 20
        delay = float(mark[2]) / 1000 if mark else 0.0
        end = LAST + (COUNTED if WITH_USAGE.search(self.body) else b"") + DONE
        if delay:
            self._write(STREAM_HEAD + FIRST)
            self._later(self.loop.time(), delay, 1, chunks, end)
        else:
            self._write(STREAM_HEAD + FIRST + NEXT * (chunks - 1) + end)

    def _later(self, start: float, delay: float, sent: int, chunks: int, end: bytes) -> None:
        """Chunk number n goes out n delays after the start, however late the one before it was."""
        if sent >= chunks:
            self._write(end)
            return
        self.timer = self.loop.call_at(start + sent * delay, self._next, start, delay, sent, chunks, end)

    def _next(self, start: float, delay: float, sent: int, chunks: int, end: bytes) -> None:
        self._write(NEXT)
        self._later(start, delay, sent + 1, chunks, end)

    def _write(self, data: bytes) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.write(data)


async def serve(port: int, host: str = "127.0.0.1") -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, host, port, backlog=1024)
    async with server:
        await server.serve_forever()


def run[T](main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    run(serve(arguments.parse_args().port))
