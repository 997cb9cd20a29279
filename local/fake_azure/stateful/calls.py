"""From a request to an act on state and back: the frame of every operation that takes and gives JSON.

Owns the order (fault, body, act, answer). What an act does is its module's.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ..asked import Form
from ..chat.request import Surface
from ..door import Door
from ..errors import invalid
from ..store import Json

# The first dated api-versions that have them. The first is in Azure's published specification of that version; the
# others are from memory of its release notes, and only have to be older than what a gateway would choose.
RESPONSES_SINCE = "2025-03-01-preview"
VECTOR_STORES_SINCE = "2024-05-01-preview"
UPLOADS_SINCE = "2024-05-01-preview"
LATER_SINCE = "2025-04-01-preview"


@dataclass(frozen=True, slots=True)
class Call:
    surface: Surface
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Json
    form: Form

    def need(self, name: str, kind: type | tuple[type, ...] = str) -> Any:
        """A member of the body that has to be there, of that type."""
        if self.body.get(name) is None:
            raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
        return self.given(name, None, kind)

    def given(self, name: str, usual: Any, kind: type | tuple[type, ...] = str) -> Any:
        """A member of the body, of that type if it is there."""
        value = self.body.get(name)
        if value is None:
            return usual
        if not isinstance(value, kind):
            raise invalid(f"Invalid type for '{name}'.", name, "invalid_type")
        return value

    def names(self, name: str) -> list[str]:
        """A list of ids; empty if it is not there."""
        value = self.given(name, [], list)
        if not all(isinstance(text, str) for text in value):
            raise invalid(f"Invalid type for '{name}': expected an array of strings.", name, "invalid_type")
        return value

    def metadata(self) -> Json:
        value = self.given("metadata", {}, dict)
        if not all(isinstance(text, str) for text in value.values()):
            raise invalid("Invalid type for 'metadata': expected an object of strings.", "metadata", "invalid_type")
        return value


Act = Callable[[Call], Json]


def served(
    door: Door, methods: str, operation: str, act: Act, *, since: str = "", status: int = 200
) -> list[web.RouteDef]:
    """The act at /openai/v1/OPERATION and so on. A POST may bring JSON or, if it is one, a form."""

    async def handle(request: web.Request, surface: Surface) -> web.StreamResponse:
        fault = await door.fault(request)
        body: Json = {}
        form = Form()
        if request.content_type == "multipart/form-data":
            form = await door.read_form(request)
        elif request.method == "POST" and await request.read():
            body = await door.read_json(request)
        call = Call(surface, request.match_info, request.query, body, form)
        return await door.send_json(request, act(call), fault, status)

    return door.both(operation, handle, *methods.split(), since=since)


def served_bytes(door: Door, operation: str, act: Callable[[Call], bytes], *, since: str = "") -> list[web.RouteDef]:
    """A GET whose answer is a file."""

    async def handle(request: web.Request, surface: Surface) -> web.StreamResponse:
        fault = await door.fault(request)
        data = act(Call(surface, request.match_info, request.query, {}, Form()))
        return await door.send_bytes(request, data, "application/octet-stream", fault)

    return door.both(operation, handle, "GET", since=since)


def now() -> int:
    return int(time.time())
