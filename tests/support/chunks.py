"""What the running of chunks is tried with: blobs in memory, and a pipeline that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from shared.batches.ports import BlobFacts, LineAnswer, NoBlob
from shared.ports import StoreUnavailable
from shared.principals import Principal
from shared.types import ApiRequest, Cost, Json, Usage, UsageRecord
from tests.support.doubles import a_record


class Died(BaseException):
    """The process has ended: nothing that it does has an effect any more."""


class MemoryFolder:
    """Append blobs (batches.ports.BlobFolder). `most`: bytes that are kept of the next append, which then fails as when
    its process ends."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.most: int | None = None
        self.down = self.dead = False
        self.modified = 0.0

    async def append(self, name: str, data: bytes, at: int, lease: str = "") -> bool:
        await asyncio.sleep(0)
        if self.dead:
            raise Died
        if self.down:
            raise StoreUnavailable("down")
        if len(self.blobs.get(name, b"")) != at:
            return False
        most, self.most = self.most, None
        self.blobs[name] = self.blobs.get(name, b"") + data[:most]
        if most is not None:
            raise StoreUnavailable("its process ended")
        return True

    async def read(self, name: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if name not in self.blobs:
            raise NoBlob(name)
        data = self.blobs[name][start:]
        for place in range(0, len(data), 1000):  # no piece ends where a line does
            yield data[place : place + 1000]

    async def list(self, prefix: str) -> AsyncIterator[BlobFacts]:
        for name in sorted(self.blobs):
            if name.startswith(prefix):
                yield BlobFacts(name, len(self.blobs[name]), "", self.modified)


type Say = Callable[[str], LineAnswer | BaseException]


class ToldLines:
    """ports.Lines: `say` (the text of the line -> its answer) is asked, and how many were asked at once is noted."""

    def __init__(self, say: Say | None = None) -> None:
        self.say: Say = say or good
        self.asked: list[str] = []
        self.bodies: list[Json] = []
        self.at_once = self.most = 0
        self.gate: asyncio.Event | None = None
        """While it is not set nothing is answered."""

    async def ask(self, request: ApiRequest, principal: Principal, tags: tuple[str, ...]) -> LineAnswer:
        import orjson

        body: Any = orjson.loads(request.body)
        self.asked.append(body["text"])
        self.bodies.append(body)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
            answer = self.say(body["text"])
        finally:
            self.at_once -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer


def used(deployment: str = "main/gpt-4o", nanos: int = 7, **usage: Any) -> UsageRecord:
    given = usage or {"input_tokens": 3, "output_tokens": 2}
    return a_record(deployment=deployment, label="gpt-4o#1", usage=Usage(**given), cost=Cost(nanos, basis="config"))


def good(text: str) -> LineAnswer:
    return LineAnswer(200, f"req_{text}", {"said": text}, used())


def bad(status: int, **changed: Any) -> LineAnswer:
    return LineAnswer(status, "req_x", {"error": {"message": "no"}}, changed.pop("record", None), **changed)
