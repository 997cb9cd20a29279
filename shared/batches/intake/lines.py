"""The lines of an input for batches: read as they arrive, each checked, and cut into chunks. Pure.

    reader = LineReader(open_id)
    reader.feed(piece)      as often as there is one; raises BadLine at the first line that is wrong
    reader.end()            the last line, and what can be said of the whole

Codes are those that OpenAI and Azure give for the same mistakes ("Batch API reference", 2026-08; "How to use batch
deployments", 2026-08), and the gateway's own for a field that is missing or of a wrong type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from shared.batches.intake.line_ids import may_hold_ids, open_line_ids, plain_tokens
from shared.deferral import BY_URL
from shared.endpoints import MB, Shape
from shared.errors import ApiError
from shared.payload import MOST_DEPTH, depth
from shared.types import Json
from shared.usage import estimate_input

MOST_LINES = 100_000
"""Requests of one file (Azure "Batch limits", 2026-08; OpenAI allows half of it)."""
MOST_BYTES = 200 * MB
"""Bytes of one file (the same; OpenAI "Batch API", 2026-08)."""
MOST_LINE = 4 * MB
"""Bytes of one line, its end included: what one append to a blob can take beside the answer of the line."""
MOST_CUSTOM_ID = 512
"""Characters."""
CHUNK_LINES, CHUNK_BYTES = 100, 4 * MB

_MOST_CONTAINERS, _MOST_ELEMENTS = 100_000, 1_000_000
"""Of one line: parsing must not take a hundred times the room of its bytes (payload.py)."""
_LONG = 64 * 1024
_MOST_EMPTY = 100_000
"""Lines of one file that hold nothing: each takes a moment."""
_KEPT_AS_IT_IS = 64
"""Characters: a longer custom_id is remembered by its digest."""
_BOM, _OTHER_BOMS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_SAID: dict[str, tuple[type, str]] = {"custom_id": (str, "a string"), "method": (str, "a string"),
                                      "url": (str, "a string"), "body": (dict, "an object")}  # fmt: skip


class BadLine(Exception):
    """An input that is refused. `line` counts from 1; 0: it is the file as a whole."""

    def __init__(self, line: int, code: str, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(f"Line {line}: {message}" if line else message)
        self.line = line
        self.code = code
        self.param = param
        self.status = status


@dataclass(frozen=True, slots=True)
class Stretch:
    """One chunk of an input file."""

    number: int
    start: int
    """Bytes from the file's beginning."""
    length: int
    first_line: int
    """From 0; lines that are empty are not counted."""
    lines: int


def lines_of(data: bytes) -> list[bytes]:
    """The requests of a chunk, without line ends: what is empty is none."""
    return [line for line in data.split(b"\n") if line and not line.isspace()]


class LineReader:
    """What is known of an input so far."""

    def __init__(self, open_id: Callable[[str], str]) -> None:
        """open_id: is given every id in a line's body; raises ApiError for one that is refused."""
        self.count = 0
        """Requests."""
        self.number = 0
        """The line that is being read, or was last: from 1, empty ones counted."""
        self.tokens = 0
        self.alias = ""
        self.alias_line = 0
        """The first line that names a model."""
        self.nameless_line = 0
        """The first line that names none; 0: all do."""
        self.url = ""
        self.stretches: list[Stretch] = []
        self._open_id = open_id
        self._url_given = ""
        self._shape: Shape = "chat"
        self._seen: set[str | bytes] = set()
        self._position = 0
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._start = self._end = self._lines_in_chunk = 0

    def feed(self, data: bytes) -> None:
        """Raises BadLine."""
        head, line_end, tail = data.rpartition(b"\n")
        if line_end:
            self._lines(b"".join((*self._rest, head)))
            self._rest, self._rest_size = [], 0
        if tail:
            self._rest.append(tail)
            self._rest_size += len(tail)
            self._check_size(self.number + 1, self._rest_size)

    def end(self) -> None:
        """Raises BadLine."""
        if self._rest:
            self._lines(b"".join(self._rest))
            self._end = min(self._end, self._position - 1)  # the last line has no end
            self._rest = []
        if not self.count:
            raise BadLine(0, "empty_file", "The file is empty. Write one request on each line.")
        self._close_chunk()

    def index(self) -> bytes:
        """The chunks, as they are kept (read_index)."""
        return orjson.dumps([(s.start, s.length, s.first_line, s.lines) for s in self.stretches])

    def _lines(self, block: bytes) -> None:
        for line in block.split(b"\n"):
            self.number += 1
            size = len(line) + 1
            if line and not line.isspace():
                self._check_size(self.number, size)
                self._line(line)
                end = self._position + size
                if self._lines_in_chunk == CHUNK_LINES or (self._lines_in_chunk and end - self._start > CHUNK_BYTES):
                    self._close_chunk()
                if not self._lines_in_chunk:
                    self._start = self._position
                self._lines_in_chunk += 1
                self._end = end
                self.count += 1
            elif self.number - self.count > _MOST_EMPTY:
                raise BadLine(
                    0, "invalid_request", f"The file has more than {_MOST_EMPTY:,} empty lines. Leave them out."
                )
            self._position += size
            self._check_bytes()

    def _close_chunk(self) -> None:
        lines = self._lines_in_chunk
        number = len(self.stretches)
        self.stretches.append(Stretch(number, self._start, self._end - self._start, self.count - lines, lines))
        self._lines_in_chunk = 0

    def _check_size(self, number: int, size: int) -> None:
        if size > MOST_LINE:
            raise BadLine(
                number,
                "line_too_large",
                f"It is larger than {MOST_LINE:,} bytes. Refer to large images and files by URL or id.",
                status=413,
            )

    def _check_bytes(self) -> None:
        if self._position > MOST_BYTES + 1:
            raise BadLine(
                0,
                "request_too_large",
                f"The file is larger than {MOST_BYTES:,} bytes. Split it into several batches.",
                status=413,
            )

    def _line(self, line: bytes) -> None:
        """One request. The common case is decided by few comparisons: a hundred thousand lines come here at once."""
        row = self._parsed(line)
        custom_id, body = row.get("custom_id"), row.get("body")
        if type(custom_id) is not str or not custom_id or type(body) is not dict or row.get("method") != "POST":
            raise self._wrong(row)
        if row.get("url") != self._url_given:
            self._take_url(row)
        known = custom_id if len(custom_id) <= _KEPT_AS_IT_IS else self._long_id(custom_id)
        self._seen.add(known)
        if len(self._seen) == self.count:
            raise self._bad("duplicate_custom_id", f"The custom_id {custom_id[:100]!r} stands on an earlier line, too. "
                            "Give each line its own: answers are told apart by it.", "custom_id")  # fmt: skip
        if self.count == MOST_LINES:
            raise self._bad(
                "too_many_tasks", f"A file may have {MOST_LINES:,} requests. Split it into several batches."
            )
        if body.get("model") != self.alias or not self.alias:
            self._take_model(body)
        if body.get("stream") or body.get("background"):
            name = "stream" if body.get("stream") else "background"
            raise self._bad("unsupported_value", f"A request of a batch has no '{name}'. Leave it out.", f"body.{name}")
        tokens = plain_tokens(body)
        if tokens < 0:
            if may_hold_ids(line, body, self._shape):
                self._open_ids(body)
            tokens = estimate_input(body)
        self.tokens += tokens

    def _parsed(self, line: bytes) -> Json:
        if not self.count and self.number == 1:
            self._check_encoding(line)
        if len(line) > MOST_DEPTH:
            self._check_weight(line)
        try:
            row: Any = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if "UTF-8" in error.msg:
                raise self._bad("invalid_json_line", "It is not UTF-8. Save the file as UTF-8.") from None
            raise self._bad("invalid_json_line", f"It is not valid JSON: {error.msg} (column {error.colno}). Write one "
                            "request per line, without line breaks in it.") from None  # fmt: skip
        if type(row) is not dict:
            raise self._bad("invalid_request", "It is not a JSON object. Write custom_id, method, url and body in one.")
        return row

    def _check_encoding(self, line: bytes) -> None:
        if line.startswith(_BOM):
            raise self._bad("invalid_encoding", "The file begins with a byte order mark, which Azure refuses. Save it "
                            "as UTF-8 without BOM ('utf-8' in Python, not 'utf-8-sig').")  # fmt: skip
        if line.startswith(_OTHER_BOMS):
            raise self._bad("invalid_encoding", "The file is in UTF-16. Save it as UTF-8 without BOM.")

    def _check_weight(self, line: bytes) -> None:
        containers = line.count(b"{") + line.count(b"[")
        if len(line) > _LONG and (containers > _MOST_CONTAINERS or line.count(b",") > _MOST_ELEMENTS):
            raise self._bad("line_too_large", f"It has more than {_MOST_CONTAINERS:,} lists and objects, or more than "
                            f"{_MOST_ELEMENTS:,} elements. Send less in one request.", status=413)  # fmt: skip
        if containers > MOST_DEPTH and depth(line) > MOST_DEPTH:
            raise self._bad("too_deep", f"It is nested more than {MOST_DEPTH} levels deep. Flatten it.")

    def _wrong(self, row: Json) -> BadLine:
        """Which of the four fields is wrong."""
        for name, (kind, wanted) in _SAID.items():
            value = row.get(name)
            if value is None or value == "":
                return self._bad("missing_required_parameter", f"'{name}' is missing. Write {wanted} there.", name)
            if type(value) is not kind:
                return self._bad("invalid_type", f"'{name}' must be {wanted}.", name)
        return self._bad("invalid_value", "'method' must be 'POST'.", "method")

    def _take_url(self, row: Json) -> None:
        given = row.get("url")
        if type(given) is not str or not given:
            raise self._wrong(row)
        url = given.removeprefix("/v1")
        if url not in BY_URL:
            served = ", ".join(f"/v1{name}" for name in sorted(BY_URL))
            raise self._bad("invalid_url", f"The url {given[:100]!r} cannot be batched. Write one of {served}.", "url")
        if self.url and url != self.url:
            raise self._bad(
                "url_mismatch",
                f"The url {given[:100]!r} is another than that of the lines before. Write one file for each url.",
                "url",
            )
        self.url, self._url_given, self._shape = url, given, BY_URL[url].shape

    def _take_model(self, body: Json) -> None:
        named = body.get("model")
        if named is None:
            self.nameless_line = self.nameless_line or self.number
        elif type(named) is not str or not named:
            raise self._bad("invalid_type", "'body.model' must be a string.", "body.model")
        elif self.alias:
            raise self._bad(
                "model_mismatch",
                f"It names another model than line {self.alias_line}. A batch has one: write one file for each.",
                "body.model",
            )
        else:
            self.alias, self.alias_line = named, self.number

    def _long_id(self, custom_id: str) -> bytes:
        if len(custom_id) > MOST_CUSTOM_ID:
            raise self._bad("invalid_value", f"'custom_id' is longer than {MOST_CUSTOM_ID} characters.", "custom_id")
        return hashlib.sha256(custom_id.encode()).digest()[:16]

    def _open_ids(self, body: Json) -> None:
        try:
            open_line_ids(body, self._shape, self._open_id)
        except ApiError as error:
            raise self._bad(error.code or "", error.message, "body") from None

    def _bad(self, code: str, message: str, param: str | None = None, status: int = 400) -> BadLine:
        return BadLine(self.number, code, message, param, status)


def read_index(data: bytes) -> list[Stretch]:
    rows: Iterable[tuple[int, int, int, int]] = orjson.loads(data)
    return [Stretch(number, *row) for number, row in enumerate(rows)]
