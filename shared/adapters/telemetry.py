"""The operator's log (ports.CallLog): one line of JSON per call, one per warning, on the logger `tollgate`.

Where the lines go on Azure: console_log.py. Each one costs: so one line per call and no more.
No body, key, host or token is ever in a line, but for the names that an operator's own configuration holds, where it is
refused.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import orjson

from shared.redact import redact
from shared.types import UsageRecord

LOGGER = "tollgate"
_QUIET = ("azure", "azure.functions", "azure_functions_worker", "azure_functions_runtime", "proxy_worker", "httpx",
          "httpcore", "uvicorn", "uvicorn.access", "msal", "aiohttp")  # fmt: skip
MOST_BYTES = 32_000
"""Of a line. Application Insights cuts a message at 32,768 characters: no query understands JSON that has no end."""
_MOST_CHARACTERS = 2_000
"""Of a field, where a line is too long."""


def quiet_libraries() -> None:
    """Their lines per request cost half of a worker's CPU (measured 2026-11), and may hold URLs."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # says of each broken body what its client is told


def begin_logging(*, on_azure: bool) -> None:
    """For a worker's process, before it writes its first line."""
    quiet_libraries()
    if on_azure:
        from shared.adapters.console_log import speak_on_console

        speak_on_console()


class JsonLog:
    def __init__(self, level: str = "INFO") -> None:
        """level: of the whole process; empty: as it is."""
        self._logger = logging.getLogger(LOGGER)
        if level:
            self._logger.setLevel(level)

    def call(self, record: UsageRecord) -> None:
        if not self._logger.isEnabledFor(logging.INFO):
            return
        usage = record.usage
        line = {
            "event": "call",
            "request_id": record.request_id,
            "endpoint": record.endpoint,
            "key": record.key_name,
            "alias": record.alias,
            "deployment": record.label,
            "status": record.status,
            "outcome": record.outcome,
            "stream": record.stream,
            "attempts": record.attempts,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "estimated": usage.estimated,
            "ms": round(record.latency * 1000, 1),
            "first_token_ms": None if record.first_token is None else round(record.first_token * 1000, 1),
        }
        # Logger.info would look up the caller's file and line first, which costs more than all the rest
        record_of_log = logging.LogRecord(LOGGER, logging.INFO, "", 0, orjson.dumps(line).decode(), None, None)
        self._logger.handle(record_of_log)

    def warning(self, message: str, **fields: object) -> None:
        self._logger.warning(line_of("warning", message, fields))

    def error(self, message: str, **fields: object) -> None:
        """For what the operator must act on. A list is shown as it is: what is wrong with a file of the operator's."""
        self._logger.error(line_of("error", message, fields))


def line_of(event: str, message: str, fields: Mapping[str, object]) -> str:
    """What stands in the log: JSON without a space, whatever texts it is given, and never too long."""
    safe = {name: redact(value, {}) if isinstance(value, str) else value for name, value in fields.items()}
    line = _json({"event": event, "message": message, **safe})
    if len(line) > MOST_BYTES:
        short = {name: str(value)[:_MOST_CHARACTERS] for name, value in safe.items()}
        line = _json({"event": event, "message": message, **short, "cut": True})
    return line.decode()


def _json(line: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(line, default=str)
    except TypeError:  # half a character, as a file of the operator's may hold
        return json.dumps(line, default=str, separators=(",", ":")).encode()
