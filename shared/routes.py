"""Which endpoint an address names: the canonical /v1/… and every other spelling that clients use.

The Functions host finds the canonical ones by itself, one trigger each; all others arrive at one catch-all trigger and
are looked up here, in the same table. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from shared.endpoints import ANTHROPIC, ENDPOINTS, Endpoint


@dataclass(frozen=True, slots=True)
class Found:
    """What an address names. `endpoint` is None when only the method is wrong; `allowed` are those that are right."""

    endpoint: Endpoint | None
    params: Mapping[str, str]
    allowed: frozenset[str] = frozenset()


def find(method: str, path: str) -> Found | None:
    """-> what a path names, None when it names nothing. `path` as it was sent, still percent-encoded.

    Understood before the operation: nothing, v1, openai/v1, openai, openai/deployments/{alias} (of operations that
    Azure has there), anthropic/v1 and anthropic (of messages).
    """
    parts = [part for part in path.split("/") if part]
    lower = [part.lower() for part in parts]
    given: dict[str, str] = {}
    rows: Iterable[Endpoint] = ENDPOINTS.values()
    if lower[:2] == ["openai", "deployments"] and len(parts) > 3:
        given = {"alias": unquote(parts[2])}
        parts = parts[4:] if lower[3] == "extensions" else parts[3:]
        rows = [row for row in rows if row.deployed]
    elif lower[:1] == ["anthropic"]:
        parts = parts[2:] if lower[1:2] == ["v1"] else parts[1:]
        rows = [row for row in rows if row.shape in ANTHROPIC]
    else:
        parts = parts[next(len(p) for p in _PREFIXES if tuple(lower[: len(p)]) == p) :]
    return _match(method, parts, rows, given)


_PREFIXES = (("openai", "v1"), ("openai",), ("v1",), ())


def _match(method: str, parts: list[str], rows: Iterable[Endpoint], given: dict[str, str]) -> Found | None:
    allowed: set[str] = set()
    for row in rows:
        if row.shape in ("manage", "none") or (params := _params(row.path, parts)) is None:
            continue
        if not row.method or row.method == method:
            return Found(row, given | params)
        allowed.add(row.method)
    return Found(None, {}, frozenset(allowed)) if allowed else None


def _params(template: str, parts: list[str]) -> dict[str, str] | None:
    wanted = _split(template)
    if len(parts) != len(wanted) and not (wanted[-1].startswith("{*") and len(parts) >= len(wanted) - 1):
        return None
    params: dict[str, str] = {}
    for index, name in enumerate(wanted):
        if name.startswith("{*"):
            params[name[2:-1]] = "/".join(parts[index:])
        elif name.startswith("{"):
            params[name[1:-1]] = unquote(parts[index])
        elif name != parts[index].lower():
            return None
    return params


@functools.cache
def _split(template: str) -> tuple[str, ...]:
    return tuple(template.split("/"))
