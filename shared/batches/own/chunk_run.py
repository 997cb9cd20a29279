"""One chunk being run: lines asked, several at a time, answers kept as they come, until it is through or has to stop.

Nobody waits for these calls. They go as fast as they are answered, and slower as soon as there is no room for them.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from shared.batches.batch import Batch
from shared.batches.own import chunk_results
from shared.batches.own.asked_lines import AskedLine, answered, unanswered
from shared.batches.own.chunk_blob import ChunkBlob
from shared.batches.own.chunk_results import Result
from shared.batches.ports import LineAnswer, Lines
from shared.endpoints import Endpoint
from shared.ports import CallLog, StoreUnavailable
from shared.principals import Principal

FIRST_WIDTH, MOST_AT_ONCE = 4, 16
RUN_SECONDS = 240.0
"""After so long a chunk's message is sent anew: a function has half an hour, and a message five tries."""
CHECK_SECONDS = 2.0
"""How often it is looked whether the batch still runs: a cancelled one stops within seconds."""
ALIVE_EACH = 5.0
MOST_COMING = 8 * 1024 * 1024
"""Bytes of answers that may be under way at once, as large as the largest so far (images): several chunks run side by
side in one process, and each answer is there more than once until it is kept."""
LINGER_SECONDS, MOST_HELD, MOST_BYTES = 0.25, 32, 1024 * 1024
"""Answers are kept together, as many as come within this time: each append is an operation on storage, and costs more
CPU than the call. What a process that ends holds is asked again."""
GRACE_SECONDS = 10.0
"""What is asked when the batch is cancelled may still be answered: it is paid for anyway."""
PATIENCE_SECONDS, FIRST_PATIENCE = 15.0, 2.0
"""Where nothing was answered for longer, the place is given to another chunk, which may be another batch's; the second:
when this run has had no answer at all."""
IDLE_PAUSE, LONGEST_IDLE = 5.0, 300.0
"""Before a chunk is tried again whose run has had no answer: twice as long each time, since a thousand of them may wait
together."""
LONGEST_PAUSE = 600.0
PAYER_SECONDS = 30.0
"""How often it is looked whether the key may still pay, and with which limits."""
STORAGE_PAUSE = 10.0
PAUSES = (1.0, 5.0, 20.0, 60.0)
"""Before a line that had a bad answer is asked again. The last bad answer counts."""
CAREFUL_FROM = 3
"""A message that is taken for the third time: two processes have ended over it. Its lines are run one at a time."""
CAREFUL_LINES = 32
"""After so many, whatever was under way when a process ended has been answered."""
MOST_ALONE = 3
"""A line that was run by itself so often and never answered ends every process."""
_AGAIN = frozenset({408, 409, 500, 502, 503, 504})

type Ended = Literal["done", "again", "stopped", "lost"]


@dataclass(slots=True)
class ChunkRun:
    batch: Batch
    endpoint: Endpoint
    lines: Sequence[AskedLine]
    blob: ChunkBlob
    ask: Lines
    payer: Callable[[], Awaitable[Principal | None]]
    """Who pays now; None: nobody does any more."""
    careful: bool
    still_runs: Callable[[], Awaitable[bool]]
    progressed: Callable[[], Awaitable[None]]
    log: CallLog
    clock: Callable[[], float]
    """Unix seconds."""
    pause: float = 0.0
    """After `again`: seconds until there may be room."""
    _principal: Principal | None = None
    _paid: float = 0.0
    """When the payer was asked for."""
    _moved: float = 0.0
    """When a line was last answered; before that, when the run began."""
    _ready: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    """When a line may be asked, and which."""
    _flying: dict[asyncio.Task[LineAnswer], int] = field(default_factory=dict[asyncio.Task[LineAnswer], int])
    _width: float = FIRST_WIDTH
    _largest: int = 1
    """Bytes of an answer."""
    _not_before: float = 0.0
    _began: float = 0.0
    _checked: float = 0.0
    _kept: float = 0.0
    """When something was last appended."""
    _fresh: int = 0
    """Results of this run."""
    _stopped: float = 0.0
    """When the batch was found to run no more."""
    _held: list[bytes] = field(default_factory=list[bytes])
    """What is still to be appended."""
    _held_since: float = 0.0
    _bad: dict[int, int] = field(default_factory=dict[int, int])
    """line -> answers that were not good, those of earlier runs included."""

    async def go(self) -> Ended:
        """Raises StoreUnavailable; nothing is under way when it returns or raises."""
        self._began = self._checked = self._kept = self._paid = self._moved = self.clock()
        self._principal = await self.payer()
        state = self.blob.state
        self._ready = [(0.0, line.index) for line in self.lines if line.index not in state.answered]
        self._bad = dict(state.tries)
        try:
            ended = None
            while ended is None and (self._ready or self._flying):
                ended = await self._turn()
            if ended == "stopped":
                self._held.append(chunk_results.left(self.clock()))
            return ended or "done" if ended == "lost" or await self._flush() else "lost"
        finally:
            for task in self._flying:
                task.cancel()
            await asyncio.gather(*self._flying, return_exceptions=True)

    async def _turn(self) -> Ended | None:
        """-> how it has ended; None: it goes on."""
        now = self.clock()
        if now - self._checked >= CHECK_SECONDS and not await self._look(now):
            return "stopped"
        if not self._flying and self._principal is None and not self._stopped:
            return await self._unpaid()
        if not self._flying and (self._is_over(now) or self._stopped):
            return await self._leave(now)
        if not self._stopped and self._principal is not None and not await self._start(now, self._principal):
            return "lost"
        await self._wait(now)
        return None if await self._keep() else "lost"

    async def _look(self, now: float) -> bool:
        """-> False: whatever is under way is to be given up."""
        self._checked = now
        with suppress(StoreUnavailable):  # what is under way goes on: whether its answer can be kept shows then
            await self.progressed()
            if not self._stopped and not await self.still_runs():
                self._stopped = now
            if now - self._paid >= PAYER_SECONDS:
                self._principal, self._paid = await self.payer(), now
        return not self._stopped or now - self._stopped < GRACE_SECONDS

    def _is_over(self, now: float) -> bool:
        """Whether it is to go on later."""
        if now - self._began >= RUN_SECONDS or (self.careful and self._fresh >= CAREFUL_LINES):
            return True
        until = self._next_at()
        return until > now and until - self._moved > (PATIENCE_SECONDS if self._fresh else FIRST_PATIENCE)

    def _next_at(self) -> float:
        return max(self._not_before, self._ready[0][0]) if self._ready else self._not_before

    async def _leave(self, now: float) -> Ended:
        if self._stopped:
            return "stopped"
        idle = 0 if self._fresh else self.blob.state.idle + 1
        least = min(IDLE_PAUSE * 2 ** min(idle - 1, 10), LONGEST_IDLE) if idle else 0.0
        self.pause = min(max(self._next_at() - now, least), LONGEST_PAUSE)
        self._held.append(chunk_results.left(now, idle))
        return "again"

    async def _start(self, now: float, principal: Principal) -> bool:
        """-> False: the chunk is somebody else's."""
        if now - self._began >= RUN_SECONDS or now < self._not_before:
            return True
        width = 1 if self.careful else max(1, min(int(self._width), MOST_COMING // self._largest))
        while self._ready and len(self._flying) < width and self._ready[0][0] <= now:
            if self.careful and self._fresh >= CAREFUL_LINES:
                break
            _, index = heapq.heappop(self._ready)
            if self.careful and not await self.blob.add(chunk_results.alone(index, now)):
                return False
            self._flying[asyncio.ensure_future(self._one(self.lines[index], principal))] = index
        return True

    async def _one(self, line: AskedLine, principal: Principal) -> LineAnswer:
        return await self.ask.ask(line.request(self.endpoint, self.batch.alias), principal, self.batch.payer.tags)

    async def _wait(self, now: float) -> None:
        until = now + CHECK_SECONDS
        if self._ready and not self._stopped and (self._not_before > now or not self._flying):
            until = min(until, max(self._next_at(), now))
        if self._held:
            until = min(until, max(self._held_since + LINGER_SECONDS, now))
        if self._flying:
            await asyncio.wait(self._flying, timeout=until - now, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(until - now)

    async def _keep(self) -> bool:
        """Take what has been answered, and store it when it is time. -> False: the chunk is somebody else's."""
        now = self.clock()
        for task in [task for task in self._flying if task.done()]:
            self._held_since = self._held_since if self._held else now
            self._held += self._answered(task, now)
        if not self._held and now - self._kept >= ALIVE_EACH:
            self._held, self._held_since = [chunk_results.alive(now)], 0.0
        if not self._held:
            return True
        due = now - self._held_since >= LINGER_SECONDS or len(self._held) >= MOST_HELD or not self._flying
        return await self._flush() if due or self.careful or sum(map(len, self._held)) >= MOST_BYTES else True

    async def _flush(self) -> bool:
        held, self._held = self._held, []
        if not held:
            return True
        self._kept = self.clock()
        return await self.blob.add(b"".join(held))

    def _answered(self, task: asyncio.Task[LineAnswer], now: float) -> list[bytes]:
        """-> what is to be kept of it."""
        index = self._flying.pop(task)
        custom_id = self.lines[index].custom_id
        error = task.exception()
        if isinstance(error, StoreUnavailable):
            return self._no_room(index, STORAGE_PAUSE, now)
        if error is not None:
            self.log.warning("a line of a batch failed", batch=self.batch.id, error=f"{type(error).__name__}: {error}")
            self._fresh, self._moved = self._fresh + 1, now
            return [Result(index, 500, unanswered(custom_id, "internal_error", _INTERNAL), None).entry(now)]
        answer = task.result()
        if answer.retry_after is not None and now + answer.retry_after < self.batch.expires_at:
            return self._no_room(index, answer.retry_after, now)
        bad = self._bad.get(index, 0)
        if answer.status in _AGAIN and bad < len(PAUSES):
            self._bad[index] = bad + 1
            heapq.heappush(self._ready, (now + PAUSES[bad], index))
            return [chunk_results.tried(index, now, answer.record)]
        if answer.status < 400:
            self._width = min(MOST_AT_ONCE, self._width + 0.5)
        self._fresh, self._moved = self._fresh + 1, now
        line = answered(custom_id, answer.status, answer.request_id, answer.body)
        self._largest = max(self._largest, len(line))
        return [Result(index, answer.status, line, answer.record).entry(now)]

    def _no_room(self, index: int, seconds: float, now: float) -> list[bytes]:
        if now >= self._not_before:  # of several that were under way together, the first counts
            self._width = max(1.0, self._width / 2)
        self._not_before = max(self._not_before, now + seconds)
        heapq.heappush(self._ready, (now + seconds, index))
        return [chunk_results.unasked(now)] if self.careful else []

    async def _unpaid(self) -> Ended:
        now = self.clock()
        results = [
            Result(line.index, 403, unanswered(line.custom_id, "key_gone", _UNPAID), None)
            for line in self.lines
            if line.index not in self.blob.state.answered
        ]
        self._ready.clear()
        return "done" if await self.blob.add(b"".join(each.entry(now) for each in results)) else "lost"


_INTERNAL = "The gateway failed on this line; it has been logged. Send it again in a new batch."
_UNPAID = (
    "The key that made this batch may not be used any more: it was deleted or disabled, or has run out. Send this line "
    "again in a new batch, with a key that is good."
)
