"""The realtime API's HTTP routes: client secrets, calls, and the older session routes. There is no WebSocket."""

from typing import Any

import orjson
from aiohttp import web

from ..chat.request import Surface
from ..door import Door
from ..errors import bad_token, invalid
from .realtime import Realtime, Session, SessionKind, answer_sdp, old_session, read_session

_ACTIONS = ("accept", "hangup", "refer", "reject")
_OPERATIONS: dict[SessionKind, str] = {"realtime": "realtime", "transcription": "audioTranscription"}


def routes(door: Door) -> list[web.RouteDef]:
    part = _Part(door)
    surface: Surface = "plain" if door.resource.kind == "plain" else "v1"
    root = "/v1/realtime" if surface == "plain" else "/openai/v1/realtime"
    found = [
        *door.at(f"{root}/client_secrets", surface, part.client_secret),
        *door.at(f"{root}/sessions", surface, part.old_realtime),
        *door.at(f"{root}/transcription_sessions", surface, part.old_transcription),
        web.post(f"{root}/calls", part.call),
    ]
    for action in _ACTIONS:
        found += door.at(f"{root}/calls/{{id}}/{action}", surface, part.act)
    if surface != "plain":  # Azure's own path before v1
        found += door.at("/openai/realtimeapi/sessions", "dated", part.old_realtime, since="2024-12-17")
        found += door.at("/openai/realtimeapi/transcription_sessions", "dated", part.old_transcription)
    return found


class _Part:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._state = Realtime()
        self._surface: Surface = "plain" if door.resource.kind == "plain" else "v1"

    async def client_secret(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        body = await self._door.read_json(request)
        session = self._known(read_session(body.get("session")))
        fault = await self._door.fault(request)
        value, until = self._state.grant(session, body.get("expires_after"))
        answer = {"value": value, "expires_at": until, "session": session.as_json()}
        return await self._door.send_json(request, answer, fault)

    async def old_realtime(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        body = await self._door.read_json(request)
        return await self._old(request, Session("realtime", str(body.get("model") or ""), body))

    async def old_transcription(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        body = await self._door.read_json(request)
        heard = body.get("input_audio_transcription") or {}
        return await self._old(request, Session("transcription", str(heard.get("model") or ""), body))

    async def _old(self, request: web.Request, session: Session) -> web.StreamResponse:
        self._known(session)
        fault = await self._door.fault(request)
        return await self._door.send_json(request, old_session(session, *self._state.grant(session)), fault)

    async def call(self, request: web.Request) -> web.StreamResponse:
        """With an ephemeral key the session is the key's; otherwise the form or the query says it."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        granted = None
        if scheme.lower() == "bearer" and token.startswith("ek_"):
            granted = self._state.session_of(token)
            if granted is None:
                raise bad_token()
        else:
            self._door.enter(request, self._surface)
        offer, given = await self._offer(request)
        if granted is None:
            self._known(read_session(given))
        fault = await self._door.fault(request)
        answer = answer_sdp(offer).encode()
        identity = self._state.open_call()
        headers = {"Location": f"{request.path}/{identity}"}
        return await self._door.send_bytes(request, answer, "application/sdp", fault, 201, headers)

    async def _offer(self, request: web.Request) -> tuple[str, Any]:
        """The offer and the session, from a form, or from a bare SDP body and `?model=`."""
        if request.content_type == "application/sdp":
            model = request.query.get("model")
            return await request.text(), {"type": "realtime", "model": model} if model else None
        form = await self._door.read_form(request)
        content = {**{name: values[0] for name, values in form.fields.items()}}
        content |= {upload.name: upload.data.decode("utf-8", "replace") for upload in form.files}
        if not content.get("sdp"):
            raise invalid("Missing required parameter: 'sdp'.", "sdp", "missing_required_parameter")
        try:
            return content["sdp"], orjson.loads(content["session"]) if "session" in content else None
        except orjson.JSONDecodeError:
            raise invalid("Invalid JSON in 'session'.", "session") from None

    async def act(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        action = request.path.rpartition("/")[2]
        body = await self._door.read_json(request) if await request.read() else {}
        if action == "accept" and body.get("type") == "realtime":
            self._known(read_session(body))
        fault = await self._door.fault(request)
        self._state.act(request.match_info["id"], action, body)
        return await self._door.send_bytes(request, b"", "application/json", fault)

    def _known(self, session: Session) -> Session:
        self._door.model(session.deployment, self._surface, _OPERATIONS[session.kind])
        return session
