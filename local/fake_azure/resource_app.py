"""One resource's listener: its routes, who may call it, which api-version it takes, and the faults before an answer.

Owns the surfaces: dated, v1, Foundry's /models, plain OpenAI. What a model says is `chat/`, how it is sent
`delivery.py`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from . import errors
from .api_version import check_dated, check_v1
from .chat.answer import answer
from .chat.prompt import PromptCache
from .chat.refusals import refuse
from .chat.reply import Reply
from .chat.request import ChatRequest, Surface
from .chat.shape import shape_of
from .delivery import drop, send_body, send_stream
from .errors import ApiError
from .faults import BEFORE_ANSWER, DURING_ANSWER, Fault, FaultQueue
from .headers import answer_headers, azure_headers
from .models import Resource
from .tokens import COGNITIVE_AUDIENCES, TokenIssuer, TokenRefused

_RESOURCE_FAULTS = BEFORE_ANSWER | DURING_ANSWER


class ResourceApp:
    def __init__(self, resource: Resource, tokens: TokenIssuer, faults: FaultQueue) -> None:
        self._resource = resource
        self._tokens = tokens
        self._faults = faults
        self._cache = PromptCache()

    def routes(self) -> list[web.RouteDef]:
        if self._resource.kind == "plain":
            return [web.post("/v1/chat/completions", self.plain), web.get("/v1/models", self.plain_models)]
        deployment = "/openai/deployments/{deployment}"
        routes = [
            web.post(f"{deployment}/chat/completions", self.dated),
            web.post(f"{deployment}/extensions/chat/completions", self.dated),
            web.post("/openai/v1/chat/completions", self.v1),
            web.get("/openai/models", self.dated_models),
            web.get("/openai/v1/models", self.v1_models),
        ]
        if self._resource.kind == "foundry":
            routes.append(web.post("/models/chat/completions", self.partner_models))
        return [*routes, web.route("*", "/{anything:.*}", self.unknown)]

    # Surfaces.

    async def dated(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request)
        check_dated(request)
        deployment = request.match_info["deployment"]
        return await self._chat(request, await _json(request), deployment, "dated", errors.deployment_not_found())

    async def v1(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, key_as_bearer=True)
        check_v1(request)
        body = await _json(request)
        deployment = str(body.get("model") or "")
        return await self._chat(request, body, deployment, "v1", errors.deployment_not_found())

    async def partner_models(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, key_as_bearer=True)
        check_dated(request)
        body = await _json(request)
        deployment = str(body.get("model") or "")
        return await self._chat(request, body, deployment, "models", errors.partner_model_not_found(deployment))

    async def plain(self, request: web.Request) -> web.StreamResponse:
        self._authorise_plain(request)
        body = await _json(request)
        model = str(body.get("model") or "")
        return await self._chat(request, body, model, "plain", errors.openai_model_not_found(model))

    async def dated_models(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request)
        check_dated(request)
        return await self._models(request)

    async def v1_models(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, key_as_bearer=True)
        check_v1(request)
        return await self._models(request)

    async def plain_models(self, request: web.Request) -> web.StreamResponse:
        self._authorise_plain(request)
        rows = [
            {"id": name, "object": "model", "created": 1_715_367_049, "owned_by": "system"}
            for name in self._resource.deployments
        ]
        return await send_body(request, orjson.dumps({"object": "list", "data": rows}), {}, None)

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, key_as_bearer=True)
        raise errors.resource_not_found()

    # Answers.

    async def _chat(
        self, request: web.Request, body: Mapping[str, Any], deployment: str, surface: Surface, missing: ApiError
    ) -> web.StreamResponse:
        model = self._resource.model(deployment)
        if model is None:
            raise missing
        chat = ChatRequest(body, deployment, model, surface)
        fault = self._faults.take(_RESOURCE_FAULTS, self._resource.name, deployment)
        if fault is not None:
            await meet_fault(request, fault, chat)
        refuse(chat)
        cached = self._cache.cached_tokens(deployment, chat.prompt)
        with_usage = fault is None or fault.kind != "no_usage"
        reply = Reply(chat, answer(chat), shape_of(chat), cached, with_usage)
        headers = answer_headers(chat)
        if chat.stream:
            return await send_stream(request, reply.events(), headers, fault)
        return await send_body(request, reply.body(), headers, fault)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        fault = self._faults.take(_RESOURCE_FAULTS, self._resource.name)
        if fault is not None:
            await meet_fault(request, fault, None)
        versions = sorted(set(self._resource.deployments.values()))
        body = orjson.dumps({"data": [_model_row(version) for version in versions], "object": "list"})
        return await send_body(request, body, azure_headers(), fault)

    # Who may call.

    def _authorise(self, request: web.Request, *, key_as_bearer: bool = False) -> None:
        key = request.headers.get("api-key")
        if key is not None:
            if key != self._resource.key:
                raise errors.wrong_key()
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise errors.bad_token()
        if key_as_bearer and token == self._resource.key:
            return
        try:
            self._tokens.verify(token, COGNITIVE_AUDIENCES)
        except TokenRefused as refused:
            raise errors.bad_token() if token.count(".") == 2 or not key_as_bearer else errors.wrong_key() from refused

    def _authorise_plain(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self._resource.key}":
            raise errors.openai_wrong_key()


async def meet_fault(request: web.Request, fault: Fault, chat: ChatRequest | None) -> None:
    """The faults that strike before an answer begins. Those of the answer itself pass."""
    match fault.kind:
        case "slow_first_byte":
            await asyncio.sleep(fault.seconds)
        case "reset":
            drop(request, reset=True)
        case "html":
            raise errors.bad_gateway_page()
        case "content_filter":
            raise errors.prompt_filtered()
        case "foundry_429":
            raise errors.partner_rate_limited(chat.model.version if chat else "the model")
        case "reject_stream_options" if chat and "stream_options" in chat.body:
            raise errors.invalid("Unrecognized request argument supplied: stream_options")
        case "status":
            raise _status_error(fault)
        case "error_event" if not (chat and chat.stream):
            raise errors.of_status(500)
        case _:
            pass


def _status_error(fault: Fault) -> ApiError:
    usual = errors.of_status(fault.status)
    headers = {**(fault.headers or {}), **dict(fault.retry_headers())}
    if fault.body is None:
        body = usual.body
        if fault.retry_after is not None:
            body = body.replace(b"after 6 seconds", f"after {fault.retry_after} seconds".encode())
        return ApiError(fault.status, body, headers, usual.content_type)
    body = fault.body.encode() if isinstance(fault.body, str) else fault.body
    given_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "application/json")
    return ApiError(fault.status, body if isinstance(body, bytes) else orjson.dumps(body), headers, given_type)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        message = (
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            f"library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON: {error})"
        )
        raise errors.invalid(message) from error
    if not isinstance(body, dict):
        raise errors.invalid("Invalid type for the body: expected an object.")
    return body


def _model_row(version: str) -> dict[str, Any]:
    capabilities = {"fine_tune": False, "inference": True, "completion": False, "chat_completion": True}
    return {
        "status": "succeeded",
        "capabilities": {**capabilities, "embeddings": False},
        "lifecycle_status": "generally-available",
        "deprecation": {"inference": 1_924_905_600},
        "id": version,
        "created": 1_715_367_049,
        "created_at": 1_715_367_049,
        "updated_at": 1_715_367_049,
        "owned_by": "system",
        "object": "model",
    }
