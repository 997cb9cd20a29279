"""What a resource keeps and several operations refer to: files, vector stores, containers.

Owns the rows and how they are listed. What a row says is the business of the operation that made it. An id that was
made on one resource is unknown on every other: that is what tells resources apart here, as with Azure.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ApiError, azure, invalid

Json = dict[str, Any]
_MOST = 10_000  # the oldest rows are forgotten


def unknown(message: str, *, param: str | None = None) -> Callable[[str], ApiError]:
    """A 404 that names the id, in place of ID in the message."""

    def error(row_id: str) -> ApiError:
        text = message.replace("ID", row_id)
        body = {"message": text, "type": "invalid_request_error", "param": param, "code": None}
        return ApiError(404, {"error": body})

    return error


def unknown_resource(message: str) -> Callable[[str], ApiError]:
    """The 404 of Azure's own file and fine-tuning service, in place of ID the id."""
    return lambda row_id: azure(404, "resourceNotFound", message.replace("ID", row_id))


class Shelf[Row]:
    """Rows by id, in the order in which they came."""

    def __init__(self, missing: Callable[[str], ApiError]) -> None:
        self._rows: dict[str, Row] = {}
        self._missing = missing

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    def put(self, row_id: str, row: Row) -> Row:
        self._rows[row_id] = row
        if len(self._rows) > _MOST:
            del self._rows[next(iter(self._rows))]
        return row

    def get(self, row_id: str) -> Row:
        """Raises the shelf's 404."""
        if row_id not in self._rows:
            raise self._missing(row_id)
        return self._rows[row_id]

    def remove(self, row_id: str) -> Row:
        row = self.get(row_id)
        del self._rows[row_id]
        return row

    def all(self) -> list[Row]:
        return list(self._rows.values())


def listed(rows: Iterable[Json], query: Mapping[str, str], *, limit: int = 20, order: str = "desc") -> Json:
    """A page of rows that are in the order in which they were made: `limit`, `order`, `after` and `before` as asked."""
    found = list(rows)
    if query.get("order", order) == "desc":
        found.reverse()
    ids = [row["id"] for row in found]
    for name in ("after", "before"):
        cursor = query.get(name)
        if cursor and cursor not in ids:
            raise invalid(f"Invalid value for '{name}': no object with id '{cursor}' exists.", name)
    start = ids.index(query["after"]) + 1 if query.get("after") else 0
    end = ids.index(query["before"]) if query.get("before") else len(found)
    limit = _limit(query, limit)
    page = found[start:end][:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + len(page) < end,
    }


def _limit(query: Mapping[str, str], usual: int) -> int:
    given = query.get("limit")
    if given is None:
        return usual
    if not given.isdecimal() or not 1 <= int(given) <= max(usual, 100):
        message = f"Invalid 'limit': expected an integer between 1 and {max(usual, 100)}, but got {given} instead."
        raise invalid(message, "limit", "integer_out_of_range")
    return int(given)


@dataclass(frozen=True)
class Store:
    files: Shelf[Json] = field(default_factory=lambda: Shelf[Json](unknown_resource("File with id ID was not found.")))
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    vector_stores: Shelf[Json] = field(
        default_factory=lambda: Shelf[Json](unknown("No vector store found with id 'ID'."))
    )
    containers: Shelf[Json] = field(default_factory=lambda: Shelf[Json](unknown("Container with id 'ID' not found.")))
    members: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])  # vector store: file: row

    def vector_files(self, vector_store_id: str) -> list[Json]:
        """The files of a vector store that were not deleted meanwhile."""
        rows = self.members.get(vector_store_id, {})
        return [row for row in rows.values() if row["id"] in self.files]
