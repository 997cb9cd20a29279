"""What one process knows of deployments, by their ids: in flight, used this minute, how fast, how healthy.

A deployment that stands behind several aliases has one state. Survives a new configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class State:
    """Of one deployment."""

    id: str
    in_flight: int = 0


class States:
    """All deployments that this process has asked or heard of."""

    def of(self, deployment_id: str) -> State:
        """Made when it is first asked for."""
        raise NotImplementedError

    def report(self, now: float) -> dict[str, Any]:
        """-> what other processes should know of what this one has seen lately, as JSON: by deployment id."""
        raise NotImplementedError

    def hear(self, report: Mapping[str, Any], now: float) -> None:
        """What another process has reported: who rests, and until when; who is well again. Raises nothing: what is
        not understood is left out."""
        raise NotImplementedError
