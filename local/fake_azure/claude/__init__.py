"""Claude on a Foundry resource: Anthropic's Messages API under /anthropic.

`conversation` reads a request, `rules` and `order` refuse it, `cache` prices its prompt, `reply` says the answer that
the chat module decides. This module puts it on routes; faults and Entra tokens are the door's.
"""

import re

from aiohttp import web

from .. import errors as azure_errors
from ..asked import Asked
from ..door import Door
from ..errors import ApiError
from ..faults import Fault
from ..headers import azure_headers
from ..models import Model
from ..tier import served_by_anthropic
from . import errors
from .cache import Cache
from .conversation import Conversation
from .reply import Reply
from .rules import refuse

_VERSION = re.compile(r"20\d\d-\d\d-\d\d")  # no list of them: the SDKs of 2026 send newer ones than 2023-06-01
_LARGEST = 32 * 2**20


def routes(door: Door) -> list[web.RouteDef]:
    if door.resource.kind != "foundry":
        return []
    cache = Cache()

    async def messages(request: web.Request) -> web.StreamResponse:
        asked = await _asked(door, request)
        fault = await _fault(door, asked)
        talk = Conversation(asked.body, asked.deployment, asked.model)
        refuse(talk, _betas(request))
        with_usage = fault is None or fault.kind != "no_usage"
        reply = Reply(talk, cache.look(talk), with_usage, served_by_anthropic(fault))
        if talk.stream:
            headers = {**_headers(request), "Content-Type": "text/event-stream; charset=utf-8"}
            return await door.send_stream(request, reply.events(), fault, headers)
        return await door.send_bytes(request, reply.whole(), "application/json", fault, headers=_headers(request))

    async def count_tokens(request: web.Request) -> web.StreamResponse:
        asked = await _asked(door, request)
        fault = await _fault(door, asked)
        talk = Conversation(asked.body, asked.deployment, asked.model)
        refuse(talk, _betas(request), counting=True)
        return await door.send_json(request, {"input_tokens": talk.tokens}, fault, headers=_headers(request))

    root = "/anthropic/v1/messages"
    return [web.post(root, messages), web.post(f"{root}/count_tokens", count_tokens)]


async def _asked(door: Door, request: web.Request) -> Asked:
    _authorise(door, request)
    version = request.headers.get("anthropic-version")
    if version is None:
        raise errors.invalid("anthropic-version: header is required")
    if not _VERSION.fullmatch(version):
        raise errors.invalid(f'anthropic-version: "{version}" is not a valid version.')
    if len(await request.read()) > _LARGEST:
        raise errors.error(413, "Request exceeds the maximum size")
    try:
        body = await door.read_json(request)
    except ApiError as problem:
        raise errors.invalid("The request body is not valid JSON: expected an object.") from problem
    deployment = body.get("model")
    if not deployment:
        raise errors.required("model")
    return Asked(request, "v1", str(deployment), _model(door, str(deployment)), body)


def _model(door: Door, deployment: str) -> Model:
    model = door.resource.model(deployment)
    if model is None or "messages" not in model.operations:
        raise errors.error(404, f"model: {deployment}")
    return model


def _authorise(door: Door, request: web.Request) -> None:
    """`x-api-key` is Anthropic's header for the key, `api-key` Azure's; the SDK for Foundry sends both."""
    key = request.headers.get("x-api-key")
    if key is None:
        door.authorise(request)
    elif key != door.resource.key:
        raise azure_errors.wrong_key()


async def _fault(door: Door, asked: Asked) -> Fault | None:
    try:
        return await door.fault(asked.request, asked)
    except ApiError as problem:
        raise errors.dressed(problem) from problem


def _betas(request: web.Request) -> str:
    return ",".join(request.headers.getall("anthropic-beta", []))


def _headers(request: web.Request) -> dict[str, str]:
    """Foundry's own; Anthropic's rate limit headers are not there. The betas that arrived are told, for tests."""
    headers = azure_headers()
    headers["request-id"] = f"req_{headers['apim-request-id'].replace('-', '')[:24]}"
    if betas := _betas(request):
        headers["x-fake-anthropic-beta"] = betas
    return headers
