"""The last thing that is known of a deployment's health: since when it rests or is well again, and why."""

from __future__ import annotations

from dataclasses import dataclass

from shared.router_settings import FailureKind


@dataclass(frozen=True, slots=True)
class Rest:
    """Never changed: a newer one takes its place."""

    at: float
    """When it began to rest, or was well again."""
    until: float
    """0: it is well again."""
    why: FailureKind
    level: int = 0
    """How many probes have failed on end."""
    told: bool = False
    """Its upstream has said until when: it is well after that, without a probe."""
    own: bool = True
    """False: another process has reported it."""
