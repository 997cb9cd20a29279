"""The app's master, host and function keys: where they come from and what one opens.

Makes a key file only when something needs one. Knows nothing of HTTP beyond the key a request showed.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any, cast

from .contract import HostError

log = logging.getLogger("local.host")
FILE_NAME = ".funchost-keys.json"
MASTER_SETTING = "FUNCHOST_MASTER_KEY"


class Keys:
    """Keys from FUNCHOST_MASTER_KEY and the key file. Without either, the file is made at the first need."""

    def __init__(self, path: Path, enforced: bool) -> None:
        self.path, self.enforced = path, enforced
        self._loaded: dict[str, Any] | None = None

    def load(self) -> dict[str, Any]:
        if self._loaded is None:
            injected = os.environ.get(MASTER_SETTING)
            stored = self._read()
            if stored is None:
                stored = {} if injected else self._make()
            if injected:
                stored["masterKey"] = injected
            self._loaded = stored
        return self._loaded

    def _read(self) -> dict[str, Any] | None:
        try:
            value: Any = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise HostError(f"The key file {self.path} cannot be read: {error}. Delete it to get new keys.") from None
        if not isinstance(value, dict) or not isinstance(cast("dict[str, Any]", value).get("masterKey", ""), str):
            raise HostError(f"The key file {self.path} does not hold keys. Delete it to get new ones.")
        return cast("dict[str, Any]", value)

    def _make(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "masterKey": secrets.token_urlsafe(40),
            "functionKeys": {"default": secrets.token_urlsafe(40)},
            "functions": {},
        }
        try:
            # Never readable by others, not even for the moment between creating and writing it.
            with os.fdopen(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
                json.dump(made, file, indent=1)
        except FileExistsError:  # another host of the same app was quicker: its keys are the keys
            return self._read() or made
        print(f"Keys were made in {self.path}", flush=True)
        return made

    def level(self, shown: str, function: str | None) -> int:
        """What this key opens: 0 anonymous functions, 1 this function, 2 everything."""
        if not shown:
            return 0
        keys, given = self.load(), shown.encode("utf-8", "surrogateescape")

        def same(known: Any) -> bool:
            return isinstance(known, str) and bool(known) and secrets.compare_digest(given, known.encode())

        if same(keys.get("masterKey")):
            return 2
        own = keys.get("functions", {}).get(function or "", {})
        return int(any(same(k) for k in (*own.values(), *keys.get("functionKeys", {}).values())))
