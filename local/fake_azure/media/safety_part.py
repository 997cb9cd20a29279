"""Content Safety on its routes, behind its own header for the key."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from .. import errors
from ..api_version import check_dated
from ..chat.shape import Json
from ..door import Door
from .safety import analyze_image, analyze_text

_KEY = "Ocp-Apim-Subscription-Key"
_SINCE = "2023-10-01"


def routes(door: Door) -> list[web.RouteDef]:
    if door.resource.kind == "plain":
        return []

    def analysis(analyze: Callable[[Mapping[str, Any]], Json]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            _authorise(door, request)
            check_dated(request, _SINCE)
            body = await door.read_json(request)
            fault = await door.fault(request)
            return await door.send_json(request, analyze(body), fault)

        return handle

    return [
        web.post("/contentsafety/text:analyze", analysis(analyze_text)),
        web.post("/contentsafety/image:analyze", analysis(analyze_image)),
    ]


def _authorise(door: Door, request: web.Request) -> None:
    """Content Safety documents `Ocp-Apim-Subscription-Key` and Entra tokens; `api-key` is OpenAI's alone."""
    key = request.headers.get(_KEY)
    if key is None:
        if "api-key" in request.headers:
            raise errors.wrong_key()
        door.authorise(request, key_as_bearer=False)
    elif key != door.resource.key:
        raise errors.wrong_key()
