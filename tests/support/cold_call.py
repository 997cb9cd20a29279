"""A program: imports function_app.py as the worker does, answers one chat completion, prints what has been loaded.

`python -m tests.support.cold_call KEY` in the app's environment -> {"status", "imported", "called"}: names of modules.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

KEY = sys.argv[1]
BODY = {"model": "entra", "messages": [{"role": "user", "content": "hi"}]}


async def _call(app: object) -> int:
    from starlette.requests import Request

    body, asked, statuses = json.dumps(BODY).encode(), 0, list[int]()

    async def receive() -> dict[str, object]:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        statuses.append(int(str(message.get("status", 0))))

    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "content-length": str(len(body))}
    path = "/v1/chat/completions"
    scope: dict[str, object] = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "path_params": {},
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2),
    }  # fmt: skip
    bootstrap = sys.modules["shared.bootstrap"]
    response = await bootstrap.serve("chat_completions", Request(scope, receive))  # type: ignore[attr-defined]
    await response(scope, receive, send)
    return statuses[0]


def main() -> None:
    import azure.functions  # noqa: F401  # the worker has loaded it before  # pyright: ignore[reportUnusedImport]

    platform = set(sys.modules)
    import function_app

    imported = set(sys.modules) - platform

    async def play() -> None:
        status = await _call(function_app)
        called = set(sys.modules) - platform - imported
        print(json.dumps({"status": status, "imported": sorted(imported), "called": sorted(called)}), flush=True)
        os._exit(0)  # nothing that is owed is of interest

    asyncio.run(play())


if __name__ == "__main__":
    main()
