"""Reads what a request asks for: its JSON or its form, and which deployment it names.

Owns the parsing and Azure's words for what cannot be parsed. Knows no resource, no credential and no operation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol

from . import errors
from .chat.request import Surface
from .models import Model
from .quota import Left

_LARGEST = 2**30
LEFT = web.RequestKey("left", Left)  # on a request: what its answer tells of the quota
ASKED_OF = web.RequestKey("asked_of", str)  # on a request: the deployment, whose use is counted when it answers
OF_BATCH = web.RequestKey("of_batch", bool)  # on a request: it is a line of a batch


@dataclass(frozen=True, slots=True)
class Upload:
    """A part of a form that has a file name."""

    name: str
    filename: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form; a name may come more than once, in `fields` as in `files`."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    files: Sequence[Upload] = ()

    def text(self, name: str, default: str = "") -> str:
        """The first field of that name."""
        return next(iter(self.fields.get(name, ())), default)

    def file(self, *names: str) -> Upload | None:
        """The first file that has one of the names."""
        return next((upload for upload in self.files if upload.name in names), None)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a deployment: authorised, parsed, its model known."""

    request: web.Request
    surface: Surface
    deployment: str
    model: Model
    body: Mapping[str, Any]  # the JSON; of a form: its text fields, of each the first value
    form: Form | None = None

    def __post_init__(self) -> None:
        self.request[ASKED_OF] = self.deployment

    @property
    def stream(self) -> bool:
        return self.body.get("stream") in (True, "true")


async def read_json(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        message = (
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            f"library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON: {error})"
        )
        raise errors.invalid(message) from error
    if not isinstance(body, dict):
        raise errors.invalid("Invalid type for the body: expected an object.")
    return body


async def read_form(request: web.Request) -> Form:
    """The body was read before, for the record: so it is parsed from memory, not from the socket."""
    if request.content_type != "multipart/form-data":
        message = f"Invalid Content-Type header ({request.content_type}), expected multipart/form-data."
        raise errors.invalid(message, code="invalid_content_type")
    data = await request.read()
    fields: dict[str, list[str]] = {}
    files: list[Upload] = []
    try:
        async for part in MultipartReader(request.headers, _stream(data)):
            if not isinstance(part, BodyPartReader) or not part.name:
                raise errors.invalid("Could not parse multipart form")
            content = bytes(await part.read(decode=True))
            if part.filename is None:
                fields.setdefault(part.name, []).append(content.decode("utf-8", "replace"))
            else:
                kind = part.headers.get("Content-Type", "application/octet-stream")
                files.append(Upload(part.name, part.filename, kind, content))
    except (ValueError, RuntimeError, AssertionError, web.HTTPException) as error:
        raise errors.invalid("Could not parse multipart form") from error
    return Form(fields, files)


def _stream(data: bytes) -> StreamReader:
    loop = asyncio.get_running_loop()
    reader = StreamReader(BaseProtocol(loop), _LARGEST, loop=loop)
    reader.feed_data(data)
    reader.feed_eof()
    return reader
