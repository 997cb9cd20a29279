"""One HTTP/1.1 connection to a deployment: a request out, its answer in, each at the pace of whoever takes it.

llhttp reads the answers (docs/adr/0012). Knows nothing of pools, names, certificates or credentials.
"""

from __future__ import annotations

import asyncio
import math
import select
from typing import Any, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from shared.adapters.answer import Answer, Head
from shared.adapters.request import Message, Origin
from shared.adapters.sending import send_body
from shared.errors import UpstreamFailure

HEAD_SECONDS = 300.0
"""Longest silence before an answer, for whoever sets no bound of his own: above the 240 s after which the Functions
proxy gives up on us."""
MOST_WITHOUT_BODY = 65_536
"""Bytes that may come without one byte of a body among them: a head, trailers, what is said about chunks."""
MOST_AHEAD = 131_072
"""Bytes that may wait for their reader before the connection is not read any more."""
_ONE_WRITE = 65_536
"""Up to here it is cheaper to join a head and a body than to send two pieces."""


class Home(Protocol):
    """Where connections live while nobody uses them."""

    def opened(self, connection: Connection) -> None: ...
    def free(self, connection: Connection) -> None: ...
    def lost(self, connection: Connection) -> None: ...


class _Refused(HttpParserError):
    """An answer that could be read in two ways, or has no end."""


class Connection(asyncio.Protocol):
    """One call at a time. One timer, which looks once in a while: no call and no read sets one of its own."""

    def __init__(self, home: Home, origin: Origin) -> None:
        self.origin = origin
        self.since = 0.0
        """When it came to rest."""
        self.sending = False
        self.heard = False
        """Whether a byte has come since the request."""
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._poll: Any = None
        self._answer: Answer | None = None
        self._raw: list[tuple[bytes, bytes]] = []
        self._fed = 0
        self._whole = self._keep = self._bare = self._until_close = self._paused = False
        self._full: asyncio.Future[None] | None = None
        self._left = 0
        self._idle = HEAD_SECONDS
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None

    # what the pool does

    def usable(self) -> bool:
        """Whether it may be used again. What can be read on an idle connection is its end, or nothing that we asked
        for; the event loop may not have come to look at it yet."""
        if self._transport is None or self._transport.is_closing():
            return False
        return self._poll is None or not self._poll.poll(0)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def begin(self, message: Message, head: bytes) -> Answer:
        """Sends a request, or begins to."""
        transport = self._transport
        assert transport is not None
        self._answer = answer = Answer(self)
        self._whole = self._keep = self._until_close = self.heard = False
        self._bare = message.method == "HEAD"
        self._fed = 0
        self._idle = idle = message.idle
        now = self._loop.time()
        self._deadline = now + max(idle, HEAD_SECONDS)
        if self._timer is None or self._timer.when() > now + idle:
            self._look_at(now + idle)
        body = message.body
        if not isinstance(body, bytes):
            self.sending = True
            transport.write(head)
            answer.sender = self._loop.create_task(
                send_body(self, answer, body, message.length, max(idle, HEAD_SECONDS))
            )
        elif len(body) <= _ONE_WRITE:
            transport.write(head + body if body else head)
        else:
            transport.writelines((head, body))
        return answer

    # sending

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is gone")
        self._transport.write(data)

    def expect(self, answer: Answer, seconds: float) -> None:
        """How long the answer may take to begin; once it has begun, its own silence counts."""
        if not answer.status:
            self._deadline = self._loop.time() + seconds

    async def written(self, answer: Answer) -> None:
        """Returns when the deployment has taken most of what was written. Meanwhile it is the one who is slow."""
        if self._full is not None:
            self.expect(answer, HEAD_SECONDS)
            await self._full
            self.expect(answer, math.inf)

    def pause_writing(self) -> None:
        self._full = self._loop.create_future()
        self._left = self._unsent()

    def resume_writing(self) -> None:
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)
        if self._answer is not None and not self.sending:
            self.expect(self._answer, max(self._idle, HEAD_SECONDS))

    # receiving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by type
        if hasattr(select, "poll"):  # not on Windows
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._home.opened(self)

    def data_received(self, data: bytes) -> None:
        answer, parser = self._answer, self._parser
        if answer is None or parser is None:  # nothing was asked
            self.abort()
            return
        self.heard = True
        self._fed += len(data)
        try:
            parser.feed_data(data)
            if self._fed > MOST_WITHOUT_BODY and not self._whole:
                raise _Refused("there is no end to what is no body")
        except (HttpParserError, HttpParserUpgrade) as error:
            self._keep = False
            if not self._whole:
                self.fail(answer, "reset", f"this is no answer: {error.__context__ or error}", error)
                return
        if self._whole:
            self._finish(answer)
        else:
            if answer.status:
                self._deadline = self._loop.time() + self._idle
            elif not self.sending:
                self.expect(answer, max(self._idle, HEAD_SECONDS))
            if answer.ahead > MOST_AHEAD and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
                self._deadline = math.inf  # from here on the silence is ours
            answer.wake()

    def taken(self) -> None:
        """The reader has everything that there was."""
        if self._paused:
            self._paused = False
            self._deadline = self._loop.time() + self._idle
            if self._transport is not None:
                self._transport.resume_reading()

    def eof_received(self) -> None:
        """Whoever sends nothing any more gets nothing any more: `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        answer = self._answer
        if answer is not None:
            if exc is None and self._until_close:
                self._finish(answer)
            else:
                self.fail(answer, "reset", "the connection was lost" + (f": {type(exc).__name__}" if exc else ""), exc)
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._transport = self._parser = self._poll = None  # the parser holds this object
        self._home.lost(self)

    # llhttp calls these

    def on_message_begin(self) -> None:
        if self._whole:
            raise _Refused("there is more than one answer")
        self._raw.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        answer, parser = self._answer, self._parser
        assert answer is not None
        assert parser is not None
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise _Refused(f"status {status} was not asked for")
            return
        if self._fed > MOST_WITHOUT_BODY and sum(len(n) + len(v) + 4 for n, v in self._raw) > MOST_WITHOUT_BODY:
            raise _Refused("its head is too large")
        head = Head(self._raw)
        if (coding := head.get("transfer-encoding")) is not None and coding.lower() != "chunked":
            raise _Refused("its transfer-encoding is not `chunked`")
        self._keep = parser.should_keep_alive()
        answer.headers = head
        answer.status = status
        if self._bare:  # llhttp cannot be told: the connection is not used again
            self._whole, self._keep = True, False
        elif coding is None and "content-length" not in head and status not in (204, 304):
            self._until_close, self._keep = True, False

    def on_body(self, body: bytes) -> None:
        if self._answer is not None and not self._whole:
            self._fed = 0
            self._answer.put(body)

    def on_message_complete(self) -> None:
        if self._answer is not None and self._answer.status:
            self._whole = True
        self._raw.clear()  # trailers

    # the end of a call

    def _unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        if self._keep and not self.sending and not self._unsent():  # it may be answered before it is sent
            self.taken()
            self._home.free(self)
        else:
            self.abort()
        answer.end()

    def fail(self, answer: Answer, kind: UpstreamFailure, text: str, cause: BaseException | None = None) -> None:
        if self._answer is answer:
            self._answer = None
            self.abort()
            answer.end((kind, text, cause))

    def leave(self, answer: Answer) -> None:
        """Nobody wants the rest."""
        self.fail(answer, "reset", "it was closed before its end")

    # time

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if (answer := self._answer) is None:
            return
        now = self._loop.time()
        if now >= self._deadline and self._full is not None and self._unsent() < self._left:
            self._left = self._unsent()  # a large body is still on its way
            self.expect(answer, HEAD_SECONDS)
        if now >= self._deadline:
            self.fail(answer, "timeout", "no byte in time")
        else:
            self._look_at(min(self._deadline, now + self._idle))
