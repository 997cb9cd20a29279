"""Conversations: items that are kept under one id, and that a response can be part of."""

from collections.abc import Sequence

from aiohttp import web

from ...door import Door
from ...errors import invalid
from ...store import Json, Shelf, listed, unknown
from .. import ids
from ..calls import LATER_SINCE, Call, now, served
from .items import Intake

_MOST_ITEMS = 20  # at once


class Conversations:
    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._rows = Shelf[Json](unknown("Conversation with id 'ID' not found."))
        self._items: dict[str, list[Json]] = {}

    def routes(self, door: Door) -> list[web.RouteDef]:
        one, since = "conversations/{conversation_id}", LATER_SINCE
        item = f"{one}/items/{{item_id}}"
        return [
            *served(door, "POST", "conversations", self.create, since=since),
            *served(door, "GET", one, self.one, since=since),
            *served(door, "POST", one, self.change, since=since),
            *served(door, "DELETE", one, self.delete, since=since),
            *served(door, "POST", f"{one}/items", self.add_items, since=since),
            *served(door, "GET", f"{one}/items", self.item_page, since=since),
            *served(door, "GET", item, self.item, since=since),
            *served(door, "DELETE", item, self.delete_item, since=since),
        ]

    def items(self, conversation_id: str) -> list[Json]:
        """Raises the 404 of a conversation that is not here."""
        return self._items[self._rows.get(conversation_id)["id"]]

    def add(self, conversation_id: str, items: Sequence[Json]) -> None:
        """Nothing, if the conversation was deleted meanwhile."""
        if conversation_id in self._rows:
            self._items[conversation_id] += items
            self._intake.keep(items)

    def create(self, call: Call) -> Json:
        items = self._taken(call)
        conversation_id = ids.hexed("conv_")
        row: Json = {"id": conversation_id, "object": "conversation", "created_at": now(), "metadata": call.metadata()}
        self._rows.put(conversation_id, row)
        self._items[conversation_id] = []
        self.add(conversation_id, items)
        return row

    def one(self, call: Call) -> Json:
        return self._rows.get(call.path["conversation_id"])

    def change(self, call: Call) -> Json:
        row = self.one(call)
        row["metadata"] = call.metadata()
        return row

    def delete(self, call: Call) -> Json:
        row = self._rows.remove(call.path["conversation_id"])
        self._intake.forget(self._items.pop(row["id"]))
        return {"id": row["id"], "object": "conversation.deleted", "deleted": True}

    def add_items(self, call: Call) -> Json:
        row = self.one(call)
        call.need("items", list)
        items = self._taken(call)
        self.add(row["id"], items)
        return listed(items, {}, order="asc")

    def item_page(self, call: Call) -> Json:
        return listed(self.items(call.path["conversation_id"]), call.query)

    def item(self, call: Call) -> Json:
        wanted = call.path["item_id"]
        found = next((item for item in self.items(call.path["conversation_id"]) if item["id"] == wanted), None)
        if found is None:
            raise unknown("Item with id 'ID' not found.")(wanted)
        return found

    def delete_item(self, call: Call) -> Json:
        item = self.item(call)
        self.items(call.path["conversation_id"]).remove(item)
        self._intake.forget([item])
        return self.one(call)

    def _taken(self, call: Call) -> list[Json]:
        given = call.given("items", [], list)
        if len(given) > _MOST_ITEMS:
            raise invalid(f"Invalid 'items': array too long. Expected at most {_MOST_ITEMS} items.", "items")
        return self._intake.take(given)
