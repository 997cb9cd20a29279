"""One worker process, seen from the host: starting it, asking it, ending it.

The child's stdin is its lifeline: closing it is the order to end, and it closes by itself when the host is gone.
Knows nothing of HTTP, nor of when a worker is to be restarted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from .contract import Function, HostError, WorkerFailure, WorkerGone
from .pipe import Frames, Message

START_LIMIT = 70.0  # a little more than an import may take, so that the child can say so itself
ROOT = Path(__file__).resolve().parents[2]


class ChildProcess:
    """A running worker. Made by `start`, which returns when the app in it is indexed."""

    def __init__(self) -> None:
        self.functions: list[Function] = []
        self.http_uri = ""
        self.began = time.monotonic()
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._frames = Frames(self._answered, self._lost)
        self._process: asyncio.subprocess.Process | None = None
        self.gone = False

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @classmethod
    async def start(cls, app_dir: str, grace: float) -> ChildProcess:
        child = cls()
        ours, theirs = socket.socketpair()
        with theirs:
            child._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "local.host.worker_child", str(theirs.fileno()), str(grace),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                start_new_session=True,  # Ctrl+C in a terminal is for the host, which drains requests first
            )  # fmt: skip
        await asyncio.get_running_loop().create_connection(lambda: child._frames, sock=ours)
        try:
            async with asyncio.timeout(START_LIMIT):
                child.functions, child.http_uri = await child.ask("start", app_dir)
        except WorkerGone:
            code = await child.process.wait()
            raise HostError(f"The worker process ended while it started ({exit_reason(code)}).") from None
        except WorkerFailure as error:
            await child.stop(grace)
            raise HostError(str(error)) from None
        except TimeoutError:
            await child.kill()
            raise HostError(f"The worker process was not ready after {START_LIMIT:.0f} s.") from None
        except asyncio.CancelledError:
            await child.kill()
            raise
        return child

    def ask_later(self, *question: Any) -> asyncio.Future[Any]:
        """Send a question now; the future brings the answer, WorkerFailure or WorkerGone."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.gone:
            future.set_exception(WorkerGone("the worker process has ended"))
        else:
            number = next(self._numbers)
            self._pending[number] = future
            self._frames.send(number, *question)
        return future

    async def ask(self, *question: Any) -> Any:
        return await self.ask_later(*question)

    def _answered(self, message: Message) -> None:
        number, ok, value = message
        future = self._pending.pop(number, None)
        if future is None or future.done():
            return
        if ok:
            future.set_result(value)
        else:
            future.set_exception(WorkerFailure(value))

    def _lost(self) -> None:
        self.gone = True
        for future in self._pending.values():
            if not future.done():
                future.set_exception(WorkerGone("the worker process ended"))
                future.exception()  # nobody may be waiting any more; that is no error of its own
        self._pending.clear()

    async def ended(self) -> int:
        """Wait for the process to end, whatever the reason; its exit code."""
        code = await self.process.wait()
        self._frames.close()
        return code

    async def stop(self, grace: float) -> None:
        """The order to end, by closing the lifeline; by force after the grace."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            async with asyncio.timeout(grace + 2):  # the child itself gives up after its grace
                await self.ended()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        if self.process.returncode is None:
            # Not process.kill(): the app may have started processes, and the session is theirs as well.
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.process.kill()
        await self.ended()


def exit_reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
