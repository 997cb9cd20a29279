"""The one place that touches azure_functions_runtime, and its private names in particular.

Checks that the installed version still has them, so that an upgrade fails with a sentence and not in a request.
Knows nothing of hosts, servers or processes.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .contract import HostError

SUPPORTED = "1.3.0"
_NEEDED = {
    "": (
        "worker_init_request", "functions_metadata_request", "invocation_request", "invocation_id_cv",
        "start_threadpool_executor", "get_threadpool_executor",
    ),
    ".handle_event": ("initialize_http_server",),
    ".http_v2": ("initialize_http_server", "http_coordinator", "HttpV2Registry"),
    ".native_invocation": ("invocation_request_native",),
    ".bindings.datumdef": ("Datum",),
}  # fmt: skip


@dataclass(slots=True)
class Runtime:
    """The worker library's entry points, checked."""

    init: Callable[[Any], Awaitable[Any]]
    metadata: Callable[[Any], Awaitable[Any]]
    invoke_http: Callable[[Any], Awaitable[Any]]
    invoke: Callable[..., Awaitable[tuple[bool, Any, list[tuple[str, Any]], str, str]]]
    datum: Callable[[Any, str], Any]
    invocation_id: Any  # the ContextVar that log records are attributed by
    meetings: dict[str, Any]  # the coordinator's own table: invocation id -> where request and response meet
    threads: Callable[[], Any]
    start_threads: Callable[[], None]


def load() -> Runtime:
    """Import the library; a HostError when it is missing or not the one this host is written for."""
    modules: dict[str, Any] = {}
    missing: list[str] = []
    for name, attributes in _NEEDED.items():
        try:
            modules[name] = importlib.import_module(f"azure_functions_runtime{name}")
        except ModuleNotFoundError:
            missing.append(f"azure_functions_runtime{name}")
            continue
        missing += [f"azure_functions_runtime{name}.{a}" for a in attributes if not hasattr(modules[name], a)]
    meetings: Any = None
    if not missing:
        meetings = getattr(modules[".http_v2"].http_coordinator, "_context_references", None)
        if not isinstance(meetings, dict):
            missing.append("azure_functions_runtime.http_v2.http_coordinator._context_references")
    if missing:
        raise HostError(
            f"This host is written for azure-functions-runtime {SUPPORTED} (Python 3.13 or newer); the installed "
            f"version lacks {', '.join(missing)}.\nInstall it: pip install azure-functions-runtime=={SUPPORTED}"
        )
    top = modules[""]
    return Runtime(
        init=top.worker_init_request,
        metadata=top.functions_metadata_request,
        invoke_http=top.invocation_request,
        invoke=modules[".native_invocation"].invocation_request_native,
        datum=modules[".bindings.datumdef"].Datum,
        invocation_id=top.invocation_id_cv,
        meetings=meetings,
        threads=top.get_threadpool_executor,
        start_threads=top.start_threadpool_executor,
    )


def capture_web_app(keep: Callable[[Any], None]) -> None:
    """Have the library build the app's web application exactly as it does, but hand it over instead of serving it."""
    handle_event: Any = importlib.import_module("azure_functions_runtime.handle_event")
    http_v2: Any = importlib.import_module("azure_functions_runtime.http_v2")

    def initialize(_host: str) -> str:
        extension: Any = importlib.import_module(http_v2.HttpV2Registry.ext_base().ModuleTrackerMeta.get_module())
        serve = extension.WebServer.serve

        def kept(server: Any) -> Any:
            keep(server.web_app)
            return _nothing()

        extension.WebServer.serve = kept
        try:
            http_v2.initialize_http_server("127.0.0.1")
        finally:
            extension.WebServer.serve = serve
        return "asgi://in-process"

    handle_event.initialize_http_server = initialize


async def _nothing() -> None:
    return None
