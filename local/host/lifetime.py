"""How a process of the host ends: lifelines to a parent, a bound on the last steps, atexit handlers in any case.

Knows nothing of HTTP, workers or the app, except that the app may have registered atexit and signal handlers.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

type SignalHandler = Callable[[int, FrameType | None], Any] | int | None


def leave(code: int) -> NoReturn:
    """End now, from any thread, whatever the others do, but not without the atexit handlers."""
    run_handlers: Callable[[], None] = vars(atexit)["_run_exitfuncs"]
    try:
        run_handlers()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def bound(limit: float, code: int) -> None:
    """From here the process may take `limit` seconds to end by itself: a stuck thread of the app must not keep it."""

    def watch() -> None:
        time.sleep(limit)
        print("some of the app's threads did not end; leaving without them", file=sys.stderr, flush=True)
        leave(code)

    threading.Thread(target=watch, name="host-exit-bound", daemon=True).start()


def hold_lifeline(ended: Callable[[], None]) -> None:
    """Call `ended` (in a thread) when our stdin closes: the parent has closed it, or is gone, however it went.

    A thread, not the event loop: a handler that blocks the loop must not outlive the host.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        ended()

    threading.Thread(target=watch, name="host-lifeline", daemon=True).start()


def app_signal_handler() -> Callable[[], None]:
    """The SIGTERM handler that the app installed for itself, if it did: to be called once requests are drained."""
    found: SignalHandler = signal.getsignal(signal.SIGTERM)
    if not callable(found) or found is signal.default_int_handler:
        return lambda: None
    handler = found

    def call() -> None:
        try:
            handler(signal.SIGTERM, None)
        except SystemExit:
            return  # its way of ending the process, which is ending anyway

    return call
