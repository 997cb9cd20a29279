"""The operator's log (ports.CallLog): one line of JSON per call, one per warning, on the logger `tollgate`.

The Functions worker sends every record to Application Insights as one gRPC message: so one line per call and no more.
No body, key, host or token is ever in a line.
"""

from __future__ import annotations

import logging

import orjson

from shared.redact import redact
from shared.types import UsageRecord

LOGGER = "tollgate"
_QUIET = ("azure", "azure.functions", "azure_functions_worker", "azure_functions_runtime", "httpx", "httpcore",
          "uvicorn", "uvicorn.access", "msal", "aiohttp")  # fmt: skip


def quiet_libraries() -> None:
    """Their lines per request cost half of a worker's CPU (measured 2026-11), and may hold URLs."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # says of each broken body what its client is told


class JsonLog:
    def __init__(self, level: str = "INFO") -> None:
        self._logger = logging.getLogger(LOGGER)
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
        safe = {k: redact(v, {}) if isinstance(v, str) else v for k, v in fields.items()}
        self._logger.warning(orjson.dumps({"event": "warning", "message": message, **safe}, default=str).decode())

    def error(self, message: str, **fields: object) -> None:
        """For what the operator must act on; fields are shown as they are."""
        self._logger.error(orjson.dumps({"event": "error", "message": message, **fields}, default=str).decode())
