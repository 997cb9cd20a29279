"""Sends a body that is not held: piece by piece, no faster than it is taken, and as long as it was said to be."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable
from typing import Protocol

from shared.adapters.answer import Answer
from shared.errors import UpstreamFailure


class Line(Protocol):
    """The connection, to whoever sends on it."""

    sending: bool

    def write(self, data: bytes) -> None: ...
    async def written(self, answer: Answer) -> None: ...
    def expect(self, answer: Answer, seconds: float) -> None: ...
    def fail(self, answer: Answer, kind: UpstreamFailure, text: str, cause: BaseException | None = None) -> None: ...


async def send_body(
    line: Line, answer: Answer, body: AsyncIterable[bytes], length: int | None, patience: float
) -> None:
    """Whoever is slow to give his body is not a deployment that is slow to answer: only its own part is timed.

    length: bytes, None when nobody knows. patience: seconds for the answer to begin, once all is sent.
    """
    pieces = aiter(body)
    left = length
    try:
        line.expect(answer, math.inf)
        async for piece in pieces:
            if not piece:  # an empty chunk would end the body
                continue
            if left is None:
                line.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            elif len(piece) <= left:
                left -= len(piece)
                line.write(piece)
            else:
                raise ValueError("the body is longer than its length")
            await line.written(answer)
        if left:
            raise ValueError(f"the body ended {left} bytes before its length")
        if left is None:
            line.write(b"0\r\n\r\n")
        line.sending = False
        line.expect(answer, patience)
    except Exception as error:  # the body's own, whatever it is
        line.fail(answer, "reset", f"the request's body could not be sent: {type(error).__name__}", error)
    finally:
        if (close := getattr(pieces, "aclose", None)) is not None:
            await close()
