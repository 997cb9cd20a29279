"""An input as one deployment wants it: its own name for the model, its own form of the url, its own ids. Pure.

    rewriter = Rewriter(deployment, url, open_id)
    rewriter.feed(piece)    -> what can be sent by now
    rewriter.end()          -> the rest

The lines have been checked (lines.py). Each is parsed and written anew: for lines of usual length that takes half the
time of finding the few bytes that change, and needs no proof that they are the right ones.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from shared.batches.intake.line_ids import may_hold_ids, open_line_ids
from shared.batches.intake.lines import lines_of
from shared.deferral import BY_URL
from shared.endpoints import Shape
from shared.types import Json
from shared.wishes import NAMES


class Rewriter:
    """For one placement of one input."""

    def __init__(self, deployment: str, url: str, open_id: Callable[[str], str] | None = None) -> None:
        """deployment: its name at the upstream; url: of every line, as the upstream wants it, with `/v1` or without;
        open_id: opens an id for that upstream and raises what such a line is refused with; None: no line has any (the
        check has found none, KeptFile.bound is empty)."""
        self._deployment = deployment
        self._url = url
        self._shape: Shape = BY_URL[url.removeprefix("/v1")].shape
        self._open_id = open_id
        self._rest: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Raises what open_id raises."""
        head, line_end, tail = data.rpartition(b"\n")
        out = b""
        if line_end:
            out = self._lines(b"".join((*self._rest, head)))
            self._rest = []
        if tail:
            self._rest.append(tail)
        return out

    def end(self) -> bytes:
        """Raises what open_id raises."""
        rest, self._rest = b"".join(self._rest), []
        return self._lines(rest)

    def _lines(self, block: bytes) -> bytes:
        """Every request ends with a line end; what is empty is left out."""
        out = [self.line(line) for line in lines_of(block)]
        return b"\n".join((*out, b"")) if out else b""

    def line(self, line: bytes) -> bytes:
        """One request, without a line end. Raises what open_id raises."""
        row: Json = orjson.loads(line)
        body: Json = row["body"]
        if self._open_id is not None and may_hold_ids(line, body, self._shape):
            body = open_line_ids(body, self._shape, self._open_id)
            row["body"] = body
        body["model"] = self._deployment
        for name in NAMES & body.keys():  # meant for the gateway: Azure refuses a line for what it does not know
            del body[name]
        row["url"] = self._url
        return orjson.dumps(row)
