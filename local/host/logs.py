"""Who may speak on the terminal. Quiet by default: failed invocations, the app's own records, and warnings.

Knows nothing of the host's work.
"""

from __future__ import annotations

import logging
import os

SETTING = "FUNCHOST_LOG"
# Libraries that have a line or more for every request.
_CHATTY = ("local.host", "azure", "uvicorn", "asyncio", "aiohttp", "httpx", "httpcore", "msal", "urllib3")


def configure(verbose: bool = False) -> None:
    """FUNCHOST_LOG (a level) wins over `verbose`. Children read it from the environment."""
    if verbose:
        os.environ.setdefault(SETTING, "INFO")
    level = os.environ.get(SETTING, "").upper()
    if level not in logging.getLevelNamesMapping():
        level = ""
    logging.basicConfig(level=level or "INFO", format="[%(asctime)s] %(levelname).1s %(name)s: %(message)s")
    for name in _CHATTY:
        logging.getLogger(name).setLevel(level or "WARNING")
    if level not in ("INFO", "DEBUG", "NOTSET"):
        # A web extension may reset these loggers' levels when it makes its server; a filter stays.
        for name in ("uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).addFilter(_worth_saying)
        # The worker library logs every failed invocation as well, without the function's name.
        logging.getLogger("azure.functions").setLevel("CRITICAL")


def _worth_saying(record: logging.LogRecord) -> bool:
    """Not what the host tells itself, with the function's name: exceptions, and responses that were cut off."""
    text = str(record.msg)
    told = text.startswith(("Exception in ASGI application", "ASGI callable returned without", "Cancel %s running"))
    return record.levelno >= logging.WARNING and not told
