"""The worker process itself: `python -m local.host.worker_child SOCKET_FD GRACE`, started by the host only.

Runs the worker library with its own web server, answers the host's messages, ends when its stdin closes.
Knows nothing of routes, keys or triggers.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import socket
import sys
import traceback
from typing import Any

from .contract import Function, HostError, WorkerFailure
from .lifetime import bound, hold_lifeline
from .logs import configure
from .pipe import Frames, Message
from .worker import InProcessWorker, outcome_of


class Child:
    """Answers each message of the host in a task of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._worker = InProcessWorker(listening=True)
        self._functions: dict[str, Function] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._frames = Frames(self._asked, self._over.set)

    async def serve(self, grace: float) -> None:
        loop = asyncio.get_running_loop()

        def ended() -> None:
            bound(grace + 1, 0)
            loop.call_soon_threadsafe(self._over.set)

        hold_lifeline(ended)
        await loop.create_connection(lambda: self._frames, sock=self._connection)
        await self._over.wait()
        logging.getLogger("uvicorn.error").setLevel("CRITICAL")  # its server is cancelled, and says so at length
        await self._worker.stop()
        self._frames.close()

    def _asked(self, message: Message) -> None:
        number, what, *arguments = message
        answers = {"start": self._start, "http": self._http, "call": self._call}
        task = asyncio.create_task(self._answer(number, functools.partial(answers[what], *arguments)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, number: int, act: Any) -> None:
        try:
            self._frames.send(number, True, await act())
        except (HostError, WorkerFailure) as error:
            self._frames.send(number, False, str(error))
        except Exception:
            self._frames.send(number, False, traceback.format_exc())

    async def _start(self, app_dir: str) -> tuple[list[Function], str | None]:
        found = await self._worker.start(app_dir)
        self._functions = {f.id: f for f in found}
        return found, self._worker.http_uri

    async def _http(self, invocation_id: str, function_id: str, params: dict[str, str]) -> tuple[str | None, Any]:
        outcome = outcome_of(await self._worker.invoke(self._functions[function_id], invocation_id, params))
        return outcome.failure, outcome.outputs

    async def _call(self, function_id: str, inputs: Any, metadata: Any) -> Any:
        return await self._worker.call(self._functions[function_id], inputs, metadata)


async def _main(descriptor: int, grace: float) -> None:
    await Child(socket.socket(fileno=descriptor)).serve(grace)


if __name__ == "__main__":
    configure()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host says when to end
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
