"""The worker library in this process: HTTP requests go straight into the app's own web application.

The library does everything that it does in Azure (index the app, meet request and invocation, bind, run); only the
TCP hop to its web server is left out, unless `listening` asks for it. Knows nothing of routes, keys or triggers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import traceback
import uuid
from collections.abc import Coroutine
from typing import Any, cast

from .app_import import import_app
from .contract import Function, HostError, HttpBody, Outcome, Receive, Scope, Send, Typed, WorkerFailure
from .protos import HttpInvocation, envelope, protos
from .runtime import Runtime, capture_web_app, load

log = logging.getLogger("local.host")
INVOCATION_HEADER = b"x-ms-invocation-id"


def invocation_ids() -> itertools.count[int]:
    """Numbers for ids that look like the platform's; counting is ten times cheaper than a random one per request."""
    return itertools.count(1)


class InProcessWorker:
    """One worker; the library keeps its state in module globals, so there is one per process."""

    def __init__(self, listening: bool = False) -> None:
        self.listening, self.pid = listening, os.getpid()
        self.http_uri: str | None = None
        self._web_app: Any = None
        self._runtime: Runtime | None = None
        self._ids, self._id_head = invocation_ids(), str(uuid.uuid4())[:24]

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None
        return self._runtime

    async def start(self, app_dir: str) -> list[Function]:
        self._runtime = runtime = load()
        import_app(app_dir)
        if not self.listening:
            capture_web_app(self._keep_web_app)
        runtime.start_threads()
        reply = await runtime.init(envelope("worker_init_request", capabilities={}, function_app_directory=app_dir))
        if reply.result.status != protos.StatusResult.Success:
            raise HostError(_plain(reply.result.exception))
        self.http_uri = reply.capabilities.get("HttpUri")
        found = (await runtime.metadata(envelope("functions_metadata_request"))).function_metadata_results
        streaming = self.http_uri is not None
        return [
            Function(f.function_id, f.name, streaming, [json.loads(b) for b in f.raw_bindings]) for f in found or ()
        ]

    def _keep_web_app(self, web_app: Any) -> None:
        self._web_app = web_app

    def new_id(self) -> str:
        return f"{self._id_head}{next(self._ids):012x}"

    async def http(
        self, function: Function, params: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> Outcome:
        invocation_id = self.new_id()
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if any(name == INVOCATION_HEADER for name, _ in headers):  # a client's own is overwritten, as the host does
            headers = scope["headers"] = [h for h in headers if h[0] != INVOCATION_HEADER]
        headers.append((INVOCATION_HEADER, invocation_id.encode()))
        meeting = _Meeting(self.invoke(function, invocation_id, params))
        meetings = self.runtime.meetings
        meetings[invocation_id] = meeting
        failure: str | None = None
        try:
            await self._web_app(scope, receive, send)
        except Exception:
            # A handler's own error is in the invocation's reply; what is left is a response that broke off.
            failure = traceback.format_exc()
        finally:
            meetings.pop(invocation_id, None)
        task = meeting.task
        if task is None:
            meeting.drop()
            return Outcome(failure or _NOT_INVOKED)
        reply = task.result() if task.done() else await task
        return outcome_of(reply, failure)

    def invoke(self, function: Function, invocation_id: str, params: dict[str, str]) -> Coroutine[Any, Any, Any]:
        """The library's side of an HTTP request; meets the request by its id."""
        runtime = self.runtime
        invocation = HttpInvocation(invocation_id, function.id, function.trigger["name"], params)

        async def run() -> Any:
            runtime.invocation_id.set(invocation_id)
            return await runtime.invoke_http(invocation)

        return run()

    async def call(self, function: Function, inputs: dict[str, Typed], metadata: dict[str, Typed]) -> dict[str, Typed]:
        datum = self.runtime.datum
        pairs = [(name, datum(*self._native(kind, value))) for name, (kind, value) in inputs.items()]
        described = {name: datum(value, kind) for name, (kind, value) in metadata.items()}
        ok, returned, outputs, error, trace = await self.runtime.invoke(self.new_id(), function.id, pairs, described)
        if not ok:
            raise WorkerFailure(trace or error)
        result: dict[str, Typed] = {name: (d.type, d.value) for name, d in outputs if d is not None}
        if returned is not None and returned.type is not None:
            result["$return"] = _plain_http(returned) if returned.type == "http" else (returned.type, returned.value)
        return result

    def _native(self, kind: str, value: Any) -> tuple[Any, str]:
        """A whole HTTP request becomes the library's tree of values; everything else passes as it is."""
        if not isinstance(value, HttpBody):
            return value, kind
        datum = self.runtime.datum

        def texts(pairs: dict[str, str]) -> dict[str, Any]:
            return {k: datum(v, "string") for k, v in pairs.items()}

        return {
            "method": datum(value.method, "string"),
            "url": datum(value.url, "string"),
            "headers": texts(value.headers),
            "query": texts(value.query),
            "params": texts(value.params),
            "body": datum(value.body, "bytes"),
        }, kind

    async def stop(self) -> None:
        pool = self.runtime.threads() if self._runtime else None
        if pool is not None:
            pool.shutdown(wait=False)  # waiting would hold the loop while a sync function finishes


class _Meeting:
    """Where the web application's request and the invocation meet: stands in the library's table for its own class.

    The library starts the invocation first, lets it wait for the request, and the request for it: two events and two
    turns of the loop. Here the invocation starts when the request is there and runs at once, still in a task and a
    context of its own as in Azure, so that nothing leaks from a handler into its response's generator.
    """

    __slots__ = ("_invocation", "http_request", "http_response", "task")

    def __init__(self, invocation: Coroutine[Any, Any, Any]) -> None:
        self._invocation = invocation
        self.task: asyncio.Task[Any] | None = None
        self.http_request: Any = None
        self.http_response: Any = None

    @property
    def http_request_available_event(self) -> _Ready:
        return _READY

    @property
    def http_response_available_event(self) -> _Meeting:
        return self

    async def wait(self) -> None:
        """The request is here and its response is awaited: run the function."""
        self.task = task = asyncio.Task(self._invocation, loop=asyncio.get_running_loop(), eager_start=True)
        if not task.done():
            await task

    def drop(self) -> None:
        self._invocation.close()


class _Ready:
    """An event that has happened."""

    async def wait(self) -> None:
        return None


_READY = _Ready()
_NOT_INVOKED = (
    "The web extension answered without calling the function (FastAPI's own /docs and /openapi.json do that). "
    "In Azure this invocation would hang until functionTimeout and then take the whole worker down."
)


def outcome_of(reply: Any, failure: str | None = None) -> Outcome:
    """The library's InvocationResponse in the host's words."""
    failed = getattr(reply.result, "exception", None)
    if failed is not None:
        return Outcome(failed.stack_trace or failed.message)
    if not (given := reply.output_data):
        return Outcome(failure) if failure else _FINE
    outputs = {o.name: next(iter(vars(o.data).items())) for o in given if o.data is not None}
    return Outcome(failure, cast("dict[str, Typed]", outputs))


_FINE = Outcome()


def _plain_http(returned: Any) -> Typed:
    """An HttpResponse's tree of values as one message."""
    value = returned.value
    body = value["body"].value or b""
    headers = {k: v.value for k, v in value["headers"].items()}
    return "http", HttpBody(
        status=int(value["status_code"].value),
        headers=headers,
        cookies=[morsel.OutputString() for jar in value.get("cookies") or () for morsel in jar.values()],
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


def _plain(exception: Any) -> str:
    """Why the library refused the app: its message names the function; the rest of it is its own search path."""
    message = str(exception.message).split(" Current sys.path:")[0]
    if message.startswith(("FunctionLoadError: ", "ValueError: ")):
        message = message.split(": ", 1)[1]
    return f"The worker refused the app: {message}"
