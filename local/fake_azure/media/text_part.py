"""Completions and embeddings on their routes."""

from aiohttp import web

from ..chat.request import Surface
from ..door import Door
from ..headers import answer_headers
from .completions import Completion
from .embeddings import embed


def routes(door: Door) -> list[web.RouteDef]:
    async def complete(request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await door.asked(request, surface, "completion")
        fault = await door.fault(request, asked)
        with_usage = fault is None or fault.kind != "no_usage"
        completion = Completion(asked.body, asked.deployment, asked.model, with_usage, surface != "plain")
        headers = answer_headers(asked, sum(prompt.tokens for prompt in completion.prompts))
        if asked.stream:
            return await door.send_stream(request, completion.events(), fault, headers)
        return await door.send_bytes(request, completion.whole(), "application/json", fault, headers=headers)

    async def embeddings(request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await door.asked(request, surface, "embeddings")
        fault = await door.fault(request, asked)
        with_usage = fault is None or fault.kind != "no_usage"
        body = embed(asked.body, asked.model.version, with_usage=with_usage)
        return await door.send_bytes(request, body, "application/json", fault, headers=answer_headers(asked, 0))

    return [*azure_only(door.deployed("completions", complete)), *door.deployed("embeddings", embeddings)]


def azure_only(found: list[web.RouteDef]) -> list[web.RouteDef]:
    """Without Foundry's /models routes, of which there are only those for chat and embeddings."""
    return [route for route in found if not route.path.startswith("/models/")]
