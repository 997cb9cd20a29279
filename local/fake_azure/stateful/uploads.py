"""Uploads: a file that comes in parts, and becomes a file when it is complete."""

from aiohttp import web

from ..door import Door
from ..errors import invalid
from ..store import Json, Shelf, unknown
from . import files, ids
from .calls import UPLOADS_SINCE, Call, now, served

_LIFETIME = 3_600


def routes(door: Door) -> list[web.RouteDef]:
    uploads = _Uploads(door)
    return [
        *served(door, "POST", "uploads", uploads.create, since=UPLOADS_SINCE),
        *served(door, "POST", "uploads/{upload_id}/parts", uploads.part, since=UPLOADS_SINCE),
        *served(door, "POST", "uploads/{upload_id}/complete", uploads.complete, since=UPLOADS_SINCE),
        *served(door, "POST", "uploads/{upload_id}/cancel", uploads.cancel, since=UPLOADS_SINCE),
    ]


class _Uploads:
    def __init__(self, door: Door) -> None:
        self._store = door.store
        self._rows = Shelf[Json](unknown("No upload found with id 'ID'."))
        self._parts: dict[str, tuple[str, bytes]] = {}  # part: upload, data

    def create(self, call: Call) -> Json:
        size = call.need("bytes", int)
        purpose, filename = call.need("purpose"), call.need("filename")
        call.need("mime_type")
        files.check(purpose, filename, size)
        row: Json = {
            "id": ids.lettered("upload_"),
            "object": "upload",
            "bytes": size,
            "created_at": now(),
            "filename": filename,
            "purpose": purpose,
            "status": "pending",
            "expires_at": now() + _LIFETIME,
            "file": None,
        }
        return self._rows.put(row["id"], row)

    def part(self, call: Call) -> Json:
        upload = self._pending(call)
        data = call.form.file("data")
        if data is None:
            raise invalid("Missing required parameter: 'data'.", "data", "missing_required_parameter")
        part_id = ids.lettered("part_")
        self._parts[part_id] = (upload["id"], data.data)
        return {"id": part_id, "object": "upload.part", "created_at": now(), "upload_id": upload["id"]}

    def complete(self, call: Call) -> Json:
        upload = self._pending(call)
        pieces: list[bytes] = []
        for part_id in call.need("part_ids", list):
            owner, data = self._parts.get(part_id, ("", b""))
            if owner != upload["id"]:
                raise invalid(f"No part found with id '{part_id}' in this upload.", "part_ids")
            pieces.append(data)
        whole = b"".join(pieces)
        if len(whole) != upload["bytes"]:
            message = f"The parts have {len(whole)} bytes, but the upload was created for {upload['bytes']}."
            raise invalid(message, "part_ids")
        file = files.add(self._store, upload["purpose"], upload["filename"], whole)
        upload.update(status="completed", file=file)
        self._forget_parts(upload["id"])
        return upload

    def cancel(self, call: Call) -> Json:
        upload = self._pending(call)
        upload["status"] = "cancelled"
        self._forget_parts(upload["id"])
        return upload

    def _pending(self, call: Call) -> Json:
        upload = self._rows.get(call.path["upload_id"])
        if upload["status"] != "pending":
            raise invalid(f"Upload '{upload['id']}' is {upload['status']}: nothing can be done with it any more.")
        return upload

    def _forget_parts(self, upload_id: str) -> None:
        self._parts = {part: kept for part, kept in self._parts.items() if kept[0] != upload_id}
