"""Containers of the code interpreter and the files in them."""

from aiohttp import web

from ..door import Door
from ..errors import invalid
from ..store import Json, Store, listed, unknown
from . import ids
from .calls import LATER_SINCE, Call, now, served, served_bytes

_ROOM = "/mnt/data/"


def make(store: Store, name: str, minutes: int = 20) -> Json:
    row: Json = {
        "id": ids.hexed("cntr_", 48),
        "object": "container",
        "created_at": now(),
        "status": "running",
        "expires_after": {"anchor": "last_active_at", "minutes": minutes},
        "last_active_at": now(),
        "memory_limit": "1g",
        "name": name,
    }
    return store.containers.put(row["id"], row)


def routes(door: Door) -> list[web.RouteDef]:
    rooms = _Containers(door.store)
    one = "containers/{container_id}"
    file = f"{one}/files/{{file_id}}"
    since = LATER_SINCE
    return [
        *served(door, "POST", "containers", rooms.create, since=since),
        *served(door, "GET", "containers", rooms.page, since=since),
        *served(door, "GET", one, rooms.one, since=since),
        *served(door, "DELETE", one, rooms.delete, since=since),
        *served(door, "POST", f"{one}/files", rooms.create_file, since=since),
        *served(door, "GET", f"{one}/files", rooms.file_page, since=since),
        *served(door, "GET", file, rooms.file, since=since),
        *served(door, "DELETE", file, rooms.delete_file, since=since),
        *served_bytes(door, f"{file}/content", rooms.content, since=since),
    ]


class _Containers:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._files: dict[str, dict[str, tuple[Json, bytes]]] = {}

    def create(self, call: Call) -> Json:
        name, given = call.need("name"), call.names("file_ids")
        found = [self._store.files.get(file_id) for file_id in given]
        row = make(self._store, name, call.given("expires_after", {}, dict).get("minutes") or 20)
        for file in found:
            self._put(row, file["filename"], self._store.contents[file["id"]], "user")
        return row

    def page(self, call: Call) -> Json:
        return listed(self._store.containers.all(), call.query)

    def one(self, call: Call) -> Json:
        return self._store.containers.get(call.path["container_id"])

    def delete(self, call: Call) -> Json:
        row = self._store.containers.remove(call.path["container_id"])
        self._files.pop(row["id"], None)
        return {"id": row["id"], "object": "container.deleted", "deleted": True}

    def create_file(self, call: Call) -> Json:
        """From the form's file, or a copy of a file that is named by its id."""
        row, upload = self.one(call), call.form.file("file")
        if upload is not None:
            return self._put(row, upload.filename, upload.data, "user")
        file_id = call.body.get("file_id") or call.form.text("file_id")
        if not file_id:
            raise invalid("One of 'file' and 'file_id' has to be given.", "file", "missing_required_parameter")
        file = self._store.files.get(file_id)
        return self._put(row, file["filename"], self._store.contents[file_id], "user")

    def file_page(self, call: Call) -> Json:
        rows = self._files.get(self.one(call)["id"], {})
        return listed([row for row, _ in rows.values()], call.query)

    def file(self, call: Call) -> Json:
        return self._found(call)[0]

    def content(self, call: Call) -> bytes:
        return self._found(call)[1]

    def delete_file(self, call: Call) -> Json:
        row, _ = self._found(call)
        del self._files[row["container_id"]][row["id"]]
        return {"id": row["id"], "object": "container.file.deleted", "deleted": True}

    def _found(self, call: Call) -> tuple[Json, bytes]:
        rows, file_id = self._files.get(self.one(call)["id"], {}), call.path["file_id"]
        if file_id not in rows:
            raise unknown("Container file with id 'ID' not found.")(file_id)
        return rows[file_id]

    def _put(self, container: Json, filename: str, data: bytes, source: str) -> Json:
        row: Json = {
            "id": ids.hexed("cfile_", 48),
            "object": "container.file",
            "created_at": now(),
            "bytes": len(data),
            "container_id": container["id"],
            "path": _ROOM + filename,
            "source": source,
        }
        self._files.setdefault(container["id"], {})[row["id"]] = (row, data)
        return row
