"""One run of the host, from the listening socket to the last clean-up, in that order and back.

Puts the parts together; knows nothing of how any of them does its work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvicorn

from .admin import Admin
from .announce import lines, ready_file
from .contract import Function, HostError, Worker
from .http import Front
from .keys import FILE_NAME, Keys
from .lifetime import bound, hold_lifeline
from .route_table import RouteTable
from .running import Running
from .settings import Settings, is_disabled, read_settings
from .triggers.listeners import Listeners
from .worker import InProcessWorker

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    app_dir: Path
    port: int | None = None
    mode: str = "asgi"
    auth: bool = True
    loop: str = "asyncio"
    ready_file: Path | None = None
    keys_file: Path | None = None
    grace: float = 3.0
    supervisor: int | None = None  # the pid that started us under --reload; our stdin is its lifeline


class Server(uvicorn.Server):
    """uvicorn, except that ending is the host's business: uvicorn would end the process by the signal it got."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._announce()


class Run:
    """The parts of one run and the order of their ends."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.settings: Settings = read_settings(str(options.app_dir))
        self.socket = _listen_on(_port(options, self.settings))
        self.port: int = self.socket.getsockname()[1]
        self.functions: list[Function] = []
        self.worker: Worker
        self.server: Server
        self.failure: str | None = None
        self._stop_taking: Callable[[], None] = lambda: None

    async def serve(self) -> int:
        self.worker = self._make_worker()
        try:
            self.functions = await self._load()
            parts = self._assemble()
        except BaseException:
            self.socket.close()
            await self.worker.stop()
            raise
        return await self._until_told(*parts)

    def _make_worker(self) -> Worker:
        if self.options.mode == "asgi":
            return InProcessWorker()
        from .worker_process import WorkerProcess  # its HTTP client takes a while to import

        return WorkerProcess(self.options.grace, lambda _pid: self._write_ready_file(), self._give_up)

    async def _load(self) -> list[Function]:
        functions = await self.worker.start(self.settings.app_dir)
        if not functions:
            raise HostError("function_app.py has no functions. Decorate at least one, as in @app.route('hello').")
        return functions

    def _assemble(self) -> tuple[Front, Listeners, list[Running], list[str]]:
        settings, functions = self.settings, self.functions
        restart: Any = getattr(self.worker, "restart", None)
        requests, events = Running(settings.function_timeout, restart), Running(settings.function_timeout, restart)
        listeners = Listeners(self.worker, functions, settings, events)
        routes = RouteTable([f for f in functions if not is_disabled(f.name)], settings.route_prefix)
        keys = Keys(self.options.keys_file or self.options.app_dir / FILE_NAME, self.options.auth)
        if keys.enforced and any(r.level for r in routes.routes):
            keys.load()
        admin = Admin(functions, keys, listeners.by_hand)
        front = Front(routes, self.worker, keys, settings, admin, requests, listeners.write_outputs)
        said = lines(routes, listeners.describe(), self.url, settings)
        self._stop_taking = listeners.stop_taking
        return front, listeners, [requests, events], said

    async def _until_told(self, front: Front, listeners: Listeners, running: list[Running], said: list[str]) -> int:
        config = uvicorn.Config(
            front, http="httptools", ws="none", interface="asgi3", lifespan="off", proxy_headers=False,
            access_log=False, log_config=None, server_header=False, date_header=False, backlog=2048,
            timeout_graceful_shutdown=cast(int, self.options.grace),  # declared whole, used as any timeout
        )  # fmt: skip

        def started() -> None:
            listeners.start()
            print("\n".join([*said, "Host ready"]), flush=True)
            self._write_ready_file()

        self.server = Server(config, started)
        sweeps = [asyncio.create_task(each.sweep()) for each in running]
        self._take_signals()
        try:
            await self.server.serve(sockets=[self.socket])
        finally:
            for task in sweeps:
                task.cancel()
            # What uvicorn waited for has ended or is cancelled by now; triggers and worker get the grace once more.
            bound(2 * self.options.grace + (4 if self.options.mode == "process" else 1), 0)
            if self.options.ready_file is not None:
                self.options.ready_file.unlink(missing_ok=True)
            await listeners.finish(self.options.grace)
            await self.worker.stop()
        if self.failure is not None:
            raise HostError(self.failure)
        return 0

    def _take_signals(self) -> None:
        """After the app's import, so that ours are the ones in force."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if self.server.should_exit:
                self.server.force_exit = True
            self.server.should_exit = True
            self._stop_taking()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if self.options.supervisor is not None:
            hold_lifeline(lambda: (loop.call_soon_threadsafe(stop), None)[1])

    def _give_up(self, why: str) -> None:
        self.failure = why
        self.server.should_exit = True

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.port}"

    def _write_ready_file(self) -> None:
        if self.options.ready_file is not None:
            pid = self.options.supervisor or os.getpid()
            names = [f.name for f in self.functions]
            ready_file(self.options.ready_file, self.url, pid, self.options.mode, self.worker.pid, names)


def _port(options: Options, settings: Settings) -> int:
    if options.port is not None:
        return options.port
    return settings.local_port or 7071


def _listen_on(port: int) -> socket.socket:
    """Taken before the app is loaded, so that a busy port is told at once; it accepts when the app is ready."""
    # The protocol has to be named: without it asyncio leaves Nagle's algorithm on, and each answer waits 40 ms.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((ADDRESS, port))
    except (OSError, OverflowError) as error:
        made.close()
        raise HostError(
            f"Port {port} cannot be used ({error}). Choose another with --port, or --port 0 for a free one."
        ) from None
    return made


def run(options: Options) -> int:
    """Serve until told to stop; the exit code."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if options.loop == "uvloop":
        try:
            import uvloop
        except ImportError:
            raise HostError("--loop uvloop needs the package uvloop: pip install uvloop") from None
        factory = uvloop.new_event_loop
    if options.ready_file is not None:
        options.ready_file.unlink(missing_ok=True)  # an old one must not be taken for ours
    with asyncio.Runner(loop_factory=factory) as runner:
        code = runner.run(_serve(options))
    sys.stdout.flush()
    return code


async def _serve(options: Options) -> int:
    return await Run(options).serve()
