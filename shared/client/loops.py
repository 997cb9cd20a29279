"""Where the work of a call is done: on the caller's event loop, or on one of the module's own, in a thread, for callers
that have none.

Owns what belongs to one event loop (connections, tokens, gateways), when it is made and when it is closed.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from shared.client.connections import Gateways
from shared.client.ports import Notes, OnUsage

CLOSING_SECONDS = 5.0


class Place:
    """What lives on one event loop. Made in any thread, used on that loop."""

    def __init__(self, on_usage: Callable[[], OnUsage | None]) -> None:
        from shared.bootstrap import in_process

        self._adapters = in_process()
        self.gateways = Gateways(
            self._adapters.environ, self._adapters.upstream, Notes(self._adapters.log), on_usage
        )  # fmt: skip

    async def close(self) -> None:
        await self.gateways.close()
        await self._adapters.close()


class Loops:
    """The event loops on which there is something: callers', and the module's own. Thread-safe."""

    def __init__(self, on_usage: Callable[[], OnUsage | None]) -> None:
        self._on_usage = on_usage
        self._turn = threading.Lock()
        self._places: dict[asyncio.AbstractEventLoop, tuple[Place, AsyncGenerator[None]]] = {}
        self._own: OwnLoop | None = None
        self._forked: list[OwnLoop] = []
        """A fork's copies, kept for ever: collecting one would close connections that the parent uses."""

    async def here(self) -> Place:
        """What is on the running loop. It is closed when that loop ends, as asyncio.run ends one."""
        loop = asyncio.get_running_loop()
        if found := self._places.get(loop):
            return found[0]
        place = Place(self._on_usage)
        guard = self._until_the_loop_ends(loop, place)
        with self._turn:
            for ended in [known for known in self._places if known.is_closed()]:
                del self._places[ended]
            self._places[loop] = place, guard
        await anext(guard)
        return place

    async def _until_the_loop_ends(self, loop: asyncio.AbstractEventLoop, place: Place) -> AsyncGenerator[None]:
        """An event loop that ends in good order closes the generators that were begun on it: the only such hook."""
        try:
            yield
        finally:
            self._places.pop(loop, None)
            await place.close()

    def own(self) -> OwnLoop:
        """The module's own loop; its thread runs from the first call on."""
        with self._turn:
            if self._own is not None and not self._own.alive:  # a fork takes the object along, but not the thread
                self._forked.append(self._own)
                self._own = None
            if self._own is None:
                self._own = OwnLoop(Place(self._on_usage))
                atexit.register(self._own.close)
            return self._own

    def close(self) -> None:
        with self._turn:
            own, self._own = self._own, None
        if own:
            atexit.unregister(own.close)
            own.close()

    async def aclose(self) -> None:
        if found := self._places.get(asyncio.get_running_loop()):
            await found[1].aclose()


class OwnLoop:
    """An event loop in a daemon thread."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tollgate", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Do it there and wait for it. Raises what it raises."""
        if threading.current_thread() is self._thread or not self.alive:
            work.close()
            raise RuntimeError("called from a function that the call itself waits for, or after close()")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        if not self.alive:
            return
        with contextlib.suppress(TimeoutError):  # a program that ends does not wait for ever
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CLOSING_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_SECONDS)
        if not self.alive:
            self._loop.close()

    async def _end(self) -> None:
        """Calls that still run are cancelled, so that each of them has its record; then the connections are closed."""
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.place.close()
        await self._loop.shutdown_asyncgens()
