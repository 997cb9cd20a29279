"""The responses operation: what is asked is checked, put together with what went before, answered, and kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ...asked import Asked
from ...chat.prompt import PromptCache
from ...chat.request import ChatRequest, Surface
from ...door import Door
from ...errors import invalid
from ...faults import Fault
from ...headers import answer_headers
from ...store import Json, Shelf, unknown
from ...tier import served
from .. import ids
from ..calls import now
from . import hosted
from .conversations import Conversations
from .dress import response_of
from .items import Intake, check_calls
from .kept import Kept
from .reading import chat_of
from .rules import refuse, refuse_content
from .sealed import Seal
from .speaking import Speaker


@dataclass(frozen=True, slots=True)
class Turn:
    """A request with all that it refers to."""

    inputs: list[Json]
    context: list[Json]  # the inputs and what went before them
    chat: ChatRequest


class Responses:
    def __init__(self, door: Door, seal: Seal, intake: Intake, conversations: Conversations) -> None:
        self._door = door
        self._seal = seal
        self._intake = intake
        self._conversations = conversations
        self._cache = PromptCache()
        self.kept = Shelf[Kept](unknown("Response with id 'ID' not found."))

    async def create(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await self._door.asked(request, surface, "responses")
        fault = await self._door.fault(request, asked)
        refuse(asked)
        turn = self.turn(asked)
        check_calls(turn.context)
        refuse_content(turn.chat)
        kept = self._begin(asked, turn, fault)
        headers = answer_headers(asked, turn.chat.prompt.count)
        if asked.stream:
            return await self._door.send_stream(request, kept.frames(), fault, headers)
        body = kept.response if asked.body.get("background") else kept.complete()
        return await self._door.send_json(request, body, fault, headers=headers)

    def turn(self, asked: Asked) -> Turn:
        hosted.check(self._door.store, asked.body.get("tools") or ())
        before = self._before(asked)
        inputs = self._intake.take(asked.body.get("input"))
        context = [*before, *inputs]
        return Turn(inputs, context, chat_of(asked, context, self._intake.compacted))

    def _before(self, asked: Asked) -> Sequence[Json]:
        previous, conversation = asked.body.get("previous_response_id"), conversation_id(asked)
        if conversation:
            return self._conversations.items(conversation)
        if not previous:
            return ()
        if previous not in self.kept:
            message = f"Previous response with id '{previous}' not found."
            raise invalid(message, "previous_response_id", "previous_response_not_found")
        found = self.kept.get(previous)
        if found.response["status"] in ("queued", "in_progress"):
            message = f"Previous response with id '{previous}' is not complete."
            raise invalid(message, "previous_response_id", "previous_response_not_completed")
        return found.context

    def _begin(self, asked: Asked, turn: Turn, fault: Fault | None) -> Kept:
        body, chat = asked.body, turn.chat
        response = response_of(asked, ids.hexed("resp_"), now())
        tools = body.get("tools") or ()
        kept = Kept(response, turn.inputs, list(turn.context), iter(()))
        speaker = Speaker(
            chat=chat,
            response=response,
            seal=self._seal,
            cached_tokens=self._cache.cached_tokens(asked.deployment, chat.prompt),
            customs=frozenset(tool.get("name") for tool in tools if tool.get("type") == "custom"),
            hosted=hosted.used(self._door.store, tools, chat.prompt.text),
            sealed_thoughts="reasoning.encrypted_content" in (body.get("include") or ()),
            with_usage=fault is None or fault.kind != "no_usage",
            tier=served(body.get("service_tier"), fault),
            ended=lambda: self._end(kept, conversation_id(asked)),
        )
        kept.source = speaker.events()
        if body.get("background"):
            response["status"] = "queued"
            self.kept.put(response["id"], kept)
        return kept

    def _end(self, kept: Kept, conversation: str | None) -> None:
        made = [*kept.inputs, *kept.response["output"]]
        kept.context += kept.response["output"]
        if conversation:
            self._conversations.add(conversation, made)
        if kept.response["store"]:
            self.kept.put(kept.response["id"], kept)
            self._intake.keep(made)


def conversation_id(asked: Asked) -> str | None:
    given: Any = asked.body.get("conversation")
    return given.get("id") if isinstance(given, dict) else given
