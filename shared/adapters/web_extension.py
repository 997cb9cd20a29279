"""The worker's web extension on bare Starlette: how the Functions worker and this app exchange requests.

Same contract as azurefunctions-extensions-http-fastapi (the classes register themselves with
azurefunctions.extensions.base when they are defined) without FastAPI: half the CPU per call, no /docs routes, and
no leak (docs/adr/0004). function_app.py falls back to the FastAPI extension by changing one import.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from azurefunctions.extensions import base
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.adapters import collector

# While the worker indexes, it says all functions again for each of them: 280 KB in one line of a hundred (2026-11).
logging.getLogger("azure.functions").setLevel(logging.WARNING)
collector.put_off()

__all__ = ["Request", "Response", "WebApp", "WebServer"]


class _RouteParams(base.RequestSynchronizer):
    def sync_route_params(self, request: Any, path_params: Any) -> None:
        request.path_params.clear()
        request.path_params.update(path_params)


class RequestTracker(metaclass=base.RequestTrackerMeta):
    request_type = Request
    synchronizer = _RouteParams()


class ResponseTracker(metaclass=base.ResponseTrackerMeta):
    label = base.ResponseLabels.STANDARD
    response_type = Response


class WebApp(base.WebApp):
    """The ASGI application that the worker's catch-all handler is mounted on."""

    def route(self, func: Callable[[Request], Awaitable[Response]]) -> Any:
        references = _context_references()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            scope["path_params"] = {}
            request = Request(scope, receive)
            try:
                response = await func(request)
            except Exception:  # the handlers answer their own errors: this is one in the worker or in our code
                logging.getLogger("tollgate").exception("a handler failed")
                response = Response(_INTERNAL_ERROR, 500, media_type="application/json")
            finally:
                # azure-functions-runtime 1.3.0 keeps 2 KB for every request for ever unless it is dropped here
                references.pop(request.headers.get("x-ms-invocation-id"), None)
            await response(scope, receive, send)

        self._app = application
        return func

    def get_app(self) -> Any:
        return self._app


_INTERNAL_ERROR = (
    b'{"error":{"message":"The gateway failed on this call; it has been logged.","type":"server_error",'
    b'"param":null,"code":"internal_error"}}'
)


class WebServer(base.WebServer):
    """The HTTP server to which the Functions host forwards."""

    hostname: str
    port: int
    web_app: Any

    async def serve(self) -> None:
        import uvicorn

        config = uvicorn.Config(
            self.web_app,
            host=self.hostname,
            port=self.port,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            # the host keeps connections open between calls; uvicorn's own 5 s would race with it
            timeout_keep_alive=75,
        )
        await uvicorn.Server(config).serve()


def _context_references() -> dict[Any, Any]:
    """The worker's table of requests under way: a private name, so its absence is survived."""
    try:
        from azure_functions_runtime.http_v2 import http_coordinator
    except ImportError:
        return {}
    return getattr(http_coordinator, "_context_references", {})
