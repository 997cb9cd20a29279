"""HTTP/1.1 to deployments over real sockets: answers in every form and cut, connections that are kept, what may not go out."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvloop

from local.fake_azure import FakeAzure
from shared.adapters.answer import Head
from shared.adapters.upstream import HttpUpstream
from shared.errors import UpstreamFailed
from shared.types import Credential, Secret, UpstreamReply, UpstreamRequest
from tests.support.raw_server import OK, Line, RawServer, serving

ROOT = Path(__file__).resolve().parents[2]
KEY = Credential("api_key", Secret("k"))
MB = 2**20
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Nobody:
    """ports.Tokens, ports.Secrets: a key needs neither."""

    async def get(self, *_: Any, **__: Any) -> str:
        raise AssertionError("a key needs neither tokens nor a vault")

    def refuse(self, *_: Any, **__: Any) -> None:
        raise AssertionError("a key needs no tokens")


def leftovers() -> tuple[int, int, int]:
    """Tasks, sockets and timers of the running loop."""
    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    return len(asyncio.all_tasks()), len(loop._selector.get_map()), len(timers)


Work = Callable[[HttpUpstream, RawServer], Awaitable[None]]


def play(script: Callable[[Line], Awaitable[None]], work: Work, factory: Any = None) -> RawServer:
    """Runs both, and sees that nothing is left after them."""
    found: list[RawServer] = []

    async def whole() -> None:
        before = leftovers() if factory is None else None
        async with serving(script) as server:
            found.append(server)
            upstream = HttpUpstream(Nobody(), Nobody())
            try:
                await work(upstream, server)
            finally:
                await upstream.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert before is None or leftovers() == before

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(whole(), 30))
    return found[0]


def asked(server: RawServer, **changed: Any) -> UpstreamRequest:
    given: dict[str, Any] = {"method": "POST", "url": server.url, "body": b"{}", "auth_header": "api-key"}
    return UpstreamRequest(credential=changed.pop("credential", KEY), **(given | changed))


async def ask(upstream: HttpUpstream, server: RawServer, **changed: Any) -> UpstreamReply:
    return await upstream.open(asked(server, **changed))


async def read(reply: UpstreamReply) -> bytes:
    try:
        return b"".join([chunk async for chunk in reply.chunks])
    finally:
        await reply.close()


def answering(*answers: bytes, one_by_one: bool = False, close: bool = False) -> Callable[[Line], Awaitable[None]]:
    """Each connection gives these answers, the last one again and again."""

    async def script(line: Line) -> None:
        while True:
            await line.request()
            number = min(len(line.requests), len(answers)) - 1
            await line.send(answers[number], one_by_one=one_by_one)
            if close:
                return

    return script


def failure(script: Callable[[Line], Awaitable[None]], **changed: Any) -> UpstreamFailed:
    found: list[UpstreamFailed] = []

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            await read(await ask(upstream, server, **changed))
        found.append(failed.value)

    play(script, work)
    return found[0]


FORMS = {
    "length": (OK, 200, b"whole"),
    "no-body": (HEAD + b"Content-Length: 0\r\n\r\n", 200, b""),
    "chunked": (CHUNKED + b"3\r\nwho\r\n2\r\nle\r\n0\r\n\r\n", 200, b"whole"),
    "extended": (CHUNKED + b"3;a=b\r\nwho\r\n02\r\nle\r\n0\r\nTrailer: 1\r\nX-Seen: 2\r\n\r\n", 200, b"whole"),
    "early-hints": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx-seen: 0\r\n\r\n" + OK, 200, b"whole"),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not-modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, b""),
}
UNTIL_CLOSE = {
    "until-close": (HEAD + b"\r\nwhole", 200, b"whole"),
    "http-1.0": (b"HTTP/1.0 503 Busy\r\n\r\nwhole", 503, b"whole"),
    "said": (HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nwhole", 200, b"whole"),
}


@pytest.mark.parametrize("one_by_one", [False, True], ids=["at-once", "byte-by-byte"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_of_answers(form: tuple[bytes, int, bytes], one_by_one: bool) -> None:
    answer, status, body = form

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for _ in range(3):
            reply = await ask(upstream, server)
            assert (reply.status, await read(reply), "x-seen" in reply.headers) == (status, body, False)

    server = play(answering(answer, one_by_one=one_by_one), work)
    assert len(server.lines) == 1, "the connection was not used again"


@pytest.mark.parametrize("one_by_one", [False, True], ids=["at-once", "byte-by-byte"])
@pytest.mark.parametrize("form", UNTIL_CLOSE.values(), ids=UNTIL_CLOSE)
def test_answers_that_end_with_their_connection(form: tuple[bytes, int, bytes], one_by_one: bool) -> None:
    answer, status, body = form

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for _ in range(2):
            reply = await ask(upstream, server)
            assert (reply.status, await read(reply)) == (status, body)

    assert len(play(answering(answer, one_by_one=one_by_one, close=True), work).lines) == 2


def test_head_has_no_body() -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for _ in range(2):
            reply = await ask(upstream, server, method="HEAD", body=b"")
            assert (reply.status, reply.headers["content-length"], await read(reply)) == (200, "5", b"")

    server = play(answering(HEAD + b"Content-Length: 5\r\n\r\n"), work)
    assert b"content-length" not in server.lines[0].requests[0]


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_goes_out(factory: Any) -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        url = server.url + "/{a}?api-version=1&b=%20#no"
        assert await read(await ask(upstream, server, url=url, headers=(("x-own", "1"),), body=b"{}")) == b"whole"
        await read(await ask(upstream, server, method="GET", body=b"", content_type=""))
        with pytest.raises(UpstreamFailed):
            await read(await ask(upstream, server, body=b"cut"))
        big = bytes(3 * MB)
        await read(await ask(upstream, server, body=big))

    async def script(line: Line) -> None:
        while not (await line.request()).endswith(b"cut"):
            await line.send(OK)
        await line.send(OK[:-1])

    server = play(script, work, factory)
    first, second, cut = server.lines[0].requests
    head, _, body = first.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n")[0] == b"POST /x/{a}?api-version=1&b=%20 HTTP/1.1"
    host = server.url.removeprefix("http://").removesuffix("/x").encode()
    assert sorted(head.split(b"\r\n")[1:]) == sorted(
        [
            b"host: " + host,
            b"accept: application/json, text/event-stream, */*",
            b"accept-encoding: identity",
            b"user-agent: tollgate/0.1",
            b"api-key: k",
            b"content-type: application/json",
            b"x-own: 1",
            b"content-length: 2",
        ]
    )
    assert second.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"content-" not in second
    assert cut.endswith(b"content-length: 3\r\n\r\ncut")
    assert len(server.lines[1].requests[0].partition(b"\r\n\r\n")[2]) == 3 * MB


CUT = {"length": FORMS["length"][0], "chunked": FORMS["extended"][0], "after-hints": FORMS["early-hints"][0]}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_answer_that_is_cut_anywhere_is_never_taken_for_whole(answer: bytes) -> None:
    async def script(line: Line) -> None:
        await line.send(answer[: int((await line.request()).rpartition(b"\r\n\r\n")[2])])

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for size in range(len(answer)):
            with pytest.raises(UpstreamFailed, match="lost") as failed:
                await read(await ask(upstream, server, body=b"%d" % size))
            assert failed.value.kind == "reset"
        assert await read(await ask(upstream, server, body=b"%d" % len(answer))) == b"whole"

    assert len(play(script, work).lines) == len(answer) + 1


def test_answer_until_close_whose_connection_breaks_is_not_whole() -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(HEAD + b"\r\nwhole?")
        await asyncio.sleep(0.05)
        line.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: closing resets
        line.writer.transport.abort()

    assert failure(script).kind == "reset"


GARBAGE = {
    "not-http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "version": b"HTTP/3.7 200 OK\r\ncontent-length: 0\r\n\r\n",
    "status": b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
    "not-asked-for": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "length-and-chunked": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked-and-length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two-lengths": HEAD + b"content-length: 5\r\ncontent-length: 5\r\n\r\nwhole",
    "length-list": HEAD + b"content-length: 5, 5\r\n\r\nwhole",
    "signed-length": HEAD + b"content-length: +5\r\n\r\nwhole",
    "length-overflow": HEAD + b"content-length: 99999999999999999999999\r\n\r\nwhole",
    "packed": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no-coding": HEAD + b"transfer-encoding: identity\r\n\r\nwhole",
    "two-codings": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk-size": CHUNKED + b"-5\r\nwhole\r\n0\r\n\r\n",
    "chunk-overflow": CHUNKED + b"fffffffffffffffff\r\nwhole\r\n",
    "chunk-too-long": CHUNKED + b"3\r\nwhole\r\n0\r\n\r\n",
    "folded": HEAD + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "bare-lf": HEAD + b"x: a\ncontent-length: 0\r\n\r\n",
    "bare-cr": HEAD + b"x: a\rb\r\ncontent-length: 0\r\n\r\n",
    "nul": HEAD + b"x: a\0b\r\ncontent-length: 0\r\n\r\n",
    "blank-before-colon": HEAD + b"content-length : 0\r\n\r\n",
    "large-header": HEAD + b"x: " + b"y" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n",
    "many-headers": HEAD + b"x: y\r\n" * 12_000 + b"content-length: 5\r\n\r\nwhole",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_answer(answer: bytes) -> None:
    failed = failure(answering(answer))
    assert (failed.kind, "this is no answer" in failed.detail) == ("reset", True)


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (HEAD, b"x: y\r\n" * 1000),
        (HEAD + b"x: ", b"y" * 10_000),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
        (CHUNKED + b"5\r\nwhole\r\n0\r\n", b"x: y\r\n" * 1000),
        (CHUNKED + b"5;", b"y" * 10_000),
    ],
    ids=["headers", "header", "hints", "trailers", "extension"],
)
def test_what_has_no_end_is_ended(start: bytes, again: bytes) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(start)
        while True:
            await line.send(again)

    assert "no end" in failure(script).detail


def test_second_answer_is_not_that_of_the_next_call() -> None:
    """Neither one that comes with the first, nor one that comes while the connection rests."""

    async def script(line: Line) -> None:
        body = (await line.request()).rpartition(b"\r\n\r\n")[2]
        await line.send(OK + OK.replace(b"whole", b"false") if body == b"at once" else OK)
        if body == b"later":
            await asyncio.sleep(0.02)
            await line.send(OK.replace(b"whole", b"false"))
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for body in (b"at once", b"later", b""):
            assert await read(await ask(upstream, server, body=body)) == b"whole"
            await asyncio.sleep(0.05)

    assert len(play(script, work).lines) == 3


def test_random_damage_is_an_answer_or_a_failure() -> None:
    random = Random(12)
    whole = list(FORMS.values())

    async def script(line: Line) -> None:
        await line.request()
        damaged = bytearray(random.choice(whole)[0])
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.choice(b"\r\n\0: 09afHT/\xff")
        cut = random.randrange(len(damaged))
        await line.send(bytes(damaged[:cut]))
        await line.send(bytes(damaged[cut:]))

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        ends = [0, 0]
        for _ in range(300):
            try:
                await read(await ask(upstream, server))
                ends[0] += 1
            except UpstreamFailed:
                ends[1] += 1
        assert min(ends) > 20

    play(script, work)


def test_connections_are_shared_and_kept() -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        await asyncio.gather(*[_whole(upstream, server) for _ in range(5)])
        assert len(server.lines) == 5
        for _ in range(5):
            await _whole(upstream, server)

    server = play(answering(OK), work)
    assert len(server.lines) == 5
    assert max(len(line.requests) for line in server.lines) == 6, "the one that was used last is used first"


async def _whole(upstream: HttpUpstream, server: RawServer, **changed: Any) -> None:
    assert await read(await ask(upstream, server, **changed)) == b"whole"


def test_connection_that_was_closed_at_rest_is_never_used() -> None:
    """Also when the event loop has not seen its end yet."""

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        await _whole(upstream, server)
        server.lines[0].socket.shutdown(2)
        await _whole(upstream, server)
        server.lines[1].writer.close()
        await server.lines[1].writer.wait_closed()
        await asyncio.sleep(0.02)
        await _whole(upstream, server)

    assert [len(line.requests) for line in play(answering(OK), work).lines] == [1, 1, 1]


def test_connections_do_not_rest_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.transport.KEEP_ALIVE_SECONDS", 0.1)

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for number in range(2):
            await _whole(upstream, server)
            await server.lines[number].lost.wait()

    assert len(play(answering(OK), work).lines) == 2


@pytest.mark.parametrize(
    ("method", "sent", "tries"),
    [("GET", b"", 2), ("DELETE", b"", 2), ("GET", b"H", 1), ("POST", b"", 1)],
    ids=["get", "delete", "get-with-a-byte", "post"],
)
def test_kept_connection_that_breaks(method: str, sent: bytes, tries: int) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()
        await line.send(sent)

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        await _whole(upstream, server)
        if tries == 2:
            await _whole(upstream, server, method=method, body=b"")
        else:
            with pytest.raises(UpstreamFailed, match="lost"):
                await ask(upstream, server, method=method, body=b"")

    assert len(play(script, work).lines) == tries


def test_fresh_connection_that_breaks_is_not_tried_again() -> None:
    async def script(line: Line) -> None:
        await line.request()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        with pytest.raises(UpstreamFailed):
            await ask(upstream, server, method="GET", body=b"")

    assert len(play(script, work).lines) == 1


def test_body_that_is_not_read_takes_its_connection_along() -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nwhole\r\n")
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for _ in range(2):
            reply = await ask(upstream, server)
            assert await anext(reply.chunks) == b"whole"
            waiting = asyncio.ensure_future(anext(reply.chunks))
            await asyncio.sleep(0)
            await reply.close()
            await server.lines[-1].lost.wait()
            with pytest.raises(UpstreamFailed):
                await waiting

    assert len(play(script, work).lines) == 2


def test_closing_ends_what_waits() -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        waiting = asyncio.ensure_future(ask(upstream, server))
        while not (server.lines and server.lines[0].requests):
            await asyncio.sleep(0.001)
        await upstream.close()
        with pytest.raises(UpstreamFailed):
            await waiting
        with pytest.raises(UpstreamFailed):
            await ask(upstream, server)

    play(script, work)


def test_slow_answer_is_read_and_silent_one_is_not() -> None:
    """Silence is what is bounded, not the answer; the next call on the same connection has its own bound."""

    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()
        await line.send(OK[:-4])
        for byte in OK[-4:]:
            await asyncio.sleep(0.2)
            await line.send(bytes([byte]))
        await line.request()
        await line.send(OK[:-1])
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        await _whole(upstream, server)
        await _whole(upstream, server, idle=0.6)
        with pytest.raises(UpstreamFailed) as failed:
            await read(await ask(upstream, server, idle=0.1))
        assert failed.value.kind == "timeout"
        await server.lines[0].lost.wait()

    assert len(play(script, work).lines) == 1


def test_reader_that_is_slow_slows_the_deployment() -> None:
    sent = [0]

    async def script(line: Line) -> None:
        await line.request()
        await line.send(HEAD + b"content-length: %d\r\n\r\n" % (64 * MB))
        for _ in range(64):
            await line.send(bytes(MB))
            sent[0] += 1
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        reply = await ask(upstream, server, idle=0.3)
        size = len(await anext(reply.chunks))
        await asyncio.sleep(0.6)  # longer than idle: the silence is ours
        assert sent[0] < 32
        async for chunk in reply.chunks:
            size += len(chunk)
            assert len(chunk) <= MB
        assert size == 64 * MB
        await reply.close()

    play(script, work)


def pieces(count: int, size: int, made: list[int]) -> AsyncIterator[bytes]:
    async def body() -> AsyncIterator[bytes]:
        try:
            for _ in range(count):
                made[0] += 1
                yield bytes(size)
                yield b""
        finally:
            made.append(-1)

    return body()


@pytest.mark.parametrize("length", [64 * MB, None], ids=["length", "chunked"])
def test_deployment_that_is_slow_slows_the_sender(length: int | None) -> None:
    made = [0]
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await go.wait()
        request = await line.request()
        assert len(request.partition(b"\r\n\r\n")[2]) == 64 * MB
        await line.send(OK)
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        asking = asyncio.ensure_future(ask(upstream, server, body=pieces(64, MB, made), length=length))
        await asyncio.sleep(0.2)
        assert made[0] < 32
        go.set()
        assert await read(await asking) == b"whole"
        assert made == [64, -1]

    play(script, work)


def test_connection_is_kept_after_a_body_that_was_not_held() -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for length in (3000, None, 3000):
            assert await read(await ask(upstream, server, body=pieces(3, 1000, [0]), length=length)) == b"whole"

    assert len(play(answering(OK), work).lines) == 1


@pytest.mark.parametrize("status", [b"413 Too Large", b"200 OK"])
def test_answer_may_come_before_the_body_is_sent(status: bytes) -> None:
    made: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.sleep(600)
        finally:
            made.append(-1)

    async def script(line: Line) -> None:
        await line.reader.readuntil(b"first")
        await line.send(OK.replace(b"200 OK", status))
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for _ in range(2):
            reply = await ask(upstream, server, body=body(), length=100)
            assert reply.status == int(status[:3])
            assert await read(reply) == b"whole"
            await server.lines[-1].lost.wait()

    assert len(play(script, work).lines) == 2
    assert made == [-1, -1]


def test_body_that_breaks_off_breaks_the_call() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise KeyError("the client is gone")

    async def script(line: Line) -> None:
        await line.gone()

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for body, length, cause in (
            (broken(), None, KeyError),
            (pieces(1, 5, [0]), 6, ValueError),
            (pieces(1, 5, [0]), 4, ValueError),
        ):
            with pytest.raises(UpstreamFailed, match="could not be sent") as failed:
                await ask(upstream, server, body=body, length=length)
            assert isinstance(failed.value.__cause__, cause)
            await server.lines[-1].lost.wait()

    assert len(play(script, work).lines) == 3


def test_deployment_that_leaves_while_a_body_is_sent() -> None:
    made = [0]

    async def script(line: Line) -> None:
        await line.reader.readexactly(100)

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            await ask(upstream, server, body=pieces(1000, MB, made))
        assert failed.value.kind == "reset"
        assert made[-1] == -1

    play(script, work)


@pytest.mark.parametrize("value", ["a\r\nx: b", "a\nb", "a\rb", "a\0b"])
def test_header_does_not_become_two(value: str) -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        with pytest.raises(ValueError, match="line breaks"):
            await ask(upstream, server, headers=(("x-own", value),))
        with pytest.raises(ValueError, match="line breaks"):
            await ask(upstream, server, credential=Credential("api_key", Secret(value)))

    assert not play(answering(OK), work).lines


@pytest.mark.parametrize("tail", ["/a b", "/a\r\nx: b", "/a\nb", "/a\0b", "?a\tb"])
def test_target_does_not_become_two(tail: str) -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        with pytest.raises(ValueError, match="URL"):
            await ask(upstream, server, url=server.url + tail)

    assert not play(answering(OK), work).lines


def test_address_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        loop = asyncio.get_running_loop()
        port = int(server.url.rpartition(":")[2].removesuffix("/x"))

        async def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
            looked_up.append(host)
            return [(2, 1, 6, "", (address, port)) for address in ("192.0.2.1", "127.0.0.1")]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        url = f"http://deployment.test:{port}/x"
        await asyncio.gather(*[_whole(upstream, server, url=url) for _ in range(3)])

    assert len(play(answering(OK), work).lines) == 3
    assert looked_up == ["deployment.test"]


def test_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        for url in ("http://no-such-host.invalid/x", f"http://{'a' * 70}.test/x"):
            with pytest.raises(UpstreamFailed) as failed:
                await ask(upstream, server, url=url)
            assert failed.value.kind == "unreachable"
            assert "invalid" not in failed.value.detail

    play(answering(OK), work)


def test_headers_are_found_in_any_spelling() -> None:
    head = Head([(b"Retry-After", b"1"), (b"X-A", b""), (b"retry-after", b"2"), (b"X-B", b"\xe9")])
    assert (head["retry-after"], head.get("Retry-After"), head.get("no"), head.get("no", "x")) == ("1", "1", None, "x")
    assert ("RETRY-AFTER" in head, "no" in head, 1 in head) == (True, False, False)
    assert {**head} == dict(head.items()) == {"retry-after": "1", "x-a": "", "x-b": "é"}
    with pytest.raises(KeyError):
        head["no"]


CALL = """
import asyncio, json, sys
from shared.adapters.upstream import HttpUpstream
from shared.types import Credential, Secret, UpstreamRequest

async def main():
    upstream = HttpUpstream(None, None, use_proxy=len(sys.argv) > 2)
    request = UpstreamRequest("GET", sys.argv[1], b"", Credential("api_key", Secret("k")), "api-key")
    statuses = []
    for _ in range(2):
        reply = await upstream.open(request, 10)
        statuses.append((reply.status, len([chunk async for chunk in reply.chunks]) > 0))
        await reply.close()
    await upstream.close()
    print(json.dumps([statuses, sorted({"aiohttp", "httpx"} & set(sys.modules))]))

asyncio.run(main())
"""


def call(*argv: str, **environ: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CALL, *argv], cwd=ROOT, env={**os.environ, **environ},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)


def test_certificates_of_the_environment_and_no_library_that_is_not_needed(fake: FakeAzure) -> None:
    url = f"{fake.state.authority_url}/{fake.state.tenant_id}/v2.0/.well-known/openid-configuration"
    assert call(url, SSL_CERT_FILE=fake.state.ca_file) == [[[200, True]] * 2, []]


def test_proxy_is_asked_when_there_is_one() -> None:
    async def work(upstream: HttpUpstream, server: RawServer) -> None:
        proxy = server.url.removesuffix("/x")
        found = await asyncio.to_thread(call, "http://deployment.test/y", "proxy", http_proxy=proxy, no_proxy="")
        assert found == [[[200, True]] * 2, ["aiohttp"]]

    server = play(answering(OK), work)
    assert server.lines[0].requests[0].startswith(b"GET http://deployment.test/y HTTP/1.1\r\n")
