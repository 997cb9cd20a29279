"""The chat operation behind a resource's door.

Owns the prompt cache of the resource. What a model says is `chat/`.
"""

from aiohttp import web

from .chat.answer import answer
from .chat.prompt import PromptCache
from .chat.refusals import refuse
from .chat.reply import Reply
from .chat.request import ChatRequest, Surface
from .chat.shape import shape_of
from .door import Door
from .errors import invalid
from .headers import answer_headers
from .store import Store
from .tier import served


def routes(door: Door) -> list[web.RouteDef]:
    cache = PromptCache()

    async def complete(request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await door.asked(request, surface, "chatCompletion")
        chat = ChatRequest(asked.body, asked.deployment, asked.model, asked.surface)
        fault = await door.fault(request, asked)
        refuse(chat)
        _check_files(door.store, chat)
        cached = cache.cached_tokens(asked.deployment, chat.prompt)
        with_usage = fault is None or fault.kind != "no_usage"
        shape = shape_of(chat, served(chat.body.get("service_tier"), fault))
        reply = Reply(chat, answer(chat), shape, cached, with_usage)
        headers = answer_headers(asked, chat.prompt.count)
        if chat.stream:
            return await door.send_stream(request, reply.events(), fault, headers)
        return await door.send_bytes(request, reply.body(), "application/json", fault, headers=headers)

    found = door.deployed("chat/completions", complete)
    if door.resource.kind != "plain":
        found += door.at("/openai/deployments/{deployment}/extensions/chat/completions", "dated", complete)
    return found


def _check_files(store: Store, chat: ChatRequest) -> None:
    """A file that a message refers to has to be on this resource."""
    for place, message in enumerate(chat.prompt.messages):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            file = part.get("file") if isinstance(part, dict) else None
            file_id = file.get("file_id") if isinstance(file, dict) else None
            if file_id and file_id not in store.files:
                raise invalid(f"File with id '{file_id}' not found.", f"messages[{place}]", "file_not_found")
