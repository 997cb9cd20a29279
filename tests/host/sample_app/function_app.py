"""What the local host is tested with: every trigger and body shape that a gateway needs."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import azure.functions as func
import thin_web  # pyright: ignore[reportMissingImports, reportUnusedImport]  # noqa: F401  # registers itself
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
seen: dict[str, Any] = {
    "timer": [],
    "jobs": [],
    "blobs": [],
    "cancelled": 0,
    "closed": 0,
    "gone": 0,
    "cut": 0,
    "begun": 0,
}
mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="unset")


@atexit.register
def leave_a_note() -> None:
    if path := os.environ.get("SAMPLE_ATEXIT"):
        Path(path).write_text("done")


@app.route("echo", methods=["POST"])
async def echo(req: Request) -> Response:
    return Response(await req.body(), media_type=req.headers.get("content-type"))


@app.route("echo_sync", methods=["POST"])
def echo_sync(req: Request) -> Response:
    return Response(b'{"sync":true}', media_type="application/json")


@app.route("sse", methods=["GET", "POST"])
async def sse(req: Request) -> Response:
    count, pause = int(req.query_params.get("n", 100)), float(req.query_params.get("pause", 0))

    async def events() -> AsyncIterator[bytes]:
        seen["begun"] += 1
        try:
            for i in range(count):
                yield b'data: {"i": %d, "sent": %d}\n\n' % (i, time.time_ns())
                if pause:
                    await asyncio.sleep(pause)
            yield b"data: [DONE]\n\n"
            seen["closed"] += 1
        except asyncio.CancelledError:
            seen["cancelled"] += 1
            raise

    return StreamingResponse(events(), media_type="text/event-stream")


@app.route("breaks_off", methods=["GET"])
async def breaks_off(req: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(0.01)
        raise RuntimeError("broke in the middle")

    return StreamingResponse(events(), media_type="text/plain")


@app.route("context", methods=["GET"])
async def context_is_the_handlers_own(req: Request) -> Response:
    mark.set("set by the handler")

    async def said() -> AsyncIterator[str]:
        yield mark.get()

    return StreamingResponse(said())


@app.route("slow", methods=["GET"])
async def slow(req: Request) -> Response:
    """A handler that waits, and asks whether its client is still there."""
    seen["begun"] += 1
    for _ in range(int(req.query_params.get("n", 30))):
        await asyncio.sleep(0.1)
        if await req.is_disconnected():
            seen["gone"] += 1
            break
    return Response("late")


@app.route("raw", methods=["PUT"])
async def raw(req: Request) -> Response:
    """Reads the request as it comes; counts and hashes the pieces."""
    pieces, digest, first = 0, hashlib.sha256(), time.time()
    try:
        async for piece in req.stream():
            if piece:
                first = first if pieces else time.time()
                pieces += 1
                digest.update(piece)
    except ClientDisconnect:
        seen["cut"] += 1
        raise
    return Response(digest.digest(), headers={"x-pieces": str(pieces), "x-spread": f"{time.time() - first:.3f}"})


class Duplex(Response):
    """Its own ASGI application: answers each piece before the next one is there."""

    def __init__(self, request: Request) -> None:
        super().__init__(media_type="text/plain")
        self.request = request
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for piece in self.request.stream():
            await send({"type": "http.response.body", "body": piece.upper(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@app.route("duplex", methods=["POST"])
async def duplex(req: Request) -> Response:
    return Duplex(req)


@app.route("things/{id:int}", methods=["GET", "DELETE", "HEAD", "OPTIONS"])
async def thing(req: Request) -> Response:
    if req.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": "GET,DELETE,HEAD,OPTIONS"})
    return JSONResponse({"id": req.path_params["id"], "method": req.method}, headers={"x-thing": "yes"})


@app.route("things/{name:alpha}/{tail?}", methods=["GET"])
async def thing_named(req: Request) -> Response:
    return JSONResponse(dict(req.path_params))


@app.route("fn/guarded", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def guarded(req: Request) -> Response:
    return Response("in")


@app.route("fn/master", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
async def master(req: Request) -> Response:
    return Response("in")


@app.route("boom", methods=["GET"])
async def boom(req: Request) -> Response:
    raise ValueError("boom")


@app.route("nothing", methods=["GET"])
async def nothing(req: Request) -> Response:
    return None  # pyright: ignore[reportReturnType]  # what the platform makes a 500 of


@app.route("stuck", methods=["GET"])
def stuck(req: Request) -> Response:
    seen["begun"] += 1
    time.sleep(60)
    return Response("late")


@app.route("die", methods=["GET"])
async def die(req: Request) -> Response:
    os._exit(3)


@app.route("seen", methods=["GET"])
async def seen_now(req: Request) -> Response:
    return JSONResponse(seen)


@app.route("info", methods=["GET"])
async def info(req: Request, context: func.Context) -> Response:
    logging.info("info was called")
    return JSONResponse(
        {
            "headers": dict(req.headers),
            "pid": os.getpid(),
            "storage_sdk": any(name.startswith("azure.storage") for name in sys.modules),
            "invocation": context.invocation_id,
            "function": context.function_name,
        }
    )


@app.route("enqueue", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%JOBS_QUEUE%", connection="AzureWebJobsStorage")
async def enqueue(req: Request, out: func.Out[str]) -> Response:
    out.set((await req.body()).decode())
    return Response(status_code=202)


@app.queue_trigger(arg_name="msg", queue_name="%JOBS_QUEUE%", connection="AzureWebJobsStorage")
@app.blob_output(arg_name="result", path="results/{id}.json", connection="AzureWebJobsStorage")
async def job(msg: func.QueueMessage, result: func.Out[str]) -> None:
    task: dict[str, Any] = json.loads(msg.get_body())
    seen["jobs"].append([task["id"], msg.dequeue_count, round(time.time(), 2)])
    if task.get("fail"):
        raise RuntimeError("told to fail")
    await asyncio.sleep(task.get("sleep", 0))
    result.set(json.dumps({"id": task["id"], "dequeue": msg.dequeue_count}))


@app.timer_trigger(arg_name="timer", schedule="%TICK%", run_on_startup=False)
async def tick(timer: func.TimerRequest) -> None:
    seen["timer"] = [*seen["timer"][-9:], round(time.time(), 3)]


@app.blob_trigger(
    arg_name="blob", path="%INBOX%/{name}.txt", connection="AzureWebJobsStorage", source=func.BlobSource.EVENT_GRID
)
async def arrived(blob: func.InputStream) -> None:
    data = blob.read()
    if data == b"fail":
        seen["blob_fail"] = seen.get("blob_fail", 0) + 1
        raise RuntimeError("bad blob")
    seen["blobs"].append([blob.name, blob.length, data.decode()])


@app.route("{*path}")
async def zz_everything(req: Request) -> Response:
    return JSONResponse({"catch_all": req.path_params.get("path"), "method": req.method}, status_code=404)
