"""Answers a line of a batch by the very handler that answers a call, and writes it down as Azure does.

Owns what a line is to that handler, and the two files. Knows nothing of the life of a batch.
"""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson
from aiohttp import web

from ... import errors
from ...asked import OF_BATCH
from ...door import Door
from ...errors import ApiError
from .. import ids
from .intake import Line

_FAIL = re.compile(rb"\bfail with ([45]\d\d)\b")  # in a line: the status it is answered with
_UNDONE = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request was executed."),
}


@dataclass(frozen=True, slots=True)
class Answered:
    line: Line
    status: int
    body: bytes


class _LineRequest(dict[Any, Any]):
    """As much of a `web.Request` as the operations look at. It came over no connection and by no route."""

    def __init__(self, body: bytes) -> None:
        super().__init__({OF_BATCH: True})
        self._body = body
        self.match_info: dict[str, str] = {}
        self.query: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.content_type = "application/json"

    async def read(self) -> bytes:
        return self._body


async def answer(door: Door, operation: str, line: Line) -> Answered:
    body = orjson.dumps(line.body)
    handler = door.operations[operation.removeprefix("/")]
    try:
        if found := _FAIL.search(body):
            raise errors.of_status(int(found[1]))
        if line.body.get("stream") or line.body.get("background"):
            raise errors.invalid("A request of a batch cannot be streamed or answered in the background.", "stream")
        request = cast("web.Request", _LineRequest(body))
        response = await handler(request, "plain" if door.resource.kind == "plain" else "v1")
    except ApiError as error:
        return Answered(line, error.status, error.body)
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return Answered(line, response.status, response.body)


def files(answered: Iterable[Answered], undone: Iterable[Line], how: str, plain: bool) -> tuple[bytes, bytes]:
    """The output file and the error file, in another order than the input."""
    output, wrong = list[bytes](), list[bytes]()
    for done in answered:
        (output if done.status == 200 else wrong).append(_written(done, plain))
    code, message = _UNDONE.get(how, ("", ""))
    for line in undone if code else ():
        row = {"custom_id": line.custom_id, "response": None, "error": {"code": code, "message": message}}
        wrong.append(_dumped(row, plain))
    return b"".join(_shuffled(output)), b"".join(_shuffled(wrong))


def _written(done: Answered, plain: bool) -> bytes:
    body = orjson.Fragment(done.body) if done.status == 200 else _error_body(done.body)
    response = {"body": body, "request_id": str(uuid.uuid4()), "status_code": done.status}
    return _dumped({"custom_id": done.line.custom_id, "response": response, "error": None}, plain)


def _error_body(body: bytes) -> Any:
    """Errors may be written over several lines, or be no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _dumped(row: dict[str, Any], plain: bool) -> bytes:
    """Azure's lines have no id of their own."""
    named = {"id": ids.lettered("batch_req_"), **row} if plain else row
    return orjson.dumps(named, option=orjson.OPT_APPEND_NEWLINE)


def _shuffled(rows: list[bytes]) -> list[bytes]:
    return rows[1::2] + rows[::2]
