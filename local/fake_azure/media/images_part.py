"""Images on their routes: generations, edits, the old submit-and-poll route, and the files that urls point at."""

from collections.abc import Sequence
from datetime import date

from aiohttp import web

from .. import errors
from ..api_version import check_dated
from ..asked import Asked, Form
from ..chat.request import Surface
from ..chat.tokenizer import split
from ..door import Door
from ..faults import Fault
from ..headers import answer_headers
from .image_jobs import VERSIONS, ImageJobs
from .images import Dalle, GptImage, edit_of_json
from .pictures import picture
from .text_part import azure_only
from .wording import fields_of, missing

# First api-versions as of Microsoft's documentation of 2026-08.
_SINCE = str(date(2023, 12, 1))
_GPT_SINCE = str(date(2025, 4, 1))
_POLL_SECONDS = 1


def routes(door: Door) -> list[web.RouteDef]:
    part = _Part(door)
    found = [
        *door.deployed("images/generations", part.generate, since=_SINCE),
        *door.deployed("images/edits", part.edit, since=_GPT_SINCE),
    ]
    return [*azure_only(found), *_jobs(door), web.get("/private/images/{name}/{file}", part.file)]


class _Part:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def generate(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await self._door.asked(request, surface, "imageGenerations")
        fault = await self._door.fault(request, asked)
        if asked.model.version.startswith("dall-e"):
            filters = surface != "plain"
            made = Dalle(asked.body, asked.model.version, origin_of(request), filters)
            return await self._send(asked, made.whole(), fault)
        return await self._send_gpt(asked, GptImage(asked.body, with_usage=_counts(fault)), fault)

    async def edit(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        """Multipart with files, or JSON with `images` as data URLs (OpenAI, 2026-08; gpt-image only)."""
        as_json = request.content_type == "application/json"
        asked = await self._door.asked(request, surface, "imageEdits", form=not as_json)
        fault = await self._door.fault(request, asked)
        if as_json:
            image = edit_of_json(asked.body, with_usage=_counts(fault))
            return await self._send_gpt(asked, image, fault)
        form = asked.form or Form()
        fields, mask = fields_of(form), form.file("mask")
        inputs = [upload.data for upload in form.files if upload.name in ("image", "image[]")]
        if not inputs:
            raise missing("image")
        if asked.model.version.startswith("dall-e"):
            made = Dalle(fields, asked.model.version, origin_of(request), filters=False)
            return await self._send(asked, made.whole(), fault)
        image = GptImage(fields, inputs, mask.data if mask else None, edit=True, with_usage=_counts(fault))
        return await self._send_gpt(asked, image, fault)

    async def _send_gpt(self, asked: Asked, image: GptImage, fault: Fault | None) -> web.StreamResponse:
        if asked.surface == "dated":
            check_dated(asked.request, _GPT_SINCE)
        if image.stream:
            return await self._door.send_stream(asked.request, image.events(), fault, answer_headers(asked, 0))
        return await self._send(asked, image.whole(), fault)

    async def _send(self, asked: Asked, body: bytes, fault: Fault | None) -> web.StreamResponse:
        headers = answer_headers(asked, len(split(str(asked.body.get("prompt") or ""))))
        return await self._door.send_bytes(asked.request, body, "application/json", fault, headers=headers)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Whoever has the link may fetch it: that is what its signature says."""
        name = request.match_info["name"]
        if request.query.get("sig") != name[:8]:
            raise errors.ApiError(403, b"AuthenticationFailed", content_type="application/xml")
        fault = await self._door.fault(request)
        return await self._door.send_bytes(request, picture(name), "image/png", fault, headers={})


def _jobs(door: Door) -> Sequence[web.RouteDef]:
    if door.resource.kind == "plain":
        return ()
    jobs = ImageJobs()

    async def submit(request: web.Request, _surface: Surface) -> web.StreamResponse:
        _check(request)
        body = await door.read_json(request)
        fault = await door.fault(request)
        job = jobs.submit(body)
        version = request.query["api-version"]
        place = f"{origin_of(request)}/openai/operations/images/{job.id}?api-version={version}"
        headers = {"operation-location": place, "retry-after": str(_POLL_SECONDS)}
        return await door.send_json(request, {"id": job.id, "status": "notRunning"}, fault, 202, headers)

    async def operation(request: web.Request, _surface: Surface) -> web.StreamResponse:
        _check(request)
        fault = await door.fault(request)
        identity = request.match_info["id"]
        job = jobs.find(identity)
        if job is None:
            raise errors.azure(404, "NotFound", "The operation does not exist.")
        if request.method == "DELETE":
            jobs.forget(identity)
            return web.Response(status=204)
        told = job.look(origin_of(request))
        headers = {} if told["status"] == "succeeded" else {"retry-after": str(_POLL_SECONDS)}
        return await door.send_json(request, told, fault, headers=headers)

    return (
        *door.at("/openai/images/generations:submit", "dated", submit),
        *door.at("/openai/operations/images/{id}", "dated", operation, "GET", "DELETE"),
    )


def _check(request: web.Request) -> None:
    if request.query["api-version"] not in VERSIONS:
        raise errors.resource_not_found()


def origin_of(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _counts(fault: Fault | None) -> bool:
    return fault is None or fault.kind != "no_usage"
