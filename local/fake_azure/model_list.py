"""The list of models behind a resource's door: Azure's rows name model versions, OpenAI's what can be asked for."""

from typing import Any

from aiohttp import web

from . import errors
from .chat.request import Surface
from .door import Door
from .models import model_of

_CREATED = 1_715_367_049


def routes(door: Door) -> list[web.RouteDef]:
    async def listed(request: web.Request, surface: Surface) -> web.StreamResponse:
        fault = await door.fault(request)
        deployments = door.resource.deployments
        if surface == "plain":
            rows = [_openai_row(name) for name in deployments]
            return await door.send_json(request, {"object": "list", "data": rows}, fault)
        rows = [_azure_row(version) for version in sorted(set(deployments.values()))]
        return await door.send_json(request, {"data": rows, "object": "list"}, fault)

    async def one(request: web.Request, surface: Surface) -> web.StreamResponse:
        fault = await door.fault(request)
        deployments, wanted = door.resource.deployments, request.match_info["model"]
        if surface == "plain" and wanted in deployments:
            return await door.send_json(request, _openai_row(wanted), fault)
        if surface != "plain" and wanted in deployments.values():
            return await door.send_json(request, _azure_row(wanted), fault)
        raise errors.openai_model_not_found(wanted) if surface == "plain" else errors.resource_not_found()

    return [*door.both("models", listed, "GET"), *door.both("models/{model}", one, "GET")]


def _openai_row(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "system"}


def _azure_row(version: str) -> dict[str, Any]:
    operations = model_of(version).operations
    capabilities = {
        "fine_tune": False,
        "inference": True,
        "completion": "completion" in operations,
        "chat_completion": "chatCompletion" in operations,
        "embeddings": "embeddings" in operations,
    }
    return {
        "status": "succeeded",
        "capabilities": capabilities,
        "lifecycle_status": "generally-available",
        "deprecation": {"inference": 1_924_905_600},
        "id": version,
        "created": _CREATED,
        "created_at": _CREATED,
        "updated_at": _CREATED,
        "owned_by": "system",
        "object": "model",
    }
