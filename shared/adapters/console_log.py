"""The operator's log on Azure: each line on the standard output of the worker's process.

The Functions host takes a record of Python's logging only while the invocation runs in which it was made, and to the
host an invocation is over as soon as its handler has returned a response. The line of a call is written after the last
byte, others by work in the background: those would be dropped without a word. What a process prints is taken line by
line, whatever runs (category Host.Function.Console), and costs no gRPC message.

Owns how a record becomes one line. What is logged: telemetry.py.
"""

from __future__ import annotations

import logging
import sys

from shared.adapters.telemetry import LOGGER, line_of
from shared.redact import redact

_BACKGROUND = ("asyncio", "uvicorn.error")
"""Libraries that tell of a stream or a task that broke, when no invocation is left to tell it for."""


class _Lines(logging.Formatter):
    """Lines of telemetry.py as they are; what libraries say in the same form."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.name == LOGGER and text.startswith("{"):
            return text
        error = record.exc_info[1] if record.exc_info else None
        fields = {"logger": record.name} if record.name != LOGGER else {}
        if error:
            fields["error"] = f"{type(error).__name__}: {error}"
        return line_of("error" if record.levelno >= logging.ERROR else "warning", redact(text, {}), fields)


class _Console(logging.StreamHandler):  # type: ignore[type-arg]
    pass


def speak_on_console() -> None:
    """From now on. The records go nowhere else, or some would come twice."""
    logger = logging.getLogger(LOGGER)
    if any(isinstance(handler, _Console) for handler in logger.handlers):
        return
    console = _Console(sys.stdout)
    console.setFormatter(_Lines())
    for name in (LOGGER, *_BACKGROUND):
        logging.getLogger(name).addHandler(console)
        logging.getLogger(name).propagate = False
    for name in _BACKGROUND:
        logging.getLogger(name).setLevel(logging.WARNING)
