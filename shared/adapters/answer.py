"""A deployment's answer as far as it has come: status, headers, and a body that is read piece by piece.

Filled by a connection, read by one reader. Knows nothing of HTTP's form on the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, Self, overload

from shared.errors import UpstreamFailed, UpstreamFailure

Ending = tuple[UpstreamFailure, str, BaseException | None]
"""Why a body has no end: what kind of failure, in words, and the exception behind it."""


class Head(Mapping[str, str]):
    """Headers, found in any spelling, listed in small letters. Of a name that came twice, the first value."""

    __slots__ = ("_values",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        values: dict[str, str] = {}
        for name, value in raw:
            key = name.lower().decode("latin-1")
            if key not in values:
                values[key] = value.decode("latin-1")
            elif key == "transfer-encoding":  # two of them say together what neither does
                values[key] += ", " + value.decode("latin-1")
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get[T](self, name: str, /, default: str | T) -> str | T: ...
    def get(self, name: str, /, default: object = None) -> object:
        return self._values.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


_NO_HEAD = Head()


class Source(Protocol):
    """The connection on which an answer comes."""

    def taken(self) -> None: ...
    def leave(self, answer: Answer) -> None: ...


class Answer:
    """An asynchronous iterator of the body's pieces, as they arrive; those that have piled up come as one."""

    __slots__ = ("_ending", "_pieces", "_source", "_waiter", "ahead", "headers", "sender", "status")

    def __init__(self, source: Source) -> None:
        self.status = 0
        """0: there is no answer yet."""
        self.headers = _NO_HEAD
        self.ahead = 0
        """Bytes that wait for the reader."""
        self.sender: asyncio.Task[None] | None = None
        """Sends a body that is not held; the answer may come before all of it is sent."""
        self._source: Source | None = source
        self._pieces: list[bytes] = []
        self._ending: Ending | None = None
        self._waiter: asyncio.Future[None] | None = None

    # what the connection does

    def put(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.ahead += len(piece)

    def wake(self) -> None:
        if (waiter := self._waiter) is not None and not waiter.done():
            waiter.set_result(None)

    def end(self, ending: Ending | None = None) -> None:
        self._source = None
        self._ending = ending
        self.wake()

    # what its reader does

    async def begun(self) -> None:
        """Returns when there is a head. Raises UpstreamFailed."""
        while not self.status:
            self._check()
            await self._more()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            self._check()
            if self._source is None:
                raise StopAsyncIteration
            await self._more()
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self.ahead = 0
        if self._source is not None:
            self._source.taken()
        return data

    def _check(self) -> None:
        if self._ending is not None:
            kind, text, cause = self._ending
            raise UpstreamFailed(kind, text) from cause

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def aclose(self) -> None:
        """A body that has been read to its end has given its connection back; any other takes its connection along."""
        if self._source is not None:
            self._source.leave(self)
        if self.sender is not None and not self.sender.done():
            self.sender.cancel()
            await asyncio.wait((self.sender,))
