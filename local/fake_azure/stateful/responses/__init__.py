"""The responses operation and what goes with it: kept responses, their input, compaction, counting, conversations."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from ...chat.request import Surface
from ...door import Door
from ...errors import invalid
from ...headers import answer_headers
from ...store import Json, listed
from .. import ids
from ..calls import RESPONSES_SINCE, Call, now, served
from .conversations import Conversations
from .dress import usage_of
from .items import Intake
from .operation import Responses
from .rules import refuse_types
from .sealed import Seal


def routes(door: Door) -> list[web.RouteDef]:
    seal = Seal(door.resource.name)
    intake = Intake(door.store, seal)
    conversations = Conversations(intake)
    responses = Responses(door, seal, intake, conversations)
    known = _Known(door, responses, intake)
    extras = _Extras(door, responses, seal)
    one, since = "responses/{response_id}", RESPONSES_SINCE
    return [
        *conversations.routes(door),
        *door.both("responses", responses.create, since=since),
        *door.both("responses/compact", extras.compact, since=since),
        *door.both("responses/input_tokens", extras.input_tokens, since=since),
        *door.both(one, known.look, "GET", since=since),
        *served(door, "DELETE", one, known.delete, since=since),
        *served(door, "POST", f"{one}/cancel", known.cancel, since=since),
        *served(door, "GET", f"{one}/input_items", known.input_items, since=since),
    ]


class _Known:
    """Operations on a response that is kept."""

    def __init__(self, door: Door, responses: Responses, intake: Intake) -> None:
        self._door = door
        self._responses = responses
        self._intake = intake

    async def look(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        kept = self._responses.kept.get(request.match_info["response_id"])
        if request.query.get("stream") == "true":
            return await self._door.send_stream(request, kept.frames(_starting_after(request.query)), fault)
        return await self._door.send_json(request, kept.look(), fault)

    def delete(self, call: Call) -> Json:
        kept = self._responses.kept.remove(call.path["response_id"])
        self._intake.forget([*kept.inputs, *kept.response["output"]])
        return {"id": kept.response["id"], "object": "response.deleted", "deleted": True}

    def cancel(self, call: Call) -> Json:
        return self._responses.kept.get(call.path["response_id"]).cancel()

    def input_items(self, call: Call) -> Json:
        return listed(self._responses.kept.get(call.path["response_id"]).inputs, call.query)


class _Extras:
    """What can be done with an input besides answering it."""

    def __init__(self, door: Door, responses: Responses, seal: Seal) -> None:
        self._door = door
        self._responses = responses
        self._seal = seal

    async def compact(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await self._door.asked(request, surface, "responses")
        fault = await self._door.fault(request, asked)
        refuse_types(asked)
        turn = self._responses.turn(asked)
        if not turn.context:
            raise invalid("Missing required parameter: 'input'.", "input", "missing_required_parameter")
        sealed = self._seal.close(orjson.dumps(turn.context))
        body: Json = {
            "id": ids.hexed("resp_"),
            "object": "response.compaction",
            "created_at": now(),
            "output": [{"id": ids.hexed("cmp_"), "type": "compaction", "encrypted_content": sealed}],
            "usage": usage_of(turn.chat, 0, 1),
        }
        headers = answer_headers(asked, turn.chat.prompt.count)
        return await self._door.send_json(request, body, fault, headers=headers)

    async def input_tokens(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await self._door.asked(request, surface, "responses")
        fault = await self._door.fault(request, asked)
        refuse_types(asked)
        count = self._responses.turn(asked).chat.prompt.count
        return await self._door.send_json(request, {"object": "response.input_tokens", "input_tokens": count}, fault)


def _starting_after(query: Mapping[str, str]) -> int:
    given = query.get("starting_after", "-1")
    if not given.removeprefix("-").isdecimal():
        raise invalid("Invalid type for 'starting_after': expected an integer.", "starting_after", "invalid_type")
    return int(given)
