"""Turns a CSV into the lines of a batch, piece by piece: one row, one line, by a template. Pure.

UTF-8, with or without a byte order mark; the separator is the one of `,` `;` and tab that the header has most of; cells
in quotes may hold line breaks. Only a row and a piece are held.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator, Mapping, Sequence

from shared.batches.dropped.template import NUMBER, Part, Unreadable, columns, filled

_MOST_HELD = 1 << 20
"""Bytes in which a row must end."""
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class CsvJobs:
    """Feed pieces, take lines. Both raise Unreadable, with the line of the file."""

    def __init__(self, template: Sequence[Part], template_name: str) -> None:
        self._template = template
        self._template_name = template_name
        self._held = b""
        self._lines = 0
        """Of the file, so far."""
        self._delimiter = ","
        self._header: list[str] | None = None
        self._begins = array("L")

    @property
    def rows(self) -> int:
        return len(self._begins)

    def line_of(self, row: int) -> int:
        """In which line of the file a row begins; rows count from 1, without the header."""
        return self._begins[row - 1] if 0 < row <= len(self._begins) else 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        held = self._held + piece
        end = _end_of_rows(held)
        if not end and len(held) > _MOST_HELD:
            end = held.rfind(b"\n") + 1  # an unbalanced quote shows when it is read
            if not end:
                raise Unreadable(
                    f"Line {self._lines + 1}: it is longer than 1 MiB. End each row with a line feed; what is larger "
                    "is dropped as JSON lines (.jsonl)."
                )
        self._held = held[end:]
        if end:
            yield from self._read(held[:end])

    def end(self) -> Iterator[bytes]:
        """What is left. Raises Unreadable as well for a file without rows."""
        held, self._held = self._held, b""
        if held:
            yield from self._read(held)
        if self._header is None:
            raise Unreadable("The file is empty. Write the names of the columns into its first line, then the rows.")
        if not self.rows:
            raise Unreadable("The file has a header but no rows. Write one row for each request.")

    def _read(self, data: bytes) -> Iterator[bytes]:
        text = self._decoded(data)
        if self._header is None:
            self._delimiter = _delimiter(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True)
        before, begin = self._lines, self._lines + 1
        try:
            for cells in reader:
                yield from self._row(cells, begin)
                begin = before + reader.line_num + 1
        except csv.Error as error:
            raise Unreadable(f"Line {begin}: {_explained(str(error))}") from None
        self._lines = before + reader.line_num

    def _decoded(self, data: bytes) -> str:
        if self._lines == 0:
            if data.startswith(_UTF16):
                raise Unreadable("The file is UTF-16. Save it as 'CSV UTF-8'.")
            data = data.removeprefix(_BOM)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = self._lines + data.count(b"\n", 0, error.start) + 1
            raise Unreadable(f"Line {line}: this is not UTF-8. Save the file as 'CSV UTF-8'.") from None

    def _row(self, cells: list[str], line: int) -> Iterator[bytes]:
        if not any(cells):
            return  # programs for tables leave such rows at the end
        if self._header is None:
            self._header = self._columns([cell.strip() for cell in cells], line)
            return
        wanted = len(self._header)
        if len(cells) > wanted and not any(cells[wanted:]):
            cells = cells[:wanted]
        if len(cells) != wanted:
            raise Unreadable(
                f"Line {line}: this row has {len(cells)} cells, the header has {wanted}. Put a cell that holds "
                f"{self._delimiter!r}, a quote or a line break between double quotes."
            )
        self._begins.append(line)
        values: Mapping[str, str] = {**dict(zip(self._header, cells, strict=True)), NUMBER: str(len(self._begins))}
        try:
            yield filled(self._template, values) + b"\n"
        except Unreadable as error:
            raise Unreadable(f"Line {line}: {error}.") from None

    def _columns(self, header: list[str], line: int) -> list[str]:
        if twice := sorted({name for name in header if name and header.count(name) > 1}):
            raise Unreadable(f"Line {line}: two columns are called '{twice[0]}'. Give each a name of its own.")
        if missing := sorted(columns(self._template) - set(header)):
            there = ", ".join(f"'{name}'" for name in header if name)
            raise Unreadable(
                f"Line {line}: there is no column '{missing[0]}', which the template {self._template_name} names. "
                f"The columns are {there}."
            )
        return header


def _end_of_rows(data: bytes) -> int:
    """Where the last row that is surely complete ends: after a line break with an even number of quotes before it."""
    end = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        last = data.rfind(b'"', 0, end)
        before = data.rfind(b"\n", 0, last) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def _delimiter(text: str) -> str:
    """By the first line."""
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _explained(said: str) -> str:
    if "end of data" in said:
        return "a cell begins with a double quote that is never closed. Close it, or double the quotes within the cell."
    if "field larger" in said:
        return "a cell has more than 131,072 characters. Drop JSON lines (.jsonl) instead, which have no such limit."
    return (
        f"this is no row of a CSV ({said}). Double the quotes within a quoted cell, and close it before the separator."
    )
