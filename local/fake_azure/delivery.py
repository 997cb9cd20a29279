"""Sends an answer, disturbed as a fault says.

A fault turns the bytes of an answer into a script of steps (write, wait, drop the connection); sending plays the
script. The scripts are pure; only the end of this module touches a socket.
"""

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, takewhile

import orjson
from aiohttp import web

from .errors import SERVER_ERROR
from .faults import Fault
from .recorder import entry_of

EVENT_STREAM = "text/event-stream; charset=utf-8"
_YIELD_EVERY = 16  # writes after which other connections get their turn
_LAST_EVENTS = (
    b"data: [DONE]",
    b"event: response.completed",
    b"event: response.incomplete",
    b"event: message_delta",
    b"event: message_stop",
)
_MESSAGES_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
_RESPONSES_ERROR = {
    "type": "error",
    "sequence_number": 0,
    "code": "server_error",
    "message": SERVER_ERROR["error"]["message"],
    "param": None,
}
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Abort the connection; what was written may still arrive."""


Step = bytes | Wait | Drop
Script = Iterator[Step]


# Scripts of a stream, by kind of fault. Each gets the events, every one of them complete.


def _slow_chunks(events: Iterator[bytes], fault: Fault) -> Script:
    for event in events:
        yield event
        yield Wait(fault.seconds)


def _silent_start(events: Iterator[bytes], fault: Fault) -> Script:
    yield Wait(fault.seconds)
    yield from events


def _pause(events: Iterator[bytes], fault: Fault) -> Script:
    yield from islice(events, fault.after)
    yield Wait(fault.seconds)
    yield from events


_ARRIVING = 0.1


def _cut(events: Iterator[bytes], fault: Fault) -> Script:
    yield from islice(events, fault.after)
    last = next(events, b"")
    yield last[: len(last) // 2]
    yield Wait(_ARRIVING)  # whoever has not read yet when a connection breaks may lose what has come
    yield Drop()


_CONTENT = re.compile(rb'"content":"[^"]|"tool_calls":\[|"delta":"|^event: content_block_delta')


def _cut_before_content(events: Iterator[bytes], _fault: Fault) -> Script:
    yield from takewhile(lambda event: not _CONTENT.search(event), events)
    yield Wait(_ARRIVING)
    yield Drop()


def _clean_cut(events: Iterator[bytes], fault: Fault) -> Script:
    for event in islice(events, fault.after):
        if b'"finish_reason":"' in event or event.startswith(_LAST_EVENTS):
            return
        yield event


def _malformed(events: Iterator[bytes], fault: Fault) -> Script:
    yield from islice(events, fault.after)
    yield b'data: {"id":"chatcmpl-broken","choices":[{"delta":{"content":"bro\n\n'
    yield from events


def _error_event(events: Iterator[bytes], fault: Fault) -> Script:
    """The error in the words of the stream that it breaks; the stream ends with it, in all but chat."""
    first = next(events, b"")
    yield from islice(chain((first,), events), fault.after)
    frame, usual = b"", SERVER_ERROR
    if first.startswith(b"event: response."):
        frame, usual = b"event: error\n", _RESPONSES_ERROR
    elif first.startswith(b"event: message_start"):
        frame, usual = b"event: error\n", _MESSAGES_ERROR
    body = usual if fault.body is None else fault.body
    yield frame + b"data: " + (body.encode() if isinstance(body, str) else orjson.dumps(body)) + b"\n\n"


def _nothing(_events: Iterator[bytes], _fault: Fault) -> Script:
    return iter(())


_STREAM_SCRIPTS: Mapping[str, Callable[[Iterator[bytes], Fault], Script]] = {
    "slow_chunks": _slow_chunks,
    "slow_headers_then_silence": _silent_start,
    "pause": _pause,
    "cut": _cut,
    "cut_before_content": _cut_before_content,
    "clean_cut": _clean_cut,
    "malformed": _malformed,
    "error_event": _error_event,
    "empty_body": _nothing,
}


def stream_script(events: Iterator[bytes], fault: Fault | None) -> Iterable[Step]:
    if fault is None:
        return events
    script = _STREAM_SCRIPTS.get(fault.kind)
    steps = script(events, fault) if script else events
    return _framed(steps, fault)


def body_script(body: bytes, fault: Fault | None) -> tuple[Iterable[Step], int]:
    """The script of a JSON body, and the length that its headers promise."""
    if fault is None:
        return (body,), len(body)
    half = len(body) // 2
    steps: tuple[Step, ...] = (body,)
    promised = len(body)
    match fault.kind:
        case "cut" | "cut_before_content":
            steps = (body[:half], Drop())
        case "clean_cut" | "malformed":
            steps, promised = (body[:half],), half
        case "empty_body":
            steps, promised = (), 0
        case "slow_headers_then_silence":
            steps = (Wait(fault.seconds), body)
        case "pause" | "slow_chunks":
            steps = (body[:half], Wait(fault.seconds), body[half:])
        case _:
            pass
    return _framed(steps, fault, lines=False), promised


def _framed(steps: Iterable[Step], fault: Fault, *, lines: bool = True) -> Iterator[Step]:
    """Cuts what is written into pieces of `size` bytes and, in a stream, ends its lines with CR LF."""
    for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        written = step.replace(b"\n", b"\r\n") if fault.crlf and lines else step
        if fault.size < 1:
            yield written
            continue
        for start in range(0, len(written), fault.size):
            yield written[start : start + fault.size]


# Playing a script.


async def send_stream(
    request: web.Request, events: Iterator[bytes], headers: Mapping[str, str], fault: Fault | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, **headers})
    response.enable_chunked_encoding()
    return await _play(request, response, stream_script(events, fault))


async def send_body(
    request: web.Request,
    body: bytes,
    headers: Mapping[str, str],
    fault: Fault | None,
    *,
    status: int = 200,
    content_type: str = "application/json",
) -> web.StreamResponse:
    headers = {**headers, "Content-Type": content_type}
    if fault is None:
        return web.Response(body=body, status=status, headers=headers)
    steps, promised = body_script(body, fault)
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = promised
    return await _play(request, response, steps)


async def _play(request: web.Request, response: web.StreamResponse, steps: Iterable[Step]) -> web.StreamResponse:
    await response.prepare(request)
    written = 0
    for step in steps:
        if isinstance(step, bytes):
            if written and written % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            written += 1
            await response.write(step)
        elif isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        else:
            drop(request)
    # Whoever read the last event may leave before the end of the HTTP body: that is no early end.
    entry_of(request).completed = True
    return response


def drop(request: web.Request, *, reset: bool = False) -> None:
    """Aborts the client's connection: with a TCP reset at once, or after what is on its way."""
    entry_of(request).cut_by_fault = True
    transport = request.transport
    if transport is not None:
        if reset:
            plain = transport.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    raise ConnectionAbortedError("dropped by a fault")
