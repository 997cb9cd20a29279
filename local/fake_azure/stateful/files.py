"""Files: upload, list, read, delete.

Owns which purposes there are and what a file of each must be. Uploads in parts end here too (`add`).
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..chat.request import Surface
from ..door import Door
from ..errors import ApiError, azure
from ..store import Json, Store, listed
from . import ids
from .calls import Call, now, served, served_bytes

PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
_LINES_ONLY = ("batch", "fine-tune", "evals")
_LARGEST = 200 * 2**20  # what Azure documents for the input of a batch, the smallest of its limits
_DEFAULT_PAGE = 10_000


def routes(door: Door) -> list[web.RouteDef]:
    store = door.store

    def one(call: Call) -> Json:
        return _seen(store.files.get(call.path["file_id"]))

    def delete(call: Call) -> Json:
        file_id = call.path["file_id"]
        store.files.remove(file_id)
        store.contents.pop(file_id, None)
        return {"id": file_id, "object": "file", "deleted": True}

    def content(call: Call) -> bytes:
        return store.contents[store.files.get(call.path["file_id"])["id"]]

    def page(call: Call) -> Json:
        purpose = call.query.get("purpose")
        rows = [row for row in store.files.all() if purpose in (None, row["purpose"])]
        return listed(rows, call.query, limit=_DEFAULT_PAGE)

    return [
        *door.both("files", _uploading(door)),
        *served(door, "GET", "files", page),
        *served(door, "GET", "files/{file_id}", one),
        *served(door, "DELETE", "files/{file_id}", delete),
        *served_bytes(door, "files/{file_id}/content", content),
    ]


def _uploading(door: Door) -> Any:
    async def upload(request: web.Request, surface: Surface) -> web.StreamResponse:
        fault = await door.fault(request)
        form = await door.read_form(request)
        file = form.file("file")
        if file is None:
            raise _wrong("A file has to be given in the form field 'file'.")
        expiry = {name: form.text(f"expires_after[{name}]") for name in ("anchor", "seconds")}
        row = add(door.store, form.text("purpose"), file.filename, file.data, expiry)
        slow = row["purpose"] == "batch" and door.batches.terms(door.resource.name).slow_files
        if slow or (surface == "dated" and row["purpose"] == "fine-tune"):  # imported after the answer
            row["status"] = "pending"
        return await door.send_json(request, row, fault, 201 if surface == "dated" else 200)

    return upload


def add(store: Store, purpose: str, filename: str, data: bytes, expiry: Mapping[str, Any] | None = None) -> Json:
    """Keeps a file; raises what Azure says of one that it does not take."""
    check(purpose, filename, len(data))
    seconds = _seconds(expiry) if expiry and expiry.get("seconds") else None
    return keep(store, ids.file_id(purpose), purpose, filename, data, seconds)


def keep(store: Store, file_id: str, purpose: str, filename: str, data: bytes, seconds: int | None = None) -> Json:
    """Keeps a file, also one that nobody could upload. `seconds`: until it expires."""
    row: Json = {
        "status": "processed",
        "bytes": len(data),
        "purpose": purpose,
        "filename": filename,
        "id": file_id,
        "created_at": now(),
        "object": "file",
    }
    if seconds:
        row["expires_at"] = row["created_at"] + seconds
    store.contents[row["id"]] = data
    return store.files.put(row["id"], row)


def check(purpose: str, filename: str, size: int) -> None:
    if purpose not in PURPOSES:
        raise _wrong(f"The value '{purpose}' is not a valid purpose. Valid values: {', '.join(PURPOSES)}.")
    if purpose in _LINES_ONLY and not filename.endswith(".jsonl"):
        raise _wrong(f"Files with purpose '{purpose}' must have the extension .jsonl.")
    if size == 0:
        raise _wrong("The file is empty.")
    if size > _LARGEST:
        raise azure(413, "contentTooLarge", "The file exceeds the maximum size of 200 MB.")


def _seconds(expiry: Mapping[str, Any]) -> int:
    given = str(expiry["seconds"])
    if expiry.get("anchor") != "created_at" or not given.isdecimal() or not 3_600 <= int(given) <= 2_592_000:
        raise _wrong("expires_after needs the anchor 'created_at' and between 3600 and 2592000 seconds.")
    return int(given)


def _seen(row: Json) -> Json:
    row["status"] = "processed"
    return row


def _wrong(message: str) -> ApiError:
    return azure(400, "invalidPayload", message)
