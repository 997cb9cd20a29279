"""Owns the faults that were ordered and decides which request meets which: in order, one fault a request.

Knows the names and parameters of the kinds, not what they do: `delivery.py` acts on those of an answer,
`door.py` on those that come before one, the identity modules on their own.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

BEFORE_ANSWER = frozenset(
    {
        "status",
        "foundry_429",
        "content_filter",
        "insufficient_quota",
        "context_length",
        "slow_first_byte",
        "reset",
        "html",
        "reject_stream_options",
        "no_role",  # the caller's identity is known, and has no role (yet)
    }
)
DURING_ANSWER = frozenset(
    {
        "slow_headers_then_silence",
        "slow_chunks",
        "pause",
        "cut",
        "cut_before_content",  # a stream: as soon as the next event would bring a part of the answer
        "clean_cut",
        "malformed",
        "error_event",
        "empty_body",
        "no_usage",
        "split",
        "tier",  # `body`: the service tier that the answer tells
        "crlf",
        "spilled_over",  # `body`: the deployment that Azure says has served it
    }
)
AUTHORITY = frozenset({"token_status", "token_slow"})
SIGNING_KEYS = frozenset({"jwks_status", "jwks_slow"})
IDENTITY = frozenset({"identity_status", "identity_slow"})
VAULT = frozenset({"vault_status", "vault_slow", "vault_no_role"})
BATCH_LINE = frozenset({"batch_line"})  # the next line of a batch is answered with `status` and `body`
TOKEN_LIFETIME = "token_lifetime"
KINDS = BEFORE_ANSWER | DURING_ANSWER | BATCH_LINE | AUTHORITY | SIGNING_KEYS | IDENTITY | VAULT | {TOKEN_LIFETIME}
UNTIL_CLEARED = -1


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    resource: str | None = None
    deployment: str | None = None
    times: int = 1
    status: int = 500
    body: Any = None  # str: sent as it is; anything else: as JSON
    headers: Mapping[str, str] | None = None
    retry_after: str | int | float | None = None
    retry_after_ms: str | int | float | None = None
    x_ms_retry_after_ms: str | int | float | None = None
    seconds: float = 1.0
    after: int = 3  # events of a stream that leave undisturbed
    size: int = 0  # bytes a write; 0: one event a write
    crlf: bool = False

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> "Fault":
        unknown = set(given) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown fault parameters: {', '.join(sorted(unknown))}")
        if given.get("kind") not in KINDS:
            raise ValueError(f"unknown fault kind {given.get('kind')!r}; known: {', '.join(sorted(KINDS))}")
        if given.get("times", 1) < 1 and given["times"] != UNTIL_CLEARED:
            raise ValueError(f"times must be at least 1, or {UNTIL_CLEARED} for until cleared")
        defaults: dict[str, Any] = {}
        if given["kind"] == "split":
            defaults["size"] = 7
        elif given["kind"] == "crlf":
            defaults["crlf"] = True
        elif given["kind"] in (TOKEN_LIFETIME, "no_role", "vault_no_role"):
            defaults["times"] = UNTIL_CLEARED
        return cls(**{**defaults, **given})

    def as_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def retry_headers(self) -> Iterator[tuple[str, str]]:
        for name, value in (
            ("Retry-After", self.retry_after),
            ("Retry-After-Ms", self.retry_after_ms),
            ("x-ms-retry-after-ms", self.x_ms_retry_after_ms),
        ):
            if value is not None:
                yield name, str(value)


class FaultQueue:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Fault, int]] = []  # with the number of times that are left

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append((fault, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def snapshot(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**fault.as_dict(), "times": left} for fault, left in self._waiting]

    def take(self, kinds: frozenset[str], resource: str | None = None, deployment: str | None = None) -> Fault | None:
        """The first fault that fits, used up by one."""
        if not self._waiting:  # the usual case costs no lock
            return None
        with self._lock:
            for place, (fault, left) in enumerate(self._waiting):
                if fault.kind in kinds and _fits(fault, resource, deployment):
                    if left == 1:
                        del self._waiting[place]
                    elif left > 1:
                        self._waiting[place] = (fault, left - 1)
                    return fault
        return None


def _fits(fault: Fault, resource: str | None, deployment: str | None) -> bool:
    return fault.resource in (None, resource) and fault.deployment in (None, deployment)
