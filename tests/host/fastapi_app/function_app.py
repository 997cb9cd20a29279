"""The same host with the platform's own web extension."""

from __future__ import annotations

from collections.abc import AsyncIterator

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("hello/{name}", methods=["GET"])
async def hello(req: Request) -> JSONResponse:
    return JSONResponse({"hello": req.path_params["name"], "url": str(req.url)})


@app.route("dict", methods=["POST"])
async def as_dict(req: Request):
    return {"given": await req.json()}


@app.route("stream", methods=["GET"])
async def stream(req: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for i in range(3):
            yield b"%d\n" % i

    return StreamingResponse(pieces(), media_type="text/plain")


@app.route("boom", methods=["GET"])
async def boom(req: Request) -> Response:
    raise ValueError("boom in FastAPI")


@app.route("{*path}", methods=["GET"])
async def zz_everything(req: Request) -> Response:
    return Response("catch-all", status_code=404)
