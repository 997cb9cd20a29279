"""Multipart forms as streams: what comes in is read by our parser, what goes out by Werkzeug's."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import IO, Any

import aiohttp
import pytest
from aiohttp import web as aioweb
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import Message
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from shared.adapters.form import MultipartForm, open_form
from shared.adapters.form_parser import MOST_PARTS, MOST_TEXT, temporary_file
from shared.errors import ApiError, bad_request
from shared.ports import ClientGone

BOUNDARY = "X-boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
LIMIT = 10_000_000

type Given = tuple[str, str | None, str, bytes]
"""Name, filename, content type and content of a part."""


def written(parts: Iterable[Given]) -> bytes:
    out = io.BytesIO()
    for name, filename, content_type, content in parts:
        shown = "" if filename is None else f'; filename="{quoted(filename)}"'
        out.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{quoted(name)}"{shown}\r\n'.encode())
        if content_type:
            out.write(f"Content-Type: {content_type}\r\n".encode())
        out.write(b"\r\n" + content + b"\r\n")
    out.write(f"--{BOUNDARY}--\r\n".encode())
    return out.getvalue()


def quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def read(body: bytes, content_type: str) -> list[Given]:
    """The parts of a body, by another parser."""
    decoder = MultipartDecoder(content_type.partition("boundary=")[2].encode())
    decoder.receive_data(body)
    decoder.receive_data(None)
    parts: list[Given] = []
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, Field | File):
            filename = event.filename if isinstance(event, File) else None
            parts.append((event.name, filename, event.headers.get("content-type", ""), b""))
        elif isinstance(event, Data):
            parts[-1] = (*parts[-1][:3], parts[-1][3] + event.data)
    return parts


class Sender:
    """A client: its pieces one by one. Where they end it is silent, or does what `then` says."""

    def __init__(self, *pieces: bytes, then: str = "end") -> None:
        self.messages: list[Message] = [{"type": "http.request", "body": p, "more_body": True} for p in pieces]
        self.taken = 0
        self.more = asyncio.Event()
        if then == "end":
            self.messages[-1]["more_body"] = False
        elif then == "leave":
            self.messages.append({"type": "http.disconnect"})

    def send(self, piece: bytes, *, last: bool = False) -> None:
        self.messages.append({"type": "http.request", "body": piece, "more_body": not last})
        self.more.set()

    async def __call__(self) -> Message:
        while self.taken == len(self.messages):
            self.more.clear()
            await self.more.wait()
        self.taken += 1
        return self.messages[self.taken - 1]


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % (len(body) + 1) for place in places} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)] or [b""]


def form_of(*parts: Given, **options: Any) -> MultipartForm:
    return open_form(Sender(written(parts)), CONTENT_TYPE, LIMIT, **options)


def same(name: str, value: str) -> list[tuple[str, str]]:
    return [(name, value)]


def louder(name: str, value: str) -> list[tuple[str, str]]:
    """Replaces, doubles and leaves out."""
    return {"model": [("model", "gpt-4o-deployment")], "drop": [], "twice": [("a", value), ("b", value + "!")]}.get(
        name, [(name, value)]
    )


def edited(parts: Iterable[Given], edit: Callable[[str, str], list[tuple[str, str]]]) -> list[Given]:
    out: list[Given] = []
    for name, filename, content_type, content in parts:
        if filename is None:
            for new, value in edit(name, content.decode()):
                out.append((new, None, content_type if new == name else "", value.encode()))
        else:
            out.append((name, filename, content_type or "application/octet-stream", content))
    return out


async def all_of(chunks: AsyncIterable[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def soon[T](work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, 10)


async def waits(work: asyncio.Future[Any]) -> bool:
    """It goes as far as it can without more from outside."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not work.done()


WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029"), min_size=1, max_size=12
)
NAMES = st.sampled_from(["model", "drop", "twice", "prompt", "include[]", "timestamp_granularities[]"]) | WORDS.map(
    "x_".__add__
)
CONTENT = st.lists(
    st.binary(max_size=40) | st.sampled_from([b"\r\n--X-bound", b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"\r\n\r\n"]), max_size=8
).map(b"".join).filter(lambda content: BOUNDARY.encode() not in content)  # fmt: skip
TYPES = st.sampled_from(["", "audio/wav", "image/png", "text/plain; charset=utf-8", "application/json"])
TEXTS = st.tuples(NAMES, st.none(), TYPES, st.text(max_size=40).filter(lambda v: BOUNDARY not in v).map(str.encode))
FILES = st.tuples(st.sampled_from(["file", "image[]", "mask", "data"]), WORDS, TYPES, CONTENT)
PARTS = st.lists(TEXTS | FILES, min_size=1, max_size=6)
CUTS = st.lists(st.integers(min_value=0, max_value=5000), max_size=12)
TRICKY: list[Given] = [
    ("x_\\", None, "", b""), ("file", 'a"b\\', "", b"\r\n"), ("image[]", "ü; x=1.png", "image/png", b"\r\n--X-bound"),
    ("image[]", "\\", "", b""), ("model", None, "", b"gpt"),
]  # fmt: skip


def known_before_the_file_after(parts: list[Given], wanted: str) -> dict[str, list[str]]:
    """However the form was cut."""
    known: dict[str, list[str]] = {}
    for name, filename, _, content in parts:
        if filename is None:
            known.setdefault(name, []).append(content.decode())
        elif wanted in known:
            break
    return known


@settings(max_examples=300, deadline=None)
@given(PARTS, CUTS, st.sampled_from([None, "model", "never"]))
@example(TRICKY, list(range(0, 900)), None)
@example([("model", None, "", b"m"), ("file", "f", "", b"x"), ("x_", None, "", b"late")], [], "model")
@example([("file", "f", "", b"x"), ("model", None, "", b"m"), ("x_", None, "", b"1")], [], "model")
def test_any_form_cut_anywhere_arrives_with_its_edits(
    parts: list[Given], cuts: list[int], wait_for: str | None
) -> None:
    async def work() -> None:
        form = open_form(Sender(*cut(written(parts), cuts)), CONTENT_TYPE, LIMIT)
        if wait_for:
            assert await form.fields_until(wait_for) == known_before_the_file_after(parts, wait_for)
        encoded = form.encode(louder, [("added", "1")])
        body = await all_of(encoded.chunks)
        assert read(body, encoded.content_type) == [("added", None, "", b"1"), *edited(parts, louder)]
        assert encoded.length in (None, len(body))
        again = form.encode(louder, [("added", "1")])
        assert again.length == len(body)
        assert [(f.name, f.filename, f.content_type, f.size) for f in form.files] == [
            (name, filename, kind, len(content)) for name, filename, kind, content in parts if filename is not None
        ]
        fields = await form.fields()
        for name, values in fields.items():
            assert values == [p[3].decode() for p in parts if p[1] is None and p[0] == name]
        assert set(fields) == {p[0] for p in parts if p[1] is None}
        await form.discard()

    asyncio.run(soon(work()))


@settings(max_examples=200, deadline=None)
@given(PARTS, CUTS, st.integers(min_value=0, max_value=20))
def test_another_attempt_sends_the_same(parts: list[Given], cuts: list[int], consumed: int) -> None:
    async def work() -> None:
        form = open_form(Sender(*cut(written(parts), cuts)), CONTENT_TYPE, LIMIT)
        first = form.encode(louder)
        begun = aiter(first.chunks)
        sent = [chunk async for chunk in _most(begun, consumed)]
        second = form.encode(louder)
        body = await all_of(second.chunks)
        assert body.startswith(b"".join(sent))
        assert second.content_type == first.content_type
        assert read(body, second.content_type) == edited(parts, louder)
        assert await all_of(first.chunks) == body  # iterated over once more: an upstream that wanted another token
        assert b"".join(sent) + await all_of(begun) == body  # the one before may even go on
        await form.discard()

    asyncio.run(soon(work()))


async def _most(chunks: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    while count > 0:
        try:
            yield await anext(chunks)
        except StopAsyncIteration:
            return
        count -= 1


def test_a_field_before_the_file_is_enough_to_begin() -> None:
    whole = written([("model", None, "", b"whisper"), ("file", "a.wav", "audio/wav", b"A" * 1000 + b"B" * 1000)])
    start, end = whole[: whole.index(b"AB") + 1], whole[whole.index(b"AB") + 1 :]

    async def work() -> None:
        sender = Sender(start, then="silence")
        form = open_form(sender, CONTENT_TYPE, LIMIT)
        assert await form.fields_until("model") == {"model": ["whisper"]}
        assert not form.complete
        encoded = form.encode(same)
        assert encoded.length is None
        chunks = aiter(encoded.chunks)
        got = b""
        while b"A" * 900 not in got:
            got += await anext(chunks)
        assert b"whisper" in got
        nothing_yet = asyncio.ensure_future(anext(chunks))
        assert await waits(nothing_yet)
        sender.send(end, last=True)
        got += await nothing_yet + b"".join([chunk async for chunk in chunks])
        assert read(got, encoded.content_type)[1] == ("file", "a.wav", "audio/wav", b"A" * 1000 + b"B" * 1000)
        await form.discard()

    asyncio.run(soon(work()))


def test_a_field_after_the_file_spools_the_file() -> None:
    files: list[IO[bytes]] = []

    def spool() -> IO[bytes]:
        files.append(temporary_file())
        return files[-1]

    async def work() -> None:
        form = form_of(("file", "a.wav", "", b"A" * 5000), ("model", None, "", b"whisper"), spool=spool)
        assert not files  # nothing is made before it is needed
        assert await form.fields_until("model") == {"model": ["whisper"]}
        assert [(f.filename, f.size) for f in form.files] == [("a.wav", 5000)]
        assert files[0].seek(0, 2) == 5000
        await form.discard()
        await form.discard()
        assert files[0].closed

    asyncio.run(soon(work()))


def test_the_client_is_read_no_faster_than_the_upstream_takes() -> None:
    whole = written([("model", None, "", b"m"), ("file", "f", "", b"x" * 1_000_000)])
    pieces = [whole[at : at + 10_000] for at in range(0, len(whole), 10_000)]

    async def work() -> None:
        sender = Sender(*pieces)
        form = open_form(sender, CONTENT_TYPE, LIMIT)
        sent = 0
        async for chunk in form.encode(same).chunks:
            sent += len(chunk)
            assert sender.taken <= sent // 10_000 + 2
        assert sender.taken == len(pieces)
        await form.discard()

    asyncio.run(soon(work()))


@pytest.mark.parametrize("model_first", [True, False])
def test_a_large_upload_is_not_held_in_memory(model_first: bool) -> None:
    field = written([("model", None, "", b"m")])[: -len(f"--{BOUNDARY}--\r\n")]
    head, tail = written([("file", "f", "", b"|")]).split(b"|")
    block = bytes(range(256)) * 256

    async def receive_all() -> AsyncIterator[Message]:
        pieces = (
            [field + head, *[block] * 1400, tail]
            if model_first
            else [head, *[block] * 1400, b"\r\n" + field + tail[2:]]
        )
        for piece in pieces:
            yield {"type": "http.request", "body": bytes(bytearray(piece)), "more_body": piece is not pieces[-1]}

    async def work() -> None:
        messages = receive_all()
        form = open_form(lambda: anext(messages), CONTENT_TYPE, 100_000_000)
        tracemalloc.start()
        try:
            await form.fields_until("model")
            sizes = [sum([len(chunk) async for chunk in form.encode(same).chunks]) for _ in range(2)]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sizes[0] == sizes[1] > form.files[0].size == 1400 * 65536
        assert peak < 5_000_000
        await form.discard()

    asyncio.run(work())


DISPOSITION = b'Content-Disposition: form-data; name="model"\r\n'
DASHES = f"--{BOUNDARY}".encode()
BROKEN = {
    "empty": (b"", "is empty"),
    "not multipart": (b'{"model": "x"}', "broken in part 1"),
    "another boundary": (b"--other\r\n" + DISPOSITION + b"\r\nx\r\n--other--\r\n", "broken"),
    "cut in the headers": (DASHES + b"\r\nContent-Dispo", "ends after 27 bytes"),
    "cut in a field": (DASHES + b"\r\n" + DISPOSITION + b"\r\nwhis", "before its closing boundary"),
    "cut before the last line": (written([("model", None, "", b"m")])[: -len(DASHES) - 4], "closing boundary"),
    "no disposition": (DASHES + b"\r\nContent-Type: text/plain\r\n\r\nx\r\n" + DASHES + b"--\r\n", "which field"),
    "no name": (DASHES + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + DASHES + b"--\r\n", "which field"),
    "an attachment": (DASHES + b'\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n' + DASHES + b"--\r\n", "which field"),
    "two dispositions": (DASHES + b"\r\n" + DISPOSITION * 2 + b"\r\nx\r\n" + DASHES + b"--\r\n", "two headers"),
    "base64": (DASHES + b"\r\n" + DISPOSITION + b"Content-Transfer-Encoding: base64\r\n\r\neA==\r\n" + DASHES + b"--", "as it is"),
    "a line end in a name": (written([("a\nX-Injected: 1", None, "", b"")]), "control characters"),
    "a line end in a filename": (written([("file", "a\nContent-Type: x/y\n", "", b"")]), "control characters"),
    "no UTF-8 in a filename": (written([("file", "a", "", b"")]).replace(b'"a"', b'"\xff"'), "UTF-8"),
    "no UTF-8 in a field": (written([("model", None, "", b"\xff")]), "not valid UTF-8"),
    "an odd content type": (written([("file", "a", "audio/wav\x0bX", b"")]), "Content-Type of 'file'"),
    "a file without a filename": (written([("file", None, "", b"RIFF")]), "give its part a filename"),
    "a file with an empty filename": (written([("image[0]", "", "", b"PNG")]), "give its part a filename"),
    "a text field as a file": (written([("model", "blob", "", b"gpt-4o")]), "cannot be sent as a file"),
    "a text field as an empty file": (written([("model", "", "", b"gpt-4o")]), "cannot be sent as a file"),
    "too many headers": (DASHES + b"\r\n" + DISPOSITION + b"".join(b"X-%d: 1\r\n" % n for n in range(9)) + b"\r\n", "header count"),
    "a long header": (DASHES + b"\r\nX: " + b"y" * 5000 + b"\r\n", "header size"),
    "a header name without end": (DASHES + b"\r\n" + b"y" * 5000, "header size"),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_refused_and_said(case: str, size: int) -> None:
    body, says = BROKEN[case]

    async def work() -> None:
        pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        form = open_form(Sender(*pieces), CONTENT_TYPE, LIMIT)
        with pytest.raises(ApiError) as caught:
            await all_of(form.encode(same).chunks)
        assert (caught.value.status, caught.value.code) == (400, "invalid_multipart")
        assert says in caught.value.message
        assert form.failure is caught.value
        with pytest.raises(ApiError):  # and stays so
            await form.fields()
        await form.discard()

    asyncio.run(soon(work()))


@pytest.mark.parametrize(
    ("content_type", "status", "says"),
    [
        ("application/json", 415, "multipart/form-data"),
        ("", 415, "multipart/form-data"),
        ("multipart/mixed; boundary=x", 415, "multipart/form-data"),
        ("multipart/form-data", 400, "names no boundary"),
        ('multipart/form-data; boundary=""', 400, "names no boundary"),
        ("multipart/form-data; boundary=" + "b" * 71, 400, "boundary is not valid"),
        ("multipart/form-data; boundary=ü", 400, "boundary is not valid"),
    ],
)
def test_content_types_that_are_refused(content_type: str, status: int, says: str) -> None:
    with pytest.raises(ApiError, match=says) as caught:
        open_form(Sender(b""), content_type, LIMIT)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'filename="a.wav"', "a.wav"),
        (b"filename=a.wav", "a.wav"),
        ('filename="füß 录音.wav"'.encode(), "füß 录音.wav"),
        (b'filename="a\\"b;c.wav"', 'a"b;c.wav'),
        (b'filename="C:\\dir\\a.wav"', "a.wav"),
        (b"filename*=UTF-8''f%C3%BC%22.wav", 'fü".wav'),
        (b"filename=\"plain.wav\"; filename*=utf-8''other.wav", "plain.wav"),
        (b'filename="skill/SKILL.md"', "skill/SKILL.md"),
    ],
)
def test_filenames(disposition: bytes, filename: str) -> None:
    body = written([("file", "NAME", "", b"x")]).replace(b'filename="NAME"', disposition)

    async def work() -> None:
        form = open_form(Sender(body), CONTENT_TYPE, LIMIT)
        encoded = form.encode(same)
        sent = await all_of(encoded.chunks)
        assert [part[:2] for part in read(sent, encoded.content_type)] == [("file", filename)]
        assert form.files[0].filename == filename
        await form.discard()

    asyncio.run(soon(work()))


def test_headers_that_a_filename_brought_along_go_no_further() -> None:
    body = written([("file", 'a"\r\nContent-Type: text/html\r\nX-Injected: "1', "", b"x")])

    async def work() -> None:
        form = open_form(Sender(body), CONTENT_TYPE, LIMIT)
        sent = await all_of(form.encode(same).chunks)
        assert b"X-Injected" not in sent
        assert sent.count(b"Content-") == 2
        await form.discard()

    asyncio.run(soon(work()))


def test_what_is_too_large_is_refused_as_soon_as_it_is() -> None:
    text = b"x" * MOST_TEXT
    many = [("a", None, "", b"")] * (MOST_PARTS + 1)
    endless: Given = ("file", "f", "", b"x" * 500_000)
    for parts, limit, says, param in [
        ([("prompt", None, "", text + b"x")], LIMIT, "too large for a text field", "prompt"),
        ([("a", None, "", text)] * 4 + [("b", None, "", b"x")], LIMIT, "in all", "b"),
        (many, LIMIT, "more than 200 parts", None),
        ([endless], 100_000, "larger than 100,000 bytes", None),
    ]:

        async def work(parts: Any = parts, limit: int = limit, says: str = says, param: str | None = param) -> None:
            body = written(parts)
            sender = Sender(*[body[at : at + 50_000] for at in range(0, len(body), 50_000)])
            form = open_form(sender, CONTENT_TYPE, limit)
            with pytest.raises(ApiError, match=says) as caught:
                await form.fields()
            assert (caught.value.status, caught.value.code, caught.value.param) == (413, "request_too_large", param)
            if limit < LIMIT:
                assert sender.taken == 3
            await form.discard()

        asyncio.run(soon(work()))
    with pytest.raises(ApiError, match="larger than 10,000,000"):
        open_form(Sender(b""), CONTENT_TYPE, LIMIT, announced=LIMIT + 1)


def test_what_fits_exactly_is_taken() -> None:
    async def work() -> None:
        parts: list[Given] = [("a", None, "", b"x" * MOST_TEXT), *[("b", None, "", b"y")] * (MOST_PARTS - 1)]
        form = open_form(Sender(written(parts)), CONTENT_TYPE, len(written(parts)))
        assert len((await form.fields())["b"]) == MOST_PARTS - 1

    asyncio.run(soon(work()))


def test_a_client_that_leaves() -> None:
    async def work() -> None:
        sender = Sender(written([("model", None, "", b"m"), ("file", "f", "", b"x" * 9)])[:-20], then="leave")
        form = open_form(sender, CONTENT_TYPE, LIMIT)
        assert await form.fields_until("model") == {"model": ["m"]}
        with pytest.raises(ClientGone):
            await all_of(form.encode(same).chunks)
        assert isinstance(form.failure, ClientGone)
        await form.discard()

    asyncio.run(soon(work()))


def test_who_watches_the_connection_takes_nothing_of_the_body() -> None:
    async def work() -> None:
        body = written([("model", None, "", b"m"), ("file", "f", "", b"x" * 500)])
        sender = Sender(*cut(body, range(0, 500, 50)))
        form = open_form(sender, CONTENT_TYPE, LIMIT)
        watching = asyncio.ensure_future(form.receive())
        assert await waits(watching)
        assert sender.taken == 0
        assert await form.fields() == {"model": ["m"]}
        assert await waits(watching)
        sender.messages.append({"type": "http.disconnect"})
        sender.more.set()
        assert (await watching)["type"] == "http.disconnect"
        await form.discard()

    asyncio.run(soon(work()))


def test_reading_that_is_cancelled_is_taken_up_by_the_next() -> None:
    body = written([("model", None, "", b"m"), ("file", "f", "", bytes(range(250)) * 10)])

    async def work() -> None:
        sender = Sender(body[:700], then="silence")
        form = open_form(sender, CONTENT_TYPE, LIMIT)
        first = asyncio.ensure_future(all_of(form.encode(same).chunks))
        assert await waits(first)
        second = asyncio.ensure_future(all_of(form.encode(same).chunks))  # while the first still waits
        assert await waits(second)
        first.cancel()
        assert await waits(second)
        sender.send(body[700:1500])
        third = asyncio.ensure_future(all_of(form.encode(same).chunks))
        assert await waits(third)
        sender.send(body[1500:], last=True)
        assert await second == await third
        assert read(await second, form.encode(same).content_type)[1][3] == bytes(range(250)) * 10
        await form.discard()

    asyncio.run(soon(work()))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_said_and_ends_the_upload() -> None:
    async def work() -> None:
        parts: list[Given] = [("model", None, "", b"m"), ("file", "f", "", b"x" * 100)]
        form = form_of(*parts, spool=lambda: Path("/dev/full").open("r+b", buffering=0))  # noqa: SIM115
        sent: list[bytes] = []

        async def send() -> None:
            async for chunk in form.encode(same).chunks:
                sent.append(chunk)

        with pytest.raises(ApiError, match="no room left") as caught:
            await send()
        assert (caught.value.status, caught.value.code) == (503, "upload_storage_full")
        assert "retry-after" in caught.value.headers
        assert b"--\r\n" not in b"".join(sent)  # an upstream cannot take it for a whole form
        await form.discard()

    asyncio.run(soon(work()))


def model_comes_late(name: str, value: str) -> list[tuple[str, str]]:
    if name == "late":
        raise bad_request("'late' must come before the file.", param="late")
    return [(name, value)]


def test_an_edit_that_refuses() -> None:
    async def work() -> None:
        form = form_of(("file", "f", "", b"x"), ("late", None, "", b"1"))
        with pytest.raises(ApiError, match="before the file") as caught:
            await all_of(form.encode(model_comes_late).chunks)
        assert form.failure is caught.value
        whole = form_of(("file", "f", "", b"x"), ("late", None, "", b"1"))
        await whole.fields()
        with pytest.raises(ApiError, match="before the file"):  # before anything is sent
            whole.encode(model_comes_late)
        await form.discard()
        await whole.discard()

    asyncio.run(soon(work()))


def test_through_aiohttp() -> None:
    """Chunked while the client sends, with a length once everything is there, and never whole when it goes wrong."""
    got: list[tuple[str | None, str | None, bytes]] = []

    async def take(request: aioweb.Request) -> aioweb.Response:
        body = await request.read()
        got.append((request.headers.get("Transfer-Encoding"), request.headers.get("Content-Length"), body))
        return aioweb.Response()

    async def send(session: aiohttp.ClientSession, url: str, form: MultipartForm, edit: Any) -> None:
        encoded = form.encode(edit)
        headers = {"Content-Type": encoded.content_type}
        if encoded.length is not None:
            headers["Content-Length"] = str(encoded.length)
        async with session.post(url, data=encoded.chunks, headers=headers) as answer:
            assert answer.status == 200

    async def work() -> None:
        app = aioweb.Application(client_max_size=LIMIT)
        app.router.add_post("/", take)
        runner = aioweb.AppRunner(app)
        await runner.setup()
        site = aioweb.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        parts: list[Given] = [("model", None, "", b"m"), ("file", "f", "audio/wav", b"x" * 300_000)]
        async with aiohttp.ClientSession() as session:
            form = open_form(Sender(*cut(written(parts), range(0, 300_000, 7000))), CONTENT_TYPE, LIMIT)
            await form.fields_until("model")
            await send(session, url, form, louder)
            await send(session, url, form, louder)
            assert [(how, bool(length)) for how, length, _ in got] == [("chunked", False), (None, True)]
            assert got[0][2] == got[1][2]
            assert read(got[0][2], form.encode(louder).content_type) == edited(parts, louder)
            await form.discard()
            form = form_of(*parts, ("late", None, "", b"1"))
            with pytest.raises(aiohttp.ClientError):
                await send(session, url, form, model_comes_late)
            assert isinstance(form.failure, ApiError)
            assert len(got) == 2
            await form.discard()
        await runner.cleanup()

    asyncio.run(soon(work()))


def test_the_beginning_of_a_file_can_be_looked_at() -> None:
    """As far as it has come, however often, and not once it is gone."""

    async def work() -> None:
        body = written([("model", None, "", b"m"), ("file", "a", "", b"first"), ("image", "b", "", b"second")])
        sender = Sender(body[: body.index(b"irst") + 2], then="wait")
        form = open_form(sender, CONTENT_TYPE, LIMIT)
        await form.fields_until("model")
        assert b"first".startswith(form.head(0, 100))
        sender.send(body[body.index(b"irst") + 2 :], last=True)
        await form.fields()
        assert [form.head(0, 3), form.head(0, 100), form.head(1, 100)] == [b"fir", b"first", b"second"]
        assert await all_of(form.encode(same).chunks)
        await form.discard()
        assert form.head(0, 3) == b""

    asyncio.run(work())


def test_a_name_inside_a_file_field_is_text() -> None:
    """`image[0]` is a file; `input_reference[file_id]` names one, and a file under that name would pass unchecked."""

    async def read_all(part: Given) -> MultipartForm:
        form = form_of(part)
        try:
            await form.fields()
        finally:
            await form.discard()
        return form

    assert not asyncio.run(read_all(("input_reference[file_id]", None, "", b"file-1"))).files
    assert asyncio.run(read_all(("image[0]", "a.png", "", b"x"))).files
    for part in (("input_reference[file_id]", "a", "", b"x"), ("image[0]", None, "", b"x"), ("image[]", None, "", b"")):
        with pytest.raises(ApiError) as refused:
            asyncio.run(read_all(part))
        assert refused.value.param == part[0]
