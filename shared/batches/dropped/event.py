"""What Event Grid says of a blob that was written, as it lies in a Storage Queue. Pure.

Two schemas (Event Grid's own and CloudEvents 1.0), one event or a list of them, base64 or plain. An event is a hint
that there may be a blob: what is there, and whether it is new, is asked of the container.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from shared.types import Json

CREATED = "Microsoft.Storage.BlobCreated"
_SUBJECT = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
_UNFINISHED = frozenset({"CreateFile", "CreateDirectory"})
"""Accounts with a hierarchical namespace tell of a file twice: made, still empty, and complete."""


@dataclass(frozen=True, slots=True)
class BlobCreated:
    container: str
    names: tuple[str, ...]
    """What the blob may be called, likeliest first: senders differ in whether they escape it."""


def read_events(message: bytes) -> list[Json] | None:
    """The events of a message; None when it holds no event at all."""
    found = _loaded(message)
    if found is None:
        try:
            found = _loaded(base64.b64decode(message.strip(), validate=True))
        except ValueError:
            return None
    events: list[Any] = found if isinstance(found, list) else [found]
    known = [each for each in events if isinstance(each, dict) and _type(each)]
    return known or None


def blobs_created(events: Iterable[Json]) -> list[BlobCreated]:
    """Those of them that tell of a blob which is complete, each once."""
    found: dict[BlobCreated, None] = {}
    for event in events:
        data = event.get("data")
        facts: Json = data if isinstance(data, dict) else {}
        if _type(event) == CREATED and facts.get("api") not in _UNFINISHED and (blob := _blob(event, facts)):
            found[blob] = None
    return list(found)


def created_event(container: str, name: str, etag: str, size: int, at: float) -> Json:
    """An event as Event Grid would have sent it, for a blob whose own never came."""
    return {
        "id": f"{etag.strip(chr(34))}-{container}",
        "topic": "",
        "subject": f"/blobServices/default/containers/{container}/blobs/{name}",
        "eventType": CREATED,
        "eventTime": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
        "data": {"api": "PutBlob", "eTag": etag, "contentLength": size, "blobType": "BlockBlob"},
        "dataVersion": "",
        "metadataVersion": "1",
    }


def _loaded(text: bytes) -> Any:
    try:
        return orjson.loads(text.strip().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return None


def _type(event: Json) -> str:
    said = event.get("eventType") or event.get("type")
    return said if isinstance(said, str) else ""


def _blob(event: Json, facts: Json) -> BlobCreated | None:
    subject, url = event.get("subject"), facts.get("url")
    found = _SUBJECT.fullmatch(subject) if isinstance(subject, str) else None
    if found is None:
        return None
    container, name = found[1], found[2]
    names = [name, unquote(name)]
    path = urlsplit(url).path if isinstance(url, str) else ""
    _, there, rest = path.partition(f"/{container}/")
    if there:  # letters that the subject has lost (outside the basic plane they become U+FFFD) are in the url
        names += [unquote(rest), rest]
    return BlobCreated(container, tuple(dict.fromkeys(names)))
