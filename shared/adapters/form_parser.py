"""multipart/form-data, from bytes to parts: text fields in memory, the content of files in a spool on disk.

Owns the grammar's bounds, what a part may say of itself, and every message about a body that is wrong. Knows nothing
of where the bytes come from, nor of upstreams. Parsing of the bytes themselves is python-multipart's (docs/adr/0007).

What is parsed here is also all that an upstream ever sees: forms are written anew (form.py), so that two parsers
cannot read two different things out of one body.
"""

from __future__ import annotations

import errno
import re
import tempfile
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shared.errors import ApiError, bad_request, unavailable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_TEXT = 1_000_000
"""Bytes of one text field; prompts are the largest."""
MOST_TEXT_IN_ALL = 4_000_000
"""Bytes of all text fields of a form: they are held in memory."""
MOST_PARTS = 200
MOST_HEADERS = 8
MOST_HEADER = 4096
"""Bytes of one header of a part."""
MOST_BOUNDARY = 70
"""Characters (RFC 2046 §5.1.1)."""

FILE_FIELDS = frozenset("file files data image mask markup input_reference video recording audio_sample".split())
"""The fields of OpenAI's operations that hold files (its OpenAPI document of 2026-08-21), without `[]` or an index."""

_INDEX = re.compile(r"\[\d*\]$")
_EXTENDED = re.compile(r"""filename\*\s*=\s*"?utf-8'[^']*'([^;"\s]+)""", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MEDIA_TYPE = re.compile(r"[\w.+*-]+/[\w.+*-]+[\x20-\x7e]{0,150}", re.ASCII)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def boundary_of(content_type: str) -> bytes:
    """Raises ApiError: 415 when it is no form, 400 when the boundary is missing or cannot be one."""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise bad_request(
            f"Content-Type {content_type[:60]!r} is not served here. Send 'Content-Type: multipart/form-data' with a "
            "boundary, as HTTP clients do by themselves when they are given a file.",
            status=415,
            code="unsupported_media_type",
        )
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise invalid("The Content-Type names no boundary. Do not set this header yourself: your HTTP client does it.")
    if len(boundary) > MOST_BOUNDARY or re.search(rb"[^\x20-\x7e]", boundary):
        raise invalid(f"The boundary is not valid: at most {MOST_BOUNDARY} printable ASCII characters are allowed.")
    return boundary


def invalid(message: str, param: str | None = None) -> ApiError:
    return bad_request(message, param=param, code="invalid_multipart")


def too_large(message: str, param: str | None = None) -> ApiError:
    return bad_request(message, param=param, status=413, code="request_too_large")


def temporary_file() -> IO[bytes]:
    """Has no name and vanishes with the process. Unbuffered: a full disk is noticed by the write that it befalls."""
    return tempfile.TemporaryFile(buffering=0)  # lives as long as the form


class Spool:
    """The content of a form's files, one after the other. The file is made when the first byte comes.

    Reads and writes are direct, in pieces of at most 256 KB, not through a thread: into the system's cache they take
    well below a millisecond, a thread would cost as much, and a cancelled call cannot leave a write under way.
    """

    def __init__(self, make: Callable[[], IO[bytes]]) -> None:
        self._make = make
        self._file: IO[bytes] | None = None
        self.size = 0

    @property
    def kept(self) -> bool:
        """Whether there is anything to read."""
        return self._file is not None

    def append(self, data: memoryview) -> None:
        """Raises ApiError 503 when the disk is full."""
        try:
            if self._file is None:
                self._file = self._make()
            self._file.seek(self.size)
            while data:
                written = self._file.write(data)
                self.size += written
                data = data[written:]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise unavailable(
                "The gateway has no room left on its disk for this upload; nothing of it was stored. Retry in a "
                "moment, and send fewer large uploads at a time.",
                "upload_storage_full",
            ) from error

    def read(self, at: int, count: int) -> bytes:
        assert self._file is not None, "the form has been discarded"
        self._file.seek(at)
        return self._file.read(count)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class Part:
    """One part, from the end of its headers on. `whole` says that nothing more will come."""

    name: str
    filename: str | None
    """None for a text field."""
    content_type: str
    """Empty when the client gave none."""
    start: int
    """Of a file: where its content begins in the spool."""
    size: int = 0
    """Bytes so far."""
    whole: bool = False
    value: str = ""
    """Of a text field that is whole."""


class FormParser:
    """Fed with the body in pieces of any size. `parts` grows, in the client's order, until `ended`."""

    def __init__(self, boundary: bytes, spool: Spool, file_fields: frozenset[str] = FILE_FIELDS) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._spool = spool
        self._file_fields = file_fields
        self._headers: dict[str, bytes] = {}
        self._field, self._value, self._text = bytearray(), bytearray(), bytearray()
        self._text_in_all = self._begun = 0
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._part_begins,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_ends,
            "on_end": self._end,
        }
        self._parser = MultipartParser(
            boundary, callbacks, max_header_count=MOST_HEADERS, max_header_size=MOST_HEADER
        )  # fmt: skip

    def feed(self, data: bytes) -> None:
        """Raises ApiError."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise invalid(
                f"The multipart body is broken in part {max(self._begun, 1)}: {error}. Send each part as '--boundary', "
                "its headers, an empty line and its content, with lines that end in CR LF, under the boundary that "
                "the Content-Type names."
            ) from None

    def _part_begins(self) -> None:
        self._begun += 1
        if self._begun > MOST_PARTS:
            raise too_large(f"The form has more than {MOST_PARTS} parts. Send fewer in one call.")
        self._headers = {}
        self._text.clear()

    def _header_ends(self) -> None:
        name, value = self._field.decode("ascii").lower(), bytes(self._value)
        self._field.clear()
        self._value.clear()
        if name in self._headers:
            raise invalid(f"Part {self._begun} has two headers '{name}'. Send one.")
        self._headers[name] = value

    def _headers_end(self) -> None:
        disposition = self._headers.get("content-disposition", b"").decode("latin-1")
        kind, options = parse_options_header(disposition)
        if kind != b"form-data" or not options.get(b"name"):
            raise invalid(
                f"Part {self._begun} does not say which field it is. Give it the header "
                "'Content-Disposition: form-data; name=\"…\"'."
            )
        encoding = self._headers.get("content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"binary", b"8bit", b"7bit"):
            raise invalid(f"Part {self._begun} has a Content-Transfer-Encoding. Send its content as it is.")
        name = self._word(options[b"name"])
        filename = self._filename(options, disposition)
        self._check_kind(name, filename)
        part = Part(name, filename or None, self._content_type(name), self._spool.size)
        self.parts.append(part)

    def _filename(self, options: dict[bytes, bytes], disposition: str) -> str | None:
        """RFC 7578 has no `filename*`, but older clients send it, alone, for what is not ASCII."""
        plain = options.get(b"filename")
        if plain is None and (extended := _EXTENDED.search(disposition)):
            plain = urllib.parse.unquote_to_bytes(extended[1])
        return None if plain is None else self._word(plain)

    def _word(self, value: bytes) -> str:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = "\n"
        if _CONTROL.search(text) or len(text) > 1000:
            raise invalid(
                f"The name or filename of part {self._begun} is not valid. Send at most 1,000 characters in UTF-8 "
                "without control characters such as line ends."
            )
        return text

    def _check_kind(self, name: str, filename: str | None) -> None:
        """A file under the name of a text field would pass by what the gateway checks, `model` above all."""
        is_file = _INDEX.sub("", name) in self._file_fields
        if is_file and not filename:
            raise invalid(f"'{name[:100]}' must be sent as a file: give its part a filename.", name[:100])
        if filename is not None and not is_file:
            raise invalid(f"'{name[:100]}' cannot be sent as a file here: send text without a filename.", name[:100])

    def _content_type(self, name: str) -> str:
        value = self._headers.get("content-type", b"").decode("latin-1").strip()
        if value and not _MEDIA_TYPE.fullmatch(value):
            raise invalid(f"The Content-Type of '{name[:100]}' is not valid. Send one like 'audio/wav'.", name[:100])
        return value

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.size += end - start
        if part.filename is not None:
            self._spool.append(memoryview(data)[start:end])
            return
        self._text_in_all += end - start
        if part.size > MOST_TEXT or self._text_in_all > MOST_TEXT_IN_ALL:
            raise too_large(
                f"'{part.name[:100]}' is too large for a text field: {MOST_TEXT:,} bytes each and "
                f"{MOST_TEXT_IN_ALL:,} in all are the limit.",
                part.name[:100],
            )
        self._text += data[start:end]

    def _part_ends(self) -> None:
        part = self.parts[-1]
        if part.filename is None:
            try:
                part.value = self._text.decode()
            except UnicodeDecodeError:
                raise invalid(f"'{part.name[:100]}' is not valid UTF-8.", part.name[:100]) from None
        part.whole = True

    def _end(self) -> None:
        self.ended = True
