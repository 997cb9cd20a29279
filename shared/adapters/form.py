"""A client's multipart form as a stream (ports.Form): read as far as it is needed, never held whole in memory.

Owns the reading, its limit, and the form written anew for an upstream. The grammar is form_parser.py's.

Every byte of a file goes through the spool, and whatever is sent is read from there: one path, whether an upstream
takes the file while the client still sends it, or a second attempt begins at the first byte again. What is read back
at once comes from the system's cache, so that it costs a copy and no disk. The client is read only when the reader
of a body has sent all that is there: it is never faster than the upstream.

    fields_until("model")     as far as to the file after the field; files that come before are spooled
    encode(edit)              a body; iterating over it reads on. It may be iterated over again, from the start
    discard()                 in every case, once
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import IO

from starlette.types import Message, Receive

from shared.adapters.form_parser import (
    FILE_FIELDS,
    FormParser,
    Part,
    Spool,
    boundary_of,
    invalid,
    temporary_file,
    too_large,
)
from shared.ports import ClientGone, EncodedForm, FieldEdit, FormFile

PIECE = 256 * 1024
"""Bytes parsed, written or read at a time: below a millisecond."""
SENT_AT_ONCE = 64 * 1024


def open_form(
    receive: Receive,
    content_type: str,
    limit: int,
    *,
    announced: int | None = None,
    file_fields: frozenset[str] = FILE_FIELDS,
    spool: Callable[[], IO[bytes]] = temporary_file,
) -> MultipartForm:
    """Nothing is read yet. `limit` and `announced` (the Content-Length) are bytes of the whole body; `file_fields`
    are the names under which files may come, and nothing else may. Raises ApiError 400, 413 or 415."""
    form = MultipartForm(receive, boundary_of(content_type), limit, file_fields, Spool(spool))
    form.check_size(announced or 0)
    return form


class MultipartForm:
    """ports.Form. Used inside one event loop; reading that is cancelled may be taken up again, nothing is lost."""

    def __init__(
        self, receive: Receive, boundary: bytes, limit: int, file_fields: frozenset[str], spool: Spool
    ) -> None:
        self.failure: Exception | None = None
        self._receive = receive
        self._limit = limit
        self._spool = spool
        self._parser = FormParser(boundary, spool, file_fields)
        self._boundary = b"tollgate-" + secrets.token_hex(16).encode()
        self._turn = asyncio.Lock()
        self._left_alone = asyncio.Event()
        self._size = 0
        self._pending = memoryview(b"")
        self._last = False

    @property
    def files(self) -> list[FormFile]:
        return [
            FormFile(part.name, part.filename, part.content_type, part.size)
            for part in self._parser.parts
            if part.filename is not None
        ]

    @property
    def complete(self) -> bool:
        return self._parser.ended

    def head(self, number: int, count: int) -> bytes:
        part = self._file(number)
        return self._spool.read(part.start, min(count, part.size)) if self._spool.kept and part.size else b""

    def content(self, number: int) -> AsyncIterator[bytes]:
        return self._content(self._file(number), PIECE)

    def _file(self, number: int) -> Part:
        return [part for part in self._parser.parts if part.filename is not None][number]

    async def fields_until(self, *names: str) -> Mapping[str, list[str]]:
        await self._read_until(lambda: self._known(names)[1])
        return self._known(names)[0]

    async def fields(self) -> Mapping[str, list[str]]:
        await self._read_until(lambda: False)
        return self._known(None)[0]

    def _known(self, names: Iterable[str] | None) -> tuple[dict[str, list[str]], bool]:
        """-> the text fields before the file by which all `names` are known, and whether that file has begun.

        Not simply those that have arrived: what is known must depend on the order of the fields, never on how they
        were cut on their way.
        """
        known: dict[str, list[str]] = {}
        for part in self._parser.parts:
            if part.filename is None and part.whole:
                known.setdefault(part.name, []).append(part.value)
            elif part.filename is not None and names is not None and known.keys() >= set(names):
                return known, True
        return known, False

    def encode(self, edit: FieldEdit, first: Iterable[tuple[str, str]] = ()) -> EncodedForm:
        first = list(first)
        length = None
        if self.complete:
            parts = self._parser.parts
            texts = [self._text(edit(part.name, part.value), part) for part in parts if part.filename is None]
            files = [len(self._head(part)) + part.size + 2 for part in parts if part.filename is not None]
            length = len(self._text(first)) + sum(map(len, texts)) + sum(files) + len(self._closing())
        content_type = f"multipart/form-data; boundary={self._boundary.decode()}"
        return EncodedForm(content_type, length, _Again(lambda: self._body(edit, first)))

    async def discard(self) -> None:
        self._spool.close()
        self._pending = memoryview(b"")
        self.failure = self.failure or RuntimeError("the form has been discarded")
        self._left_alone.set()

    async def receive(self) -> Message:
        """The connection's messages after the body, for those who watch it: whoever took an earlier one would take a
        piece of the body."""
        await self._left_alone.wait()
        return await self._receive()

    def check_size(self, size: int) -> None:
        """Raises ApiError 413."""
        if size > self._limit:
            raise too_large(
                f"The body is larger than {self._limit:,} bytes, the limit of this operation. Send a smaller file; "
                "large files can be sent in parts by POST /v1/uploads."
            )

    # Reading.

    async def _read_until(self, done: Callable[[], bool]) -> None:
        """Whoever has the turn reads for all: the pieces arrive in order even when an earlier attempt still waits."""
        while not done() and not self.complete:
            async with self._turn:
                if not done() and not self.complete:
                    await self._read_on()

    async def _read_on(self) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            if self._pending:
                await asyncio.sleep(0)  # a server may hand over 100 MB at once: others get their turn
            else:
                self._take(await self._receive())
            self._feed()
        except Exception as error:
            self.failure = error
            self._left_alone.set()
            raise

    def _take(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        self._size += len(body)
        self.check_size(self._size)
        self._pending = memoryview(body)
        self._last = not message.get("more_body")

    def _feed(self) -> None:
        piece, self._pending = self._pending[:PIECE], self._pending[PIECE:]
        self._parser.feed(bytes(piece))
        if self.complete:
            self._pending = memoryview(b"")
            self._left_alone.set()
        elif self._last and not self._pending:
            what = f"ends after {self._size:,} bytes, before its closing boundary" if self._size else "is empty"
            raise invalid(f"The multipart body {what}. Send the whole form; its last line is '--boundary--'.")

    # Writing.

    async def _body(self, edit: FieldEdit, first: list[tuple[str, str]]) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks(edit, first):
                yield chunk
        except Exception as error:  # of `edit` as well: no library that sends this hands it on as it is
            self.failure = self.failure or error
            raise

    async def _chunks(self, edit: FieldEdit, first: list[tuple[str, str]]) -> AsyncIterator[bytes]:
        parts, index = self._parser.parts, 0
        out = self._text(first)
        while True:
            if out and not self._ready(index):
                yield out  # the client may take its time for the next part
                out = b""
            await self._read_until(lambda: self._ready(index))  # noqa: B023  # called while it is this index
            if index == len(parts):
                break
            part = parts[index]
            if part.filename is None:
                out += self._text(edit(part.name, part.value), part)
            else:
                yield out + self._head(part)
                async for chunk in self._content(part):
                    yield chunk
                out = b"\r\n"
            index += 1
        yield out + self._closing()

    def _ready(self, index: int) -> bool:
        """The part is there as far as is needed to begin with it."""
        parts = self._parser.parts
        return len(parts) > index and (parts[index].whole or parts[index].filename is not None)

    async def _content(self, part: Part, most: int = SENT_AT_ONCE) -> AsyncIterator[bytes]:
        sent = 0
        while True:
            await self._read_until(lambda: part.whole or part.size > sent)  # noqa: B023  # called while it is so
            if part.size == sent:
                return
            chunk = self._spool.read(part.start + sent, min(most, part.size - sent))
            sent += len(chunk)
            yield chunk

    def _text(self, fields: Iterable[tuple[str, str]], instead_of: Part | None = None) -> bytes:
        """A content type is kept with its field: of two parts of a realtime call one is SDP, the other JSON."""
        out: list[bytes] = []
        for name, value in fields:
            typed = instead_of.content_type if instead_of and instead_of.name == name else ""
            out += (self._head(Part(name, None, typed, 0)), value.encode(), b"\r\n")
        return b"".join(out)

    def _head(self, part: Part) -> bytes:
        lines = [f'Content-Disposition: form-data; name="{_quoted(part.name)}"']
        if part.filename is not None:
            lines[0] += f'; filename="{_quoted(part.filename)}"'
        if part.content_type or part.filename is not None:
            lines.append(f"Content-Type: {part.content_type or 'application/octet-stream'}")
        return b"--%b\r\n%b\r\n\r\n" % (self._boundary, "\r\n".join(lines).encode())

    def _closing(self) -> bytes:
        return b"--%b--\r\n" % self._boundary


class _Again:
    """An iterable of which every iteration begins at the start."""

    def __init__(self, begin: Callable[[], AsyncIterator[bytes]]) -> None:
        self._begin = begin

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._begin()


def _quoted(name: str) -> str:
    """A quoted-string (RFC 9110 §5.6.4). Names hold no control characters: form_parser.py refuses them."""
    return name.replace("\\", "\\\\").replace('"', '\\"')
