"""Vector stores: made, listed, changed, deleted, searched. Their files are `vector_files.py`."""

from aiohttp import web

from ..chat.tokenizer import split
from ..door import Door
from ..store import Json, Store, listed
from . import ids
from .calls import VECTOR_STORES_SINCE, Call, now, served
from .vector_files import attach, count, file_of

_DAY = 86_400


def routes(door: Door) -> list[web.RouteDef]:
    stores = _VectorStores(door.store)
    one = "vector_stores/{vector_store_id}"
    since = VECTOR_STORES_SINCE
    return [
        *served(door, "POST", "vector_stores", stores.create, since=since),
        *served(door, "GET", "vector_stores", stores.page, since=since),
        *served(door, "GET", one, stores.one, since=since),
        *served(door, "POST", one, stores.change, since=since),
        *served(door, "DELETE", one, stores.delete, since=since),
        *served(door, "POST", f"{one}/search", stores.search, since=since),
    ]


class _VectorStores:
    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, call: Call) -> Json:
        row: Json = {
            "id": ids.lettered("vs_"),
            "object": "vector_store",
            "created_at": now(),
            "name": call.given("name", ""),
            "usage_bytes": 0,
            "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
            "status": "completed",
            "expires_at": None,
            "last_active_at": now(),
            "metadata": call.metadata(),
        }
        _expire(row, call)
        found = [file_of(self._store, file_id) for file_id in call.names("file_ids")]
        self._store.vector_stores.put(row["id"], row)
        for file in found:
            attach(self._store, row, file, call.body)
        count(self._store, row)
        return row

    def page(self, call: Call) -> Json:
        return listed(self._store.vector_stores.all(), call.query)

    def one(self, call: Call) -> Json:
        return self._store.vector_stores.get(call.path["vector_store_id"])

    def change(self, call: Call) -> Json:
        row = self.one(call)
        if "name" in call.body:
            row["name"] = call.given("name", "")
        if "metadata" in call.body:
            row["metadata"] = call.metadata()
        _expire(row, call)
        return row

    def delete(self, call: Call) -> Json:
        row = self._store.vector_stores.remove(call.path["vector_store_id"])
        return {"id": row["id"], "object": "vector_store.deleted", "deleted": True}

    def search(self, call: Call) -> Json:
        """A file's score is the share of the query's words that it has."""
        row = self.one(call)
        query = call.need("query", (str, list))
        words = {word.strip().lower() for word in split(query if isinstance(query, str) else " ".join(query))}
        found: list[Json] = []
        for member in self._store.vector_files(row["id"]):
            file = self._store.files.get(member["id"])
            text = self._store.contents[member["id"]].decode("utf-8", "replace")
            known = {word.strip().lower() for word in split(text)}
            found.append(
                {
                    "file_id": file["id"],
                    "filename": file["filename"],
                    "score": round(len(words & known) / max(len(words), 1), 4),
                    "attributes": member["attributes"],
                    "content": [{"type": "text", "text": text[:800]}],
                }
            )
        found.sort(key=lambda hit: -hit["score"])
        most = call.given("max_num_results", 10, int)
        return {
            "object": "vector_store.search_results.page",
            "search_query": [query] if isinstance(query, str) else query,
            "data": found[:most],
            "has_more": len(found) > most,
            "next_page": None,
        }


def _expire(row: Json, call: Call) -> None:
    if "expires_after" in call.body:
        row["expires_after"] = call.given("expires_after", None, dict)
        days = (row["expires_after"] or {}).get("days")
        row["expires_at"] = now() + days * _DAY if isinstance(days, int) else None
