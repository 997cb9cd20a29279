"""The files of vector stores, one by one and in batches. Indexing takes no time here: what is attached is complete."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..door import Door
from ..errors import invalid
from ..store import Json, Shelf, Store, listed, unknown
from . import ids
from .calls import VECTOR_STORES_SINCE, Call, now, served

_CHUNKING: Json = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}


def attach(store: Store, vector_store: Json, file: Json, given: Mapping[str, Any]) -> Json:
    strategy = given.get("chunking_strategy")
    if strategy is not None and not isinstance(strategy, dict):
        raise invalid("Invalid type for 'chunking_strategy'.", "chunking_strategy", "invalid_type")
    row: Json = {
        "id": file["id"],
        "object": "vector_store.file",
        "usage_bytes": file["bytes"],
        "created_at": now(),
        "vector_store_id": vector_store["id"],
        "status": "completed",
        "last_error": None,
        "chunking_strategy": strategy if strategy and strategy.get("type") == "static" else _CHUNKING,
        "attributes": given.get("attributes") or {},
    }
    store.members.setdefault(vector_store["id"], {})[file["id"]] = row
    return row


def file_of(store: Store, file_id: str) -> Json:
    if file_id not in store.files:
        raise unknown("Files [ID] were not found")(file_id)  # as users of Azure report it (2024-11)
    return store.files.get(file_id)


def count(store: Store, vector_store: Json) -> None:
    rows = store.vector_files(vector_store["id"])
    vector_store["file_counts"].update(completed=len(rows), total=len(rows))
    vector_store["usage_bytes"] = sum(row["usage_bytes"] for row in rows)
    vector_store["last_active_at"] = now()


def routes(door: Door) -> list[web.RouteDef]:
    members = _Members(door.store)
    store, since = "vector_stores/{vector_store_id}", VECTOR_STORES_SINCE
    one, batch = f"{store}/files/{{file_id}}", f"{store}/file_batches/{{batch_id}}"
    return [
        *served(door, "POST", f"{store}/files", members.create, since=since),
        *served(door, "GET", f"{store}/files", members.page, since=since),
        *served(door, "GET", one, members.one, since=since),
        *served(door, "POST", one, members.change, since=since),
        *served(door, "DELETE", one, members.delete, since=since),
        *served(door, "GET", f"{one}/content", members.content, since=since),
        *served(door, "POST", f"{store}/file_batches", members.create_batch, since=since),
        *served(door, "GET", batch, members.batch, since=since),
        *served(door, "POST", f"{batch}/cancel", members.batch, since=since),
        *served(door, "GET", f"{batch}/files", members.batch_files, since=since),
    ]


class _Members:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._batches = Shelf[Json](unknown("No vector store file batch found with id 'ID'."))
        self._batch_files: dict[str, list[str]] = {}

    def create(self, call: Call) -> Json:
        vector_store = self._vector_store(call)
        row = attach(self._store, vector_store, file_of(self._store, call.need("file_id")), call.body)
        count(self._store, vector_store)
        return row

    def page(self, call: Call) -> Json:
        rows = self._store.vector_files(self._vector_store(call)["id"])
        status = call.query.get("filter")
        return listed([row for row in rows if status in (None, row["status"])], call.query)

    def one(self, call: Call) -> Json:
        file_id = call.path["file_id"]
        rows = self._store.members.get(self._vector_store(call)["id"], {})
        if file_id not in rows:
            raise unknown("No file found with id 'ID' in this vector store.")(file_id)
        return rows[file_id]

    def change(self, call: Call) -> Json:
        row = self.one(call)
        row["attributes"] = call.need("attributes", dict)
        return row

    def delete(self, call: Call) -> Json:
        row = self.one(call)
        vector_store = self._vector_store(call)
        del self._store.members[vector_store["id"]][row["id"]]
        count(self._store, vector_store)
        return {"id": row["id"], "object": "vector_store.file.deleted", "deleted": True}

    def content(self, call: Call) -> Json:
        text = self._store.contents[self.one(call)["id"]].decode("utf-8", "replace")
        return {
            "object": "vector_store.file_content.page",
            "data": [{"type": "text", "text": text}],
            "has_more": False,
            "next_page": None,
        }

    def create_batch(self, call: Call) -> Json:
        vector_store = self._vector_store(call)
        entries = call.given("files", [], list) or [{**call.body, "file_id": name} for name in call.names("file_ids")]
        if not all(isinstance(entry, dict) for entry in entries):
            raise invalid("Invalid type for 'files': expected an array of objects.", "files", "invalid_type")
        if not entries:
            raise invalid("Missing required parameter: 'file_ids'.", "file_ids", "missing_required_parameter")
        found = [(file_of(self._store, str(entry.get("file_id"))), entry) for entry in entries]
        for file, entry in found:
            attach(self._store, vector_store, file, entry)
        count(self._store, vector_store)
        row: Json = {
            "id": ids.lettered("vsfb_"),
            "object": "vector_store.files_batch",
            "created_at": now(),
            "vector_store_id": vector_store["id"],
            "status": "completed",
            "file_counts": {
                "in_progress": 0,
                "completed": len(found),
                "failed": 0,
                "cancelled": 0,
                "total": len(found),
            },
        }
        self._batch_files[row["id"]] = [file["id"] for file, _ in found]
        return self._batches.put(row["id"], row)

    def batch(self, call: Call) -> Json:
        """Also what cancelling answers: a batch is complete before it could be cancelled."""
        row = self._batches.get(call.path["batch_id"])
        if row["vector_store_id"] != self._vector_store(call)["id"]:
            raise unknown("No vector store file batch found with id 'ID'.")(row["id"])
        return row

    def batch_files(self, call: Call) -> Json:
        wanted = self._batch_files[self.batch(call)["id"]]
        rows = self._store.vector_files(call.path["vector_store_id"])
        return listed([row for row in rows if row["id"] in wanted], call.query)

    def _vector_store(self, call: Call) -> Json:
        return self._store.vector_stores.get(call.path["vector_store_id"])
