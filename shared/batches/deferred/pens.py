"""Writes deferred calls into their groups: append blobs that many instances write to at once, until they are closed.

Calls that come at once are written together. Every write says at which position it belongs, so that two instances never
mix, and each knows how many lines there are. A group that was closed takes nothing more: then the next one is begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex

from shared.batches.deferred.groups import LAST_NUMBER, CallId, Group, group_at, tail_of
from shared.batches.ports import BlobFolder, NoBlob, Work
from shared.ports import StoreUnavailable

GRACE_SECONDS = 5.0
"""A group is closed so long after its time: whoever has begun to write has written then."""
MOST_BYTES = 64 * 1024 * 1024
"""Of one group: then the next one is begun."""
MOST_APPENDED = 4 * 1024 * 1024
_MOST_PENS = 1000
type MakeLine = Callable[[str], bytes]
"""id -> the line, its end included."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    line: MakeLine
    placed: asyncio.Future[CallId]


@dataclass(slots=True, eq=False)
class _Pen:
    """What this process knows of the group that it writes to."""

    head: bytes
    group: Group
    known: bool = False
    size: int = 0
    lines: int = -1
    """The head is none."""
    waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    task: asyncio.Task[None] | None = None

    def turn(self, group: Group) -> None:
        self.group, self.known, self.size, self.lines = group, False, 0, -1

    @property
    def idle(self) -> bool:
        return not self.waiting and (self.task is None or self.task.done())


class Pens:
    """Used inside one event loop."""

    def __init__(
        self, folder: BlobFolder, work: Work, clock: Callable[[], float], most_lines: int, most_seconds: float
    ) -> None:
        self._folder = folder
        self._work = work
        self._clock = clock
        self._most_lines = most_lines
        self._most_seconds = most_seconds
        self._pens: dict[str, _Pen] = {}

    async def write(self, family: str, head: bytes, line: MakeLine) -> CallId:
        """head: the first line of every group of the family. Durable when this returns. Raises StoreUnavailable."""
        pen = self._pens.get(family)
        if pen is None:
            self._make_room()
            pen = self._pens[family] = _Pen(head, self._group(family))
        waiting = _Waiting(line, asyncio.get_running_loop().create_future())
        pen.waiting.append(waiting)
        if pen.task is None or pen.task.done():
            pen.task = asyncio.create_task(self._write(pen))  # of its own: a client who leaves takes only his own along
        return await waiting.placed

    def _make_room(self) -> None:
        if len(self._pens) >= _MOST_PENS:
            self._pens = {family: pen for family, pen in self._pens.items() if not pen.idle}

    def _group(self, family: str) -> Group:
        return group_at(self._clock(), self._most_seconds, family)

    async def _write(self, pen: _Pen) -> None:
        while True:
            pen.waiting = [one for one in pen.waiting if not one.placed.done()]
            if not pen.waiting:
                return
            try:
                await self._step(pen)
            except Exception as error:
                waiting, pen.waiting = pen.waiting, []
                pen.turn(pen.group)  # what has become of it is looked at again
                for one in waiting:
                    if not one.placed.done():
                        one.placed.set_exception(error)

    async def _step(self, pen: _Pen) -> None:
        now = self._group(pen.group.family)
        if (now.start, now.length) != (pen.group.start, pen.group.length):
            pen.turn(now)
        if pen.lines >= self._most_lines or pen.size >= MOST_BYTES:
            self._follow(pen)
        if not pen.known:
            await self._begin(pen)
        else:
            await self._append(pen)

    def _follow(self, pen: _Pen) -> None:
        if pen.group.number >= LAST_NUMBER:
            raise StoreUnavailable("too many groups of deferred calls in one window of time")
        pen.turn(pen.group.following)

    async def _begin(self, pen: _Pen) -> None:
        """Find the group as others have left it, or make it."""
        facts = await self._folder.facts(pen.group.blob)
        if facts is None or not facts.size:
            delay = max(0.0, pen.group.due - self._clock()) + GRACE_SECONDS
            await self._close(pen.group, delay)  # first: a group that nobody closes would wait for the sweep
            if await self._folder.append(pen.group.blob, pen.head, 0):
                pen.size, pen.lines, pen.known = len(pen.head), 0, True
                return
        await self._catch_up(pen)

    async def _append(self, pen: _Pen) -> None:
        room, size = self._most_lines - pen.lines, 0
        taken: list[tuple[_Waiting, CallId]] = []
        lines: list[bytes] = []
        for one in pen.waiting[:room]:
            call = CallId(pen.group, tail_of(pen.group, self._clock(), token_hex(6)))
            line = one.line(call.text)
            if lines and size + len(line) > MOST_APPENDED:
                break
            size += len(line)
            lines.append(line)
            taken.append((one, call))
        if not await self._folder.append(pen.group.blob, b"".join(lines), pen.size):
            await self._catch_up(pen)
            return
        pen.size += size
        pen.lines += len(lines)
        for one, call in taken:
            if not one.placed.done():
                one.placed.set_result(call)
        if pen.lines >= self._most_lines or pen.size >= MOST_BYTES:
            with suppress(StoreUnavailable):  # the other message closes it when its time has come
                await self._close(pen.group, 0.0)

    async def _catch_up(self, pen: _Pen) -> None:
        """An append was refused: others have written more, or the group is closed."""
        facts = await self._folder.facts(pen.group.blob)
        if facts is None or facts.size <= pen.size:
            self._follow(pen)
            return
        lines = pen.lines
        try:
            async for piece in self._folder.read(pen.group.blob, pen.size, facts.size - pen.size):
                lines += piece.count(b"\n")
        except NoBlob:
            self._follow(pen)
            return
        pen.size, pen.lines, pen.known = facts.size, lines, True

    async def _close(self, group: Group, delay: float) -> None:
        await self._work.send("looks", {"do": "close", "group": group.name}, delay)
