"""One resource's listener: the operations behind its door.

Owns which parts there are, and nothing of what they do.
"""

from collections.abc import Callable

from aiohttp import web

from . import chat_app, claude, errors, media, model_list, stateful
from .door import Door

# Each part adds the routes of its operations, behind the door of one resource, once per resource.
# A new part (a module or a package with `routes(door)`) gets one line here.
PARTS: tuple[Callable[[Door], list[web.RouteDef]], ...] = (
    chat_app.routes,
    model_list.routes,
    stateful.routes,
    media.routes,
    claude.routes,
)


def routes(door: Door) -> list[web.RouteDef]:
    async def unknown(request: web.Request) -> web.StreamResponse:
        door.authorise(request)
        raise errors.resource_not_found()

    found = [route for part in PARTS for route in part(door)]
    if door.resource.kind != "plain":
        found.append(web.route("*", "/{anything:.*}", unknown))
    return found
