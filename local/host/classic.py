"""HTTP functions of the classic kind: azure.functions.HttpRequest in, HttpResponse out, whole bodies, no streaming.

Knows nothing of routes, keys or how the worker runs the function.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from .body_limit import answer
from .contract import Function, HttpBody, Outcome, Receive, Scope, Send, Worker, WorkerFailure


async def whole_request(
    worker: Worker, function: Function, params: dict[str, str], scope: Scope, receive: Receive, send: Send
) -> Outcome:
    request = await _read(params, scope, receive)
    if request is None:
        return Outcome("the client left before its request was complete")
    try:
        outputs = await worker.call(function, {function.trigger["name"]: ("http", request)}, {})
    except WorkerFailure as error:
        await answer(send, 500)
        return Outcome(str(error))
    kind, reply = outputs.pop("$return", ("", None))
    if isinstance(reply, HttpBody):
        pairs = [*reply.headers.items(), *(("set-cookie", cookie) for cookie in reply.cookies)]
        headers = tuple((k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in pairs)
        await answer(send, reply.status, reply.body, tuple(h for h in headers if h[0] != b"content-length"))
    elif kind:
        await answer(send, 200, str(reply).encode(), ((b"content-type", b"text/plain; charset=utf-8"),))
    else:
        await answer(send, 204)
    return Outcome(outputs=outputs)


async def _read(params: dict[str, str], scope: Scope, receive: Receive) -> HttpBody | None:
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
    query: str = scope["query_string"].decode("latin-1")
    url = f"{scope['scheme']}://{headers.get('host', '')}{scope['raw_path'].decode('latin-1')}"
    return HttpBody(
        method=scope["method"],
        url=f"{url}?{query}" if query else url,
        headers=headers,
        query={k: v[-1] for k, v in parse_qs(query, keep_blank_values=True).items()},
        params=params,
        body=bytes(body),
    )
