"""What the app's files say to its host: host.json and local.settings.json.

Owns reading them, and the rule that the environment wins. Knows nothing of keys, storage or servers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from .contract import HostError

type Json = dict[str, Any]
BODY_LIMIT = 104_857_600  # Kestrel's, as the platform sets it


@dataclass(slots=True)
class Settings:
    """One app's settings, read once at start."""

    app_dir: str
    route_prefix: str = "api"
    body_limit: int = BODY_LIMIT
    most_at_once: int = -1  # -1: no limit
    function_timeout: float | None = 1800.0
    queues: Json = field(default_factory=dict[str, Any])
    local_port: int | None = None
    local_cors: str | None = None


def read_settings(app_dir: str, environ: MutableMapping[str, str] = os.environ) -> Settings:
    """Read both files and add local.settings.json's Values to the environment, which wins over them."""
    host, local = _read(app_dir, "host.json"), _read(app_dir, "local.settings.json")
    if local.get("IsEncrypted"):
        raise HostError(
            "local.settings.json is encrypted (IsEncrypted: true), which only Core Tools can read.\n"
            "Run `func settings decrypt`, or write the values in plain text and set IsEncrypted to false."
        )
    for name, value in _part(local, "Values").items():
        environ.setdefault(name, str(value))
    http, own = _part(host, "extensions", "http"), _part(local, "Host")
    try:
        return Settings(
            app_dir=app_dir,
            route_prefix=str(http.get("routePrefix", "api")),
            body_limit=int(environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT") or BODY_LIMIT),
            most_at_once=int(http.get("maxOutstandingRequests", -1)),
            function_timeout=_timeout(str(host.get("functionTimeout", "00:30:00"))),
            queues=_part(host, "extensions", "queues"),
            local_port=int(own["LocalHttpPort"]) if own.get("LocalHttpPort") else None,
            local_cors=str(own["CORS"]) if own.get("CORS") else None,
        )
    except (ValueError, TypeError) as error:
        raise HostError(f"host.json, local.settings.json or FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: {error}") from None


def _read(app_dir: str, name: str) -> Json:
    try:
        value: Any = json.loads(Path(app_dir, name).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise HostError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise HostError(f"{name} must hold one JSON object.")
    return cast(Json, value)


def _part(tree: Json, *path: str) -> Json:
    value: Any = tree
    for name in path:
        value = cast(Json, value).get(name) or {}
        if not isinstance(value, dict):
            raise HostError(f"'{'.'.join(path)}' must be a JSON object.")
    return cast(Json, value)


def _timeout(text: str) -> float | None:
    return None if text.startswith("-1") else seconds(text)


def seconds(text: str) -> float:
    """A .NET TimeSpan, [d.]hh:mm:ss[.fff], in seconds."""
    found = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)", text.strip())
    if found is None:
        raise ValueError(f"'{text}' is not a time span; write hh:mm:ss")
    days, hours, minutes, rest = found.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)


def setting(text: str, environ: MutableMapping[str, str] = os.environ) -> str:
    """`%NAME%` becomes the app setting NAME."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in environ:
            raise HostError(
                f"'%{name}%' needs the app setting {name}; set it in the environment or local.settings.json."
            )
        return environ[name]

    return re.sub(r"%([^%]+)%", value, text)


def is_disabled(name: str, environ: MutableMapping[str, str] = os.environ) -> bool:
    """`AzureWebJobs.<function>.Disabled`; an environment may not allow dots, so `__` works as well."""
    keys = (f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs__{name}__Disabled")
    return any(environ.get(key, "").lower() in ("true", "1") for key in keys)
