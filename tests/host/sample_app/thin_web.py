"""A web extension on bare Starlette, as small as the contract allows; the classes register themselves when defined."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from azurefunctions.extensions import base
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse

type Handler = Callable[[StarletteRequest], Awaitable[StarletteResponse]]


class _RouteParams(base.RequestSynchronizer):
    def sync_route_params(self, request: StarletteRequest, path_params: dict[str, str]) -> None:
        request.path_params.clear()
        request.path_params.update(path_params)


class Request(metaclass=base.RequestTrackerMeta):
    request_type = StarletteRequest
    synchronizer = _RouteParams()


class Response(metaclass=base.ResponseTrackerMeta):
    label = base.ResponseLabels.STANDARD
    response_type = StarletteResponse


class WebApp(base.WebApp):
    def route(self, func: Handler) -> Handler:
        async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return
            scope["path_params"] = {}
            response: StarletteResponse
            try:
                response = await func(StarletteRequest(scope, receive))
            except Exception:
                response = StarletteResponse(b"thin: internal error", 500, media_type="text/plain")
            await response(scope, receive, send)

        self.application = application
        return func

    def get_app(self) -> Any:
        return self.application


class WebServer(base.WebServer):
    async def serve(self) -> None:
        config = uvicorn.Config(
            self.web_app, host=self.hostname, port=self.port, lifespan="off", access_log=False, log_config=None
        )
        await uvicorn.Server(config).serve()
