"""The addresses of webhooks as a client registers them: Azure has it on v1 alone, below /dashboard.

Owns the operations. Sending is `webhooks.py`. The secret is shown once, to whoever made the address.
"""

from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ..chat.request import Surface
from ..door import Door
from ..errors import invalid
from ..store import Json, listed, unknown
from ..webhooks import EVENTS, Address

_PATH = "/openai/v1/dashboard/webhook_endpoints"


def routes(door: Door) -> list[web.RouteDef]:
    if door.resource.kind == "plain":
        return []
    operations = _Endpoints(door)
    one = f"{_PATH}/{{endpoint_id}}"
    return [
        *door.at(_PATH, "v1", operations.create),
        *door.at(_PATH, "v1", operations.page, "GET"),
        *door.at(one, "v1", operations.change),
        *door.at(one, "v1", operations.delete, "DELETE"),
    ]


class _Endpoints:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._resource = door.resource.name
        self._webhooks = door.batches.webhooks

    async def create(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault, body = await self._door.fault(request), await self._door.read_json(request)
        given = _given(body)
        for name in ("name", "url", "events"):
            if name not in given:
                said = "event_types" if name == "events" else name
                raise invalid(f"Missing required parameter: '{said}'.", said, "missing_required_parameter")
        made = self._webhooks.register(self._resource, **given)
        row = _told(self._find(made["id"])) | {"signing_secret": made["secret"]}
        return await self._door.send_json(request, row, fault)

    async def page(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        rows = [_told(address) for address in self._webhooks.of(self._resource)]
        return await self._door.send_json(request, listed(rows, request.query), fault)

    async def change(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault, body = await self._door.fault(request), await self._door.read_json(request)
        found = self._find(request.match_info["endpoint_id"])
        self._webhooks.change(self._resource, found.id, **_given(body))
        return await self._door.send_json(request, _told(self._find(found.id)), fault)

    async def delete(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        found = self._find(request.match_info["endpoint_id"])
        self._webhooks.remove(self._resource, found.id)
        row = {"id": found.id, "object": "webhook.endpoint.deleted", "deleted": True}
        return await self._door.send_json(request, row, fault)

    def _find(self, endpoint_id: str) -> Address:
        found = next((row for row in self._webhooks.of(self._resource) if row.id == endpoint_id), None)
        if found is None:
            raise unknown("No webhook endpoint found with id 'ID'.")(endpoint_id)
        return found


def _given(body: Json) -> dict[str, Any]:
    given = {name: body[name] for name in ("name", "url") if name in body}
    if not all(isinstance(value, str) for value in given.values()):
        raise invalid("Invalid type: 'name' and 'url' are strings.")
    if "url" in given and urlsplit(given["url"]).scheme not in ("http", "https"):  # Azure takes https alone
        raise invalid(f"Invalid URL: '{given['url']}'.", "url", "invalid_value")
    if "event_types" in body:
        events = body["event_types"]
        if not isinstance(events, list) or not set(map(str, events)) <= set(EVENTS):
            message = f"Invalid value for 'event_types'. This resource has: {', '.join(EVENTS)}."
            raise invalid(message, "event_types", "invalid_value")
        given["events"] = events
    return given


def _told(address: Address) -> Json:
    return {
        "id": address.id,
        "object": "webhook.endpoint",
        "created_at": address.created_at,
        "event_types": list(address.events),
        "name": address.name,
        "signing_secret_hint": f"whsec_...{address.secret[-4:]}",
        "url": address.url,
    }
