"""Videos on their routes: the v1 surface alone has them."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..asked import Upload
from ..chat.request import Surface
from ..door import Door
from ..errors import deployment_not_found
from .videos import Video, Videos
from .wording import choice, fields_of, integer, missing, text

_DEFAULT_MODEL = "sora-2"


def routes(door: Door) -> list[web.RouteDef]:
    shelf = Videos()
    part = _Part(door, shelf)
    surface: Surface = "plain" if door.resource.kind == "plain" else "v1"
    root = "/v1/videos" if surface == "plain" else "/openai/v1/videos"
    return [  # the literal paths first: a video is never called "characters"
        *door.at(f"{root}/characters", surface, part.add_character),
        *door.at(f"{root}/characters/{{id}}", surface, part.character, "GET"),
        *door.at(f"{root}/edits", surface, part.edit),
        *door.at(f"{root}/extensions", surface, part.extend),
        *door.at(root, surface, part.create),
        *door.at(root, surface, part.listed, "GET"),
        *door.at(f"{root}/{{id}}", surface, part.show, "GET"),
        *door.at(f"{root}/{{id}}", surface, part.delete, "DELETE"),
        *door.at(f"{root}/{{id}}/content", surface, part.content, "GET"),
        *door.at(f"{root}/{{id}}/remix", surface, part.remix),
    ]


class _Part:
    def __init__(self, door: Door, shelf: Videos) -> None:
        self._door = door
        self._shelf = shelf

    async def create(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        body, _ = await self._body(request)
        deployment = str(body.get("model") or _DEFAULT_MODEL)
        model = self._door.model(deployment, surface, "videoGenerations")
        fault = await self._door.fault(request)
        made = self._shelf.create(body, model.version)
        return await self._door.send_json(request, made.as_json(), fault)

    async def listed(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        limit = integer(request.query, "limit", 20, 0, 100)
        order = choice(request.query, "order", "desc", ("asc", "desc"))
        page = self._shelf.page(limit, order, request.query.get("after"))
        return await self._door.send_json(request, page, fault)

    async def show(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        return await self._door.send_json(request, self._shelf.look(request.match_info["id"]).as_json(), fault)

    async def content(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        variant = choice(request.query, "variant", "video", ("video", "thumbnail", "spritesheet"))
        data, kind = self._shelf.find(request.match_info["id"]).file(variant)
        return await self._door.send_bytes(request, data, kind, fault)

    async def delete(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        return await self._door.send_json(request, self._shelf.delete(request.match_info["id"]), fault)

    async def remix(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        body, _ = await self._body(request)
        fault = await self._door.fault(request)
        made = self._shelf.remix(self._shelf.find(request.match_info["id"]), body)
        return await self._door.send_json(request, made.as_json(), fault)

    async def edit(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        body, files = await self._body(request)
        fault = await self._door.fault(request)
        made = self._shelf.remix(self._source(body, files), body)
        return await self._door.send_json(request, made.as_json(), fault)

    async def extend(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        body, files = await self._body(request)
        fault = await self._door.fault(request)
        made = self._shelf.extend(self._source(body, files), body)
        return await self._door.send_json(request, made.as_json(), fault)

    async def add_character(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        body, files = await self._body(request)
        fault = await self._door.fault(request)
        if "video" not in files:
            raise missing("video")
        return await self._door.send_json(request, self._shelf.add_character(text(body, "name")), fault)

    async def character(self, request: web.Request, _surface: Surface) -> web.StreamResponse:
        fault = await self._door.fault(request)
        return await self._door.send_json(request, self._shelf.character(request.match_info["id"]), fault)

    async def _body(self, request: web.Request) -> tuple[dict[str, Any], Mapping[str, Upload]]:
        """JSON or a form: OpenAI documents both for each operation."""
        if request.content_type != "multipart/form-data":
            return await self._door.read_json(request), {}
        form = await self._door.read_form(request)
        return _nested(fields_of(form)), {upload.name: upload for upload in form.files}

    def _source(self, body: Mapping[str, Any], files: Mapping[str, Upload]) -> Video:
        if "video" in files:
            if _DEFAULT_MODEL not in self._door.resource.deployments:
                raise deployment_not_found()
            model = self._door.model(_DEFAULT_MODEL, "v1", "videoGenerations")
            return self._shelf.of_upload(body, files["video"].data, model.version)
        video = body.get("video")
        if not isinstance(video, dict) or not video.get("id"):
            raise missing("video")
        return self._shelf.find(str(video["id"]))


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`video[id]` of a form is `{"video": {"id": …}}`; so is a field that holds JSON."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        outer, bracket, inner = name.partition("[")
        if bracket:
            body.setdefault(outer, {})[inner.rstrip("]")] = value
        elif isinstance(value, str) and value.startswith("{"):
            body[name] = json.loads(value)
        else:
            body[name] = value
    return body
