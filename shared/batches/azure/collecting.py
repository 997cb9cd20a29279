"""What a batch has given, as its resource wrote it down: made what clients see, and what it has cost. Pure.

Lines go through one by one; nothing but the sums is held. A line that is not understood goes through as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson

from shared.batches.settling import BATCH_TIER, Tally
from shared.redact import redact_deep
from shared.transform.owned import seal_ids
from shared.types import Cost, Json, Usage
from shared.usage import read_anthropic_usage, read_usage

_AT_ONCE = 64
"""Lines after which other calls have their turn: about 2 ms."""


@dataclass(slots=True)
class Collected:
    """Reads output and error file of one batch."""

    batch_id: str
    alias: str
    seal: Callable[[str], str]
    hide: Mapping[str, str]
    """Names that no client may see, and what stands in their place."""
    price: Callable[[Usage], Cost]
    tally: Tally = field(default_factory=Tally)
    model: str = ""
    """As the first answer names it."""
    answered: int = 0
    """Lines with a good answer."""
    failed: int = 0
    """Lines with any other, or with none."""

    async def lines(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """A file for the client."""
        rest = b""
        async for chunk in chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            for start in range(0, len(whole), _AT_ONCE):
                if made := b"".join(map(self._line, whole[start : start + _AT_ONCE])):
                    yield made
                await asyncio.sleep(0)
        if last := self._line(rest):
            yield last

    def _line(self, line: bytes) -> bytes:
        if not line.strip():
            return b""
        row = _read(line)
        if not isinstance(row, dict):
            return line + b"\n"
        return _written(self._row(cast("Json", row)))

    def _row(self, row: Json) -> Json:
        custom_id, answer, error = row.get("custom_id"), row.get("response"), row.get("error")
        if isinstance(answer, dict) and answer:
            answer = self._answer(cast("Json", answer))
        else:
            answer = None
            self.failed += 1
        made = {"id": line_id(self.batch_id, str(custom_id)), "custom_id": custom_id, "response": answer}
        return {**made, "error": redact_deep(error, self.hide) if isinstance(error, dict) else None}

    def _answer(self, answer: Json) -> Json:
        status, body = answer.get("status_code"), answer.get("body")
        if not isinstance(status, int):
            status = 200
        usage = Usage()
        if isinstance(body, dict):
            usage = self._body(cast("Json", body), status)
        elif status >= 400:
            message = redact_deep(body, self.hide) if isinstance(body, str) else ""
            error = {"message": message or "The line was refused.", "type": "server_error", "param": None, "code": None}
            body = {"error": error}
        self.answered += status < 400
        self.failed += status >= 400
        self.tally.add(status, usage, self.price(usage))
        return {"status_code": status, "request_id": str(answer.get("request_id") or ""), "body": body}

    def _body(self, body: Json, status: int) -> Usage:
        """What a line was answered with, changed in place. -> what it has used."""
        if status >= 400:
            if "error" in body:
                body["error"] = redact_deep(body["error"], self.hide)
            return Usage()
        if isinstance(body.get("model"), str):
            self.model = self.model or body["model"]
            body["model"] = self.alias
        seal_ids(body, self.seal)
        return _batch_tier(read_usage(body.get("usage")) or read_anthropic_usage(body.get("usage")))


def _read(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(line)  # it takes half a surrogate pair, where an answer was cut within a sign
    except (ValueError, RecursionError):
        return None


def _written(row: Json) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # half a surrogate pair, or more than 254 levels
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def line_id(batch_id: str, custom_id: str) -> str:
    """Of a line of an output: always the same, for Azure gives none."""
    return "batch_req_" + hashlib.sha256(f"{batch_id}\n{custom_id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _batch_tier(usage: Usage | None) -> Usage:
    """Whatever the line says of its tier: it is sold at the prices of batches."""
    return Usage() if usage is None else replace(usage, tier=BATCH_TIER)
